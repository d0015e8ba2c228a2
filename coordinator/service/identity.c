/* Who may come in, and as what. Keys and tokens are few: all are kept in memory, and written before anything rests on
 * them. A token's secret is known here as its SHA-256 only. */
#include "coordinator/service/internal.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/link/keys.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_SECRET_BYTES 32u
#define TOKEN_TTL_MS (24ull * 3600 * 1000)
#define TOKEN_TTL_MAX_MS (30 * TOKEN_TTL_MS)

/* --- keeping ------------------------------------------------------------------------------------------------- */

static int take_key(enum row_table table, void *row, void *userdata, struct error *error)
{
	struct service *service = userdata;
	struct known_key *key = calloc(1, sizeof(*key));

	if (!key) {
		row_free(table, row);
		return -ENOMEM;
	}
	key->row = *(struct key_row *)row;
	free(row);
	HASH_ADD_KEYPTR(hh, service->keys, key->row.public_key.data, key->row.public_key.len, key);
	return 0;
}

static int take_token(enum row_table table, void *row, void *userdata, struct error *error)
{
	struct service *service = userdata;
	struct known_token *token = calloc(1, sizeof(*token));

	if (!token) {
		row_free(table, row);
		return -ENOMEM;
	}
	token->row = *(struct token_row *)row;
	free(row);
	HASH_ADD_KEYPTR(hh, service->tokens, token->row.digest.data, token->row.digest.len, token);
	return 0;
}

static struct known_key *find_key(const struct service *service, const uint8_t key[LINK_KEY_BYTES])
{
	struct known_key *known;

	HASH_FIND(hh, service->keys, key, LINK_KEY_BYTES, known);
	return known;
}

/* One row and its line in the audit log, durable on return. */
static int write_durable(struct service *service, enum row_table table, const void *row, enum row_table table_2,
	const void *row_2, const char *actor, const char *act, const char *text, struct error *error)
{
	struct audit_row audit = { .time_ms = clock_wall_ms(), .actor = (char *)(uintptr_t)actor,
		.act = (char *)(uintptr_t)act, .text = (char *)(uintptr_t)text };
	int r;

	if (service->executor)
		executor_flush(service->executor); /* its transaction is its own */
	r = store_begin(service->store, error);
	if (!r)
		r = store_put(service->store, table, row, error);
	if (!r && row_2)
		r = store_put(service->store, table_2, row_2, error);
	if (!r)
		r = store_put(service->store, ROW_AUDIT, &audit, error);
	if (!r)
		r = store_commit(service->store, error);
	if (r)
		store_rollback(service->store);
	return r;
}

/* Adds a key, or changes what is known of it. */
static int put_key(struct service *service, const uint8_t key[LINK_KEY_BYTES], Maestro__Role role, const char *name,
	const struct token_row *token, const char *act, struct error *error)
{
	struct known_key *known = find_key(service, key);
	struct key_row *row = calloc(1, sizeof(*row));
	char text[160], id[KEY_ID_MAX];
	int r;

	if (!row || row_set_blob(&row->public_key, key, LINK_KEY_BYTES) || row_set_text(&row->name, name)) {
		row_free(ROW_KEY, row);
		return -ENOMEM;
	}
	row->role = (int32_t)role;
	row->created_ms = clock_wall_ms();
	snprintf(text, sizeof(text), "key=%s role=%s name=%.64s", key_id(key, id), name_role(role), name);
	r = write_durable(service, ROW_KEY, row, ROW_TOKEN, token, name, act, text, error);
	if (r) {
		row_free(ROW_KEY, row);
		return r;
	}
	if (known) {
		HASH_DEL(service->keys, known);
		row_deinit(ROW_KEY, &known->row);
		free(known);
	}
	return take_key(ROW_KEY, row, service, error);
}

