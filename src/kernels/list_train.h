/* SPDX-License-Identifier: Apache-2.0 */
/* list_train.h - kernels of the objective and of the update (training.md sections 1 to 4)
 *
 * What changes from step to step is read from small tensors on the device, never passed by value: a captured step can be
 * replayed. Dense F32 unless a line says otherwise; a tensor of rank 0 is not there. "rounded" means to the nearest bf16
 * (ties to even) where type is BF16, and nothing where it is F32. The formulas are those of kernels/formula.h. */
#ifndef ACE_KERNELS_LIST_TRAIN_H
#define ACE_KERNELS_LIST_TRAIN_H

/* normal: e [B, ...]: number i of sample b is rng_normal of stream [B, 2] I64 (key, stream), i counting within the sample.
 * flow_mix: x = sigma e + (1 - sigma) x0 for x, x0, e [B, ...], sigma [B]; sigma, 1 - sigma, x0, e, both products and the
 *   sum are rounded. x may be x0 or e.
 * flow_loss: loss [B + 1] = per sample, then sum of weight b loss b; dv [B, ..., T] = gradient of that sum, or rank 0.
 *   v, x, x0, e [B, ..., T], mask [B, T], sigma, weight [B]. N numbers a sample, M = mean of mask b.
 *   FLOW_VELOCITY: err = m v - m (e - x0); FLOW_X0: err = m (x - sigma v) - m x0. loss b = sum cost(err) / N * M, cost and sum in
 *   double (flow_form.h, the width from sigma b). dv = c pull m, then times -sigma unless velocity; c = 2 weight M / N, pull = half the
 *   slope of the cost, err itself for squares. All inputs, sigma v, its difference to x, e - x0, c pull m and dv are rounded;
 *   the products with m are exact. dv may be v. A masked number that is not finite shows.
 * add_scaled: y [B, ...] += a [B] x [B, ...]. */
#define KERNELS_FLOW(K)                                                                                             \
	K(normal, cpu, (struct dev * d, struct tensor e, struct tensor stream))                                     \
	K(flow_mix, cpu, (struct dev * d, struct tensor x, struct tensor x0, struct tensor e, struct tensor sigma, \
	                  enum dtype type))                                                                         \
	K(flow_loss, cpu, (struct dev * d, struct tensor dv, struct tensor loss, struct tensor v, struct tensor x,  \
	                   struct tensor x0, struct tensor e, struct tensor sigma, struct tensor mask,              \
	                   struct tensor weight, struct flow_form form, enum dtype type))                           \
	K(add_scaled, ref, (struct dev * d, struct tensor y, struct tensor x, struct tensor a))

/* In all that follow: g F32 of p's count; n numbers and l limits of optim_numbers.h; weights, moments and the rest are read
 * and written. One call updates one tensor.
 *
 * grad_measure: measured [2] = sum of g^2, largest |g|; both NaN when one of g is. Summed in double over pieces of fixed size. Of g in
 *   BF16 the same is joined to what measured says already.
 * grad_limits: limits [2] from measured: value: factor 1 / scale, bound max; else factor min(1, max / (N + 1e-6)) / scale with
 *   N = sqrt(squares) / scale, bound infinite; max 0: factor 1 / scale, bound infinite.
 * grad_clip: g = as the limits say, in place.
 *
 * adamw: p, m, v F32; w of rank 0, or BF16 and = p rounded.
 * adamw_round: p, m, v BF16; p is rounded by chance, with word first + i of stream [2] I64, sub-stream number.
 * adamw_kahan: p, c, m, v BF16, c what p lost.   lion: p, m F32, c rank 0; or p, c, m BF16.   sgd: p, buffer F32.
 * adamw_codes: p F32 or BF16; m, v U8 codes of table [2, 256] (signed for m, unsigned for v) times ms, vs F32, one for 256
 *   values, count a multiple of 256; or ms, vs of rank 0 and m, v as p. p in BF16 is rounded to nearest.
 * stable_adamw: p, m, v F32; step and decay are divided by max(1, sqrt(mean of g^2 / max(v, eps^2))), with the new v.
 * adafactor: p F32 [..., R, C]: row [..., R, 1], col [..., 1, C]; or full [C] where p has one dimension. Others rank 0.
 * prodigy: y, z F32; v F32 as y, or of rank 0 with row [R], col [C] F32 for y [R, C]; s, start BF16 [(count + 10) / 11] of every
 *   11th number, start = y at the first update; sums [2] F32 += sum of NUMBER_S g (start - z), and bf16 sum of |s|.
 * schedule_free: y, z, v F32.   lerp: y += a [1] (x - y); y F32, x F32 or BF16. */
