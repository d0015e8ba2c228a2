/* Who did what: the coordinator's audit log, and whether it is whole. */
#include "console/cli/command.h"
#include "console/cli/print.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <stdio.h>

struct values {
	struct cli_common common;
	bool verify;
	char *since;
};

static const struct option_spec specs[] = {
	{ .name = "verify", .type = OPTION_FLAG, .offset = offsetof(struct values, verify),
		.help = "check the chain of hashes and name the first row that is broken" },
	{ .name = "since", .type = OPTION_STRING, .offset = offsetof(struct values, since), .arg = "N",
		.help = "from this number on; else all" },
	CLI_COMMON_OPTIONS,
};

static int ask(struct cli *cli, uint64_t since, bool verify, struct message *ret_reply,
	const Maestro__AuditPage **ret_page, struct error *error)
{
	Maestro__ReadAudit read = MAESTRO__READ_AUDIT__INIT;
	int r;

	read.has_since = read.has_verify = true;
	read.since = since;
	read.verify = verify;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_READ_AUDIT, &read, MAESTRO__ENVELOPE__BODY_AUDIT_PAGE,
		CLIENT_DEADLINE_MS, ret_reply, error);
	if (!r)
		*ret_page = client_reply_of(ret_reply)->audit_page;
	return r;
}

/* --- verify -------------------------------------------------------------------------------------------------- */

static int report(const struct cli *cli, uint64_t checked, uint64_t broken, struct error *error)
{
	int r = 0;

	if (cli->json)
		r = cli_print_json(json_pack("{sb sI so}", "whole", !broken, "checked", (json_int_t)checked, "broken",
			broken ? json_integer((json_int_t)broken) : json_null()));
	else if (!broken)
		printf("The audit log is whole: %" PRIu64 " rows.\n", checked);
	if (r || !broken)
		return r;
	error_set(error, CLIENT_E_FAILED, "the audit log is broken at row %" PRIu64, broken);
	error_hint(error, "that row was changed, added or taken away behind the coordinator's back; what comes after it\n"
			  "proves nothing. Compare with a backup: 'maestro-coordinator check FILE'");
	return CLIENT_E_FAILED;
}

static int verify(struct cli *cli, uint64_t since, struct error *error)
{
	uint64_t checked = 0, broken = 0;

	while (since && !broken) {
		_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
		const Maestro__AuditPage *page;
		int r;

		r = ask(cli, since, true, &reply, &page, error);
		if (r)
			return r;
		checked = page->checked;
		broken = page->has_broken ? page->broken : 0;
		since = page->has_next && page->next > since ? page->next : 0;
	}
	return report(cli, checked, broken, error);
}

/* --- list ---------------------------------------------------------------------------------------------------- */

static json_t *json_or_null(protobuf_c_boolean has, const ProtobufCBinaryData *data)
{
	return has ? json_of_bytes(data->data, data->len) : json_null();
}

static json_t *json_of_row(const Maestro__AuditRow *row)
{
	char time[CLOCK_RFC3339_MAX];
	_cleanup_(buf_deinit) struct buf hash = BUF_NULL;

	for (size_t i = 0; i < row->hash.len; i++)
		buf_printf(&hash, "%02x", row->hash.data[i]);
	return json_pack("{sI ss so so so ss}", "number", (json_int_t)row->number, "time",
		clock_format_rfc3339(row->time_ms, time), "actor", json_or_null(row->has_actor, &row->actor), "act",
		json_or_null(row->has_act, &row->act), "text", json_or_null(row->has_text, &row->text), "hash",
		buf_text(&hash));
}

static void print_row(const struct cli *cli, const Maestro__AuditRow *row)
{
	_cleanup_free_ char *actor = print_clean_bytes(row->has_actor, &row->actor);
	_cleanup_free_ char *act = print_clean_bytes(row->has_act, &row->act);
	_cleanup_free_ char *text = print_clean_bytes(row->has_text, &row->text);
	char time[CLOCK_RFC3339_MAX];

	printf("%s%6" PRIu64 " %s%s %-14s %s%s%s\n", colour_begin(cli->colours, COLOUR_FAINT), row->number,
		clock_format_rfc3339(row->time_ms, time), colour_end(cli->colours, COLOUR_FAINT), str_or(act, ""),
		str_or(text, ""), actor && *actor ? " by " : "", str_or(actor, ""));
}

/* A line each, also as JSON: there may be many. */
static int print_page(const struct cli *cli, const Maestro__AuditPage *page, size_t *printed)
{
	for (size_t i = 0; i < page->n_rows; i++) {
		json_t *json;
		int r;

		if (!cli->json) {
			print_row(cli, page->rows[i]);
			continue;
		}
		json = json_of_row(page->rows[i]);
		fputs((*printed)++ ? ",\n" : "[\n", stdout);
		r = json ? json_dumpf(json, stdout, JSON_COMPACT) : -ENOMEM;
		json_decref(json);
		if (r)
			return CLIENT_E_FAILED;
	}
	return 0;
}

static int list(struct cli *cli, uint64_t since, struct error *error)
{
	size_t printed = 0;

	while (since) {
		_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
		const Maestro__AuditPage *page;
		int r;

		r = ask(cli, since, false, &reply, &page, error);
		if (!r)
			r = print_page(cli, page, &printed);
		if (r)
			return r;
		since = page->has_next && page->next > since ? page->next : 0;
	}
	if (cli->json)
		puts(printed ? "\n]" : "[]");
	return 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	uint64_t since = 1;

	if (values->since && str_parse_u64(values->since, 0, INT64_MAX, &since))
		return error_set(error, CLIENT_E_USAGE, "since: '%s' is no number of a row", values->since);
	since = since ? since : 1;
	return values->verify ? verify(cli, since, error) : list(cli, since, error);
}

const struct command command_audit = {
	.name = "audit",
	.group = GROUP_ADMIN,
	.brief = "who did what, and whether that log is whole",
	.table = { "maestro audit", "[--verify] [--since N]",
		"Prints the audit log, a line each: everything that changed something, and who did it. Each row holds the\n"
		"hash of the one before; --verify checks them all. For operators and admins.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_max = 0,
	.run = run,
};
