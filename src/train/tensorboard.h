/* SPDX-License-Identifier: Apache-2.0 */
/* tensorboard.h - event files that TensorBoard reads (training.md 14)
 *
 * Record: u64 length, masked CRC-32C of those 8 bytes, payload, masked CRC-32C of the payload, all little-endian; the payload
 * is a protobuf Event. The first record says "brain.Event:2". Every record is one write with O_APPEND. */
#ifndef ACE_TRAIN_TENSORBOARD_H
#define ACE_TRAIN_TENSORBOARD_H

#include "train/metrics.h"

#include <stddef.h>

struct tensorboard {
	int fd;
	char *path;
};

/* A new file FOLDER/events.out.tfevents.SECONDS.HOST.PID.N; the folder is made when missing. wall: unix seconds, of the first
 * record. */
enum status tensorboard_open(struct tensorboard *t, const char *folder, double wall) ACE_NODISCARD;
void tensorboard_close(struct tensorboard *t);

/* One record a scalar. */
enum status tensorboard_put(struct tensorboard *t, double wall, int64_t step, const struct metric *v, int n) ACE_NODISCARD;

/* A WAV file as it is, at most 1 GiB. */
enum status tensorboard_put_audio(struct tensorboard *t, double wall, int64_t step, const char *tag, float sample_rate,
                                  int64_t channels, int64_t frames, const void *wav, size_t size) ACE_NODISCARD;

/* On resume TensorBoard drops what an earlier file has past a step when it meets this record (SessionLog START). */
enum status tensorboard_restart(struct tensorboard *t, double wall, int64_t step) ACE_NODISCARD;
#endif
