/* An authenticated peer: queues, parts, credit, ping. Private to proto/link. */
#pragma once

#include "proto/link/bridge.h"
#include "proto/link/handshake.h"
#include "proto/link/outbox.h"
#include "proto/link/stream.h"

/* One of a peer's connections. */
struct link_connection {
	struct link_peer *peer;
	struct link_stream *stream; /* NULL: not there */
	uint32_t window_bytes;      /* that may be sent without being acknowledged */
	uint64_t sent_bytes, acknowledged_bytes; /* counted payload of ours */
	uint64_t taken_bytes, told_bytes;        /* of theirs */
	uint64_t received_ms, pinged_ms, ticked_ms;
	uint64_t ping_value, pong_value; /* of ours, to be echoed */
	uint64_t answered_value;         /* highest pong */
	bool ping_due, pong_due, credit_due;
};

enum link_peer_state {
	LINK_PEER_OPEN,
	LINK_PEER_DRAINING, /* sends what is queued, then asks whether it arrived */
	LINK_PEER_CLOSED,   /* `closed` is on its way */
};

struct link_peer {
	struct list link_entry;  /* link->peers */
	struct list owner_entry; /* the listener's peers */
	struct link *link;
	struct link_claim claim;
	uint64_t connection;
	enum link_peer_state state;
	const struct link_peer_ops *ops;
	void *userdata;
	struct link_connection main, bulk;
	struct link_outbox outbox[CHANNEL_COUNT];
	struct link_parts parts[CHANNEL_COUNT];
	bool bulk_on_main;       /* something of CHANNEL_BULK went over the main connection */
	uint64_t fence_value;    /* its pong on the main connection says that all of it arrived */
	bool bulk_ready;         /* CHANNEL_BULK goes over the bulk connection */
	bool stopped_reading;
	bool drain_asked;
	uint64_t drain_main_value, drain_bulk_value;
	char why[256];
	struct link_post finish, room;
	struct link_timer drain, answer;
	uint64_t asked_value; /* what its answer to link_peer_ask is a pong of; 0: not being asked */

	/* The owner (listener or dialer), after `closed` and before the peer is freed. NULL: nobody any more. */
	void (*gone)(struct link_peer *peer, void *owner);
	void *owner;
};

/* Takes the stream over, also on failure. */
int link_peer_new(struct link_peer **ret_peer, struct link *link, struct link_stream *stream,
	const struct link_claim *claim, uint64_t connection);
/* Gives the peer its second connection (takes the stream over). -EEXIST: has one. */
int link_peer_attach_bulk(struct link_peer *peer, struct link_stream *stream);
/* Pings and finds the dead. Returns when it wants to be called again. */
uint64_t link_peer_tick(struct link_peer *peer, uint64_t now_ms);
/* Closes without callbacks. */
void link_peer_destroy(struct link_peer *peer);
