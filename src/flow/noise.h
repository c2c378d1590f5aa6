/* SPDX-License-Identifier: Apache-2.0 */
/* noise.h - the noisy latent, the loss and its gradient (training.md section 1.3)
 *
 * Tensors are on the device, F32, latents [B, C, H, T] (any dimensions behind B whose last is T). `type` says where numbers
 * round: F32, or BF16, where what is stored are still F32 tensors but each result named "rounds" is a bf16 number, as when
 * the latents are bf16. Inputs of type BF16 are rounded before use. Pass F32 unless that is wanted. */
#ifndef ACE_FLOW_NOISE_H
#define ACE_FLOW_NOISE_H

#include "dev/dev.h"
#include "kernels/flow_form.h"
#include "num/rng.h"
#include "num/tensor.h"

/* The two numbers of a stream as the kernels read them from the device: a row of stream [B, 2] I64. */
void flow_stream(struct rng r, int64_t row[2]);

/* e [B, ...] out: number i of sample b is rng_normal(stream b, i); stream [B, 2] I64. The numbers run over the sample's own
 * tensor: its place in the batch does not matter, but a batch padded to another T gives its frames other numbers. */
void flow_noise(struct dev *d, struct tensor e, struct tensor stream);

/* x = sigma e + (1 - sigma) x0, sigma [B]; rounds: sigma, 1 - sigma, both products, the sum. x may be e or x0. */
void flow_mix(struct dev *d, struct tensor x, struct tensor x0, struct tensor e, struct tensor sigma, enum dtype type);

/* loss [B + 1] out: the samples' losses, then their sum weighted by weight [B].
 *
 *   FLOW_X0        x0_hat = x - sigma v;  loss_b = mean over C, H, T of cost(m x0_hat - m x0), times mean(m_b)
 *   FLOW_VELOCITY  loss_b = mean of cost(m v - m (e - x0)), times mean(m_b)
 *
 * cost is the square, or as the form says (flow_form.h).
 * m = mask [B, T] of 0 and 1; masked entries count in the mean, and the masked fraction a second time. dv, like v, out: the
 * gradient of the weighted sum; rank 0: not wanted. dv may be v. x is read by FLOW_X0 only, e by FLOW_VELOCITY only (rank 0
 * will do). Rounds: sigma v, x0_hat, e - x0, m times each, and in dv the error's gradient and its product with -sigma.
 *
 * weight b: 1 / (samples of the batch * gradient_accumulation_steps) on one rank; over k ranks whose gradients are averaged
 * by sample count: k / (samples of all ranks * steps) before a mean over ranks. It is read from the device, as all that
 * changes from step to step. A noisy latent, estimate or velocity that is not finite makes loss_b and the sum not finite,
 * masked or not: loss is all that must be looked at. */
void flow_loss(struct dev *d, struct tensor dv, struct tensor loss, struct tensor v, struct tensor x, struct tensor x0,
               struct tensor e, struct tensor sigma, struct tensor mask, struct tensor weight, struct flow_form form,
               enum dtype type);

/* "l2", "huber", "smooth_l1"; "constant", "exponential", "snr". false: no such name. */
bool flow_cost_named(enum flow_cost *cost, const char *name);
bool flow_width_named(enum flow_width *width, const char *name);

/* loss + coefficient * mean of the n projection losses; loss when n is 0 (section 1.5). */
float flow_total(float loss, const float *projection, int n, float coefficient);
#endif
