#include "worker/session/socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* An address reached through the directory's descriptor is short, whatever its path. */
static int open_address(const char *session_dir, int *ret_dir_fd, struct sockaddr_un *ret_address)
{
	int fd = open(session_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d/socket", fd);
	*ret_dir_fd = fd;
	return 0;
}

bool socket_peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == geteuid() || peer.uid == 0;
}

int socket_listen(const char *session_dir, int *ret_fd)
{
	_cleanup_close_ int fd = -1, dir_fd = -1;
	struct sockaddr_un address;
	mode_t mask;
	int r;

	r = open_address(session_dir, &dir_fd, &address);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (unlinkat(dir_fd, "socket", 0) < 0 && errno != ENOENT)
		return -errno;
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (!r && listen(fd, 16) < 0)
		r = -errno;
	if (r)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

int socket_connect(const char *session_dir, int *ret_fd)
{
	_cleanup_close_ int fd = -1, dir_fd = -1;
	struct sockaddr_un address;
	int r;

	r = open_address(session_dir, &dir_fd, &address);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (!socket_peer_allowed(fd))
		return -EPERM;
	*ret_fd = take_fd(&fd);
	return 0;
}
