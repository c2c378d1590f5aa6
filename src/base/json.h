/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - JSON files that were not written by us, read strictly, over cJSON
 *
 * Refused with one line that names the file: nesting deeper than 64, a key given twice in one object, bytes behind
 * the value, files larger than the caller's limit. The cJSON tree is owned by the caller (cJSON_Delete). */
#ifndef ACE_BASE_JSON_H
#define ACE_BASE_JSON_H

#include "base/status.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum status json_read(const char *path, size_t limit, cJSON **root) ACE_NODISCARD;
enum status json_parse(const char *text, size_t size, const char *name, cJSON **root) ACE_NODISCARD;

/* Members of an object. Absent or null: the fallback, true. Wrong type: a failure naming file and key. */
enum status json_i64(const cJSON *o, const char *name, const char *key, int64_t fallback, int64_t *v) ACE_NODISCARD;
enum status json_f64(const cJSON *o, const char *name, const char *key, double fallback, double *v) ACE_NODISCARD;

/* Write root, indented, whole or not at all. */
enum status json_write(const char *path, const cJSON *root) ACE_NODISCARD;
#endif
