/* Where workers connect. */
#include "worker/session/peer.h"
#include "worker/session/socket.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int somebody_connects(sd_event_source *source, int listen_fd, uint32_t events, void *userdata)
{
	struct session *session = userdata;
	_cleanup_close_ int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	if (fd < 0)
		return 0; /* it went away again; a lack of descriptors ends when a worker goes */
	if (!socket_peer_allowed(fd) || session->peer_count >= PEERS_MAX) {
		log_warning(&session->log, "a connection was refused");
		return 0;
	}
	r = peer_new(session, take_fd(&fd));
	if (r < 0)
		log_error(&session->log, "a worker's connection cannot be served: %s", strerror(-r));
	return 0;
}

int server_init(struct session *session)
{
	int r;

	r = socket_listen(session->dir, &session->listen_fd);
	if (r)
		return r;
	r = sd_event_add_io(session->event, &session->listen_source, session->listen_fd, EPOLLIN, somebody_connects, session);
	return r < 0 ? r : 0;
}
