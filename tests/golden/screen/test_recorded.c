/* Recorded streams of real programs against tmux's picture of the same bytes. argv: the .bin files. */
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "worker/screen/emulator.h"

#define FILE_BYTES_MAX (1U << 20)

/* Takes the blanks before each newline, and newlines at the end, away. */
static size_t trim(char *text, size_t len)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++) {
		while (text[i] == '\n' && to && text[to - 1] == ' ')
			to--;
		text[to++] = text[i];
	}
	while (to && (text[to - 1] == '\n' || text[to - 1] == ' '))
		to--;
	text[to] = 0;
	return to;
}

struct session {
	struct emulator *emulator;
	struct screen sent, shown;
};

static int send(struct session *session, uint64_t frame)
{
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	struct screen next = SCREEN_NULL;
	int r;

	r = screen_copy(&next, emulator_screen(session->emulator));
	next.frame = frame;
	if (r == 0)
		r = screen_encode(&session->sent, &next, &update, NULL);
	if (r == 0)
		r = screen_apply(&session->shown, update.data, update.len);
	screen_deinit(&session->sent);
	session->sent = next;
	return r;
}

/* Plays the stream in pieces and sends a frame after each. */
static int play(struct session *session, const char *data, size_t len, size_t piece, struct buf *ret_text)
{
	uint64_t frame = 0;
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i += piece) {
		emulator_write(session->emulator, data + i, len - i < piece ? len - i : piece);
		r = send(session, ++frame);
	}
	if (r == 0 && !screen_equal(&session->shown, emulator_screen(session->emulator)))
		r = -EBADMSG;
	return r ? r : screen_text(&session->shown, ret_text);
}

static int compare(const char *path, const char *data, size_t len, const char *expected, unsigned int cols,
	unsigned int rows, size_t piece)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	struct session session = { .sent = SCREEN_NULL, .shown = SCREEN_NULL };
	int r;

	r = emulator_new(&session.emulator, cols, rows, 100000);
	if (r < 0)
		return r;
	r = play(&session, data, len, piece, &text);
	emulator_free(session.emulator);
	screen_deinit(&session.sent);
	screen_deinit(&session.shown);
	if (r == 0 && text.data)
		text.len = trim((char *)text.data, text.len);
	if (r == 0 && !strcmp(buf_text(&text), expected))
		return 0;
	printf("%s in pieces of %zu: %s\n--- is\n%s\n--- should be\n%s\n", path, piece, r ? "broken" : "differs",
		buf_text(&text), expected);
	return 1;
}

static int check_file(const char *path)
{
	static const size_t pieces[] = { 1U << 20, 4096, 97, 1 };
	_cleanup_free_ char *data = NULL, *expected = NULL, *other = strdup(path);
	const char *name = strrchr(path, '/');
	unsigned int cols, rows;
	size_t len, expected_len;
	int failed = 0;

	if (!other || !str_ends(path, ".bin") || sscanf(strchr(name ? name : path, '.'), ".%ux%u", &cols, &rows) != 2)
		return 1;
	strcpy(other + strlen(other) - 3, "txt");
	if (io_read_file(path, FILE_BYTES_MAX, &data, &len) || io_read_file(other, FILE_BYTES_MAX, &expected, &expected_len)) {
		printf("%s: cannot be read\n", path);
		return 1;
	}
	trim(expected, expected_len);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		failed |= compare(path, data, len, expected, cols, rows, pieces[i]);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = argc < 2;

	for (int i = 1; i < argc; i++)
		failed |= check_file(argv[i]);
	return failed;
}
