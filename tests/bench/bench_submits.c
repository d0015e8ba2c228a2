/* Durable submits by many clients at once, each with one submit under way: bench-submits [SECONDS [CLIENTS]].
 *
 * Beside it, in the same run and on the same disk: SQLite itself, a bare loop that writes rows as a submit's and commits
 * as often as so many clients can make it; and beanstalkd, with fsync on each job. Compare figures of one run only. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/wire/message.h"
#include "tests/bench/cluster.h"

#define CLIENTS_MAX 512u
#define SAMPLES_MAX (1u << 20)
#define PROMPT "Make the tests of the parser pass again, and say in one paragraph what was wrong with it."

struct result {
	double per_second, p50_ms, p99_ms, cpu_us; /* of the server, a submit; 0: not known */
};

struct run {
	struct cluster *cluster;
	double *samples;
	size_t count, connected, left;
	double end;
};

struct submitter {
	struct run *run;
	struct link_dialer *dialer;
	struct link_peer *peer;
	struct key key;
	uint64_t number;
	uint32_t index;
	double began;
};

/* --- Maestro ------------------------------------------------------------------------------------------------- */

static void submit(struct submitter *submitter, struct link_peer *peer)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	char *agent = (char *)"command", id[32];

	snprintf(id, sizeof(id), "%u.%lu", submitter->index, (unsigned long)++submitter->number);
	submit.has_request_id = true;
	submit.request_id = bytes_of(id);
	submit.project = (char *)"p";
	submit.n_agents = 1;
	submit.agents = &agent;
	submit.prompt = bytes_of(PROMPT);
	envelope.has_request = true;
	envelope.request = submitter->number;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_SUBMIT;
	envelope.submit = &submit;
	submitter->began = bench_now();
	require(link_peer_send(peer, CHANNEL_CONTROL, &envelope) == 0);
}

static void on_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct submitter *submitter = userdata;
	struct run *run = submitter->run;
	double now = bench_now();

	require(envelope->body_case == MAESTRO__ENVELOPE__BODY_SUBMITTED && envelope->submitted->n_tasks == 1);
	if (run->count < SAMPLES_MAX)
		run->samples[run->count++] = (now - submitter->began) * 1e3;
	if (now < run->end)
		submit(submitter, peer);
	else
		run->left++;
}

static const struct link_peer_ops peer_ops = { .message = on_message };

static void on_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	struct submitter *submitter = userdata;

	link_peer_set_ops(peer, &peer_ops, submitter);
	submitter->peer = peer;
	submitter->run->connected++;
}

static const struct link_dialer_ops dialer_ops = { .connected = on_connected };

static struct result run_maestro(struct cluster *cluster, struct submitter *submitters, size_t clients, bool tls,
	double seconds, double *samples)
{
	struct run run = { .cluster = cluster, .samples = samples };
	double cpu, began;

	for (size_t i = 0; i < clients; i++) {
		struct link_dialer_config config = { .address = tls ? cluster->tls : cluster->ipc, .ca_pem = cluster->ca_pem,
			.secret_key = tls ? submitters[i].key.secret_key : NULL, .role = MAESTRO__ROLE__ROLE_OPERATOR,
			.name = "bench", .ops = &dialer_ops, .userdata = &submitters[i] };

		submitters[i].run = &run;
		submitters[i].index = (uint32_t)i + (tls ? 0 : CLIENTS_MAX);
		submitters[i].number = 0;
		require(link_dialer_new(&submitters[i].dialer, cluster->link, &config, NULL) == 0);
	}
	require(cluster_until(cluster, &run.connected, clients, 60));
	cpu = cluster_cpu(cluster);
	began = bench_now();
	run.end = began + seconds;
	for (size_t i = 0; i < clients; i++)
		submit(&submitters[i], submitters[i].peer);
	require(cluster_until(cluster, &run.left, clients, seconds + 30));
	cpu = cluster_cpu(cluster) - cpu;
	for (size_t i = 0; i < clients; i++)
		link_dialer_free(submitters[i].dialer);
	return (struct result){ (double)run.count / (bench_now() - began), bench_percentile(samples, run.count, 50),
		bench_percentile(samples, run.count, 99), cpu / (double)run.count * 1e6 };
}

/* --- SQLite -------------------------------------------------------------------------------------------------- */

static const char *const inserts[] = {
	"INSERT INTO task VALUES(?1,0,1,0,'p','command','Make the tests of the parser pass again, and say in one paragraph','"
	"make-the-tests-of-the-parser-pass-again-an',NULL,NULL,NULL,NULL,0,0,0,0,0,0,1763800000000,0,0)",
	"INSERT INTO spec VALUES(?1,?2)",
	"INSERT INTO event VALUES(?1,1763800000000,'task.state',?1,0,NULL,'operator 12ab34cd12ab34cd bench','queued',NULL)",
	"INSERT INTO audit VALUES(?1,1763800000000,'operator 12ab34cd12ab34cd bench','submit','task=100000 project=p "
	"agent=command',?3)",
	"INSERT INTO request VALUES(?4,?3,?1,1,1763800000000)",
	"UPDATE meta SET value=?1 WHERE name='next_task'",
};

