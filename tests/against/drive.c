/* Runs in a terminal or is one. See README.md.
 *   against drive DIR COLSxROWS CHOICES PROGRAM...   the program in our emulator; what it writes, cut at its prompts
 *   against feed DIR tmux|xterm ROWS COLS            in another terminal: plays the pieces there, writes down the picture */
#include "tests/against/against.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "worker/screen/emulator.h"

#define QUIET_MS 20000

struct drive {
	int fd;
	struct emulator *emulator;
	struct buf piece; /* since the last prompt */
	const char *dir;
	unsigned int pieces;
};

/* xterm would grow to 132 columns where a session keeps the size that the person gave it: nobody is allowed to. */
static void forbid_columns(struct buf *piece)
{
	static const char allow[] = "\033[?40h";
	char *at = (char *)piece->data;

	while (at && (at = memmem(at, piece->len - (size_t)(at - (char *)piece->data), allow, sizeof(allow) - 1)))
		at[sizeof(allow) - 2] = 'l';
}

static int write_piece(struct drive *drive)
{
	char path[AGAINST_PATH_MAX];
	FILE *file;

	forbid_columns(&drive->piece);

	snprintf(path, sizeof(path), "%s/%03u.bin", drive->dir, drive->pieces++);
	file = fopen(path, "w");
	if (!file || fwrite(drive->piece.data, 1, drive->piece.len, file) != drive->piece.len || fclose(file))
		return -EIO;
	buf_clear(&drive->piece);
	return 0;
}

static int send_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Takes what the program wrote and answers what it asked. 0: it has ended. */
static int take_output(struct drive *drive)
{
	_cleanup_(buf_deinit) struct buf reply = BUF_NULL;
	char data[4096];
	ssize_t n;

	if (poll(&(struct pollfd){ .fd = drive->fd, .events = POLLIN }, 1, QUIET_MS) <= 0)
		return -ETIMEDOUT;
	n = read(drive->fd, data, sizeof(data));
	if (n <= 0)
		return 0;
	emulator_write(drive->emulator, data, (size_t)n);
	if (buf_append(&drive->piece, data, (size_t)n) < 0 || emulator_take_reply(drive->emulator, &reply) < 0)
		return -ENOMEM;
	return send_all(drive->fd, reply.data, reply.len) < 0 ? 0 : 1;
}

/* vttest says what it waits for, and then is silent. */
static const char *prompt_of(const struct buf *piece)
{
	static const char *const prompts[] = { "Push <RETURN>", "Finish this test with RETURN", "Push the RETURN key", "Enter choice number (",
		"Bad choice, try again: " };
	const char *text = buf_text(piece), *found;

	for (size_t i = 0; i < ARRAY_SIZE(prompts); i++) {
		size_t tail = piece->len > 60 ? piece->len - 60 : 0;

		found = memmem(text + tail, piece->len - tail, prompts[i], strlen(prompts[i]));
		if (found && (prompts[i][0] != 'E' || strstr(found, "): ")))
			return prompts[i];
	}
	return NULL;
}

/* RETURN where it is asked for, the next choice at each menu. */
static int answer(struct drive *drive, const char *prompt, const char **choices)
{
	size_t len = strcspn(*choices, " ");
	char text[16];
	bool newline = emulator_screen(drive->emulator)->modes & SCREEN_MODE_NEWLINE;

	if (strstr(prompt, "RETURN"))
		return send_all(drive->fd, "\r\n", newline ? 2 : 1);
	if (!len)
		return send_all(drive->fd, "0\r", 2);
	snprintf(text, sizeof(text), "%.*s\r", (int)len, *choices);
	*choices += len + ((*choices)[len] == ' ');
	return send_all(drive->fd, text, strlen(text));
}

static int run_drive(struct drive *drive, const char *choices)
{
	int r;

	while ((r = take_output(drive)) > 0) {
		const char *prompt = prompt_of(&drive->piece);

		if (!prompt)
			continue;
		if (write_piece(drive) < 0 || answer(drive, prompt, &choices) < 0)
			return -EIO;
	}
	if (r < 0)
		fprintf(stderr, "nothing for %d s after piece %u: %.*s\n", QUIET_MS / 1000, drive->pieces,
			(int)drive->piece.len, buf_text(&drive->piece));
	return r;
}

