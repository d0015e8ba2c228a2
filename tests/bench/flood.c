/* Output of a kind, without end. Usage: flood storm | noise
 * storm: an AI CLI at work: the whole screen painted again, 600 kB/s of it, though all that is new is a spinner, a clock,
 * a counter, and now and then a line. noise: another 24-bit colour for each cell, as fast as it is taken. */
#include <stdio.h>
#include <string.h>
#include <stdint.h>
#include <time.h>

#define COLS 80u
#define ROWS 24u
#define STORM_BYTES_A_SECOND 600000u
#define LINE_EVERY_S 0.5

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t paint_storm(char *out, size_t size, unsigned int frame, double age_s)
{
	static const char *const spinner[] = { "|", "/", "-", "\\" };
	unsigned int first = (unsigned int)(age_s / LINE_EVERY_S);
	size_t len = (size_t)snprintf(out, size, "\033[?25l\033[H");

	for (unsigned int row = 0; row < ROWS - 2; row++)
		len += (size_t)snprintf(out + len, size - len, "\033[2K\033[%um%4u\033[0m  \033[1mstep\033[0m %u: reads, thinks, "
			"edits and runs the tests of part %u\r\n", 31 + (first + row) % 6, first + row, first + row, (first + row) % 17);
	len += (size_t)snprintf(out + len, size - len, "\033[2K\r\n\033[2K\033[35m%s\033[0m working  %.1f s  %u tokens",
		spinner[frame / 30 % 4], age_s, frame / 10);
	return len;
}

static int storm(void)
{
	static char out[16384];
	double begin = now_s(), sent = 0;

	for (unsigned int frame = 0;; frame++) {
		size_t len = paint_storm(out, sizeof(out), frame, now_s() - begin);
		double ahead = sent / STORM_BYTES_A_SECOND - (now_s() - begin);

		if (ahead > 0) {
			struct timespec pause = { .tv_nsec = (long)(ahead * 1e9) };

			nanosleep(&pause, NULL);
		}
		if (fwrite(out, 1, len, stdout) != len || fflush(stdout))
			return 1;
		sent += (double)len;
	}
}

static int noise(void)
{
	uint32_t seed = 1;

	for (;;) {
		fputs("\033[H", stdout);
		for (unsigned int i = 0; i < COLS * ROWS; i++) {
			seed = seed * 1664525u + 1013904223u;
			if (printf("\033[48;2;%u;%u;%um ", seed >> 24, seed >> 16 & 255, seed >> 8 & 255) < 0)
				return 1;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "storm"))
		return storm();
	if (argc == 2 && !strcmp(argv[1], "noise"))
		return noise();
	fprintf(stderr, "usage: flood storm | noise\n");
	return 2;
}
