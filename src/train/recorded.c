/* SPDX-License-Identifier: Apache-2.0 */
#include "train/recorded.h"

#include <string.h>

static void
launch(struct dev *d, struct dev_graph *g)
{
	if (dev_graph_launch(d, g) != ACE_OK && d->status == ACE_OK)
		d->status = ACE_EDEVICE;		/* the message was kept */
}

static void
record(struct recorded_item *it, struct dev *d, void (*ask)(void *me), void *me)
{
	if (dev_graph_begin(d) != ACE_OK)
		return;
	ask(me);
	if (dev_graph_end(d, &it->g) == ACE_OK)
		launch(d, it->g);
}

void
recorded_run(struct recorded *r, struct dev *d, const int64_t key[RECORDED_KEY], void (*ask)(void *me), void *me)
{
	struct recorded_item *it = r->item, *end = r->item + r->n;

	if (r->off || d->kind != DEV_CUDA) {
		ask(me);
		return;
	}
	while (it < end && memcmp(it->key, key, sizeof it->key) != 0)
		it++;
	if (it < end && it->g && dev_graph_is_stale(d, it->g)) {
		dev_graph_free(d, it->g);
		it->g = NULL;
		ask(me);		/* work space may have to grow again */
	} else if (it < end && it->g) {
		launch(d, it->g);
	} else if (it < end) {
		record(it, d, ask, me);
	} else {
		if (r->n < RECORDED)
			memcpy(r->item[r->n++].key, key, sizeof it->key);
		ask(me);
	}
}

void
recorded_free(struct recorded *r, struct dev *d)
{
	for (int i = 0; i < r->n; i++)
		dev_graph_free(d, r->item[i].g);
	*r = (struct recorded){ 0 };
}
