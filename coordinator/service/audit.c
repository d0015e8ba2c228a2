/* The audit log, for whoever may act: in pages, so that a long one holds up nobody. */
#include "coordinator/service/internal.h"
#include "proto/wire/message.h"

#define PAGE_ROWS 128u
#define PAGE_CHECKED 4096u

struct page {
	Maestro__AuditRow rows[PAGE_ROWS];
	Maestro__AuditRow *pointers[PAGE_ROWS];
	struct audit_row *owned[PAGE_ROWS];
	size_t count;
};

static int page_take(enum row_table table, void *taken, void *userdata, struct error *error)
{
	struct page *page = userdata;
	struct audit_row *row = taken;
	Maestro__AuditRow *out = &page->rows[page->count];

	maestro__audit_row__init(out);
	out->number = row->number;
	out->has_time_ms = out->has_hash = true;
	out->time_ms = row->time_ms;
	out->has_actor = row->actor != NULL;
	out->actor = bytes_of(row->actor);
	out->has_act = row->act != NULL;
	out->act = bytes_of(row->act);
	out->has_text = row->text != NULL;
	out->text = bytes_of(row->text);
	out->hash = (ProtobufCBinaryData){ row->hash.len, row->hash.data };
	page->pointers[page->count] = out;
	page->owned[page->count++] = row;
	return 0;
}

static void answer(struct conn *conn, const Maestro__Envelope *envelope, Maestro__AuditPage *message)
{
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;

	reply.body_case = BODY(AUDIT_PAGE);
	reply.audit_page = message;
	service_reply(conn->service, conn->id, envelope->request, &reply);
}

static void fail(struct conn *conn, const Maestro__Envelope *envelope, int r, const struct error *error)
{
	service_fail(conn->service, conn->id, envelope->request, FAIL(FAILED), "audit", error_text(error, r),
		"`maestro-coordinator check` says more");
}

static void verify(struct conn *conn, const Maestro__Envelope *envelope, uint64_t since)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	Maestro__AuditPage message = MAESTRO__AUDIT_PAGE__INIT;
	uint64_t next = 0, bad = 0, last = 0;
	int r;

	r = store_verify_audit(conn->service->store, since, PAGE_CHECKED, &next, &bad, &error);
	if (!r)
		r = store_last_audit(conn->service->store, &last, &error);
	if (r) {
		fail(conn, envelope, r, &error);
		return;
	}
	message.has_next = next != 0;
	message.next = next;
	message.has_broken = bad != 0;
	message.broken = bad;
	message.has_checked = true;
	message.checked = bad ? bad : next ? next - 1 : last;
	answer(conn, envelope, &message);
}

static void list(struct conn *conn, const Maestro__Envelope *envelope, uint64_t since)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_free_ struct page *page = calloc(1, sizeof(*page));
	Maestro__AuditPage message = MAESTRO__AUDIT_PAGE__INIT;
	int r;

	r = page ? store_each_audit(conn->service->store, since, PAGE_ROWS, page_take, page, &error) : -ENOMEM;
	if (r) {
		fail(conn, envelope, r, &error);
	} else {
		message.n_rows = page->count;
		message.rows = page->pointers;
		message.has_next = page->count == PAGE_ROWS;
		message.next = page->count ? page->rows[page->count - 1].number + 1 : 0;
		answer(conn, envelope, &message);
	}
	for (size_t i = 0; page && i < page->count; i++)
		row_free(ROW_AUDIT, page->owned[i]);
}

void audit_read(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__ReadAudit *read = envelope->read_audit;
	uint64_t since = read->has_since && read->since ? read->since : 1;

	executor_flush(conn->service->executor); /* what is shown is committed */
	if (read->has_verify && read->verify)
		verify(conn, envelope, since);
	else
		list(conn, envelope, since);
}
