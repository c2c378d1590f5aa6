/* SPDX-License-Identifier: Apache-2.0 */
/* dit_parts.h - the parts of the transformer's pass, for dit*.c alone */
#ifndef ACE_MODELS_DIT_PARTS_H
#define ACE_MODELS_DIT_PARTS_H

#include "models/dit.h"

/* Tell whoever set m->front of a part that begins, or is over. */
void dit_front_begins(struct dit *m, enum dit_front front, bool backward);
void dit_front_ends(struct dit *m, enum dit_front front, bool backward);

/* The lyric encoder, when it is not replaced by m->lyric_states. */
enum status dit_lyrics_open(struct dit *m) ACE_NODISCARD;
void dit_lyrics_close(struct dit *m);
bool dit_lyrics_train(const struct dit *m);
/* y [B, Y, E]: states behind after_norm; and its backward pass. */
void dit_lyrics_forward(struct ctx *c, struct dit *m, struct tensor y);
void dit_lyrics_backward(struct ctx *c, struct dit *m, struct tensor dy);

/* Section 4.1: m->save.sinusoid ... tb. backward: de [B, D] and m->save.shared.dt are the gradients of e and tb. */
void dit_time_forward(struct ctx *c, struct dit *m);
void dit_time_backward(struct ctx *c, struct dit *m, struct tensor de);

/* Section 4.2: m->save.shared.keys. backward: from m->save.shared.denc. */
void dit_tokens_forward(struct ctx *c, struct dit *m);
void dit_tokens_backward(struct ctx *c, struct dit *m);

/* Section 4.3: x [B, T, D]. */
void dit_patch_forward(struct ctx *c, struct dit *m, struct tensor x);
void dit_patch_backward(struct ctx *c, struct dit *m, struct tensor dx);

/* Section 4.8, of the outputs of all blocks. backward: adds to dx what the projectors that look at block i's output give. */
void dit_projections_forward(struct ctx *c, struct dit *m);
void dit_projections_backward(struct ctx *c, struct dit *m, int i, struct tensor dx);

bool dit_time_trains(const struct dit *m);
bool dit_patch_trains(const struct dit *m);
bool dit_tokens_train(const struct dit *m);
#endif
