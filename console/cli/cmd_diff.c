#include "console/cli/command.h"
#include "console/cli/print.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
	struct cli_common common;
	bool stat;
};

static const struct option_spec specs[] = {
	{ .name = "stat", .type = OPTION_FLAG, .offset = offsetof(struct values, stat), .help = "only how much, by file" },
	CLI_COMMON_OPTIONS,
};

static enum colour colour_of_line(const char *line, size_t len)
{
	if (len >= 2 && line[0] == '@' && line[1] == '@')
		return COLOUR_CYAN;
	if (len >= 4 && (strncmp(line, "+++ ", 4) == 0 || strncmp(line, "--- ", 4) == 0 || strncmp(line, "diff", 4) == 0))
		return COLOUR_BOLD;
	if (len && line[0] == '+')
		return COLOUR_GREEN;
	return len && line[0] == '-' ? COLOUR_RED : COLOUR_NONE;
}

/* To a terminal: what the file holds must not act on it, but a tab stays one. Elsewhere the true bytes: a patch that
 * was changed does not apply. */
static int print_line(const struct cli *cli, const char *line, size_t len)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	enum colour colour = colour_of_line(line, len);
	int r = 0;

	if (!cli->terminal)
		return fwrite(line, 1, len, stdout) == len && putchar('\n') != EOF ? 0 : -EIO;
	for (size_t i = 0; !r && i < len;) {
		size_t n = 0;

		while (i + n < len && line[i + n] != '\t')
			n++;
		r = str_escape(&out, line + i, n);
		i += n;
		if (!r && i < len) {
			r = buf_append_byte(&out, '\t');
			i++;
		}
	}
	if (!r)
		printf("%s%s%s\n", colour_begin(cli->colours, colour), buf_text(&out), colour_end(cli->colours, colour));
	return r;
}

static int print_patch(const struct cli *cli, const Maestro__GitDiffFile *file)
{
	const char *text = (const char *)file->patch.data;
	size_t len = file->has_patch ? file->patch.len : 0;
	int r = 0;

	while (!r && len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		r = print_line(cli, text, n);
		text += n + (end != NULL);
		len -= n + (end != NULL);
	}
	return r;
}

static int print_stat(const struct cli *cli, const Maestro__GitDiffed *diff)
{
	size_t width = 0;

	for (size_t i = 0; i < diff->n_files; i++) {
		_cleanup_free_ char *path = print_clean(diff->files[i]->path.data, diff->files[i]->path.len);

		if (!path)
			return -ENOMEM;
		width = print_columns(path) > width ? print_columns(path) : width;
	}
	for (size_t i = 0; i < diff->n_files; i++) {
		const Maestro__GitDiffFile *file = diff->files[i];
		_cleanup_free_ char *path = print_clean(file->path.data, file->path.len);

		if (!path)
			return -ENOMEM;
		printf(" %s%*s | ", path, (int)(width - print_columns(path)), "");
		if (file->binary)
			puts("binary");
		else
			printf("%s+%u%s %s-%u%s%s\n", colour_begin(cli->colours, COLOUR_GREEN), file->added,
				colour_end(cli->colours, COLOUR_GREEN), colour_begin(cli->colours, COLOUR_RED), file->removed,
				colour_end(cli->colours, COLOUR_RED),
				file->status == MAESTRO__GIT_FILE_STATUS__FILE_MODIFIED ? "" :
				file->status == MAESTRO__GIT_FILE_STATUS__FILE_ADDED ? " (new)" :
				file->status == MAESTRO__GIT_FILE_STATUS__FILE_DELETED ? " (deleted)" : " (renamed or changed type)");
	}
	printf(" %zu file%s changed, %u lines added, %u removed\n", diff->n_files, diff->n_files == 1 ? "" : "s", diff->added,
		diff->removed);
	return 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__DiffTask ask = MAESTRO__DIFF_TASK__INIT;
	const Maestro__GitDiffed *diff;
	int r;

	r = cli_parse_task(operands[0], &ask.task, error);
	if (r)
		return r;
	ask.has_stat_only = true;
	ask.stat_only = values->stat || cli->json;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_DIFF_TASK, &ask, MAESTRO__ENVELOPE__BODY_DIFF, CLIENT_DEADLINE_GIT_MS,
		&reply, error);
	if (r)
		return r;
	diff = client_reply_of(&reply)->diff;
	if (cli->json)
		return cli_print_json(json_of_diff(diff));
	if (values->stat)
		return print_stat(cli, diff);
	for (size_t i = 0; !r && i < diff->n_files; i++)
		r = print_patch(cli, diff->files[i]);
	fflush(stdout);
	if (!r && diff->truncated)
		fputs("maestro: the diff is too large: the rest was left out ('--stat' counts all of it)\n", stderr);
	return r;
}

const struct command command_diff = {
	.name = "diff",
	.group = GROUP_REVIEW,
	.brief = "what a task's branch changes",
	.table = { "maestro diff", "TASK [--stat]", "Shows what the task's branch changes against its base.", specs,
		ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
