#include "console/client/author.h"
#include "console/client/process.h"
#include "proto/wire/message.h"

static char *config_value(const char *directory, const char *key)
{
	char *value = NULL;

	if (process_git(directory, &value, "config", "--get", key, NULL) == 0 && *value)
		return value;
	free(value);
	return NULL;
}

void author_read(struct author *author, const char *directory)
{
	*author = (struct author){ .name = config_value(directory, "user.name"),
		.email = config_value(directory, "user.email"), .message = MAESTRO__GIT_AUTHOR__INIT };
	author->message.has_name = author->name != NULL;
	author->message.name = bytes_of(author->name);
	author->message.has_email = author->email != NULL;
	author->message.email = bytes_of(author->email);
}

void author_deinit(struct author *author)
{
	free(author->name);
	free(author->email);
	*author = (struct author){ .name = NULL };
}

Maestro__GitAuthor *author_message(struct author *author)
{
	return author->name || author->email ? &author->message : NULL;
}
