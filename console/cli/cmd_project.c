#include "console/cli/command.h"
#include "console/cli/print.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct values {
	struct cli_common common;
	char *base, *agent;
};

static const struct option_spec add_specs[] = {
	{ .name = "base", .type = OPTION_STRING, .offset = offsetof(struct values, base), .arg = "BRANCH",
		.help = "the branch that tasks begin from and merge into; else the remote's own" },
	{ .name = "agent", .short_name = 'a', .type = OPTION_STRING, .offset = offsetof(struct values, agent),
		.arg = "AGENT", .help = "the agent of tasks that name none" },
	CLI_COMMON_OPTIONS,
};
static const struct option_spec plain_specs[] = { CLI_COMMON_OPTIONS };

static int check_name(const char *name, struct error *error)
{
	if (name_valid(name))
		return 0;
	error_set(error, CLIENT_E_USAGE, "'%s' is no name for a project", name);
	error_hint(error, "a name has 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit");
	return CLIENT_E_USAGE;
}

/* A worker stands elsewhere: a path must be whole. "host:path" and "scheme://…" are left alone. */
static int absolute_url(const char *url, char **ret_url)
{
	const char *colon = strchr(url, ':'), *slash = strchr(url, '/');
	char path[PATH_MAX];
	struct stat info;

	if (strstr(url, "://") || (colon && (!slash || colon < slash) && stat(url, &info) < 0)) {
		*ret_url = strdup(url);
		return *ret_url ? 0 : -ENOMEM;
	}
	if (realpath(url, path)) {
		*ret_url = strdup(path);
		return *ret_url ? 0 : -ENOMEM;
	}
	return io_absolute(url, ret_url);
}

static int get_project(struct cli *cli, const char *name, struct message *ret_reply, const Maestro__Project **ret_project,
	struct error *error)
{
	Maestro__ListProjects list = MAESTRO__LIST_PROJECTS__INIT;
	const Maestro__ProjectList *projects;
	const char *names[256];
	size_t n = 0;
	int r;

	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_PROJECTS, &list, MAESTRO__ENVELOPE__BODY_PROJECT_LIST,
		CLIENT_DEADLINE_MS, ret_reply, error);
	if (r)
		return r;
	projects = client_reply_of(ret_reply)->project_list;
	for (size_t i = 0; i < projects->n_projects; i++) {
		if (strcmp(projects->projects[i]->name, name) == 0) {
			*ret_project = projects->projects[i];
			return 0;
		}
		if (n < ARRAY_SIZE(names))
			names[n++] = projects->projects[i]->name;
	}
	error_set(error, CLIENT_E_NOT_FOUND, "%s: no such project", name);
	if (str_nearest(name, names, n))
		error_hint(error, "did you mean '%s'?", str_nearest(name, names, n));
	else
		error_hint(error, "'maestro project ls' lists them");
	message_deinit(ret_reply);
	return CLIENT_E_NOT_FOUND;
}

static int run_add(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL, list = MESSAGE_NULL;
	_cleanup_free_ char *url = NULL, *clean = NULL;
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
	const Maestro__Project *project;
	int r;

	r = check_name(operands[0], error);
	if (!r && values->base && !name_branch_valid(values->base))
		r = error_set(error, CLIENT_E_USAGE, "base: '%s' is no name of a branch", values->base);
	if (!r)
		r = absolute_url(operands[1], &url);
	if (r)
		return r;
	add.name = operands[0];
	add.url = bytes_of(url);
	add.base_branch = values->base;
	add.agent = values->agent;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_PROJECT_ADD, &add, 0, CLIENT_DEADLINE_GIT_MS, &reply, error);
	if (!r)
		r = get_project(cli, operands[0], &list, &project, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_of_project(project));
	clean = print_clean_bytes(project->has_url, &project->url);
	printf("Project %s: %s%s%s\n", project->name, clean ? clean : "", project->base_branch ? ", base " : "",
		project->base_branch ? project->base_branch : "");
	if (project->needs_git)
		puts("It needs what only the git program can do, which will be used for it.");
	return 0;
}

