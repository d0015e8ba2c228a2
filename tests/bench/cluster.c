#include "tests/bench/cluster.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/install.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 65536u

double bench_now(void)
{
	return (double)clock_boottime_us() / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_percentile(double *samples, size_t count, double percent)
{
	size_t at = (size_t)((double)count * percent / 100);

	if (!count)
		return 0;
	qsort(samples, count, sizeof(*samples), compare);
	return samples[at < count ? at : count - 1];
}

/* --- the process --------------------------------------------------------------------------------------------- */

static char *program_path(void)
{
	const char *stage = getenv("MAESTRO_STAGE");
	char *path;

	require(stage);
	require(asprintf(&path, "%s/bin/maestro-coordinator", stage) > 0);
	return path;
}

/* With one descriptor of ours under another number. */
static pid_t spawn(char *const argv[], int fd, int as_fd)
{
	pid_t parent = getpid(), pid = fork();
	sigset_t none;

	require(pid >= 0);
	if (pid)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	if (dup2(fd, as_fd) != as_fd)
		_exit(127);
	execv(argv[0], argv);
	_exit(127);
}

static void take_addresses(struct cluster *cluster, int fd)
{
	char text[1024] = "", *line, *rest = text;
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		if (str_starts(line, "ipc://"))
			require((cluster->ipc = strdup(line)));
		else if (str_starts(line, "tls+tcp://"))
			require((cluster->tls = strdup(line)));
	}
	require(cluster->ipc && cluster->tls);
}

double cluster_start(struct cluster *cluster, double *ret_cpu)
{
	_cleanup_free_ char *program = program_path(), *address = NULL;
	char *argv[] = { program, (char *)"run", (char *)"--listen", NULL, (char *)"--ready-fd", (char *)"3",
		(char *)"--log-level", (char *)"warning", NULL };
	double began = bench_now();
	int fds[2];

	/* The same port again after a restart. */
	address = strdup(cluster->tls ? cluster->tls + strlen("tls+tcp://") : "127.0.0.1:0");
	argv[3] = address;
	free(take(cluster->ipc));
	free(take(cluster->tls));
	require(pipe2(fds, O_CLOEXEC) == 0);
	cluster->pid = spawn(argv, fds[1], 3);
	close(fds[1]);
	take_addresses(cluster, fds[0]);
	close(fds[0]);
	if (ret_cpu)
		*ret_cpu = cluster_cpu(cluster);
	return bench_now() - began;
}

void cluster_stop(struct cluster *cluster, int signal)
{
	if (cluster->pid <= 0)
		return;
	kill(cluster->pid, signal);
	waitpid(cluster->pid, NULL, 0);
	cluster->pid = 0;
}

double cluster_cpu(const struct cluster *cluster)
{
	struct timespec ts;
	clockid_t clock;

	require(clock_getcpuclockid(cluster->pid, &clock) == 0 && clock_gettime(clock, &ts) == 0);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

struct cluster_memory cluster_memory(const struct cluster *cluster)
{
	struct cluster_memory memory = { 0 };
	char path[64], line[256];
	double kb;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)cluster->pid);
	require((file = fopen(path, "re")));
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Rss: %lf", &kb) == 1)
			memory.rss_kb = kb;
		else if (sscanf(line, "Private_Clean: %lf", &kb) == 1 || sscanf(line, "Private_Dirty: %lf", &kb) == 1)
			memory.private_kb += kb;
	}
	fclose(file);
	return memory;
}

/* --- the loop ------------------------------------------------------------------------------------------------ */

bool cluster_until(struct cluster *cluster, const size_t *count, size_t wanted, double seconds)
{
	double end = bench_now() + seconds, left;

	while (*count < wanted) {
		left = end - bench_now();
		if (left <= 0)
			return false;
		require(sd_event_run(cluster->event, (uint64_t)(left * 1e6)) >= 0);
	}
	return true;
}

void cluster_run(struct cluster *cluster, double seconds)
{
	size_t never = 0;

	cluster_until(cluster, &never, 1, seconds);
}

/* --- the database -------------------------------------------------------------------------------------------- */

struct store *cluster_open_store(struct cluster *cluster)
{
	_cleanup_free_ char *path = io_join(cluster->state, "coordinator.db");
	struct store *store;

	require(store_open(&store, path, NULL) == 0);
	return store;
}

void cluster_enroll(struct store *store, const struct key *key, Maestro__Role role, const char *name)
{
	struct key_row row = { .public_key = { (uint8_t *)(uintptr_t)key->public_key, LINK_KEY_BYTES },
		.role = (int32_t)role, .name = (char *)(uintptr_t)name, .created_ms = clock_wall_ms() };

	require(store_put(store, ROW_KEY, &row, NULL) == 0);
}

void cluster_add_project(struct store *store, const char *name)
{
	struct project_row row = { .name = (char *)(uintptr_t)name, .url = { (uint8_t *)(uintptr_t)"ssh://h/p", 9 },
		.base_branch = (char *)"main", .checked = true };

	require(store_put(store, ROW_PROJECT, &row, NULL) == 0);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static void raise_files(void)
{
	struct rlimit limit;

	require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
	require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static const char *doomed_home;

/* Whoever is interrupted cleans up too. */
static void on_signal(int signal)
{
	exit(128 + signal);
}

static void remove_home(void)
{
	if (doomed_home)
		io_remove_tree(doomed_home);
}

static void make_home(struct cluster *cluster)
{
	_cleanup_free_ char *program = program_path();
	char *argv[] = { program, (char *)"init", NULL };
	const char *tmp = getenv("TMPDIR");
	int status, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	require(asprintf(&cluster->home, "%s/maestro-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp") > 0);
	require(mkdtemp(cluster->home));
	doomed_home = cluster->home;
	atexit(remove_home);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	require(setenv("MAESTRO_HOME", cluster->home, 1) == 0);
	require(asprintf(&cluster->state, "%s/state/coordinator", cluster->home) > 0);
	fflush(stdout);
	require(waitpid(spawn(argv, null, STDOUT_FILENO), &status, 0) > 0 && status == 0);
	close(null);
}

void cluster_init(struct cluster *cluster)
{
	_cleanup_free_ char *ca = NULL;

	*cluster = (struct cluster){ 0 };
	raise_files();
	make_home(cluster);
	ca = io_join(cluster->state, "ca.pem");
	require(io_read_file(ca, 65536, &cluster->ca_pem, NULL) == 0);
	log_init(&cluster->log, "bench", STDERR_FILENO, LOG_LEVEL_ERROR);
	require(sd_event_new(&cluster->event) >= 0);
	require(link_new(&cluster->link, cluster->event, &cluster->log) == 0);
}

void cluster_deinit(struct cluster *cluster)
{
	cluster_stop(cluster, SIGKILL);
	link_free(cluster->link);
	sd_event_unref(cluster->event);
	remove_home();
	doomed_home = NULL;
	free(cluster->home);
	free(cluster->state);
	free(cluster->ca_pem);
	free(cluster->ipc);
	free(cluster->tls);
}