static void step(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	require(code == SQLITE_DONE || code == SQLITE_ROW);
	sqlite3_reset(statement);
}

static void write_submit(sqlite3_stmt *const statements[], int64_t id)
{
	uint8_t spec[200] = { 0 }, digest[ID_DIGEST_BYTES] = { 0 };
	char request[24];
	int len = snprintf(request, sizeof(request), "%lld.%lld", (long long)id % 50, (long long)id);

	for (size_t i = 0; i < ARRAY_SIZE(inserts); i++) {
		sqlite3_bind_int64(statements[i], 1, id);
		sqlite3_bind_blob(statements[i], 2, spec, (int)(sizeof(PROMPT) + 60), SQLITE_STATIC);
		sqlite3_bind_blob(statements[i], 3, digest, sizeof(digest), SQLITE_STATIC);
		sqlite3_bind_blob(statements[i], 4, request, len, SQLITE_STATIC);
		step(statements[i]);
	}
}

static struct result run_sqlite(const char *path, size_t batch, double seconds, double *samples)
{
	sqlite3_stmt *statements[ARRAY_SIZE(inserts)], *begin, *commit;
	double started = bench_now(), began;
	size_t count = 0;
	int64_t id = 0;
	sqlite3 *db;

	require(sqlite3_open(path, &db) == SQLITE_OK);
	require(sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"
		"PRAGMA cache_size=-2048; PRAGMA wal_autocheckpoint=500; INSERT OR REPLACE INTO meta VALUES('next_task','1')",
		NULL, NULL, NULL) == SQLITE_OK);
	require(sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &begin, NULL) == SQLITE_OK);
	require(sqlite3_prepare_v2(db, "COMMIT", -1, &commit, NULL) == SQLITE_OK);
	for (size_t i = 0; i < ARRAY_SIZE(inserts); i++)
		require(sqlite3_prepare_v2(db, inserts[i], -1, &statements[i], NULL) == SQLITE_OK);
	while (bench_now() - started < seconds) {
		began = bench_now();
		step(begin);
		for (size_t i = 0; i < batch; i++)
			write_submit(statements, ++id);
		step(commit);
		if (count < SAMPLES_MAX)
			samples[count++] = (bench_now() - began) * 1e3;
	}
	started = bench_now() - started;
	for (size_t i = 0; i < ARRAY_SIZE(inserts); i++)
		sqlite3_finalize(statements[i]);
	sqlite3_finalize(begin);
	sqlite3_finalize(commit);
	sqlite3_close(db);
	return (struct result){ (double)id / started, bench_percentile(samples, count, 50),
		bench_percentile(samples, count, 99), 0 };
}

/* --- beanstalkd ---------------------------------------------------------------------------------------------- */

static int dial_local(const char *path)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) },
		.sin_port = htons((uint16_t)atoi(path)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	require(fd >= 0);
	for (int i = 0; i < 500; i++) {
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		require(errno == ECONNREFUSED);
		usleep(10000); /* until it listens: it says nothing when it does */
	}
	require(!"beanstalkd listens");
	return -1;
}

static void free_port(char port[8])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	require(bind(fd, (struct sockaddr *)&address, len) == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	snprintf(port, 8, "%u", ntohs(address.sin_port));
	close(fd);
}

static pid_t start_beanstalkd(const char *dir, const char *port)
{
	char *argv[] = { (char *)"beanstalkd", (char *)"-l", (char *)"127.0.0.1", (char *)"-p", (char *)(uintptr_t)port,
		(char *)"-b", (char *)(uintptr_t)dir, (char *)"-f", (char *)"0", NULL };
	pid_t pid = fork();

	require(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(argv[0], argv);
	_exit(127);
}

static void put_job(int fd)
{
	static char job[512];
	int len;

	len = snprintf(job, sizeof(job), "put 0 0 60 %zu\r\n%s\r\n", sizeof(PROMPT) - 1, PROMPT);
	require(send(fd, job, (size_t)len, MSG_NOSIGNAL) == len);
}

static double thread_cpu(pid_t pid)
{
	struct cluster as_cluster = { .pid = pid };

	return cluster_cpu(&as_cluster);
}

static struct result put_jobs(pid_t pid, const char *port, size_t clients, double seconds, double *samples)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), fds[CLIENTS_MAX];
	double began[CLIENTS_MAX], started, now = 0, cpu;
	struct epoll_event events[64];
	size_t count = 0;
	char answer[256];

	for (size_t i = 0; i < clients; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u64 = i };

		fds[i] = dial_local(port);
		require(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0);
	}
	cpu = thread_cpu(pid);
	started = bench_now();
	for (size_t i = 0; i < clients; i++) {
		began[i] = bench_now();
		put_job(fds[i]);
	}
	while (now - started < seconds) {
		int n = epoll_wait(epoll, events, ARRAY_SIZE(events), 10000);

		require(n > 0);
		for (int k = 0; k < n; k++) {
			size_t i = events[k].data.u64;

			require(read(fds[i], answer, sizeof(answer)) > 8 && memcmp(answer, "INSERTED", 8) == 0);
			now = bench_now();
			if (count < SAMPLES_MAX)
				samples[count++] = (now - began[i]) * 1e3;
			began[i] = now;
			put_job(fds[i]);
		}
	}
	started = now - started;
	cpu = thread_cpu(pid) - cpu;
	for (size_t i = 0; i < clients; i++)
		close(fds[i]);
	close(epoll);
	return (struct result){ (double)count / started, bench_percentile(samples, count, 50),
		bench_percentile(samples, count, 99), cpu / (double)count * 1e6 };
}

