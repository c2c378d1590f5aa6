/* SPDX-License-Identifier: Apache-2.0 */
/* child.h - decoding in a process of its own; private to the room
 *
 * Decoders of a dozen formats read bytes from anywhere. In a child with limits on time, memory and files the worst that a
 * crafted file does is to fail. Samples come back through a pipe as they are decoded. */
#ifndef ACE_AUDIO_CHILD_H
#define ACE_AUDIO_CHILD_H

#include "audio/reader.h"

/* decode_into(path, s) in a child. A child that dies: ACE_EDATA, AUDIO_DECODE_FAILED. One that sleeps for 15 s and says
 * nothing (fork while another thread held a library's lock) is ended, and another goes on from where it was; the third decides. */
enum status child_decode(const char *path, struct sink *s) ACE_NODISCARD;

/* Decode with the two libraries in this process (decode.c). */
enum status decode_into(const char *path, struct sink *s) ACE_NODISCARD;
#endif