int against_drive(int argc, char **argv)
{
	struct drive drive = { .dir = argv[0] };
	struct winsize size = { 0 };
	int r, status = 0;
	pid_t pid;

	if (argc < 4 || sscanf(argv[1], "%hux%hu", &size.ws_col, &size.ws_row) != 2 ||
		emulator_new(&drive.emulator, size.ws_col, size.ws_row, 100000) < 0)
		return 2;
	pid = forkpty(&drive.fd, NULL, NULL, &size);
	if (pid == 0) {
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	r = pid < 0 ? -errno : run_drive(&drive, argv[2]);
	close(drive.fd);
	if (pid > 0)
		waitpid(pid, &status, 0);
	emulator_free(drive.emulator);
	buf_deinit(&drive.piece);
	return r < 0 || WEXITSTATUS(status) == 127 || drive.pieces == 0;
}

/* --- in another terminal -------------------------------------------------------------------------------------- */

/* Reads until `end` has come; what came before it is left in `text`, cut. 0: the terminal went away. */
static int read_until(const char *end, char *text, size_t size)
{
	size_t len = 0, end_len = strlen(end);
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		if (len + 1 == size) {
			memmove(text, text + size / 2, len - size / 2);
			len -= size / 2;
		}
		text[len++] = byte;
		text[len] = 0;
		if (len >= end_len && !memcmp(text + len - end_len, end, end_len)) {
			text[len - end_len] = 0;
			return 1;
		}
	}
	return 0;
}

/* The terminal has taken all when it answers; the size is asked for since no stream makes others answer like that. */
static int settle(const char *rows_cols)
{
	char text[65536], end[40];

	snprintf(end, sizeof(end), "\033[8;%st", rows_cols);
	return send_all(STDOUT_FILENO, "\033[18t", 5) < 0 ? 0 : read_until(end, text, sizeof(text));
}

/* The checksums of a row's cells, asked for all at once and answered in order. */
static bool sum_row(FILE *file, unsigned int y, unsigned int cols)
{
	_cleanup_(buf_deinit) struct buf ask = BUF_NULL;
	char text[4096];
	const char *sum;

	for (unsigned int x = 1; x <= cols; x++)
		buf_printf(&ask, "\033[7;1;%u;%u;%u;%u*y", y, x, y, x);
	if (send_all(STDOUT_FILENO, ask.data, ask.len) < 0)
		return false;
	for (unsigned int x = 0; x < cols; x++) {
		if (!read_until("\033\\", text, sizeof(text)))
			return false;
		sum = strstr(text, "!~");
		fprintf(file, "%s ", sum ? sum + 2 : "?");
	}
	return fputc('\n', file) != EOF;
}

/* Origin mode counts in the sides of a rectangle: it is put away. */
static int sum_cells(const char *path, unsigned int rows, unsigned int cols)
{
	FILE *file = fopen(path, "w");
	bool good = file && send_all(STDOUT_FILENO, "\0337\033[?6l", 7) == 0;

	for (unsigned int y = 1; y <= rows && good; y++)
		good = sum_row(file, y, cols);
	send_all(STDOUT_FILENO, "\0338", 2);
	return file && fclose(file) == 0 && good;
}

static int feed_piece(const char *dir, unsigned int number, const char *kind, unsigned int rows, unsigned int cols)
{
	char path[AGAINST_PATH_MAX], command[2 * AGAINST_PATH_MAX], size[24], data[65536];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%03u.bin", dir, number);
	/* tmux 3.3a answers the wrong way round. */
	snprintf(size, sizeof(size), "%u;%u", strcmp(kind, "tmux") ? rows : cols, strcmp(kind, "tmux") ? cols : rows);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while ((n = read(fd, data, sizeof(data))) > 0)
		if (send_all(STDOUT_FILENO, data, (size_t)n) < 0)
			break;
	close(fd);
	if (!settle(size))
		return -EPIPE;
	snprintf(path, sizeof(path), "%s/%03u.%s", dir, number, kind);
	if (!strcmp(kind, "xterm"))
		return sum_cells(path, rows, cols) ? 1 : -EPIPE;
	snprintf(command, sizeof(command), "tmux capture-pane -e -N -p > %s", path);
	return system(command) == 0 ? 1 : -EPIPE;
}

int against_feed(int argc, char **argv)
{
	struct termios raw;
	int r = 1;

	if (argc != 4 || tcgetattr(STDIN_FILENO, &raw) < 0)
		return 2;
	cfmakeraw(&raw);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	for (unsigned int i = 0; r > 0; i++)
		r = feed_piece(argv[0], i, argv[1], (unsigned int)atoi(argv[2]), (unsigned int)atoi(argv[3]));
	return r < 0;
}
