/* What the repository that one stands in says: who commits here, and which project it is. */
#pragma once

#include "console/cli/cli.h"

/* git config user.name and user.email of a directory; NULL where git knows none. */
struct author {
	char *name, *email;
	Maestro__GitAuthor message; /* points to them */
};

void author_read(struct author *author, const char *directory);
void author_deinit(struct author *author);
/* NULL if neither is known. */
Maestro__GitAuthor *author_message(struct author *author);

/* The project whose repository is the one that `directory` lies in: by its path, or by the URL of its origin.
 * NULL in *ret_name if there is none. Caller frees. */
int repository_project(struct cli *cli, const char *directory, char **ret_name, struct error *error);
