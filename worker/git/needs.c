#include "worker/git/needs.h"

#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "worker/git/library.h"

static bool blob_has(git_repository *repo, git_tree *tree, const char *path, const char *needle)
{
	_cleanup_(git_tree_entry_free_p) git_tree_entry *entry = NULL;
	_cleanup_(git_blob_free_p) git_blob *blob = NULL;

	if (git_tree_entry_bypath(&entry, tree, path) < 0 || git_tree_entry_type(entry) != GIT_OBJECT_BLOB ||
		git_blob_lookup(&blob, repo, git_tree_entry_id(entry)) < 0)
		return false;
	return memmem(git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob), needle, strlen(needle));
}

static const struct {
	const char *path, *needle, *reason;
} in_tree[] = {
	{ ".gitattributes", "filter=lfs", "files kept in LFS stay pointers in a worktree" },
	{ ".gitattributes", "filter=", "it names filters in .gitattributes, which are not run" },
	{ ".gitmodules", "[submodule", "its submodules stay empty in a worktree" },
};

int needs_find(git_repository *repo, const git_oid *commit, char **ret_reason)
{
	_cleanup_(git_commit_free_p) git_commit *found = NULL;
	_cleanup_(git_tree_free_p) git_tree *tree = NULL;
	_cleanup_(buf_deinit) struct buf reason = BUF_NULL;
	const char *attributes_seen = NULL;

	if (git_commit_lookup(&found, repo, commit) < 0 || git_commit_tree(&tree, found) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(in_tree); i++) {
		if ((attributes_seen && !strcmp(attributes_seen, in_tree[i].path)) ||
			!blob_has(repo, tree, in_tree[i].path, in_tree[i].needle))
			continue;
		attributes_seen = in_tree[i].path;
		if (buf_printf(&reason, "%s%s", reason.len ? "; " : "", in_tree[i].reason))
			return -ENOMEM;
	}
	if (git_repository_is_shallow(repo) == 1 && buf_printf(&reason, "%sit is shallow", reason.len ? "; " : ""))
		return -ENOMEM;
	if (!reason.len)
		return 0;
	*ret_reason = buf_take(&reason);
	return *ret_reason ? 0 : -ENOMEM;
}
