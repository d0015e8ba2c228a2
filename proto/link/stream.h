/* One connection: frames in, bytes out. Private to proto/link.
 *
 * At most one receive and one send are outstanding. The next receive is armed only after the bytes of the last one
 * were taken, so what a peer can make us hold is one buffer. The owner gets no callback after link_stream_close; the
 * stream frees itself when nng has let go of it. */
#pragma once

#include "proto/base/buf.h"
#include "proto/link/bridge.h"

struct link_stream;
struct tls_config;

struct link_stream_ops {
	/* One frame. May close the stream, change its ops, stop reading. */
	void (*frame)(struct link_stream *stream, enum channel channel, const uint8_t *payload, size_t len,
		void *userdata);
	/* All that was written before is with the kernel: append what is next, nothing if there is nothing. */
	void (*fill)(struct link_stream *stream, struct buf *out, void *userdata);
	/* It broke or the other side closed it; once, and never from within a call of this file. The owner is to
	 * close it now. */
	void (*ended)(struct link_stream *stream, const char *why, void *userdata);
};

/* Takes the nng stream over, also on failure. Reading starts at once. With `tls` all of it is sealed. */
int link_stream_new(struct link_stream **ret_stream, struct link *link, nng_stream *nng, struct tls_config *tls,
	const struct link_stream_ops *ops, void *userdata);
void link_stream_set_ops(struct link_stream *stream, const struct link_stream_ops *ops, void *userdata);
void link_stream_set_limit(struct link_stream *stream, uint32_t frame_limit_bytes);
void link_stream_set_reading(struct link_stream *stream, bool on);
/* Appends to what is sent before anything that `fill` gives. */
int link_stream_write(struct link_stream *stream, const void *data, size_t len);
/* There is something to send: `fill` will be called soon. */
void link_stream_kick(struct link_stream *stream);
/* If so, now rather than soon. Not from within `fill`. */
void link_stream_flush(struct link_stream *stream);
void link_stream_close(struct link_stream *stream);
