/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_system.h"

#include "jobs/doctor.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdlib.h>

static const char *const states[] = { "OK", "WARN", "FAIL" };

char *
doctor_add(struct findings *f, enum finding_state state, const char *what, const char *fmt, ...)
{
	static char lost[sizeof f->v->advice];
	struct finding *at;
	va_list ap;

	if (f->n == FINDINGS_MOST)
		return lost;
	at = &f->v[f->n++];
	*at = (struct finding){ .state = state, .what = what };
	va_start(ap, fmt);
	vsnprintf(at->found, sizeof at->found, fmt, ap);
	va_end(ap);
	return at->advice;
}

const char *
doctor_bytes(double bytes, char *text, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	int u = 0;

	for (; bytes >= 1024 && u < 5; u++)
		bytes /= 1024;
	snprintf(text, size, u && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[u]);
	return text;
}

void
inspect_system_look(struct findings *f, const char *output)
{
	f->n = 0;
	doctor_machine(f);
	doctor_libraries(f);
	doctor_files(f, output);
}

static enum status
print_json(FILE *out, const struct findings *f)
{
	cJSON *root = cJSON_CreateArray();
	char *text;

	for (int i = 0; i < f->n; i++) {
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "state", states[f->v[i].state]);
		cJSON_AddStringToObject(o, "what", f->v[i].what);
		cJSON_AddStringToObject(o, "found", f->v[i].found);
		if (*f->v[i].advice)
			cJSON_AddStringToObject(o, "advice", f->v[i].advice);
		cJSON_AddItemToArray(root, o);
	}
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return ace_fail(ACE_ENOMEM, "no memory for the report");
	fprintf(out, "%s\n", text);
	free(text);
	return ACE_OK;
}

enum status
inspect_system(FILE *out, const char *output, bool json)
{
	struct findings f;
	int count[3] = { 0 };

	inspect_system_look(&f, output);
	for (int i = 0; i < f.n; i++)
		count[f.v[i].state]++;
	if (json) {
		ACE_TRY(print_json(out, &f));
	} else {
		for (int i = 0; i < f.n; i++)
			fprintf(out, "%-4s  %-13s %s%s%s\n", states[f.v[i].state], f.v[i].what, f.v[i].found,
				*f.v[i].advice ? ": " : "", f.v[i].advice);
		fprintf(out, "%d OK, %d WARN, %d FAIL\n", count[FINDING_OK], count[FINDING_WARN], count[FINDING_FAIL]);
	}
	if (count[FINDING_FAIL])
		return ace_fail(ACE_EDEVICE, "%d of %d checks fail", count[FINDING_FAIL], f.n);
	return ACE_OK;
}
