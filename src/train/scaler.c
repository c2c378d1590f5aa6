/* SPDX-License-Identifier: Apache-2.0 */
#include "train/scaler.h"

bool
scaler_update(struct scaler *s, bool finite)
{
	if (!finite) {
		s->scale /= 2;
		s->good = 0;
		s->skipped++;
	} else if (++s->good == s->interval) {
		s->scale *= 2;
		s->good = 0;
	}
	return finite;
}
