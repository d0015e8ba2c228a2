#include "proto/base/buf.h"

#include <stdio.h>
#include <string.h>

void buf_deinit(struct buf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->size = 0;
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = 0;
}

int buf_reserve(struct buf *buf, size_t more_bytes)
{
	size_t need, size;
	uint8_t *data;

	if (more_bytes > SIZE_MAX / 4 || buf->len > SIZE_MAX / 4)
		return -EMSGSIZE;
	need = buf->len + more_bytes + 1;
	if (buf->limit_bytes && buf->len + more_bytes > buf->limit_bytes)
		return -EMSGSIZE;
	if (need <= buf->size)
		return 0;
	size = buf->size ? buf->size : 64;
	while (size < need)
		size *= 2;
	data = realloc(buf->data, size);
	if (!data)
		return -ENOMEM;
	buf->data = data;
	buf->size = size;
	return 0;
}

int buf_append(struct buf *buf, const void *data, size_t len)
{
	int r;

	r = buf_reserve(buf, len);
	if (r < 0)
		return r;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = 0;
	return 0;
}

int buf_append_byte(struct buf *buf, uint8_t byte)
{
	return buf_append(buf, &byte, 1);
}

int buf_append_str(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text));
}

int buf_printf(struct buf *buf, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return buf_append(buf, text, (size_t)n);
}

void buf_consume(struct buf *buf, size_t len)
{
	require(len <= buf->len);
	if (!len)
		return;
	memmove(buf->data, buf->data + len, buf->len - len);
	buf->len -= len;
	buf->data[buf->len] = 0;
}

const char *buf_text(const struct buf *buf)
{
	return buf->data ? (const char *)buf->data : "";
}

char *buf_take(struct buf *buf)
{
	char *data = (char *)take(buf->data);

	if (!data)
		data = strdup("");
	buf->len = buf->size = 0;
	return data;
}
