/* SPDX-License-Identifier: Apache-2.0 */
/* init_model.h - a random model in the real folder layout, so that demos, tests and measurements
 * need no download
 *
 *   DIR/ace_step_transformer/  config.json, diffusion_pytorch_model.safetensors
 *   DIR/music_dcae_f8c8/       the same
 *   DIR/music_vocoder/         the same; the mel buffers in it are the real ones
 *   DIR/umt5-base/             config.json, model.safetensors, tokenizer.json,
 * tokenizer_config.json, special_tokens_map.json DIR/lyric_vocab.json       single letters, no
 * merges; the special tokens at the published ids DIR/init_model.json        preset, seed and type,
 * and who wrote it
 *
 * Presets:
 *   tiny   the sizes of the tests' fixtures, but for three that do not fit each other there: the
 * transformer's text width is the prompt encoder's (32), its lyric table has all 6693 rows,
 * positions reach 32768 small  a transformer of 4 blocks of width 256 with the real lyric encoder
 * and text width (768), the rest as tiny 3.5b   the real sizes: names and shapes of every tensor of
 * the published parts
 *
 * Each number is a function of (seed, part, number of the tensor, index in it) alone. */
#ifndef ACE_JOBS_INIT_MODEL_H
#define ACE_JOBS_INIT_MODEL_H

#include "base/settings.h"
#include "num/dtype.h"

struct init_model_job {
	const char *preset; /* "tiny", "small", "3.5b" */
	const char *dir;    /* absent, or an empty folder */
	uint64_t seed;
	enum dtype dtype; /* F32 or BF16, of all weights */
	int threads;	  /* 0: as OMP_NUM_THREADS says; the bytes do not depend on it */
};

/* The type that a preset is written in unless another is asked for: BF16 for 3.5b, else F32. No
 * such preset: ACE_EUSAGE. */
enum status init_model_dtype(const char *preset, enum dtype *dtype) ACE_NODISCARD;

/* Write it to DIR.part, then rename: whole or not at all, also when asked to stop (ACE_ESTOPPED).
 * Something in DIR, or no right to make it: ACE_ECREATE; too little space: ACE_EIO, before anything
 * is written. Memory is bounded whatever the preset. Says what was written in one line. */
enum status init_model_write(const struct init_model_job *job) ACE_NODISCARD;

/* The program: PRESET DIR, seed, threads, base_model_default_dtype. */
enum status init_model_run(struct settings *s) ACE_NODISCARD;
#endif