/* The admin key's file makes an admin, once: a revoked one stays revoked. */
int identity_load(struct service *service, const char *admin_key, struct error *error)
{
	struct key key;
	int r;

	r = store_each(service->store, ROW_KEY, take_key, service, error);
	if (!r)
		r = store_each(service->store, ROW_TOKEN, take_token, service, error);
	if (!r)
		r = key_read(admin_key, &key, error);
	if (r)
		return r;
	if (!find_key(service, key.public_key))
		r = put_key(service, key.public_key, MAESTRO__ROLE__ROLE_ADMIN, "admin", NULL, "init", error);
	key_wipe(&key);
	return r;
}

void identity_deinit(struct service *service)
{
	struct known_key *key, *next_key;
	struct known_token *token, *next_token;

	HASH_ITER (hh, service->keys, key, next_key) {
		HASH_DEL(service->keys, key);
		row_deinit(ROW_KEY, &key->row);
		free(key);
	}
	HASH_ITER (hh, service->tokens, token, next_token) {
		HASH_DEL(service->tokens, token);
		row_deinit(ROW_TOKEN, &token->row);
		free(token);
	}
}

/* --- coming in ----------------------------------------------------------------------------------------------- */

static int grant(struct service *service, Maestro__Role role, struct link_grant *ret_grant, struct error *error)
{
	if (executor_trouble(service->executor) && role == MAESTRO__ROLE__ROLE_WORKER)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_BUSY, "%s", executor_trouble(service->executor));
	executor_flush(service->executor); /* an epoch that was raised is on disk before anybody hears it */
	*ret_grant = (struct link_grant){ .role = role, .epoch = core_epoch(service_core(service)),
		.heartbeat_ms = (uint32_t)core_heartbeat_ms(service_core(service)) };
	return 0;
}

/* Over the local socket the kernel says who it is. */
static int authenticate_local(struct service *service, const struct link_identity *claim, struct link_grant *ret_grant,
	struct error *error)
{
	if (!claim->local || claim->peer_uid != getuid()) {
		error_set(error, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY, "no key was shown");
		error_hint(error, "`maestro join ADDRESS` with a token makes one");
		return MAESTRO__REFUSED_CODE__REFUSED_IDENTITY;
	}
	if (claim->role == MAESTRO__ROLE__ROLE_WORKER)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY,
			"a worker needs a key: `maestro-worker join` makes one");
	return grant(service, claim->role == MAESTRO__ROLE__ROLE_VIEWER ? claim->role : MAESTRO__ROLE__ROLE_OPERATOR,
		ret_grant, error);
}

int identity_authenticate(const struct link_identity *claim, struct link_grant *ret_grant, struct error *error,
	void *userdata)
{
	struct service *service = userdata;
	const struct known_key *known = claim->has_key ? find_key(service, claim->key) : NULL;
	Maestro__Role role;

	if (!claim->has_key)
		return authenticate_local(service, claim, ret_grant, error);
	if (!known)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY,
			"this coordinator does not know that key: join with a token first");
	if (known->row.revoked)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY, "this key was revoked");
	role = (Maestro__Role)known->row.role;
	if ((role == MAESTRO__ROLE__ROLE_WORKER) != (claim->role == MAESTRO__ROLE__ROLE_WORKER))
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY, "this key is one of role %s",
			name_role(role));
	if (role == MAESTRO__ROLE__ROLE_WORKER && strcmp(claim->name, str_or(known->row.name, "")) != 0)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_NAME, "this key belongs to worker '%s'",
			known->row.name);
	if (role == MAESTRO__ROLE__ROLE_WORKER && worker_check_double(service, claim, error))
		return MAESTRO__REFUSED_CODE__REFUSED_BUSY;
	if (role != MAESTRO__ROLE__ROLE_WORKER && claim->role != MAESTRO__ROLE__ROLE_NONE && claim->role < role)
		role = claim->role; /* less than it may be, as it asked */
	return grant(service, role, ret_grant, error);
}

