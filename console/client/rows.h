/* A sorted array of owned items: few changes, many looks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct rows {
	void **items;
	size_t count, size;
};

/* < 0, 0, > 0 as the key is before, at or after the item. */
typedef int (*rows_compare)(const void *key, const void *item);
typedef void (*rows_release)(void *item);

/* NULL if there is none. */
void *rows_get(const struct rows *rows, const void *key, rows_compare compare);
/* Takes the item over: replaces the one with this key, or puts it in its place. -ENOMEM: it was released. `key` may be
 * part of the item, not of the one that is replaced. */
int rows_put(struct rows *rows, const void *key, void *item, rows_compare compare, rows_release release);
void rows_remove(struct rows *rows, const void *key, rows_compare compare, rows_release release);
void rows_deinit(struct rows *rows, rows_release release);
