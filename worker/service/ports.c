#include "worker/service/ports.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Shared by all users of the host: the directory is as /tmp, the files are anybody's to lock. */
#define PORTS_DIR "/tmp/.maestro-ports"

static int claim(unsigned int range)
{
	char path[64];
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), PORTS_DIR "/%u", PORTS_FIRST + range * PORTS_PER_RANGE);
	fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 && errno == EACCES) /* another user's, in a sticky directory (fs.protected_regular) */
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return take_fd(&fd);
}

int ports_claim(unsigned int preferred, unsigned int *ret_port, int *ret_fd)
{
	unsigned int first = preferred >= PORTS_FIRST ? (preferred - PORTS_FIRST) / PORTS_PER_RANGE : 0;
	int last = -EBUSY;

	if (mkdir(PORTS_DIR, 01777) == 0)
		chmod(PORTS_DIR, 01777); /* whatever the umask said */
	for (unsigned int i = 0; i < PORTS_RANGES; i++) {
		unsigned int range = (first + i) % PORTS_RANGES;
		int fd = claim(range);

		if (fd < 0) {
			last = fd == -EWOULDBLOCK ? last : fd;
			continue;
		}
		*ret_port = PORTS_FIRST + range * PORTS_PER_RANGE;
		*ret_fd = fd;
		return 0;
	}
	return last;
}
