/* What every command of `maestro` is given: where it runs, the connection, how to print.
 *
 * A command returns 0, a condition of client.h (which is the exit status) or an errno; the error is printed by
 * whoever called it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "console/client/client.h"
#include "console/client/json.h"
#include "proto/base/buf.h"
#include "proto/base/log.h"
#include "proto/base/option.h"
#include "proto/wire/paths.h"

/* First member of the values of every command. */
struct cli_common {
	char *coordinator;
	bool json;
};

/* First two lines of every command's table. */
#define CLI_COMMON_OPTIONS                                                                                   \
	{ .name = "coordinator", .type = OPTION_STRING, .offset = offsetof(struct cli_common, coordinator),  \
		.arg = "ADDRESS", .help = "the coordinator, or a profile of client.conf" },                  \
	{ .name = "json", .type = OPTION_FLAG, .offset = offsetof(struct cli_common, json),                  \
		.help = "print JSON" }

struct cli {
	struct paths paths;
	struct log log;
	sd_event *event;
	struct profile profile;
	struct client *client;   /* after cli_connect */
	const char *coordinator; /* --coordinator, or NULL */
	bool json;
	bool terminal;           /* standard output is one */
	bool colours;
	unsigned int width;      /* columns of the terminal; 0: do not cut */
};

int cli_init(struct cli *cli, struct error *error);
void cli_deinit(struct cli *cli);

/* Connects as --coordinator, environment and client.conf say. Harmless when connected already. */
int cli_connect(struct cli *cli, struct error *error);
/* The same to one address, whatever those say. */
int cli_connect_to(struct cli *cli, const char *address, struct error *error);
/* Connects if need be, sends this body (a schema's message) and waits for a reply of that kind. */
int cli_call(struct cli *cli, Maestro__Envelope__BodyCase body, void *message, Maestro__Envelope__BodyCase expected,
	uint32_t deadline_ms, struct message *ret_reply, struct error *error);

/* "12" -> 12. CLIENT_E_USAGE. */
int cli_parse_task(const char *text, uint64_t *ret_task, struct error *error);
int cli_parse_tasks(char *const *texts, int count, uint64_t **ret_tasks, struct error *error);
/* One task in full. CLIENT_E_NOT_FOUND. Borrowed from *ret_reply. */
int cli_get_task(struct cli *cli, uint64_t id, struct message *ret_reply, const Maestro__Task **ret_task,
	struct error *error);
/* Everything on standard input, or `text` if it is not "-". CLIENT_E_USAGE above limit_bytes (the limit is named). */
int cli_read_text(const char *text, const char *what, size_t limit_bytes, struct buf *ret_text, struct error *error);
/* A sentence that was set with another code becomes a usage error. Negative errnos but -EINVAL stay. */
int cli_usage(int r);

/* Prints a new reference (which is taken) as indented JSON and a newline; cli_print_line: on one line, flushed. */
int cli_print_json(json_t *json);
int cli_print_line(json_t *json);
