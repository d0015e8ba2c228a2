/* Many workers and consoles in one process, over the real protocol, for benches. Each worker holds sessions that the
 * database knows of, tells them in its inventory, and beats as it was told to. */
#pragma once

#include "tests/bench/cluster.h"

#define FLEET_SESSIONS_MAX 64u /* of a worker */

struct fleet_worker {
	struct fleet *fleet;
	struct key key;
	char name[16];
	uint32_t index;
	struct link_dialer *dialer;
	struct link_peer *peer; /* NULL: not connected */
	sd_event_source *beat;
	uint32_t heartbeat_ms;
	uint64_t reports, beats;
	bool ready;
};

struct fleet_console {
	struct fleet *fleet;
	struct key key;
	struct link_dialer *dialer;
	bool ready;
};

/* A thing that all consoles are to hear. */
struct fleet_news {
	double sent;
	uint32_t heard;
};

struct fleet {
	struct cluster *cluster;
	struct fleet_worker *workers;
	struct fleet_console *consoles;
	size_t worker_count, session_count, console_count;
	size_t ready, consoles_ready;
	size_t failures; /* of workers to connect */
	struct fleet_news *ends, *statuses; /* by task */
	double *latencies;                  /* ms, until the last console heard */
	size_t latency_count, latency_size, expected;
	double *ready_at;                   /* by order, since fleet_mark */
	double marked;
	size_t messages; /* to consoles */
};

/* Keys, and a running task for each session, are put into the database. */
void fleet_init(struct fleet *fleet, struct cluster *cluster, size_t workers, size_t sessions, size_t consoles);
void fleet_deinit(struct fleet *fleet);
/* All workers, a few handshakes at a time, until all are READY. */
void fleet_connect_workers(struct fleet *fleet, bool tls);
/* All consoles, following model and events, until they have the whole picture. */
void fleet_connect_consoles(struct fleet *fleet, bool tls);
/* Times of READY are counted from now. */
void fleet_mark(struct fleet *fleet);

uint64_t fleet_task(const struct fleet *fleet, size_t worker, size_t session);
/* What a worker tells: a session ended well (once for each); what its agent does now. */
void fleet_end(struct fleet *fleet, size_t worker, size_t session);
void fleet_status(struct fleet *fleet, size_t worker, size_t session, uint32_t progress);
