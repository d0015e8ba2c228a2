/* A peer to be killed: connects to the address, says one word, and waits for ever. */
#include "proto/link/link.h"

#include <stdio.h>

static void on_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Done done = MAESTRO__DONE__INIT;

	envelope.body_case = MAESTRO__ENVELOPE__BODY_DONE;
	envelope.done = &done;
	link_peer_send(peer, CHANNEL_CONTROL, &envelope);
}

static void on_failed(int code, const char *why, uint32_t retry_ms, void *userdata)
{
	fprintf(stderr, "client: %s\n", why);
	sd_event_exit(userdata, 1);
}

static const struct link_dialer_ops ops = { .connected = on_connected, .failed = on_failed };

int main(int argc, char **argv)
{
	struct link_dialer_config config = { .role = MAESTRO__ROLE__ROLE_OPERATOR, .name = "victim", .once = true, .ops = &ops };
	struct link_dialer *dialer;
	struct link *link;
	sd_event *event;
	struct log log;

	if (argc != 2 || sd_event_new(&event) < 0)
		return 1;
	log_init(&log, "client", 2, LOG_LEVEL_ERROR);
	config.address = argv[1];
	config.userdata = event;
	if (link_new(&link, event, &log) || link_dialer_new(&dialer, link, &config, NULL))
		return 1;
	return sd_event_loop(event);
}
