/* Which project the repository is that one stands in. */
#pragma once

#include "console/cli/cli.h"

/* The project whose repository is the one that `directory` lies in: by its path, or by the URL of its origin.
 * NULL in *ret_name if there is none. Caller frees. */
int repository_project(struct cli *cli, const char *directory, char **ret_name, struct error *error);
