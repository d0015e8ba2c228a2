#include "console/tui/diff.h"
#include "proto/base/error.h"
#include "proto/wire/message.h"

#include <string.h>

static const char no_text[] = "(binary file)";
static const char no_patch[] = "(too long to show)";

char diff_letter(Maestro__GitFileStatus status)
{
	switch (status) {
	case MAESTRO__GIT_FILE_STATUS__FILE_ADDED:
		return 'A';
	case MAESTRO__GIT_FILE_STATUS__FILE_DELETED:
		return 'D';
	case MAESTRO__GIT_FILE_STATUS__FILE_RENAMED:
		return 'R';
	case MAESTRO__GIT_FILE_STATUS__FILE_TYPE_CHANGED:
		return 'T';
	default:
		return 'M';
	}
}

static enum theme_role role_of(const char *text, size_t len, bool in_hunk)
{
	if (len >= 2 && memcmp(text, "@@", 2) == 0)
		return THEME_HUNK;
	if (!in_hunk)
		return THEME_DIM;
	return len && *text == '+' ? THEME_ADDED : len && *text == '-' ? THEME_REMOVED : THEME_TEXT;
}

static size_t count_lines(const Maestro__GitDiffFile *file)
{
	size_t n = 4;

	for (size_t i = 0; file->has_patch && i < file->patch.len; i++)
		n += file->patch.data[i] == '\n';
	return n;
}

static void add_line(struct diff *diff, const char *text, size_t len, enum theme_role role, size_t file)
{
	diff->lines[diff->line_count++] = (struct diff_line){ text, len, role, file };
}

/* The patch's own head ("diff --git", "index", "---", "+++") says nothing that the file's line does not. */
static void add_patch(struct diff *diff, const Maestro__GitDiffFile *file, size_t index)
{
	const char *at = (const char *)file->patch.data, *end = at + file->patch.len;
	bool in_hunk = false;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = newline ? (size_t)(newline - at) : (size_t)(end - at);

		in_hunk |= len >= 2 && memcmp(at, "@@", 2) == 0;
		if (in_hunk)
			add_line(diff, at, len, role_of(at, len, true), index);
		at += newline ? len + 1 : len;
	}
}

static void add_file(struct diff *diff, size_t index)
{
	const Maestro__GitDiffFile *file = diff->message->files[index];

	if (index)
		add_line(diff, "", 0, THEME_TEXT, index);
	diff->file_line[index] = diff->line_count;
	add_line(diff, (const char *)file->path.data, file->path.len, THEME_STRONG, index);
	if (file->has_binary && file->binary)
		add_line(diff, no_text, sizeof(no_text) - 1, THEME_DIM, index);
	else if (!file->has_patch)
		add_line(diff, no_patch, sizeof(no_patch) - 1, THEME_DIM, index);
	else
		add_patch(diff, file, index);
}

int diff_init(struct diff *diff, const Maestro__GitDiffed *message)
{
	size_t lines = 1;

	*diff = DIFF_NULL;
	diff->message = message_copy(message);
	if (!diff->message)
		return -ENOMEM;
	for (size_t i = 0; i < message->n_files; i++)
		lines += count_lines(message->files[i]);
	diff->lines = calloc(lines, sizeof(*diff->lines));
	diff->file_line = calloc(message->n_files + 1, sizeof(*diff->file_line));
	if (!diff->lines || !diff->file_line) {
		diff_deinit(diff);
		return -ENOMEM;
	}
	for (size_t i = 0; i < message->n_files; i++)
		add_file(diff, i);
	return 0;
}

void diff_deinit(struct diff *diff)
{
	if (diff->message)
		protobuf_c_message_free_unpacked(&diff->message->base, NULL);
	free(diff->lines);
	free(diff->file_line);
	*diff = DIFF_NULL;
}