#define KERNELS_UPDATE(K)                                                                                             \
	K(grad_measure, cpu, (struct dev * d, struct tensor measured, struct tensor g))                               \
	K(grad_limits, ref, (struct dev * d, struct tensor limits, struct tensor measured, bool value, float max,     \
	                     float scale))                                                                            \
	K(grad_clip, cpu, (struct dev * d, struct tensor g, struct tensor l))                                         \
	K(adamw, cpu, (struct dev * d, struct tensor p, struct tensor w, struct tensor g, struct tensor m,            \
	               struct tensor v, struct tensor n, struct tensor l))                                            \
	K(adamw_round, cpu, (struct dev * d, struct tensor p, struct tensor g, struct tensor m, struct tensor v,      \
	                     struct tensor n, struct tensor l, struct tensor stream, int64_t number, int64_t first))  \
	K(adamw_kahan, cpu, (struct dev * d, struct tensor p, struct tensor c, struct tensor g, struct tensor m,      \
	                     struct tensor v, struct tensor n, struct tensor l))                                      \
	K(adamw_codes, cpu, (struct dev * d, struct tensor p, struct tensor g, struct tensor m, struct tensor ms,     \
	                     struct tensor v, struct tensor vs, struct tensor table, struct tensor n,                 \
	                     struct tensor l))                                                                        \
	K(lion, cpu, (struct dev * d, struct tensor p, struct tensor c, struct tensor g, struct tensor m,             \
	              struct tensor n, struct tensor l))                                                              \
	KERNELS_RULES(K)

#define KERNELS_RULES(K)                                                                                              \
	K(sgd, ref, (struct dev * d, struct tensor p, struct tensor g, struct tensor buffer, struct tensor n,         \
	             struct tensor l))                                                                                \
	K(stable_adamw, ref, (struct dev * d, struct tensor p, struct tensor g, struct tensor m, struct tensor v,     \
	                      struct tensor n, struct tensor l))                                                      \
	K(adafactor, ref, (struct dev * d, struct tensor p, struct tensor g, struct tensor row, struct tensor col,    \
	                   struct tensor full, struct tensor n, struct tensor l))                                     \
	K(prodigy, ref, (struct dev * d, struct tensor y, struct tensor z, struct tensor v, struct tensor row,        \
	                 struct tensor col, struct tensor s, struct tensor start, struct tensor g,                    \
	                 struct tensor sums, struct tensor n, struct tensor l))                                       \
	K(schedule_free, ref, (struct dev * d, struct tensor y, struct tensor z, struct tensor g, struct tensor v,    \
	                       struct tensor n, struct tensor l))                                                     \
	K(lerp, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor a))

/* A piece of a parameter, for adamw_pieces. Pointers into device memory. */
enum { UPDATE_PIECE = 1 << 14 };
struct update_piece {
	void *p, *m, *v;		/* F32, or all BF16 (round) */
	uint16_t *w;			/* NULL, or BF16 and = p rounded */
	void *g;			/* F32, or BF16 (half_g) */
	int64_t first, number;		/* of p[0] in the whole tensor; the tensor's: for rounding by chance */
	int32_t count, group;		/* numbers, at most UPDATE_PIECE; which of the two sets of numbers */
	uint8_t round, half_g;
	uint8_t left;			/* g stays as it is */
};

/* measures_join: measured [2] of all that measures [n, m, 2] were taken of: row by row, rows in order, in double; NaN stays.
 * update_guard: l's factor becomes NaN when one of measured [2] or of losses [n] is not finite.
 * adamw_pieces: many pieces at once, table: n of struct update_piece. As adamw, or with round as adamw_round; then g = 0,
 *   unless left. n0, n1: the groups' numbers. A factor that is NaN: nothing but g is changed. */
#define KERNELS_PIECES(K)                                                                                            \
	K(measures_join, ref, (struct dev * d, struct tensor measured, struct tensor measures))                      \
	K(update_guard, ref, (struct dev * d, struct tensor l, struct tensor measured, struct tensor losses))        \
	K(adamw_pieces, ref, (struct dev * d, struct tensor table, int64_t n, struct tensor n0, struct tensor n1,     \
	                      struct tensor l, struct tensor stream))

/* The loss scale of fp16 on the device: s [4] = scale, good updates since it changed, interval, skipped updates (training.md 3).
 * loss_scale: w [B] *= scale.   loss_unscale: measured [2] of gradients that are scale times too large as if they were not.
 * loss_limits: l's factor /= scale.
 * loss_turn: behind the update. l's factor is NaN: g = 0, scale /= 2, good = 0, skipped += 1; else good += 1, and at interval
 *   scale *= 2, good = 0. */
#define KERNELS_SCALE(K)                                                                                             \
	K(loss_scale, ref, (struct dev * d, struct tensor w, struct tensor s))                                       \
	K(loss_unscale, ref, (struct dev * d, struct tensor measured, struct tensor s))                              \
	K(loss_limits, ref, (struct dev * d, struct tensor l, struct tensor s))                                      \
	K(loss_turn, ref, (struct dev * d, struct tensor s, struct tensor g, struct tensor l))

#define KERNELS_TRAIN(K) KERNELS_FLOW(K) KERNELS_UPDATE(K) KERNELS_PIECES(K) KERNELS_SCALE(K)
#endif
