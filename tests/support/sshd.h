/* A private OpenSSH server for tests: loopback, a free port, its own host keys, one allowed user key, this user.
 *
 * It runs in inetd mode behind a listener of ours, so it is ready at once and its port is never somebody else's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sshd {
	char *dir;         /* its files; removed by the owner of the directory above */
	char *key;         /* a private key that may log in */
	char *other_key;   /* one that may not */
	char *rsa_key;     /* an RSA key that may log in, as far as the server goes */
	char *known_hosts; /* with the host's key */
	char *user;
	uint16_t port;
	pid_t pid;         /* of the listener */
};

/* Makes keys and configuration in `dir` (made here) and starts listening. False (with a line on stderr) if there is no
 * sshd on this machine or something fails. */
bool sshd_start(struct sshd *sshd, const char *dir);
/* Ends the listener, by its pid, and with it the connections that are left. */
void sshd_stop(struct sshd *sshd);
