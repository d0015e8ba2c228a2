/* A coordinator with many workers and consoles, all over TLS: bench-fleet [WORKERS [SESSIONS [CONSOLES [restart]]]]. Of the first
 * three what is not given is 200 (or MAESTRO_BENCH_WORKERS), 10 and 50; `restart`: nothing but that.
 *
 * Prints what it costs at rest and under a stated load, how late consoles hear, and how long it takes until all workers
 * are READY after it was killed. Absolute times are of this machine, which plays the peers too. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/bench/fleet.h"

#define WORKERS "200"
#define REST_S 6.0
#define LOAD_S 6.0
#define STATUSES_PER_S 100u
#define ENDS_PER_S 20u
#define QUIET_SAMPLES 50u
#define BACK_S 90.0

static void print(const char *what, double value, const char *unit)
{
	printf("%-66s %10.*f %s\n", what, value < 10 ? 2 : value < 100 ? 1 : 0, value, unit);
}

static void print_latencies(struct fleet *fleet, const char *what)
{
	char line[96];

	snprintf(line, sizeof(line), "%s: p50", what);
	print(line, bench_percentile(fleet->latencies, fleet->latency_count, 50), "ms");
	snprintf(line, sizeof(line), "%s: p99", what);
	print(line, bench_percentile(fleet->latencies, fleet->latency_count, 99), "ms");
	if (fleet->latency_count != fleet->expected)
		printf("%zu of %zu were not heard by all consoles\n", fleet->expected - fleet->latency_count, fleet->expected);
	fleet->latency_count = fleet->expected = 0;
}

static double cpu_over(struct fleet *fleet, double seconds)
{
	double cpu = cluster_cpu(fleet->cluster), began = bench_now();

	cluster_run(fleet->cluster, seconds);
	return (cluster_cpu(fleet->cluster) - cpu) / (bench_now() - began) * 100;
}

/* One at a time: nothing but its own way, and whatever the fleet does by itself. */
static void measure_quiet(struct fleet *fleet)
{
	for (size_t i = 0; i < QUIET_SAMPLES && i < fleet->worker_count; i++) {
		fleet_end(fleet, i, fleet->session_count - 1);
		cluster_until(fleet->cluster, &fleet->latency_count, i + 1, 2);
	}
	print_latencies(fleet, "a session's end, one at a time, until all consoles know");
}

/* Spread evenly over the time and the workers; each session changes at most once. */
static void measure_load(struct fleet *fleet)
{
	double began = bench_now(), cpu = cluster_cpu(fleet->cluster), next;
	size_t status = 0, end = 0, messages = fleet->messages;

	while (bench_now() - began < LOAD_S) {
		for (; (double)status < (bench_now() - began) * STATUSES_PER_S; status++)
			fleet_status(fleet, status % fleet->worker_count, 0, (uint32_t)(status % 100));
		for (; (double)end < (bench_now() - began) * ENDS_PER_S; end++)
			fleet_end(fleet, end % fleet->worker_count, 1);
		next = began + (double)(status < end * (STATUSES_PER_S / ENDS_PER_S) ? status : status + 1) / STATUSES_PER_S;
		require(sd_event_run(fleet->cluster->event, next > bench_now() ? (uint64_t)((next - bench_now()) * 1e6) : 0) >= 0);
	}
	cpu = (cluster_cpu(fleet->cluster) - cpu) / (bench_now() - began) * 100;
	cluster_until(fleet->cluster, &fleet->latency_count, fleet->expected, 5);
	printf("%u changes of agents' status and %u ends of sessions a second, %zu messages a second to consoles\n",
		STATUSES_PER_S, ENDS_PER_S, (size_t)((double)(fleet->messages - messages) / LOAD_S));
	print("coordinator's CPU under this load", cpu, "% of a core");
	print_latencies(fleet, "until all consoles know");
}

