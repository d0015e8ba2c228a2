/* Key to glyph: runs a command on a pseudo terminal, types letters into it, and measures until each is drawn.
 * Usage: keys COUNT COMMAND…; prints "p50 p99" in microseconds. The command must show a line that echoes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 20000
/* Letters that end no escape sequence of a renderer, so one that comes back is a glyph. */
static const char letters[] = "aefgijnopvwxyz";

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Reads until the text was seen, or nothing came for so long. */
static int read_until(int fd, const char *wanted, int quiet_ms)
{
	static char seen[1 << 16];
	size_t len = 0;

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&poll_fd, 1, quiet_ms) <= 0)
			return wanted ? -1 : 0;
		if (len > sizeof(seen) / 2)
			len = 0;
		n = read(fd, seen + len, sizeof(seen) - len - 1);
		if (n <= 0)
			return -1;
		len += (size_t)n;
		seen[len] = '\0';
		if (wanted && memmem(seen, len, wanted, strlen(wanted)))
			return 0;
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int measure(int fd, size_t count, uint64_t *times)
{
	for (size_t i = 0; i < count; i++) {
		char key[2] = { letters[i % (sizeof(letters) - 1)], 0 };
		uint64_t begin;

		if (i % (sizeof(letters) - 1) == 0) { /* a new line: no letter is on it yet */
			if (write(fd, "\r", 1) != 1)
				return -1;
			read_until(fd, NULL, 100);
		}
		begin = now_us();
		if (write(fd, key, 1) != 1 || read_until(fd, key, DEADLINE_MS))
			return -1;
		times[i] = now_us() - begin;
		read_until(fd, NULL, 5); /* what is left of that picture */
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	size_t count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	uint64_t *times;
	int fd, r;
	pid_t pid;

	if (!count) {
		fprintf(stderr, "usage: keys COUNT COMMAND...\n");
		return 2;
	}
	times = calloc(count, sizeof(*times));
	pid = forkpty(&fd, NULL, NULL, &size);
	if (!pid) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	r = times && pid > 0 && read_until(fd, "ready", DEADLINE_MS) == 0 ? 0 : -1;
	if (!r) {
		read_until(fd, NULL, 500);
		r = measure(fd, count, times);
	}
	close(fd);
	waitpid(pid, NULL, 0);
	if (r) {
		fprintf(stderr, "keys: nothing was drawn\n");
		return 1;
	}
	qsort(times, count, sizeof(*times), compare);
	printf("%llu %llu\n", (unsigned long long)times[count / 2], (unsigned long long)times[count * 99 / 100]);
	free(times);
	return 0;
}
