/* SPDX-License-Identifier: Apache-2.0 */
/* cell.h - one value of a row, be it of an Arrow array or of a JSON tree
 *
 * All zeros is an absent value, which reads as null. Texts and bytes are borrowed as long as what the cell is of. */
#ifndef ACE_FORMATS_CELL_H
#define ACE_FORMATS_CELL_H

#include "formats/arrow_abi.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

enum cell_kind {
	CELL_NULL, CELL_BOOL, CELL_INT, CELL_FLOAT, CELL_TEXT, CELL_BYTES, CELL_LIST, CELL_STRUCT,
	CELL_OTHER,			/* a type that nothing here reads */
};

struct cell {
	const cJSON *json;		/* of this, or of row `row` of an array */
	const struct ArrowSchema *schema;
	const struct ArrowArray *array;
	int64_t row;
};

struct cell cell_of_json(const cJSON *v);

/* Row of an array that has been validated in full; row < array->length. */
struct cell cell_of_arrow(const struct ArrowSchema *s, const struct ArrowArray *a, int64_t row);

enum cell_kind cell_kind(struct cell c);
const char *cell_kind_name(enum cell_kind k);		/* "null", "number" ...: for messages */

/* CELL_TEXT and CELL_BYTES; false for others. text is not ended by a 0. */
bool cell_text(struct cell c, const char **text, size_t *size);

/* CELL_INT, CELL_FLOAT and CELL_BOOL; false for others. */
bool cell_number(struct cell c, double *x);
bool cell_int(struct cell c, int64_t *x);		/* CELL_INT alone */

/* Elements of a CELL_LIST, members of a CELL_STRUCT; 0 for others. */
int64_t cell_count(struct cell c);
struct cell cell_element(struct cell c, int64_t i);
struct cell cell_member_at(struct cell c, int64_t i, const char **name);

/* The member of that name, absent when there is none. A dotted name goes down: "a.b". */
struct cell cell_member(struct cell c, const char *name);
#endif