static void measure_restart(struct fleet *fleet)
{
	struct cluster *cluster = fleet->cluster;
	size_t ready = 0;
	double cpu, took;

	fleet->ready = fleet->failures = 0;
	for (size_t i = 0; i < fleet->worker_count; i++)
		fleet->workers[i].ready = false;
	fleet_mark(fleet);
	cluster_stop(cluster, SIGKILL);
	took = cluster_start(cluster, NULL);
	cluster_until(cluster, &fleet->ready, fleet->worker_count, BACK_S);
	cpu = cluster_cpu(cluster);
	ready = fleet->ready;
	print("killed and started again: listens after", took, "s");
	print("half of the workers are READY after", bench_percentile(fleet->ready_at, ready, 50), "s");
	print("99 of 100 are READY after", bench_percentile(fleet->ready_at, ready, 99), "s");
	print("the last is READY after", bench_percentile(fleet->ready_at, ready, 100), "s");
	if (ready < fleet->worker_count)
		printf("%zu workers were not back after %.0f s\n", fleet->worker_count - ready, BACK_S);
	print("tries that came to nothing, a worker", (double)fleet->failures / (double)fleet->worker_count, "");
	print("coordinator's CPU for that, a worker", cpu / (double)fleet->worker_count * 1e3, "ms");
}

static void measure(struct fleet *fleet, bool only_restart)
{
	struct cluster *cluster = fleet->cluster;
	struct cluster_memory empty, full, watched;
	double cpu, n = (double)fleet->worker_count;

	print("starts in", cluster_start(cluster, &cpu), "s");
	empty = cluster_memory(cluster);
	cpu = cluster_cpu(cluster);
	fleet_connect_workers(fleet, true);
	print("all workers are READY after", bench_now() - fleet->marked, "s");
	print("coordinator's CPU for that, a worker", (cluster_cpu(cluster) - cpu) / n * 1e3, "ms");
	full = cluster_memory(cluster);
	print("memory with its tasks", empty.private_kb / 1024, "MiB, private");
	if (only_restart) {
		fleet_connect_consoles(fleet, true);
		measure_restart(fleet);
		return;
	}
	print("memory a worker's connection", (full.private_kb - empty.private_kb) / n, "kB, private");
	print("CPU at rest, heartbeats only, nobody looks", cpu_over(fleet, REST_S), "% of a core");
	cpu = cluster_cpu(cluster);
	fleet_connect_consoles(fleet, true);
	print("a console comes and gets the whole picture: CPU", (cluster_cpu(cluster) - cpu) / (double)fleet->console_count * 1e3,
		"ms");
	watched = cluster_memory(cluster);
	print("memory a console", (watched.private_kb - full.private_kb) / (double)fleet->console_count, "kB, private");
	print("CPU at rest, all consoles look", cpu_over(fleet, REST_S), "% of a core");
	measure_quiet(fleet);
	measure_load(fleet);
	print("memory at last", cluster_memory(cluster).rss_kb / 1024, "MiB, resident");
	measure_restart(fleet);
}

int main(int argc, char **argv)
{
	const char *wanted = getenv("MAESTRO_BENCH_WORKERS");
	size_t workers = (size_t)atoi(argc > 1 ? argv[1] : wanted ? wanted : WORKERS), sessions = argc > 2 ? (size_t)atoi(argv[2]) : 10;
	size_t consoles = argc > 3 ? (size_t)atoi(argv[3]) : 50;
	struct cluster cluster;
	struct fleet fleet;

	if (workers < 1 || sessions < 3 || consoles < 1)
		return 2;
	cluster_init(&cluster);
	fleet_init(&fleet, &cluster, workers, sessions, consoles);
	printf("%zu workers with %zu sessions each, %zu consoles, over TLS\n", workers, sessions, consoles);
	measure(&fleet, argc > 4);
	fleet_deinit(&fleet);
	cluster_deinit(&cluster);
	return 0;
}
