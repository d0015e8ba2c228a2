/* Where the coordinator is and who we are to it.
 *
 * The address comes from, in this order: what is passed (--coordinator), MAESTRO_COORDINATOR, the profile of
 * CONFIG/client.conf, the local socket. Over ipc the key is STATE/coordinator/admin.key where we can read it, else
 * none (the same uid is an operator). Over tls it is CONFIG/keys/NAME.key and the pinned CA is CONFIG/keys/NAME.pem.
 *
 * Conditions: PROFILE_E_USAGE (an address or a profile's name that cannot be understood), PROFILE_E_NOT_FOUND (no
 * such profile, or no key for that address: join first). Both with a sentence. */
#pragma once

#include <stdbool.h>
#include "proto/base/error.h"
#include "proto/link/keys.h"
#include "proto/schema/types.pb-c.h"
#include "proto/wire/paths.h"

enum {
	PROFILE_E_USAGE = 1,
	PROFILE_E_NOT_FOUND,
};

/* What becomes of what a session wants in the clipboard: client.conf's `clipboard`. */
enum profile_clipboard {
	PROFILE_CLIPBOARD_ASK,
	PROFILE_CLIPBOARD_ALWAYS,
	PROFILE_CLIPBOARD_NEVER,
};

struct profile {
	char *address;       /* "ipc:///…" or "tls+tcp://host:port" */
	char *name;          /* of the profile, NULL for the local socket */
	char *ca_pem;        /* NULL over ipc */
	char *user;          /* "user@host", how the audit log names us */
	bool has_key;
	struct key key;
	Maestro__Role role;  /* to ask for */
	enum profile_clipboard clipboard;
};

#define PROFILE_NULL ((struct profile){ .address = NULL })

/* `coordinator` and `name` may be NULL. */
int profile_load(const struct paths *paths, const char *coordinator, const char *name, struct profile *ret_profile,
	struct error *error);
/* Wipes the key. */
void profile_deinit(struct profile *profile);
/* "ask", "always", "never". PROFILE_E_USAGE. */
int profile_parse_clipboard(const char *text, enum profile_clipboard *ret_clipboard);
bool profile_is_local(const struct profile *profile);
/* "user@host" of whoever runs this. Caller frees. */
char *profile_user(void);

/* Writes CONFIG/keys/NAME.key (0600), NAME.pem, and the profile into CONFIG/client.conf, which it makes the default
 * if there is none. Existing files are replaced, the key last, so that a half-written profile is never used. */
int profile_save(const struct paths *paths, const struct profile *profile, struct error *error);
