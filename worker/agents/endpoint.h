/* Where maestro-agent calls: a unix stream socket of the worker (MAESTRO_SOCKET, 0600, same uid only).
 *
 * A call carries the token of its attempt (MAESTRO_TOKEN: 32 random bytes in base64url). Only its SHA-256 is kept, in
 * memory and in SESSION/token, so that a restarted worker knows it again. Bounds: 64 KiB a message, 10 s a
 * connection, 64 connections, 50 calls in a burst and 20 a second for each attempt.
 *
 * Conditions: ENDPOINT_E_NOT_FOUND (no token file). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "proto/base/error.h"
#include "proto/base/id.h"
#include "proto/schema/agent.pb-c.h"

enum {
	ENDPOINT_E_NOT_FOUND = 1,
};

struct endpoint;
struct log;

struct endpoint_ops {
	/* A checked status: progress <= 100, texts within LIMIT_STATUS_BYTES and UTF-8, source SOURCE_MCP (a hook's
	 * is SOURCE_HOOK). Borrowed. Return 0, or set a sentence that the agent shall read and return non-zero. */
	int (*status)(void *userdata, uint64_t task, uint32_t attempt, const Maestro__AgentStatus *status, struct error *error);
	/* Every hook event, after the status that it means (if any) was told. json may be NULL. May be NULL. */
	void (*hook)(void *userdata, uint64_t task, uint32_t attempt, const char *event, const char *json, size_t json_len);
};

/* Binds; a socket that nobody listens on any more is replaced. -EADDRINUSE: somebody does. */
int endpoint_new(struct endpoint **ret_endpoint, sd_event *event, struct log *log, const char *path,
	const struct endpoint_ops *ops, void *userdata, struct error *error);
void endpoint_free(struct endpoint *endpoint);
DEFINE_CLEANUP(struct endpoint *, endpoint_free)

#define ENDPOINT_MESSAGE_BYTES (64u * 1024)
#define ENDPOINT_TOKEN_BYTES 32
#define ENDPOINT_TOKEN_MAX ID_BASE64_MAX(ENDPOINT_TOKEN_BYTES)

/* A new token: its text (for MAESTRO_TOKEN; not written anywhere) and its digest, which goes to session_dir/token. */
int endpoint_token_new(const char *session_dir, char text[ENDPOINT_TOKEN_MAX], uint8_t ret_digest[ID_DIGEST_BYTES]);
int endpoint_token_load(const char *session_dir, uint8_t ret_digest[ID_DIGEST_BYTES]);

/* From now on that token speaks for this attempt. A second call for the same attempt replaces the first. */
int endpoint_admit(struct endpoint *endpoint, uint64_t task, uint32_t attempt, const uint8_t digest[ID_DIGEST_BYTES]);
/* Not there: nothing happens. */
void endpoint_revoke(struct endpoint *endpoint, uint64_t task, uint32_t attempt);
