/* libssh2 1.10 signs RSA keys with SHA-1 only, which servers refuse, so RSA keys are never tried; the error says so. */
#include "worker/git/auth.h"
#include "worker/git/ssh_private.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "worker/git/job.h"

#define KEY_BYTES_MAX (64u * 1024)
#define AGENT_KEYS_MAX 5u /* servers close after six tries */

static const char *const usual_files[] = { ".ssh/id_ed25519", ".ssh/id_ecdsa" };

struct auth {
	struct ssh *ssh;
	const char *user;
	bool rsa_seen;       /* in the agent */
	unsigned int tried;
};

struct key_kind {
	bool rsa, locked;
};

/* Looks into an OpenSSH private key's body: the names of cipher and kind stand in it in clear. */
static void look_inside(struct ssh *ssh, const char *body, struct key_kind *kind)
{
	const char *end = strstr(body, "-----END");
	char *data = NULL;
	unsigned int len = 0;

	if (!end || libssh2_base64_decode(ssh->session, &data, &len, body, (unsigned int)(end - body)))
		return;
	kind->rsa = memmem(data, len, "ssh-rsa", 7);
	kind->locked = memmem(data, len, "bcrypt", 6);
	libssh2_free(ssh->session, data);
}

static int look_at_key(struct ssh *ssh, const char *path, struct key_kind *ret_kind, struct error *error)
{
	static const char openssh[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
	struct key_kind kind = { false, false };
	char *text = NULL, *body;
	struct stat st;
	size_t len = 0;
	int r = io_read_file(path, KEY_BYTES_MAX, &text, &len);

	if (r)
		return error_set(error, JOB_E_AUTH, "the key %s cannot be read: %s", path,
			r > 0 ? "it is not there" : strerror(-r));
	kind.rsa = strstr(text, "BEGIN RSA PRIVATE KEY");
	kind.locked = strstr(text, "ENCRYPTED");
	body = strstr(text, openssh);
	if (body)
		look_inside(ssh, body + strlen(openssh), &kind);
	id_wipe(text, len);
	free(text);
	if (!stat(path, &st) && st.st_mode & 077) {
		error_set(error, JOB_E_AUTH, "the key %s can be read by others", path);
		error_hint(error, "run `chmod 600 %s`", path);
		return JOB_E_AUTH;
	}
	*ret_kind = kind;
	return 0;
}

static int refuse_rsa(struct error *error, const char *where)
{
	error_set(error, JOB_E_AUTH, "%s is an RSA key, which cannot be used here", where);
	error_hint(error, "make an ed25519 key (`ssh-keygen -t ed25519`) and allow it on the server");
	return JOB_E_AUTH;
}

static int refused(struct auth *auth, struct error *error, const char *what)
{
	if (auth->ssh->dead || libssh2_session_last_errno(auth->ssh->session) == LIBSSH2_ERROR_SOCKET_DISCONNECT)
		return ssh_error(auth->ssh, error, "the server ended the login");
	error_set(error, JOB_E_AUTH, "%s refused %s for the user %s", auth->ssh->hosts.name, what, auth->user);
	error_hint(error, "add the public key to that account on the server (an ed25519 or ecdsa key; RSA keys cannot be used)");
	return JOB_E_AUTH;
}

static int try_file(struct auth *auth, const char *path, struct error *error)
{
	_cleanup_free_ char *what = NULL;
	struct key_kind kind = { false, false };
	int r = look_at_key(auth->ssh, path, &kind, error);

	if (r)
		return r;
	if (kind.rsa)
		return refuse_rsa(error, path);
	if (kind.locked) {
		error_set(error, JOB_E_AUTH, "the key %s is locked with a passphrase", path);
		error_hint(error, "load it into an ssh-agent and give the worker its SSH_AUTH_SOCK, or use a key without one");
		return JOB_E_AUTH;
	}
	auth->tried++;
	r = ssh_repeat(auth->ssh, libssh2_userauth_publickey_fromfile_ex(auth->ssh->session, auth->user,
		(unsigned int)strlen(auth->user), NULL, path, NULL));
	if (!r)
		return 0;
	if (r == LIBSSH2_ERROR_FILE)
		return error_set(error, JOB_E_AUTH, "%s is no private key that can be read", path);
	if (asprintf(&what, "the key %s", path) < 0)
		return -ENOMEM;
	return refused(auth, error, what);
}

static int try_identities(struct auth *auth, LIBSSH2_AGENT *agent)
{
	struct libssh2_agent_publickey *identity = NULL;
	unsigned int tried = 0;

	while (tried < AGENT_KEYS_MAX && !libssh2_agent_get_identity(agent, &identity, identity)) {
		if (identity->blob_len > 11 && !memcmp(identity->blob + 4, "ssh-rsa", 7)) {
			auth->rsa_seen = true;
			continue;
		}
		tried++;
		auth->tried++;
		if (!ssh_repeat(auth->ssh, libssh2_agent_userauth(agent, auth->user, identity)))
			return 0;
		if (auth->ssh->dead)
			break;
	}
	return JOB_E_AUTH;
}

/* No agent, or none of its keys: JOB_E_AUTH without words. */
static int try_agent(struct auth *auth)
{
	LIBSSH2_AGENT *agent;
	int r = JOB_E_AUTH;

	if (!getenv("SSH_AUTH_SOCK"))
		return r;
	agent = libssh2_agent_init(auth->ssh->session);
	if (!agent)
		return -ENOMEM;
	if (!libssh2_agent_connect(agent)) {
		if (!libssh2_agent_list_identities(agent))
			r = try_identities(auth, agent);
		libssh2_agent_disconnect(agent);
	}
	libssh2_agent_free(agent);
	return r;
}

static int try_usual(struct auth *auth, struct error *error)
{
	const char *home = getenv("HOME");
	int r = JOB_E_AUTH;

	for (size_t i = 0; home && r > 0 && !auth->ssh->dead && i < ARRAY_SIZE(usual_files); i++) {
		_cleanup_free_ char *path = io_join(home, usual_files[i]);

		if (!path)
			return -ENOMEM;
		if (!access(path, R_OK))
			r = try_file(auth, path, error);
	}
	if (r <= 0 || (error && error->why))
		return r;
	if (auth->tried)
		return refused(auth, error, "the agent's keys");
	if (auth->rsa_seen)
		return refuse_rsa(error, "all that the agent has");
	error_set(error, JOB_E_AUTH, "there is no SSH key to log in to %s", auth->ssh->hosts.name);
	error_hint(error, "set the worker's ssh-key to an ed25519 key, or start it with an ssh-agent (SSH_AUTH_SOCK)");
	return r;
}

int auth_run(struct ssh *ssh, const struct ssh_target *target, struct error *error)
{
	struct passwd *self = target->user ? NULL : getpwuid(geteuid());
	struct auth auth = { .ssh = ssh, .user = target->user ? target->user : self ? self->pw_name : "git" };
	int r;

	if (target->key)
		return try_file(&auth, target->key, error);
	r = try_agent(&auth);
	return r > 0 ? try_usual(&auth, error) : r;
}
