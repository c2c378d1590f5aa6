/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include "kernels/cpu/cpu.h"

static const struct kernels ref_table = {
#define K(name, twin, args) .name = ref_##name,
	KERNELS(K)
#undef K
};

static const struct kernels cpu_table = {
#define K(name, twin, args) .name = twin##_##name,
	KERNELS(K)
#undef K
};

static void
dry_call(struct dev *d, const char *name)
{
	d->calls++;
	if (d->on_call)
		d->on_call(d, name);
}

/* The dry twin counts calls, and for products their floating point operations; it computes nothing. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define K(name, twin, args)          \
	static void dry_##name args  \
	{                            \
		dry_call(d, #name);  \
	}
KERNELS(K)
#undef K
#pragma GCC diagnostic pop

static void
dry_product(struct dev *d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, float alpha, float beta)
{
	dry_gemm(d, c, a, b, ta, tb, alpha, beta);
	d->flops += 2.0 * (double)c.dim[0] * (double)c.dim[1] * (double)a.dim[ta ? 0 : 1];
}

static void
dry_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride)
{
	dry_map_conv(d, y, x, w, b, stride);
	d->flops += 2.0 * (double)tensor_count(y) * (double)w.dim[1] * (double)w.dim[2] * (double)w.dim[3];
}

void
kernels_attach(struct dev *d)
{
	static struct kernels dry_table = {
#define K(name, twin, args) .name = dry_##name,
		KERNELS(K)
#undef K
	};

	dry_table.gemm = dry_product;
	dry_table.map_conv = dry_conv;
	switch (d->kind) {
	case DEV_REF: d->k = &ref_table; break;
	case DEV_CPU:
		cpu_start();
		d->k = &cpu_table;
		break;
	case DEV_DRY: d->k = &dry_table; break;
	}
}

const struct kernel_info *
kernels_list(int *n)
{
	static const struct kernel_info list[] = {
#define K(name, twin, args) { #name, #twin[0] == 'c' },
		KERNELS(K)
#undef K
	};

	*n = (int)(sizeof list / sizeof *list);
	return list;
}
