#include "console/client/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the key is (true) or belongs (false). */
static bool find(const struct rows *rows, const void *key, rows_compare compare, size_t *ret_index)
{
	size_t low = 0, high = rows->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = compare(key, rows->items[middle]);

		if (c == 0) {
			*ret_index = middle;
			return true;
		}
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*ret_index = low;
	return false;
}

void *rows_get(const struct rows *rows, const void *key, rows_compare compare)
{
	size_t i;

	return find(rows, key, compare, &i) ? rows->items[i] : NULL;
}

static int grow(struct rows *rows)
{
	size_t size = rows->size ? rows->size * 2 : 16;
	void **items;

	if (rows->count < rows->size)
		return 0;
	items = realloc(rows->items, size * sizeof(*items));
	if (!items)
		return -ENOMEM;
	rows->items = items;
	rows->size = size;
	return 0;
}

int rows_put(struct rows *rows, const void *key, void *item, rows_compare compare, rows_release release)
{
	size_t i;

	if (find(rows, key, compare, &i)) {
		release(rows->items[i]);
		rows->items[i] = item;
		return 0;
	}
	if (grow(rows)) {
		release(item);
		return -ENOMEM;
	}
	memmove(rows->items + i + 1, rows->items + i, (rows->count - i) * sizeof(*rows->items));
	rows->items[i] = item;
	rows->count++;
	return 0;
}

void rows_remove(struct rows *rows, const void *key, rows_compare compare, rows_release release)
{
	size_t i;

	if (!find(rows, key, compare, &i))
		return;
	release(rows->items[i]);
	memmove(rows->items + i, rows->items + i + 1, (rows->count - i - 1) * sizeof(*rows->items));
	rows->count--;
}

void rows_deinit(struct rows *rows, rows_release release)
{
	for (size_t i = 0; i < rows->count; i++)
		release(rows->items[i]);
	free(rows->items);
	*rows = (struct rows){ NULL, 0, 0 };
}
