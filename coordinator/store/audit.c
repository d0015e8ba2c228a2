/* The audit log's chain: every row holds the hash of itself and of the one before. Who changes, adds or takes away a row
 * in the middle breaks it there. What no chain can show is a log whose end was cut off before the coordinator was
 * started; while it runs it knows the end by heart. */
#include "coordinator/store/internal.h"
#include "proto/base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void audit_digest(const uint8_t previous[ID_DIGEST_BYTES], const struct audit_row *row,
	uint8_t digest[ID_DIGEST_BYTES])
{
	_cleanup_(buf_deinit) struct buf all = BUF_NULL;

	buf_append(&all, previous, ID_DIGEST_BYTES);
	buf_printf(&all, "%" PRIu64 " %" PRId64, row->number, row->time_ms);
	buf_append_byte(&all, 0); /* fields end with a NUL, so that none can pass for another */
	buf_append_str(&all, row->actor ? row->actor : "");
	buf_append_byte(&all, 0);
	buf_append_str(&all, row->act ? row->act : "");
	buf_append_byte(&all, 0);
	buf_append_str(&all, row->text ? row->text : "");
	id_sha256(all.data, all.len, digest);
}

struct verification {
	uint8_t hash[ID_DIGEST_BYTES];
	uint64_t expected, bad;
	bool linked; /* `hash` is the one before `expected` */
};

static int verify_row(enum row_table table, void *row, void *userdata, struct error *error)
{
	struct verification *v = userdata;
	struct audit_row *audit = row;
	uint8_t digest[ID_DIGEST_BYTES];

	if (!v->linked) { /* the row before the first one that was asked for: taken as it is */
		v->linked = audit->number == v->expected - 1 && audit->hash.len == sizeof(v->hash);
		if (v->linked)
			memcpy(v->hash, audit->hash.data, sizeof(v->hash));
		else
			v->bad = v->expected - 1;
		row_free(table, row);
		return !v->linked;
	}
	audit_digest(v->hash, audit, digest);
	if (audit->number != v->expected || audit->hash.len != sizeof(digest) ||
		!id_equal(audit->hash.data, digest, sizeof(digest)))
		v->bad = v->expected;
	memcpy(v->hash, digest, sizeof(digest));
	v->expected++;
	row_free(table, row);
	return v->bad != 0;
}

int store_verify_audit(struct store *store, uint64_t from, uint32_t limit, uint64_t *ret_next, uint64_t *ret_bad,
	struct error *error)
{
	struct verification v = { .expected = from ? from : 1, .linked = from <= 1 };
	char rest[96];
	int r;

	if (v.expected > INT64_MAX)
		return -ERANGE;
	snprintf(rest, sizeof(rest), "WHERE number >= %" PRIu64 " ORDER BY number LIMIT %" PRIu64,
		v.linked ? 0 : v.expected - 1, (uint64_t)limit + !v.linked); /* from 0: nothing may stand before the first */
	r = store_walk(store, ROW_AUDIT, rest, verify_row, &v, error);
	if (r < 0 || (r > 0 && !v.bad))
		return r;
	if (!v.bad && v.expected <= store->audit_number && v.expected - (from ? from : 1) < limit)
		v.bad = v.expected; /* it ends before its end */
	if (!v.bad && v.expected == store->audit_number + 1 && store->audit_number &&
		!id_equal(v.hash, store->audit_hash, sizeof(v.hash)) && v.expected > (from ? from : 1))
		v.bad = store->audit_number; /* made anew as a whole while we ran */
	*ret_next = v.bad || v.expected > store->audit_number ? 0 : v.expected;
	*ret_bad = v.bad;
	return 0;
}

int store_each_audit(struct store *store, uint64_t since, uint32_t limit, store_take take_row, void *userdata,
	struct error *error)
{
	char rest[96];

	snprintf(rest, sizeof(rest), "WHERE number >= %" PRIu64 " ORDER BY number LIMIT %" PRIu32,
		since > INT64_MAX ? INT64_MAX : since, limit);
	return store_walk(store, ROW_AUDIT, rest, take_row, userdata, error);
}

int store_last_audit(struct store *store, uint64_t *ret_number, struct error *error)
{
	int64_t number = 0;
	int r;

	r = store_query_number(store, "SELECT coalesce(max(number), 0) FROM audit", &number, error);
	if (!r)
		*ret_number = (uint64_t)number;
	return r;
}