static int run_ls(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	static const struct table_column columns[] = {
		{ .title = "NAME" }, { .title = "BASE" }, { .title = "AGENT" }, { .title = "URL", .flexible = true },
	};
	_cleanup_(table_deinit) struct table table = TABLE_NULL(columns);
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ListProjects list = MAESTRO__LIST_PROJECTS__INIT;
	const Maestro__ProjectList *projects;
	json_t *array;
	int r;

	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_PROJECTS, &list, MAESTRO__ENVELOPE__BODY_PROJECT_LIST,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	projects = client_reply_of(&reply)->project_list;
	array = json_array();
	for (size_t i = 0; i < projects->n_projects; i++) {
		const Maestro__Project *project = projects->projects[i];

		json_array_append_new(array, json_of_project(project));
		table_add(&table, COLOUR_NONE, project->name);
		table_add(&table, COLOUR_NONE, project->base_branch);
		table_add(&table, COLOUR_NONE, project->agent);
		table_add_bytes(&table, COLOUR_NONE, project->has_url, &project->url);
	}
	if (cli->json)
		return cli_print_json(array);
	json_decref(array);
	if (!projects->n_projects && cli->terminal)
		puts("No projects. 'maestro project add NAME URL' adds one.");
	return table_print(&table, cli, stdout);
}

static int run_show(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_free_ char *url = NULL, *reason = NULL;
	const Maestro__Project *project;
	int r;

	r = get_project(cli, operands[0], &reply, &project, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_of_project(project));
	url = bytes_dup(&project->url);
	reason = bytes_dup(&project->reason);
	print_field(cli, "name", project->name);
	print_field(cli, "url", url);
	print_field(cli, "base", project->base_branch);
	print_field(cli, "agent", project->agent);
	print_field(cli, "transport", project->needs_git ? "the git program" : "built in");
	print_field(cli, "because", reason);
	return 0;
}

static int run_rm(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ProjectRemove remove = MAESTRO__PROJECT_REMOVE__INIT;
	int r;

	remove.name = operands[0];
	r = check_name(operands[0], error);
	if (!r)
		r = cli_call(cli, MAESTRO__ENVELOPE__BODY_PROJECT_REMOVE, &remove, MAESTRO__ENVELOPE__BODY_DONE,
			CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_pack("{ss sb}", "name", operands[0], "removed", 1));
	printf("Project %s is removed; its repository is untouched.\n", operands[0]);
	return 0;
}

const struct command command_project_add = {
	.name = "project add", .group = GROUP_FLEET, .brief = "add a repository",
	.table = { "maestro project add", "NAME URL [--base BRANCH] [--agent AGENT]",
		"Adds a repository: ssh://user@host/path, user@host:path, https://…, or a path that the workers can reach.",
		add_specs, ARRAY_SIZE(add_specs) },
	.values_size = sizeof(struct values), .operands_min = 2, .operands_max = 2, .run = run_add,
};
const struct command command_project_ls = {
	.name = "project ls", .group = GROUP_FLEET, .brief = "list projects",
	.table = { "maestro project ls", "", "Lists the projects.", plain_specs, ARRAY_SIZE(plain_specs) },
	.values_size = sizeof(struct values), .operands_max = 0, .run = run_ls,
};
const struct command command_project_show = {
	.name = "project show", .group = GROUP_FLEET, .brief = "show one project",
	.table = { "maestro project show", "NAME", "Shows one project.", plain_specs, ARRAY_SIZE(plain_specs) },
	.values_size = sizeof(struct values), .operands_min = 1, .operands_max = 1, .run = run_show,
};
const struct command command_project_rm = {
	.name = "project rm", .group = GROUP_FLEET, .brief = "forget a project (its repository stays)",
	.table = { "maestro project rm", "NAME", "Forgets a project. Its repository is left alone.", plain_specs,
		ARRAY_SIZE(plain_specs) },
	.values_size = sizeof(struct values), .operands_min = 1, .operands_max = 1, .run = run_rm,
};
