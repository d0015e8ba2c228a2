#include "tests/bench/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "tests/bench/streams.h"
#include "worker/session/client.h"

#define FEED_S 0.35
#define STREAM_BYTES (4U << 20)
#define WRITE_BYTES 65536U
#define ANSWER_MS 60000
#define ROUNDS 3U

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- inside the terminal -------------------------------------------------------------------------------------- */

/* What the process that holds the other end has used; it has one thread. */
static double parent_cpu_s(void)
{
	unsigned long long run_ns = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)getppid());
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%llu", &run_ns) != 1)
		run_ns = 0;
	fclose(file);
	return (double)run_ns / 1e9;
}

/* Keys come as they are and at once; output goes through the line discipline as `cat`'s does. */
static int raw_input(void)
{
	struct termios mode;

	if (tcgetattr(0, &mode) < 0)
		return -errno;
	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	mode.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
	mode.c_cc[VMIN] = mode.c_cc[VTIME] = 0;
	return tcsetattr(0, TCSANOW, &mode) < 0 ? -errno : 0;
}

/* Also what a stream of noise happened to ask. */
static int wait_answer(void)
{
	static const char question[] = "\030\033\\\033[5n", answer[] = "\033[0n";
	struct pollfd poll_fd = { .fd = 0, .events = POLLIN };
	char tail[4096 + 8];
	size_t kept = 0;

	if (io_write_all(1, question, sizeof(question) - 1) < 0)
		return -EIO;
	while (poll(&poll_fd, 1, ANSWER_MS) > 0) {
		ssize_t n = read(0, tail + kept, 4096);

		if (n <= 0)
			return -EIO;
		if (memmem(tail, kept + (size_t)n, answer, sizeof(answer) - 1))
			return 0;
		kept = kept + (size_t)n < 3 ? kept + (size_t)n : 3;
		memmove(tail, tail + (size_t)n, kept);
	}
	return -ETIMEDOUT;
}

static int print_for_a_while(const char *data, size_t len, double *ret_bytes)
{
	double end = now_s() + FEED_S, bytes = 0;
	char ignored[4096];

	for (size_t at = 0, part; now_s() < end; at = (at + part) % len) {
		part = len - at < WRITE_BYTES ? len - at : WRITE_BYTES;
		if (io_write_all(1, data + at, part) < 0)
			return -EIO;
		while (read(0, ignored, sizeof(ignored)) > 0)
			;
		bytes += (double)part;
	}
	*ret_bytes = bytes;
	return 0;
}

int terminal_feed(const char *stream, const char *result)
{
	_cleanup_close_ int fd = open(result, O_WRONLY | O_CLOEXEC);
	_cleanup_free_ char *data = NULL;
	double began, cpu_s, bytes = 0;
	size_t len;
	int r;

	r = io_read_file(stream, STREAM_BYTES * 2, &data, &len);
	if (!r)
		r = raw_input();
	began = now_s();
	cpu_s = parent_cpu_s();
	if (!r)
		r = print_for_a_while(data, len, &bytes);
	if (!r)
		r = wait_answer();
	dprintf(fd, "%d %g %g %g\n", r, bytes, now_s() - began, parent_cpu_s() - cpu_s);
	return r ? 1 : 0;
}

/* --- outside -------------------------------------------------------------------------------------------------- */

struct contest {
	char dir[256], self[256], stream[300], result[300];
	unsigned int cols, rows, runs;
	int result_fd;
};

struct figure {
	double mb_s, mb_cpu_s;
};

static int read_figure(struct contest *contest, struct figure *ret_figure)
{
	char text[256] = "";
	double bytes, wall_s, cpu_s;
	int r;

	for (size_t len = 0; len < sizeof(text) - 1 && !strchr(text, '\n'); len++)
		if (read(contest->result_fd, text + len, 1) != 1)
			return -EIO;
	if (sscanf(text, "%d %lg %lg %lg", &r, &bytes, &wall_s, &cpu_s) != 4 || r)
		return -EIO;
	*ret_figure = (struct figure){ bytes / 1e6 / wall_s, cpu_s > 0 ? bytes / 1e6 / cpu_s : 0 };
	return 0;
}

static void bare_serve(int master_fd)
{
	static const char question[] = "\033[5n", answer[] = "\033[0n";
	static char data[65536 + 3];
	size_t kept = 3;
	ssize_t n;

	/* EIO: the other end has been closed. */
	while ((n = read(master_fd, data + kept, sizeof(data) - 3)) > 0) {
		memmove(data, data + n, kept);
		if (n >= 4 ? memcmp(data + kept + n - 4, question, 4) == 0 : memcmp(data + n - 1, question, 4) == 0)
			(void)!write(master_fd, answer, sizeof(answer) - 1);
	}
}

