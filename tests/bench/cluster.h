/* A real coordinator in a private directory for benches: started and killed as a process, reached over its own protocol,
 * its database filled straight. Whatever goes wrong ends the bench. */
#pragma once

#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>
#include "coordinator/store/store.h"
#include "proto/link/keys.h"
#include "proto/link/link.h"

struct cluster {
	char *home, *state, *ca_pem;
	char *ipc, *tls; /* addresses while it runs */
	pid_t pid;
	sd_event *event;
	struct link *link;
	struct log log;
};

/* Makes the directory, keys and database, and a loop for whoever plays the peers. Raises the limit of open files. */
void cluster_init(struct cluster *cluster);
/* Kills what still runs and leaves nothing behind. */
void cluster_deinit(struct cluster *cluster);
/* While it does not run. */
struct store *cluster_open_store(struct cluster *cluster);
void cluster_enroll(struct store *store, const struct key *key, Maestro__Role role, const char *name);
void cluster_add_project(struct store *store, const char *name);
/* Until it is ready. How long that took, in seconds; of its CPU in *ret_cpu. */
double cluster_start(struct cluster *cluster, double *ret_cpu);
void cluster_stop(struct cluster *cluster, int signal);

/* Runs the loop until *count is at least `wanted`; false: it took too long. */
bool cluster_until(struct cluster *cluster, const size_t *count, size_t wanted, double seconds);
void cluster_run(struct cluster *cluster, double seconds);

/* CPU of the coordinator's process and all its threads so far, in seconds. */
double cluster_cpu(const struct cluster *cluster);
struct cluster_memory {
	double rss_kb, private_kb;
};
struct cluster_memory cluster_memory(const struct cluster *cluster);

double bench_now(void);
/* Sorts. 0 without samples. */
double bench_percentile(double *samples, size_t count, double percent);
