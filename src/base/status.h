/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - how the library says that data, a file, the network or a device failed
 *
 * The library never prints and never exits: a failing function keeps one message for its thread and
 * returns a code; callers hand it upwards. Exit codes are those of sysexits.h (style.md section 10). */
#ifndef ACE_BASE_STATUS_H
#define ACE_BASE_STATUS_H

#include <stddef.h>

enum status {
	ACE_OK = 0,
	ACE_EUSAGE,	/* 64: wrong use of a program */
	ACE_EDATA,	/* 65: bad content of a file */
	ACE_ENOINPUT,	/* 66: an input is missing */
	ACE_EDEVICE,	/* 69: a device or service is gone */
	ACE_EBUG,	/* 70: a bug of ours */
	ACE_ENOMEM,	/* 71: host or device memory */
	ACE_ECREATE,	/* 73: an output cannot be created */
	ACE_EIO,	/* 74: input/output error, disk full */
	ACE_ESTOPPED,	/* 75: stopped on request, state saved: run me again */
	ACE_ERANK,	/* 76: a rank or the network */
	ACE_ECONFIG,	/* 78: configuration, or a checkpoint that does not fit it */
};

#define ACE_NODISCARD __attribute__((warn_unused_result))
#define ACE_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Return at once with the callee's status, where there is nothing to undo. */
#define ACE_TRY(call)                                   \
	do {                                            \
		enum status ace_try_ = (call);          \
		if (ace_try_ != ACE_OK)                 \
			return ace_try_;                \
	} while (0)

/* Keep the message of this thread and return code. One line, no capital, no full stop; it names the
 * thing, what was found, what was wanted. A second line, after '\n', may say what to do. */
#define ace_fail(code, ...) ace_fail_at(code, __FILE__, __LINE__, __VA_ARGS__)
enum status ace_fail_at(enum status code, const char *file, int line, const char *fmt, ...)
	ACE_PRINTF(4, 5);

/* Put text in front of this thread's message ("PATH: "), for callers that know more; returns code. */
enum status ace_fail_prefix(enum status code, const char *fmt, ...) ACE_PRINTF(2, 3);

/* This thread's last message, "" when nothing failed yet; borrowed until the next failure. */
const char *ace_message(void);

/* Where it was kept, "file.c:123", for --log-level=debug. */
const char *ace_message_where(void);

/* The exit code of a program that ends with st: 0, 64 ... 78. */
int status_exit_code(enum status st);
#endif
