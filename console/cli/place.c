#include "console/cli/place.h"
#include "console/cli/local.h"
#include "console/client/process.h"
#include "proto/base/str.h"

#include <string.h>

void place_deinit(struct place *place)
{
	free(place->path);
	free(place->branch);
	free(place->name);
	free(place->complaint);
	*place = (struct place){ .found = false };
}

/* The directory that holds the history: parent of ".git", or the bare repository itself. */
static int find_path(struct place *place, const char *directory)
{
	int r = process_git(directory, &place->path, "rev-parse", "--path-format=absolute", "--git-common-dir", NULL);

	if (r < 0)
		return r;
	if (r) {
		place->complaint = take(place->path);
		return 0;
	}
	place->found = true;
	if (str_ends(place->path, "/.git"))
		place->path[strlen(place->path) - strlen("/.git")] = 0;
	return 0;
}

static bool has_branch(const char *directory, const char *branch)
{
	_cleanup_free_ char *output = NULL, *ref = NULL;

	return asprintf(&ref, "refs/heads/%s", branch) >= 0 &&
		process_git(directory, &output, "rev-parse", "-q", "--verify", ref, NULL) == 0;
}

/* The checked-out branch; with a detached HEAD the one that is called as main branches are. */
static int find_branch(struct place *place, const char *directory)
{
	static const char *const likely[] = { "main", "master", "trunk", "develop" };
	int r = process_git(directory, &place->branch, "symbolic-ref", "--short", "-q", "HEAD", NULL);

	if (r <= 0)
		return r;
	place->detached = true;
	free(take(place->branch));
	for (size_t i = 0; i < ARRAY_SIZE(likely); i++) {
		if (has_branch(directory, likely[i])) {
			place->branch = strdup(likely[i]);
			return place->branch ? 0 : -ENOMEM;
		}
	}
	return 0;
}

static char *name_of(const char *path)
{
	_cleanup_free_ char *base = strdup(strrchr(path, '/') ? strrchr(path, '/') + 1 : path);

	if (base && str_ends(base, ".git"))
		base[strlen(base) - strlen(".git")] = 0;
	return base ? local_fold_name(base, "project") : NULL;
}

int place_look(const char *directory, struct place *ret_place)
{
	_cleanup_(place_deinit) struct place place = { .found = false };
	_cleanup_free_ char *head = NULL, *status = NULL, *shallow = NULL;
	int r;

	r = find_path(&place, directory);
	if (!r && place.found)
		r = find_branch(&place, directory);
	if (r < 0)
		return r;
	if (place.found) {
		place.empty = process_git(directory, &head, "rev-parse", "-q", "--verify", "HEAD^{commit}", NULL) != 0;
		place.dirty = process_git(directory, &status, "status", "--porcelain", NULL) == 0 && *status;
		place.shallow = process_git(directory, &shallow, "rev-parse", "--is-shallow-repository", NULL) == 0 &&
			!strcmp(shallow, "true");
		place.name = name_of(place.path);
		if (!place.name)
			return -ENOMEM;
	}
	*ret_place = place;
	place = (struct place){ .found = false };
	return 0;
}

int place_check(const struct place *place, struct error *error)
{
	if (place->empty && !place->detached && !has_branch(place->path, str_or(place->branch, ""))) {
		error_set(error, CLIENT_E_FAILED, "%s: the repository has no commit yet, so there is nothing to begin from",
			place->path);
		error_hint(error, "make a first commit (git commit --allow-empty -m start), then run 'maestro up' again");
		return CLIENT_E_FAILED;
	}
	if (place->shallow) {
		error_set(error, CLIENT_E_FAILED, "%s: the repository is shallow: its older history is missing", place->path);
		error_hint(error, "run `git fetch --unshallow` in %s, then 'maestro up' again", place->path);
		return CLIENT_E_FAILED;
	}
	if (!place->branch) {
		error_set(error, CLIENT_E_FAILED, "%s: no branch is checked out (detached HEAD), so there is no base for tasks",
			place->path);
		error_hint(error, "check out a branch and run 'maestro up' again, or: maestro project add %s %s --base BRANCH",
			place->name, place->path);
		return CLIENT_E_FAILED;
	}
	return 0;
}
