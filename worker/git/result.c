#include "worker/git/result.h"

#include <stdio.h>
#include <string.h>

int result_bytes(ProtobufCBinaryData *field, protobuf_c_boolean *has, const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, data, len);
	*field = (ProtobufCBinaryData){ .len = len, .data = copy };
	if (has)
		*has = true;
	return 0;
}

int result_commit(char **field, const git_oid *id)
{
	char hex[GIT_OID_HEXSZ + 1];

	*field = strdup(git_oid_tostr(hex, sizeof(hex), id));
	return *field ? 0 : -ENOMEM;
}

int skipped_add(struct skipped *skipped, const char *path, const char *why)
{
	char **items, *text = NULL;
	size_t len = strlen(path);

	if (skipped->count >= RESULT_SKIPPED_MAX) {
		skipped->more++;
		return 0;
	}
	items = reallocarray(skipped->items, skipped->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	skipped->items = items;
	while (len && path[len - 1] == '/')
		len--;
	if (asprintf(&text, "%.*s (%s)", (int)len, path, why) < 0)
		return -ENOMEM;
	items[skipped->count++] = text;
	return 0;
}

void skipped_deinit(struct skipped *skipped)
{
	for (size_t i = 0; i < skipped->count; i++)
		free(skipped->items[i]);
	free(skipped->items);
	*skipped = SKIPPED_NULL;
}

int result_skipped(const struct skipped *skipped, size_t *ret_count, ProtobufCBinaryData **ret_items)
{
	if (!skipped->count)
		return 0;
	*ret_items = calloc(skipped->count, sizeof(**ret_items));
	if (!*ret_items)
		return -ENOMEM;
	for (size_t i = 0; i < skipped->count; i++, (*ret_count)++)
		if (result_bytes(&(*ret_items)[i], NULL, skipped->items[i], strlen(skipped->items[i])))
			return -ENOMEM;
	return 0;
}
