#include "console/cli/command.h"
#include "proto/base/str.h"

#include <stdio.h>
#include <string.h>

static const char *const group_titles[GROUP_COUNT] = {
	[GROUP_START] = "begin and end",
	[GROUP_TASKS] = "work with tasks",
	[GROUP_SESSIONS] = "look into a session",
	[GROUP_REVIEW] = "review what came back",
	[GROUP_FLEET] = "projects and workers",
	[GROUP_ADMIN] = "people, keys and trouble",
};

struct global {
	struct cli_common common;
};

static const struct option_spec global_specs[] = { CLI_COMMON_OPTIONS };
static const struct option_table global_table = {
	.program = "maestro",
	.usage = "[--coordinator ADDRESS] COMMAND [OPTION]... [OPERAND]...",
	.summary = "Runs many AI coding sessions at once, and lets you watch, answer and review them.",
	.specs = global_specs,
	.count = ARRAY_SIZE(global_specs),
};

/* Whether `name` ("project add") is what the words begin with; returns how many words, 0: it is not. */
static int match(const char *name, const char *const *words, int count)
{
	int used = 0;

	while (*name) {
		size_t len = strcspn(name, " ");

		if (used == count || strlen(words[used]) != len || strncmp(words[used], name, len) != 0)
			return 0;
		used++;
		name += len + (name[len] == ' ');
	}
	return used;
}

const struct command *command_find(const char *const *words, int count, int *ret_words)
{
	for (size_t i = 0; i < commands_count; i++) {
		int used = match(commands[i]->name, words, count);

		if (used) {
			*ret_words = used;
			return commands[i];
		}
	}
	return NULL;
}

/* What may follow "project". */
static int unknown_second(const char *const *words, int count, struct error *error)
{
	_cleanup_(buf_deinit) struct buf all = BUF_NULL;
	const char *seconds[16];
	size_t n = 0, len = strlen(words[0]);

	for (size_t i = 0; i < commands_count && n < ARRAY_SIZE(seconds); i++)
		if (strncmp(commands[i]->name, words[0], len) == 0 && commands[i]->name[len] == ' ')
			seconds[n++] = commands[i]->name + len + 1;
	for (size_t i = 0; i < n; i++)
		buf_printf(&all, "%s%s", i ? ", " : "", seconds[i]);
	if (!n)
		return 0;
	if (count < 2 || words[1][0] == '-')
		return error_set(error, CLIENT_E_USAGE, "%s: needs one of: %s", words[0], buf_text(&all));
	error_set(error, CLIENT_E_USAGE, "'%s' is no command of '%s': %s", words[1], words[0], buf_text(&all));
	if (str_nearest(words[1], seconds, n))
		error_hint(error, "did you mean '%s %s'?", words[0], str_nearest(words[1], seconds, n));
	return CLIENT_E_USAGE;
}

int command_unknown(const char *const *words, int count, struct error *error)
{
	const char *names[96];
	char firsts[96][24];
	size_t n = 0;

	if (unknown_second(words, count, error))
		return CLIENT_E_USAGE;
	for (size_t i = 0; i < commands_count && n < ARRAY_SIZE(names); i++) {
		snprintf(firsts[n], sizeof(firsts[n]), "%.*s", (int)strcspn(commands[i]->name, " "), commands[i]->name);
		names[n] = firsts[n];
		n++;
	}
	error_set(error, CLIENT_E_USAGE, "'%s' is no command", words[0]);
	if (str_nearest(words[0], names, n))
		error_hint(error, "did you mean '%s'? See 'maestro --help'", str_nearest(words[0], names, n));
	else
		error_hint(error, "'maestro --help' lists them");
	return CLIENT_E_USAGE;
}

static int check_operands(const struct command *command, int count, char **operands, struct error *error)
{
	if (count < command->operands_min)
		error_set(error, CLIENT_E_USAGE, "%s: something is missing", command->name);
	else if (command->operands_max >= 0 && count > command->operands_max)
		error_set(error, CLIENT_E_USAGE, "%s: '%s' is one too many (quote what belongs together)", command->name,
			operands[command->operands_max]);
	else
		return 0;
	error_hint(error, "usage: %s %s", command->table.program, command->table.usage);
	return CLIENT_E_USAGE;
}

int command_run(const struct command *command, struct cli *cli, int argc, char **argv, struct error *error)
{
	_cleanup_free_ void *values = calloc(1, command->values_size);
	const struct cli_common *common = values;
	char **operands;
	int count, r;

	if (!values)
		return -ENOMEM;
	r = option_set_defaults(&command->table, values);
	if (!r)
		r = option_parse(&command->table, values, argc, argv, false, &operands, &count, error);
	if (r == OPTION_E_HELP || r == OPTION_E_VERSION) {
		option_values_deinit(&command->table, values);
		return 0;
	}
	if (r > 0) {
		error_prefix(error, "%s", command->name);
		r = CLIENT_E_USAGE;
	}
	if (!r)
		r = check_operands(command, count, operands, error);
	if (!r) {
		cli->json |= common->json;
		if (common->coordinator)
			cli->coordinator = common->coordinator;
		r = command->run(cli, values, count, operands, error);
	}
	option_values_deinit(&command->table, values);
	return r;
}

