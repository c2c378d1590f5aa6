/* SPDX-License-Identifier: Apache-2.0 */
/* simd.h - marks a loop whose turns are independent; private to the room
 *
 * gcc leaves such loops alone at -O2 unless told so; clang does them anyway, and complains where it cannot. */
#ifndef ACE_AUDIO_SIMD_H
#define ACE_AUDIO_SIMD_H

#if defined(_OPENMP) && !defined(__clang__)
#define SIMD _Pragma("omp simd")
#else
#define SIMD
#endif
#endif
