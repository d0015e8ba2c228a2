#include "worker/service/config.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include "proto/base/io.h"
#include "proto/wire/limit.h"
#include "proto/wire/names.h"

#define AT(field) offsetof(struct config, field)

static const struct option_spec specs[] = {
	{ .name = "name", .short_name = 'n', .type = OPTION_STRING, .offset = AT(name), .arg = "NAME",
		.help = "name of this worker (default: the host's name)" },
	{ .name = "slots", .type = OPTION_NUMBER, .offset = AT(slots), .arg = "N", .max = 1024, .in_file = true,
		.help = "sessions at a time (default: one a core, two at least)" },
	{ .name = "label", .short_name = 'l', .type = OPTION_LIST, .offset = AT(labels), .arg = "KEY=VALUE", .in_file = true,
		.help = "a label that tasks can ask for; may be repeated" },
	{ .name = "projects", .type = OPTION_LIST, .offset = AT(projects), .arg = "NAME", .in_file = true,
		.help = "projects that may be worked on here (default: all)" },
	{ .name = "agents", .type = OPTION_LIST, .offset = AT(agents), .arg = "NAME", .in_file = true,
		.help = "agents that may run here (default: all that are installed)" },
	{ .name = "logged-in", .type = OPTION_LIST, .offset = AT(logged_in), .arg = "NAME", .in_file = true,
		.help = "agents that are logged in although their login command says no (a model provider of your own)" },
	{ .name = "may-merge", .type = OPTION_FLAG, .offset = AT(may_merge), .initial = "true", .in_file = true,
		.help = "whether this worker merges branches into a project's base" },
	{ .name = "ssh-key", .type = OPTION_STRING, .offset = AT(ssh_key), .arg = "FILE", .in_file = true,
		.help = "private key for fetching and pushing (default: ssh_key in the worker's state directory, if there)" },
	{ .name = "merge-key", .type = OPTION_STRING, .offset = AT(merge_key), .arg = "FILE", .in_file = true,
		.help = "private key for merging (default: merge_key in the worker's state directory, else the ssh-key)" },
	{ .name = "known-hosts", .type = OPTION_STRING, .offset = AT(known_hosts), .arg = "FILE", .in_file = true,
		.help = "host keys to trust (default: known_hosts in the worker's state directory, else ~/.ssh/known_hosts)" },
	{ .name = "git-jobs", .type = OPTION_NUMBER, .offset = AT(git_jobs), .arg = "N", .initial = "4", .min = 1,
		.max = 64, .in_file = true, .help = "repository jobs at a time" },
	{ .name = "keep-output", .type = OPTION_DURATION, .offset = AT(keep_output_ms), .arg = "TIME", .initial = "7d",
		.in_file = true, .help = "how long the output of a session is kept after its task was merged or removed" },
	{ .name = "log-level", .type = OPTION_STRING, .offset = AT(log_level), .arg = "LEVEL", .initial = "info",
		.in_file = true, .help = "error, warning, info or debug" },
	{ .name = "system", .type = OPTION_FLAG, .offset = AT(system),
		.help = "use /etc/maestro, /var/lib/maestro and /run/maestro" },
	{ .name = "accept-epoch", .type = OPTION_FLAG, .offset = AT(accept_epoch),
		.help = "obey a coordinator that was restored from an older backup before its admin has answered for it" },
	{ .name = "ready-fd", .type = OPTION_NUMBER, .offset = AT(ready_fd), .arg = "N", .max = 65535,
		.help = "write a line to this descriptor once the coordinator has taken this worker in" },
};

static const struct option_table table = {
	.program = "maestro-worker run",
	.usage = "[OPTION]...",
	.summary = "Runs sessions for a coordinator that this machine has joined (maestro-worker join).",
	.specs = specs,
	.count = ARRAY_SIZE(specs),
};

char *config_host_name(void)
{
	char host[256] = "", name[LIMIT_NAME_CHARS + 1];
	size_t len = 0;

	gethostname(host, sizeof(host) - 1);
	for (const char *p = host; *p && *p != '.' && len < LIMIT_NAME_CHARS; p++) {
		char c = (char)tolower((unsigned char)*p);

		if (isalnum((unsigned char)c) || (len && (c == '-' || c == '_')))
			name[len++] = c;
	}
	name[len] = 0;
	return strdup(name_valid(name) ? name : "worker");
}

static int check_name(struct config *config, struct error *error)
{
	if (!config->name)
		config->name = config_host_name();
	if (!config->name)
		return -ENOMEM;
	if (name_valid(config->name))
		return 0;
	error_set(error, 0, "'%s' is no name for a worker", config->name);
	error_hint(error, "use lower-case letters, digits, '.', '_' and '-', 64 at most, beginning with a letter or digit");
	return OPTION_E_USAGE;
}

static int check_labels(const struct config *config, struct error *error)
{
	int r = 0;

	if (config->labels.count > LIMIT_LABELS)
		return error_set(error, OPTION_E_USAGE, "more than %u labels", LIMIT_LABELS);
	for (size_t i = 0; !r && i < config->labels.count; i++) {
		_cleanup_free_ char *key = NULL, *value = NULL;

		r = name_parse_label(config->labels.items[i], &key, &value, error);
	}
	return r == -EINVAL ? OPTION_E_USAGE : r;
}

/* The name tells which directory the second file is in, so the command line is read twice: for it, and for good. */
static int find_state(struct config *config, int argc, char **argv, struct error *error)
{
	struct config first = { .name = NULL };
	char **operands;
	int count, r;

	r = option_set_defaults(&table, &first);
	if (!r)
		r = option_parse(&table, &first, argc, argv, false, &operands, &count, error);
	if (!r && count)
		r = error_set(error, OPTION_E_USAGE, "'%s' is one operand too many", operands[0]);
	if (!r)
		r = check_name(&first, error);
	if (!r)
		r = paths_init(&config->paths, first.system, error);
	if (!r) {
		config->state = paths_worker_state(&config->paths, first.name);
		r = config->state ? 0 : -ENOMEM;
	}
	option_values_deinit(&table, &first);
	return r;
}

static int read_file(struct config *config, const char *dir, struct error *error)
{
	_cleanup_free_ char *path = io_join(dir, "worker.conf");

	return path ? option_read_file(&table, config, path, false, error) : -ENOMEM;
}

/* KEY stays NULL if neither the option nor the file is there. */
static int default_file(const struct config *config, char **path, const char *name)
{
	_cleanup_free_ char *file = NULL;

	if (*path)
		return 0;
	file = io_join(config->state, name);
	if (!file)
		return -ENOMEM;
	if (access(file, F_OK) == 0)
		*path = take(file);
	return 0;
}

int config_load(struct config *config, int argc, char **argv, struct error *error)
{
	char **operands;
	int count, r;

	*config = (struct config){ .name = NULL };
	r = find_state(config, argc, argv, error);
	if (!r)
		r = option_set_defaults(&table, config);
	if (!r)
		r = read_file(config, config->paths.config, error);
	if (!r)
		r = read_file(config, config->state, error);
	if (!r)
		r = option_parse(&table, config, argc, argv, false, &operands, &count, error);
	if (!r)
		r = check_name(config, error);
	if (!r)
		r = check_labels(config, error);
	if (!r)
		r = default_file(config, &config->ssh_key, "ssh_key");
	if (!r)
		r = default_file(config, &config->merge_key, "merge_key");
	if (!r)
		r = default_file(config, &config->known_hosts, "known_hosts");
	return r;
}

void config_deinit(struct config *config)
{
	option_values_deinit(&table, config);
	paths_deinit(&config->paths);
	free(config->state);
}
