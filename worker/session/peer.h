/* One connected worker. Private to maestro-session. */
#pragma once

#include "worker/session/session.h"
#include "worker/session/series.h"

#define PEER_QUEUE_BYTES_MAX (4u * 1024 * 1024)
#define PEER_PACKET_BYTES_MAX (64u * 1024)
#define PEER_PIECE_BYTES (48u * 1024)
#define PEERS_MAX 8u

struct peer {
	struct session *session;
	struct list link;
	int fd;
	sd_event_source *source;
	struct list queue; /* struct packet */
	size_t queued_bytes;
	struct series series[2]; /* Maestro__HolderSeries less 1 */
	bool doomed; /* to be freed when no function works on it */
};

/* Takes the descriptor; says hello, and the exit if there is one. */
int peer_new(struct session *session, int fd);
void peer_free(struct peer *peer);
/* Sends the screens that are due. Returns when the next will be, or SERIES_NEVER. */
uint64_t peer_show(struct peer *peer, uint64_t generation, uint64_t now_ms);
void peer_tell_activity(struct peer *peer, const Maestro__HolderActivity *activity);
void peer_tell_exit(struct peer *peer);
/* Nothing if it is empty. */
void peer_tell_clipboard(struct peer *peer, const struct buf *data);
/* peer_message.c: one packet that came. MESSAGE_E_BROKEN ends the connection. */
int peer_take(struct peer *peer, const void *data, size_t len);
/* Queues one message and sends what can be sent. A queue that is full dooms the peer. */
void peer_send(struct peer *peer, Maestro__HolderMessage *message);