static struct result run_beanstalkd(const char *dir, size_t clients, double seconds, double *samples)
{
	struct result result;
	char port[8];
	pid_t pid;

	require(io_make_dirs(dir, 0700) == 0);
	free_port(port);
	pid = start_beanstalkd(dir, port);
	result = put_jobs(pid, port, clients, seconds, samples);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return result;
}

/* --- the table ----------------------------------------------------------------------------------------------- */

static void print_line(const char *name, const struct result *result, const struct result *sqlite, const struct result *beanstalkd)
{
	printf("%-42s %9.0f %8.2f %8.2f", name, result->per_second, result->p50_ms, result->p99_ms);
	if (result->cpu_us > 0)
		printf(" %8.0f", result->cpu_us);
	else
		printf(" %8s", "");
	printf(" %9.2f %9.2f\n", result->per_second / sqlite->per_second, result->per_second / beanstalkd->per_second);
}

static void make_keys(struct cluster *cluster, struct submitter *submitters, size_t clients)
{
	struct store *store = cluster_open_store(cluster);

	require(store_begin(store, NULL) == 0);
	cluster_add_project(store, "p");
	for (size_t i = 0; i < clients; i++) {
		key_generate(&submitters[i].key);
		cluster_enroll(store, &submitters[i].key, MAESTRO__ROLE__ROLE_OPERATOR, "bench");
	}
	require(store_commit(store, NULL) == 0);
	store_free(store);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 4;
	size_t clients = argc > 2 ? (size_t)atoi(argv[2]) : 50;
	struct submitter *submitters = calloc(CLIENTS_MAX, sizeof(*submitters));
	double *samples = calloc(SAMPLES_MAX, sizeof(*samples));
	struct result sqlite, one, beanstalkd, ipc, tls;
	struct cluster cluster;
	char path[256];

	if (clients < 1 || clients > CLIENTS_MAX || seconds <= 0 || !samples || !submitters)
		return 2;
	cluster_init(&cluster);
	make_keys(&cluster, submitters, clients);
	snprintf(path, sizeof(path), "cp %s/coordinator.db %s/bare.db && cp %s/coordinator.db %s/single.db", cluster.state,
		cluster.home, cluster.state, cluster.home);
	require(system(path) == 0);
	snprintf(path, sizeof(path), "%s/bare.db", cluster.home);
	sqlite = run_sqlite(path, clients, seconds / 2, samples);
	snprintf(path, sizeof(path), "%s/single.db", cluster.home);
	one = run_sqlite(path, 1, seconds / 2, samples);
	snprintf(path, sizeof(path), "%s/beanstalkd", cluster.home);
	beanstalkd = run_beanstalkd(path, clients, seconds, samples);
	cluster_start(&cluster, NULL);
	tls = run_maestro(&cluster, submitters, clients, true, seconds, samples);
	ipc = run_maestro(&cluster, submitters, clients, false, seconds, samples);
	printf("%zu clients, %zu bytes of prompt, %g s each\n", clients, sizeof(PROMPT) - 1, seconds);
	printf("%-42s %9s %8s %8s %8s %9s %9s\n", "", "a second", "p50 ms", "p99 ms", "CPU us", "/ SQLite", "/ beanst.");
	print_line("SQLite, all clients in one commit", &sqlite, &sqlite, &beanstalkd);
	print_line("SQLite, a commit each", &one, &sqlite, &beanstalkd);
	print_line("beanstalkd -f 0", &beanstalkd, &sqlite, &beanstalkd);
	print_line("Maestro over TLS", &tls, &sqlite, &beanstalkd);
	print_line("Maestro over the local socket", &ipc, &sqlite, &beanstalkd);
	cluster_deinit(&cluster);
	free(samples);
	free(submitters);
	return 0;
}
