/* SPDX-License-Identifier: Apache-2.0 */
/* OpenBLAS chooses its inner loops by a table of processor models. A processor younger than the library is not in it, and
 * gets the loops of 2004 (SSE3), at a quarter of the speed. What the processor can do is asked here instead. */
#include "kernels/cpu/cpu.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

void openblas_set_num_threads(int n);
char *openblas_get_corename(void);

#if defined(__x86_64__)
static const char *
better_core(void)
{
	if (strcmp(openblas_get_corename(), "Prescott"))
		return NULL;
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
		return "SkylakeX";
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "Haswell" : NULL;
}

/* The library's own start and end, which it exports where it can choose at all; the variable wins over its table. */
static void
choose(void)
{
	static const char variable[] = "OPENBLAS_CORETYPE";
	void (*quit)(void), (*init)(void);
	const char *core;

	*(void **)&quit = dlsym(RTLD_DEFAULT, "gotoblas_dynamic_quit");
	*(void **)&init = dlsym(RTLD_DEFAULT, "gotoblas_dynamic_init");
	if (!quit || !init || getenv(variable) || !(core = better_core()))
		return;
	if (setenv(variable, core, 1))
		return;
	quit();
	init();
	unsetenv(variable);
}
#else
static void
choose(void)
{
}
#endif

void
cpu_start(void)
{
	static bool once;

	if (!once) {
		once = true;
		choose();
	}
	openblas_set_num_threads(1);		/* its own threads would change results with their number */
}
