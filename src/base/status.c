/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[2048], where[128];

enum status
ace_fail_at(enum status code, const char *file, int line, const char *fmt, ...)
{
	char text[sizeof message];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	memcpy(message, text, sizeof text);	/* fmt's arguments may point into message */
	snprintf(where, sizeof where, "%s:%d", file, line);
	return code;
}

enum status
ace_fail_prefix(enum status code, const char *fmt, ...)
{
	char text[sizeof message];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof text)
		snprintf(text + n, sizeof text - (size_t)n, "%s", message);
	memcpy(message, text, sizeof text);
	return code;
}

const char *
ace_message(void)
{
	return message;
}

const char *
ace_message_where(void)
{
	return where;
}

int
status_exit_code(enum status st)
{
	switch (st) {
	case ACE_OK: return 0;
	case ACE_EUSAGE: return 64;
	case ACE_EDATA: return 65;
	case ACE_ENOINPUT: return 66;
	case ACE_EDEVICE: return 69;
	case ACE_EBUG: return 70;
	case ACE_ENOMEM: return 71;
	case ACE_ECREATE: return 73;
	case ACE_EIO: return 74;
	case ACE_ESTOPPED: return 75;
	case ACE_ERANK: return 76;
	case ACE_ECONFIG: return 78;
	}
	return 70;
}
