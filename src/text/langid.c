/* SPDX-License-Identifier: Apache-2.0 */
#include "text/langid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 3 };

void
langid_work_free(struct langid_work *w)
{
	free(w->count);
	free(w->seen);
	free(w->score);
	*w = (struct langid_work){ 0 };
}

static bool
work_ready(const struct langid *l, struct langid_work *w)
{
	if (w->score)
		return true;
	w->count = calloc((size_t)l->n_features, sizeof *w->count);
	w->seen = calloc((size_t)l->n_features, sizeof *w->seen);
	w->score = calloc((size_t)l->stride, sizeof *w->score);
	if (!w->count || !w->seen || !w->score)
		langid_work_free(w);
	return w->score != NULL;
}

/* score += n row, in steps that a compiler makes vectors of. */
static void
add_row(double *restrict score, const float *restrict row, int stride, double n)
{
	for (int c = 0; c < stride; c += 8)
		for (int i = 0; i < 8; i++)
			score[c + i] += n * (double)row[c + i];
}

enum status
langid_guess(const struct langid *l, struct langid_work *w, const char *text, size_t len, struct langid_guess *out)
{
	size_t seen = 0, state = 0;
	double sum = 0;

	if (!work_ready(l, w))
		return ace_fail(ACE_ENOMEM, "no memory for the language identifier");
	for (size_t i = 0; i < len; i++) {
		state = l->next[(size_t)l->row[state] << 8 | (unsigned char)text[i]];
		for (int k = l->first[state]; k < l->first[state + 1]; k++) {
			uint16_t f = l->feature[k];
			if (w->count[f]++ == 0)
				w->seen[seen++] = f;
		}
	}
	for (int c = 0; c < l->stride; c++)
		w->score[c] = c < l->n_classes ? (double)l->log_pc[c] : 0;
	for (size_t i = 0; i < seen; i++) {
		uint16_t f = w->seen[i];
		if (i + AHEAD < seen)	/* the rows are 3 MB, and lie anywhere */
			__builtin_prefetch(l->log_ptc + (size_t)w->seen[i + AHEAD] * (size_t)l->stride);
		/* the reference counts in 16 bits */
		add_row(w->score, l->log_ptc + (size_t)f * (size_t)l->stride, l->stride, w->count[f] & 0xffff);
		w->count[f] = 0;
	}
	out->class = 0;
	for (int c = 1; c < l->n_classes; c++)
		if (w->score[c] > w->score[out->class])
			out->class = c;
	for (int c = 0; c < l->n_classes; c++)
		sum += exp(w->score[c] - w->score[out->class]);
	out->p = (float)(1 / sum);
	/* exact: a float times 1000 fits a double */
	out->score = nearbyint((double)out->p * 1000) / 1000;
	return ACE_OK;
}

bool
langid_has(const struct langid *l, const char *lang)
{
	for (int c = 0; c < l->n_classes; c++)
		if (strcmp(l->label[c], lang) == 0)
			return true;
	return false;
}