static int measure_bare(struct contest *contest, struct figure *ret_figure)
{
	struct winsize size = { .ws_col = (unsigned short)contest->cols, .ws_row = (unsigned short)contest->rows };
	int master_fd;
	pid_t pid = forkpty(&master_fd, NULL, NULL, &size);

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		execl(contest->self, contest->self, "--feed", contest->stream, contest->result, NULL);
		_exit(127);
	}
	bare_serve(master_fd);
	close(master_fd);
	waitpid(pid, NULL, 0);
	return read_figure(contest, ret_figure);
}

static int measure_tmux(struct contest *contest, struct figure *ret_figure)
{
	char command[2048];
	int r;

	snprintf(command, sizeof(command), "tmux -S '%s/tmux' -f /dev/null new-session -d -x %u -y %u "
		"\"exec '%s' --feed '%s' '%s'\"", contest->dir, contest->cols, contest->rows, contest->self, contest->stream,
		contest->result);
	if (system(command) != 0)
		return -EIO;
	r = read_figure(contest, ret_figure);
	snprintf(command, sizeof(command), "tmux -S '%s/tmux' kill-server 2>/dev/null", contest->dir);
	(void)!system(command); /* its last session has ended: it may have gone by itself */
	return r;
}

struct ours {
	bool spawned, exited, closed;
	int r;
	struct holder *holder;
};

static void on_spawned(void *userdata, int r, const struct holder_id *id, const char *why)
{
	*(struct ours *)userdata = (struct ours){ .spawned = true, .r = r };
	if (r)
		fprintf(stderr, "no session: %s\n", why ? why : strerror(-r));
}

static void on_exit_told(void *userdata, const struct holder_exit *exit)
{
	struct ours *ours = userdata;

	ours->exited = true;
	(void)holder_send_forget(ours->holder);
}

static void on_closed(void *userdata, int r)
{
	((struct ours *)userdata)->closed = true;
}

static const struct holder_ops ops = { .exit = on_exit_told, .closed = on_closed };

static int run_until(sd_event *event, const bool *done)
{
	int r = 0;

	while (r >= 0 && !*done)
		r = sd_event_run(event, ANSWER_MS * 1000ULL);
	return r < 0 ? r : 0;
}

/* With a worker connected that watches nothing, as most of its time. */
static int run_session(struct contest *contest, sd_event *event, const char *dir, struct ours *ours)
{
	static const uint8_t run_id[STATE_RUN_ID_BYTES] = { 1 };
	const char *argv[] = { contest->self, "--feed", contest->stream, contest->result, NULL };
	struct holder_spec spec = { .task = 1, .attempt = contest->runs, .run_id = run_id, .session_dir = dir, .argv = argv,
		.cwd = contest->dir, .cols = contest->cols, .rows = contest->rows, .transcript_limit_bytes = UINT64_MAX };
	_cleanup_(holder_spawn_free_p) struct holder_spawn *spawn = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r;

	r = holder_spawn(event, &spec, on_spawned, ours, &spawn, &error);
	if (r)
		fprintf(stderr, "no session: %s\n", error_text(&error, r));
	if (!r)
		r = run_until(event, &ours->spawned);
	if (!r)
		r = ours->r;
	if (!r)
		r = holder_connect(event, dir, &ops, ours, &ours->holder);
	if (!r)
		r = run_until(event, &ours->closed);
	holder_free(ours->holder);
	return r;
}

static int measure_ours(struct contest *contest, struct figure *ret_figure)
{
	char dir[300];
	sd_event *event = NULL;
	struct ours ours = { 0 };
	int r;

	snprintf(dir, sizeof(dir), "%s/%u", contest->dir, ++contest->runs);
	r = io_make_dirs(dir, 0700);
	if (!r)
		r = sd_event_new(&event);
	if (r >= 0)
		r = run_session(contest, event, dir, &ours);
	sd_event_unref(event);
	return r ? -EIO : read_figure(contest, ret_figure);
}

static int compare_doubles(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static struct figure median(const struct figure *figures)
{
	double wall[ROUNDS], cpu[ROUNDS];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		wall[i] = figures[i].mb_s;
		cpu[i] = figures[i].mb_cpu_s;
	}
	qsort(wall, ROUNDS, sizeof(*wall), compare_doubles);
	qsort(cpu, ROUNDS, sizeof(*cpu), compare_doubles);
	return (struct figure){ wall[ROUNDS / 2], cpu[ROUNDS / 2] };
}

