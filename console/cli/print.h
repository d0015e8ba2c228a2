/* Text for people: colours where they are wanted, columns that fit, foreign text made harmless. */
#pragma once

#include "console/cli/cli.h"

enum colour {
	COLOUR_NONE,
	COLOUR_BOLD,
	COLOUR_FAINT,
	COLOUR_RED,
	COLOUR_GREEN,
	COLOUR_YELLOW,
	COLOUR_BLUE,
	COLOUR_MAGENTA,
	COLOUR_CYAN,
};

/* "" when colours are off. */
const char *colour_begin(bool colours, enum colour colour);
const char *colour_end(bool colours, enum colour colour);
enum colour colour_of_task(Maestro__TaskState state);
enum colour colour_of_worker(Maestro__WorkerState state);

/* Columns that a clean UTF-8 text takes. */
size_t print_columns(const char *text);
/* Cleans foreign bytes for a line of output. Caller frees; NULL only when out of memory. */
char *print_clean(const void *data, size_t len);
/* The same of an optional bytes field; "" if it is not there. */
char *print_clean_bytes(protobuf_c_boolean has, const ProtobufCBinaryData *data);
/* "3m" since a wall time; "-" if it is not known. `buffer` holds CLOCK_AGE_MAX. */
const char *print_age(protobuf_c_boolean has, int64_t wall_ms, char *buffer);
/* "1.5 GiB". `buffer` holds PRINT_BYTES_MAX. */
#define PRINT_BYTES_MAX 16
const char *print_bytes(protobuf_c_boolean has, uint64_t bytes, char *buffer);
/* "Label   text" of `show`; nothing for an empty text. The text is cleaned here. */
void print_field(const struct cli *cli, const char *label, const char *text);

/* --- tables -------------------------------------------------------------------------------------------------- */

struct table_column {
	const char *title;
	bool right;
	bool flexible; /* is cut when the terminal is too narrow */
};

struct table_cell {
	char *text;
	enum colour colour;
};

struct table {
	const struct table_column *columns;
	size_t columns_count;
	struct table_cell *cells; /* row by row */
	size_t count, size;
};

#define TABLE_NULL(columns) ((struct table){ (columns), ARRAY_SIZE(columns), NULL, 0, 0 })

void table_deinit(struct table *table);
/* Adds the next cell. The text is foreign or not: it is cleaned. */
int table_add(struct table *table, enum colour colour, const char *text);
int table_add_bytes(struct table *table, enum colour colour, protobuf_c_boolean has, const ProtobufCBinaryData *data);
int table_add_number(struct table *table, enum colour colour, protobuf_c_boolean has, uint64_t number);
/* Nothing if there are no rows. */
int table_print(const struct table *table, const struct cli *cli, FILE *out);
