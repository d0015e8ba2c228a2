/* Who sits here, as git knows them: sent with what they submit and merge. */
#pragma once

#include "proto/schema/git.pb-c.h"

/* git config user.name and user.email as seen in a directory; NULL where git knows none. */
struct author {
	char *name, *email;
	Maestro__GitAuthor message; /* points to them */
};

/* Asks the git program, so before anything that must not be forked. */
void author_read(struct author *author, const char *directory);
void author_deinit(struct author *author);
/* NULL if neither is known. Borrowed from the author. */
Maestro__GitAuthor *author_message(struct author *author);