static int check_worker_name(struct service *service, const struct link_identity *claim, struct error *error)
{
	if (!name_valid(claim->name))
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_NAME,
			"'%s' is no name of a worker: a-z 0-9 . _ -, 64 characters at most", claim->name);
	for (const struct known_key *key = service->keys; key; key = key->hh.next)
		if (key->row.role == (int32_t)MAESTRO__ROLE__ROLE_WORKER && !key->row.revoked &&
			strcmp(str_or(key->row.name, ""), claim->name) == 0 &&
			memcmp(key->row.public_key.data, claim->key, LINK_KEY_BYTES) != 0)
			return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_NAME,
				"there is a worker '%s' already: take another --name, or `maestro worker rm %s` first",
				claim->name, claim->name);
	return 0;
}

static int check_token(struct service *service, const struct link_identity *claim, const struct known_token *token,
	struct error *error)
{
	bool worker = token && token->row.role == (int32_t)MAESTRO__ROLE__ROLE_WORKER;

	if (!token)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_TOKEN, "this coordinator did not make that token");
	if (token->row.used)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_TOKEN,
			"this token was used already: make another with `maestro token create`");
	if (token->row.expires_ms <= clock_wall_ms())
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_TOKEN,
			"this token has expired: make another with `maestro token create`");
	if (worker != (claim->role == MAESTRO__ROLE__ROLE_WORKER))
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_TOKEN, "this token is one for the role %s",
			name_role((Maestro__Role)token->row.role));
	if (!claim->has_key)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY, "no key was shown");
	return worker ? check_worker_name(service, claim, error) : 0;
}

int identity_enroll(const struct link_identity *claim, const void *secret, size_t len, struct link_grant *ret_grant,
	struct error *error, void *userdata)
{
	struct service *service = userdata;
	struct known_token *token;
	uint8_t digest[ID_DIGEST_BYTES];
	struct token_row used;
	int r;

	id_sha256(secret, len, digest);
	HASH_FIND(hh, service->tokens, digest, sizeof(digest), token);
	r = check_token(service, claim, token, error);
	if (!r)
		r = grant(service, (Maestro__Role)token->row.role, ret_grant, error);
	if (r)
		return r;
	used = token->row;
	used.used = true;
	r = put_key(service, claim->key, (Maestro__Role)token->row.role, claim->name, &used, "enroll", error);
	if (r)
		return MAESTRO__REFUSED_CODE__REFUSED_BUSY;
	token->row.used = true;
	return 0;
}

/* --- requests ------------------------------------------------------------------------------------------------ */

static void answer_token(struct conn *conn, const Maestro__Envelope *envelope, const struct link_token *token,
	int64_t expires_ms)
{
	_cleanup_free_ char *text = link_token_format(token);
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;
	Maestro__Token message = MAESTRO__TOKEN__INIT;

	message.token = bytes_of(text);
	message.has_expires_ms = true;
	message.expires_ms = expires_ms;
	reply.body_case = BODY(TOKEN);
	reply.token = &message;
	service_reply(conn->service, conn->id, envelope->request, &reply);
	if (text)
		id_wipe(text, strlen(text));
}

void identity_create_token(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__TokenCreate *create = envelope->token_create;
	uint64_t ttl_ms = create->has_ttl_ms ? create->ttl_ms : TOKEN_TTL_MS;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct link_token token = { .role = create->role, .secret_len = TOKEN_SECRET_BYTES };
	struct token_row *row;
	uint8_t digest[ID_DIGEST_BYTES];
	char text[64];
	int r;

	if (create->role == MAESTRO__ROLE__ROLE_NONE || !ttl_ms || ttl_ms > TOKEN_TTL_MAX_MS) {
		service_fail(conn->service, conn->id, envelope->request, FAIL(USAGE), "token create",
			create->role == MAESTRO__ROLE__ROLE_NONE ? "for which role?" : "a token lives 30 days at most", NULL);
		return;
	}
	id_random(token.secret, token.secret_len);
	memcpy(token.ca_digest, conn->service->ca_digest, sizeof(token.ca_digest));
	id_sha256(token.secret, token.secret_len, digest);
	row = calloc(1, sizeof(*row));
	if (!row || row_set_blob(&row->digest, digest, sizeof(digest))) {
		free(row);
		return;
	}
	row->role = (int32_t)create->role;
	row->created_ms = clock_wall_ms();
	row->expires_ms = row->created_ms + (int64_t)ttl_ms;
	snprintf(text, sizeof(text), "role=%s", name_role(create->role));
	r = write_durable(conn->service, ROW_TOKEN, row, ROW_TOKEN, NULL, conn->actor, "token create", text, &error);
	if (r) {
		row_free(ROW_TOKEN, row);
		service_fail(conn->service, conn->id, envelope->request, FAIL(UNAVAILABLE), "token create",
			error_text(&error, r), error.hint);
	} else {
		answer_token(conn, envelope, &token, row->expires_ms);
		take_token(ROW_TOKEN, row, conn->service, NULL);
	}
	id_wipe(&token, sizeof(token));
}

