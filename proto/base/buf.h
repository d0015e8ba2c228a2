/* A growing byte buffer with a cap.
 *
 * Errors: -ENOMEM, -EMSGSIZE (the cap would be passed; nothing was added). */
#pragma once

#include <stdint.h>
#include <stdarg.h>
#include "proto/base/error.h"

struct buf {
	uint8_t *data;      /* NULL until the first byte; always followed by a NUL that does not count */
	size_t len;         /* bytes in use */
	size_t size;        /* bytes allocated */
	size_t limit_bytes; /* 0: none */
};

#define BUF_NULL ((struct buf){ NULL, 0, 0, 0 })
#define BUF_LIMIT(bytes) ((struct buf){ NULL, 0, 0, (bytes) })

void buf_deinit(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
int buf_reserve(struct buf *buf, size_t more_bytes);
int buf_append(struct buf *buf, const void *data, size_t len);
int buf_append_byte(struct buf *buf, uint8_t byte);
int buf_append_str(struct buf *buf, const char *text);
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes `len` bytes away at the front. len must not be more than there are. */
void buf_consume(struct buf *buf, size_t len);
/* The text so far, "" if nothing was added. Owned by the buffer until the next call that changes it. */
const char *buf_text(const struct buf *buf);
/* Hands the memory over (NUL-terminated, never NULL but on -ENOMEM) and leaves the buffer empty. */
char *buf_take(struct buf *buf);
