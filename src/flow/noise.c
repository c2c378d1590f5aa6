/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/noise.h"

#include "kernels/kernels.h"

#include <assert.h>
#include <string.h>

static bool
plain(enum dtype type)
{
	return type == F32 || type == BF16;
}

/* x is F32 of shape y; or, where that is allowed, not there. */
static bool
like(struct tensor x, struct tensor y, bool absent)
{
	return (absent && x.rank == 0) || tensor_same(x, y);
}

void
flow_stream(struct rng r, int64_t row[2])
{
	row[0] = (int64_t)r.key;
	row[1] = (int64_t)r.stream;
}

void
flow_noise(struct dev *d, struct tensor e, struct tensor stream)
{
	assert(e.dtype == F32 && e.rank >= 2 && stream.dtype == I64);
	assert(stream.rank == 2 && stream.dim[0] == e.dim[0] && stream.dim[1] == 2);
	d->k->normal(d, e, stream);
}

void
flow_mix(struct dev *d, struct tensor x, struct tensor x0, struct tensor e, struct tensor sigma, enum dtype type)
{
	assert(x.dtype == F32 && x.rank >= 2 && like(x0, x, false) && like(e, x, false) && plain(type));
	assert(sigma.dtype == F32 && tensor_count(sigma) == x.dim[0]);
	d->k->flow_mix(d, x, x0, e, sigma, type);
}

void
flow_loss(struct dev *d, struct tensor dv, struct tensor loss, struct tensor v, struct tensor x, struct tensor x0,
          struct tensor e, struct tensor sigma, struct tensor mask, struct tensor weight, struct flow_form form,
          enum dtype type)
{
	assert(v.dtype == F32 && v.rank >= 2 && like(dv, v, true) && like(x0, v, false) && plain(type));
	assert(like(x, v, form.target == FLOW_VELOCITY) && like(e, v, form.target == FLOW_X0));
	assert(loss.dtype == F32 && tensor_count(loss) == v.dim[0] + 1 && mask.dtype == F32);
	assert(mask.rank == 2 && mask.dim[0] == v.dim[0] && mask.dim[1] == tensor_cols(v));
	assert(sigma.dtype == F32 && tensor_count(sigma) == v.dim[0] && weight.dtype == F32);
	assert(tensor_count(weight) == v.dim[0] && tensor_count(v) > 0 && (form.cost == FLOW_L2 || form.c > 0));
	d->k->flow_loss(d, dv, loss, v, x, x0, e, sigma, mask, weight, form, type);
}

static int
named(const char *const *names, int n, const char *name)
{
	int i = 0;

	while (i < n && strcmp(names[i], name) != 0)
		i++;
	return i;
}

bool
flow_cost_named(enum flow_cost *cost, const char *name)
{
	static const char *const names[] = { [FLOW_L2] = "l2", [FLOW_HUBER] = "huber", [FLOW_SMOOTH_L1] = "smooth_l1" };
	int i = named(names, 3, name);

	*cost = i < 3 ? (enum flow_cost)i : FLOW_L2;
	return i < 3;
}

bool
flow_width_named(enum flow_width *width, const char *name)
{
	static const char *const names[] = { [FLOW_CONSTANT] = "constant", [FLOW_EXPONENTIAL] = "exponential", [FLOW_SNR] = "snr" };
	int i = named(names, 3, name);

	*width = i < 3 ? (enum flow_width)i : FLOW_CONSTANT;
	return i < 3;
}

float
flow_total(float loss, const float *projection, int n, float coefficient)
{
	float sum = 0.f;

	for (int i = 0; i < n; i++)
		sum += projection[i];
	return n > 0 ? loss + coefficient * (sum / (float)n) : loss;
}
