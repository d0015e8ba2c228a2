#include "console/cli/repository.h"
#include "console/client/process.h"
#include "proto/base/str.h"

#include <limits.h>
#include <string.h>

static char *git_value(const char *directory, const char *key)
{
	char *value = NULL;

	if (process_git(directory, &value, "config", "--get", key, NULL) == 0 && *value)
		return value;
	free(value);
	return NULL;
}

/* Two paths of the same directory, or the same text. */
static bool same_place(const char *url, const char *place)
{
	char a[PATH_MAX], b[PATH_MAX];

	if (!place || !*place)
		return false;
	if (strcmp(url, place) == 0)
		return true;
	if (str_starts(url, "file://"))
		url += strlen("file://");
	return url[0] == '/' && realpath(url, a) && realpath(place, b) && strcmp(a, b) == 0;
}

/* A linked worktree belongs to the repository that holds its history. */
static char *main_worktree(const char *directory)
{
	char *common = NULL;

	if (process_git(directory, &common, "rev-parse", "--path-format=absolute", "--git-common-dir", NULL)) {
		free(common);
		return NULL;
	}
	if (str_ends(common, "/.git"))
		common[strlen(common) - strlen("/.git")] = 0;
	return common;
}

int repository_project(struct cli *cli, const char *directory, char **ret_name, struct error *error)
{
	Maestro__ListProjects list = MAESTRO__LIST_PROJECTS__INIT;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_free_ char *top = NULL, *root = NULL, *origin = NULL;
	const Maestro__ProjectList *projects;
	int r;

	*ret_name = NULL;
	if (process_git(directory, &top, "rev-parse", "--show-toplevel", NULL))
		free(take(top)); /* a bare repository has none */
	root = main_worktree(directory);
	if (!top && !root)
		return 0;
	origin = git_value(directory, "remote.origin.url");
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_PROJECTS, &list, MAESTRO__ENVELOPE__BODY_PROJECT_LIST,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	projects = client_reply_of(&reply)->project_list;
	for (size_t i = 0; i < projects->n_projects; i++) {
		_cleanup_free_ char *url = bytes_dup(&projects->projects[i]->url);

		if (!url)
			return -ENOMEM;
		if (same_place(url, top) || same_place(url, root) || same_place(url, origin)) {
			*ret_name = strdup(projects->projects[i]->name);
			return *ret_name ? 0 : -ENOMEM;
		}
	}
	return 0;
}
