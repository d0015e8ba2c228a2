#include "console/cli/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "console/cli/paint.h"
#include "proto/base/io.h"

/* The terminal as it was found. Global, because a crash must find it too. */
static struct termios saved;
static volatile sig_atomic_t taken, coloured_cursor;

void terminal_give_back(void)
{
	const char *end = paint_end_sequence();

	if (!taken)
		return;
	taken = 0;
	if ((coloured_cursor && write(STDOUT_FILENO, PAINT_CURSOR_PLAIN, sizeof(PAINT_CURSOR_PLAIN) - 1) < 0) ||
		write(STDOUT_FILENO, end, strlen(end)) < 0) {
		/* the terminal is gone, so there is nothing to give back */
	}
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

void terminal_note_coloured_cursor(void)
{
	coloured_cursor = 1;
}

static void on_crash(int signal_number)
{
	terminal_give_back();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

int terminal_take(struct error *error)
{
	static const int crashes[] = { SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE };
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return error_set(error, -errno, "the terminal: %m");
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		signal(crashes[i], on_crash);
	atexit(terminal_give_back);
	taken = 1;
	raw = saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
		return error_set(error, -errno, "the terminal: %m");
	if (paint_begin(&out))
		return -ENOMEM;
	return io_write_all(STDOUT_FILENO, out.data, out.len);
}

void terminal_size(unsigned int *ret_cols, unsigned int *ret_rows)
{
	struct winsize size;

	*ret_cols = 80;
	*ret_rows = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		*ret_cols = size.ws_col;
		*ret_rows = size.ws_row;
	}
}

int terminal_watch(sd_event *event, sd_event_signal_handler_t on_signal, sd_event_io_handler_t on_input, void *userdata)
{
	static const int signals[] = { SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t mask;
	int r = 0;

	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i]);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++)
		r = sd_event_add_signal(event, NULL, signals[i], on_signal, userdata);
	if (r >= 0)
		r = sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_input, userdata);
	return r < 0 ? r : 0;
}
