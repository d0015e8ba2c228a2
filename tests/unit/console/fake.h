/* A coordinator in the test's own process and loop: listens on an ipc socket in a directory of its own, keeps what it
 * was asked, and answers as the test says. */
#pragma once

#include <systemd/sd-event.h>
#include "console/client/client.h"
#include "proto/link/link.h"

struct fake {
	char directory[64];
	char *address;
	sd_event *event;
	struct log log;
	struct link *link;
	struct link_listener *listener;
	struct link_peer *peer;       /* the newest */
	struct profile profile;       /* to connect with */
	unsigned int accepted, asked; /* so often */
	unsigned int drop;            /* so many requests are answered by cutting the connection */
	Maestro__Envelope *last;      /* the newest request; owned */
	/* Fills the reply to a request; what it points to lives until the next call. body_case 0: no reply. */
	void (*answer)(struct fake *fake, const Maestro__Envelope *request, Maestro__Envelope *reply);
	void *userdata;
};

void fake_start(struct fake *fake);
void fake_stop(struct fake *fake);
/* Stops listening and cuts the connection; fake_listen begins again. */
void fake_cut(struct fake *fake);
void fake_listen(struct fake *fake);
void fake_send(struct fake *fake, Maestro__Envelope *envelope);
/* Runs the loop until *flag is not 0; fails the test after 10 s. */
void fake_run_until(struct fake *fake, const unsigned int *flag, unsigned int value);