void identity_list_keys(struct conn *conn, const Maestro__Envelope *envelope)
{
	size_t n = HASH_COUNT(conn->service->keys), i = 0;
	_cleanup_free_ Maestro__KeyInfo *infos = calloc(n ? n : 1, sizeof(*infos));
	_cleanup_free_ Maestro__KeyInfo **pointers = calloc(n ? n : 1, sizeof(*pointers));
	_cleanup_free_ char(*ids)[KEY_ID_MAX] = calloc(n ? n : 1, sizeof(*ids));
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;
	Maestro__KeyList list = MAESTRO__KEY_LIST__INIT;

	if (!infos || !pointers || !ids)
		return;
	for (const struct known_key *key = conn->service->keys; key; key = key->hh.next, i++) {
		maestro__key_info__init(&infos[i]);
		infos[i].id = key_id(key->row.public_key.data, ids[i]);
		infos[i].role = (Maestro__Role)key->row.role;
		infos[i].has_name = true;
		infos[i].name = bytes_of(key->row.name);
		infos[i].has_created_ms = true;
		infos[i].created_ms = key->row.created_ms;
		infos[i].has_revoked = true;
		infos[i].revoked = key->row.revoked;
		pointers[i] = &infos[i];
	}
	list.n_keys = n;
	list.keys = pointers;
	reply.body_case = BODY(KEY_LIST);
	reply.key_list = &list;
	service_reply(conn->service, conn->id, envelope->request, &reply);
}

static int revoke_key(struct service *service, struct known_key *key, const char *actor, struct error *error)
{
	struct key_row row = key->row;
	char text[64], id[KEY_ID_MAX];
	int r;

	row.revoked = true;
	snprintf(text, sizeof(text), "key=%s", key_id(row.public_key.data, id));
	r = write_durable(service, ROW_KEY, &row, ROW_KEY, NULL, actor, "key revoke", text, error);
	if (r)
		return r;
	key->row.revoked = true;
	for (size_t i = 0; i < service->listener_count; i++)
		link_listener_close_key(service->listeners[i], key->row.public_key.data, "this key was revoked");
	return 0;
}

void identity_revoke(struct conn *conn, const Maestro__Envelope *envelope)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	const char *wanted = envelope->revoke_key->id;
	struct known_key *found = NULL;
	char id[KEY_ID_MAX];
	int r;

	for (struct known_key *key = conn->service->keys; key; key = key->hh.next)
		if (strcmp(key_id(key->row.public_key.data, id), wanted) == 0)
			found = key;
	if (!found) {
		service_fail(conn->service, conn->id, envelope->request, FAIL(NOT_FOUND), "key revoke",
			"there is no such key", "`maestro key ls` lists them");
		return;
	}
	r = revoke_key(conn->service, found, conn->actor, &error);
	if (r)
		service_fail(conn->service, conn->id, envelope->request, FAIL(UNAVAILABLE), "key revoke",
			error_text(&error, r), error.hint);
	else
		service_done(conn->service, conn->id, envelope->request, "the key was revoked");
}

void identity_forget_worker(struct service *service, const char *name, const char *actor)
{
	for (struct known_key *key = service->keys; key; key = key->hh.next)
		if (key->row.role == (int32_t)MAESTRO__ROLE__ROLE_WORKER && !key->row.revoked &&
			strcmp(str_or(key->row.name, ""), name) == 0)
			revoke_key(service, key, actor, NULL);
}