void command_print_overview(FILE *out)
{
	fprintf(out, "Usage: maestro COMMAND [OPTION]... [OPERAND]...\n\n%s\n", global_table.summary);
	for (int group = 0; group < GROUP_COUNT; group++) {
		fprintf(out, "\n%s\n", group_titles[group]);
		for (size_t i = 0; i < commands_count; i++)
			if (commands[i]->group == (enum command_group)group)
				fprintf(out, "   %-16s %s\n", commands[i]->name, commands[i]->brief);
	}
	fputs("\n'maestro help COMMAND' or 'maestro COMMAND --help' tells more of one. Every command that prints takes\n"
	      "--json. --coordinator ADDRESS (or MAESTRO_COORDINATOR) names another coordinator than this machine's.\n"
	      "Exit status: 0 well, 1 it failed, 2 usage, 3 no coordinator reached, 4 no such thing, 5 not allowed.\n", out);
}

/* `maestro project --help`: what may follow. False if nothing begins with this word and goes on. */
static bool print_family(const char *word)
{
	size_t len = strlen(word), found = 0;

	for (size_t i = 0; i < commands_count; i++) {
		if (strncmp(commands[i]->name, word, len) != 0 || commands[i]->name[len] != ' ')
			continue;
		if (!found++)
			printf("Usage: maestro %s COMMAND [OPTION]... [OPERAND]...\n\n", word);
		printf("   %-16s %s\n", commands[i]->name, commands[i]->brief);
	}
	return found > 0;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int print_help(const char *const *words, int count, struct error *error)
{
	const struct command *command;
	int used;

	if (!count) {
		command_print_overview(stdout);
		return 0;
	}
	command = command_find(words, count, &used);
	if (command) {
		option_print_help(&command->table, stdout);
		return 0;
	}
	if (count == 1 && print_family(words[0]))
		return 0;
	return command_unknown(words, count, error);
}

/* Options of `maestro` itself, which no table of options knows. */
static bool run_special(int argc, char **argv)
{
	static const struct {
		const char *word;
		void (*run)(FILE *out);
	} table[] = {
		{ "--help", command_print_overview },
		{ "-h", command_print_overview },
		{ "--dump-bash", command_dump_bash },
		{ "--dump-zsh", command_dump_zsh },
		{ "--dump-man", command_dump_man },
	};

	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(table); i++) {
		if (strcmp(argv[1], table[i].word) == 0) {
			table[i].run(stdout);
			return true;
		}
	}
	return false;
}

static int run_words(struct cli *cli, int count, char **words, struct error *error)
{
	const struct command *command;
	int used = 0;

	if (!count) {
		command_print_overview(stderr);
		return CLIENT_E_USAGE;
	}
	if (strcmp(words[0], "help") == 0)
		return print_help((const char *const *)words + 1, count - 1, error);
	command = command_find((const char *const *)words, count, &used);
	if (!command && count == 2 && is_help(words[1]) && print_family(words[0]))
		return 0;
	if (!command)
		return command_unknown((const char *const *)words, count, error);
	return command_run(command, cli, count - used + 1, words + used - 1, error);
}

static int run_all(struct cli *cli, struct global *global, int argc, char **argv, struct error *error)
{
	char **words;
	int count, r;

	r = option_parse(&global_table, global, argc, argv, true, &words, &count, error);
	if (r == OPTION_E_HELP || r == OPTION_E_VERSION)
		return 0;
	if (r)
		return r > 0 ? CLIENT_E_USAGE : r;
	/* with stop_at_operand the words begin where the options end */
	cli->json = global->common.json;
	cli->coordinator = global->common.coordinator;
	return run_words(cli, count, words, error);
}

/* Foreign words may be among it. Lines after the first are indented, so that none looks like one of ours. */
static void put_lines(struct buf *out, const char *text)
{
	for (bool first = true; *text; first = false) {
		size_t len = strcspn(text, "\n");

		if (!first && len && *text != ' ')
			buf_append_str(out, "    ");
		str_clean(out, text, len);
		buf_append_byte(out, '\n');
		text += len + (text[len] == '\n');
	}
}

static void print_error(const struct cli *cli, const struct error *error, int r)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	buf_append_str(&out, "maestro: ");
	put_lines(&out, error_text(error, r));
	if (error->hint)
		put_lines(&out, error->hint);
	fflush(stdout);
	fputs(buf_text(&out), stderr);
}

int command_main(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct global global = { .common = { NULL, false } };
	struct cli cli;
	int r;

	if (run_special(argc, argv))
		return 0;
	r = cli_init(&cli, &error);
	if (!r)
		r = run_all(&cli, &global, argc, argv, &error);
	if (r && (error.why || r < 0))
		print_error(&cli, &error, r);
	if (fflush(stdout) && !r)
		r = CLIENT_E_FAILED;
	cli_deinit(&cli);
	option_values_deinit(&global_table, &global);
	return client_exit_status(r);
}