/* The three take turns, so that what else the machine does falls on all. */
static int measure_stream(struct contest *contest, const char *name)
{
	struct figure bare[ROUNDS], tmux[ROUNDS], ours[ROUNDS], b, t, o;
	double goal;
	int r = 0;

	for (unsigned int i = 0; !r && i < ROUNDS; i++) {
		r = measure_bare(contest, &bare[i]);
		if (!r)
			r = measure_tmux(contest, &tmux[i]);
		if (!r)
			r = measure_ours(contest, &ours[i]);
	}
	if (r)
		return r;
	b = median(bare);
	t = median(tmux);
	o = median(ours);
	goal = t.mb_s * 1.5 < b.mb_s ? t.mb_s * 1.5 : b.mb_s;
	printf("%-8s %4ux%-3u %8.1f %8.1f %8.1f %8.2f %8.2f    %8.1f %8.1f %8.1f %8.2f\n", name, contest->cols,
		contest->rows, b.mb_s, t.mb_s, o.mb_s, o.mb_s / t.mb_s, o.mb_s / goal, b.mb_cpu_s, t.mb_cpu_s, o.mb_cpu_s,
		o.mb_cpu_s / t.mb_cpu_s);
	fflush(stdout);
	return 0;
}

/* The kernel ends lines with CR LF by itself. */
static int write_stream(struct contest *contest, const struct stream *stream)
{
	_cleanup_(buf_deinit) struct buf data = BUF_NULL;
	char *text;
	size_t len = 0;

	stream->make(&data, contest->cols, contest->rows, STREAM_BYTES);
	text = (char *)data.data;
	for (size_t i = 0; i < data.len; i++)
		if (text[i] != '\r' || i + 1 == data.len || text[i + 1] != '\n')
			text[len++] = text[i];
	return io_replace_file(contest->stream, text, len, 0600);
}

static int contest_init(struct contest *contest)
{
	const char *tmp = getenv("TMPDIR"), *stage = getenv("MAESTRO_STAGE");
	char libexec[512];
	ssize_t n = readlink("/proc/self/exe", contest->self, sizeof(contest->self) - 1);

	*contest = (struct contest){ .result_fd = -1 };
	n = readlink("/proc/self/exe", contest->self, sizeof(contest->self) - 1);
	snprintf(contest->dir, sizeof(contest->dir), "%s/maestro-terminal-XXXXXX", tmp ? tmp : "/tmp");
	if (n < 0 || !mkdtemp(contest->dir))
		return -errno;
	snprintf(contest->stream, sizeof(contest->stream), "%s/stream", contest->dir);
	snprintf(contest->result, sizeof(contest->result), "%s/result", contest->dir);
	snprintf(libexec, sizeof(libexec), "%s/libexec/maestro", stage ? stage : "");
	if (stage && !getenv("MAESTRO_LIBEXEC"))
		setenv("MAESTRO_LIBEXEC", libexec, 1);
	unsetenv("TMUX");
	if (mkfifo(contest->result, 0600) < 0)
		return -errno;
	contest->result_fd = open(contest->result, O_RDWR | O_CLOEXEC);
	return contest->result_fd < 0 ? -errno : 0;
}

static int measure_sizes(struct contest *contest, const char *name)
{
	static const unsigned int sizes[][2] = { { 80, 24 }, { 200, 50 } };
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(sizes); i++) {
		contest->cols = sizes[i][0];
		contest->rows = sizes[i][1];
		for (size_t j = 0; !r && j < STREAM_COUNT; j++) {
			if (name && strcmp(streams[j].name, name) != 0)
				continue;
			r = write_stream(contest, &streams[j]);
			if (!r)
				r = measure_stream(contest, streams[j].name);
		}
	}
	return r;
}

int terminal_measure(const char *name)
{
	struct contest contest;
	int r;

	r = contest_init(&contest);
	printf("\nThrough a terminal, median of %u; goal: 1.5 times tmux or the bare PTY, whichever is lower\n", ROUNDS);
	printf("%-17s %8s %8s %8s %8s %8s    %s\n", "MB/s", "bare", "tmux", "ours", "of tmux", "of goal",
		"MB for a second of the terminal's own CPU: bare, tmux, ours, ratio");
	if (!r)
		r = measure_sizes(&contest, name);
	if (r)
		fprintf(stderr, "the terminals cannot be measured: %s\n", strerror(r < 0 ? -r : EIO));
	(void)io_remove_tree(contest.dir);
	return r ? 1 : 0;
}
