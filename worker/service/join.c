/* `maestro-worker join`: the token's digest pins the coordinator's certificate before anything secret is said; the
 * key is written before it is enrolled, and `coordinator`, which makes the worker one, last. */
#include "worker/service/program.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/option.h"
#include "proto/base/str.h"
#include "proto/link/keys.h"
#include "proto/link/link.h"
#include "proto/wire/names.h"
#include "proto/wire/paths.h"
#include "worker/service/config.h"

#define TOKEN_MAX_BYTES 512u
#define JOIN_LIMIT_MS 30000u

struct join_options {
	char *name, *token_file;
	bool system;
};

static const struct option_spec specs[] = {
	{ .name = "name", .short_name = 'n', .type = OPTION_STRING, .offset = offsetof(struct join_options, name),
		.arg = "NAME", .help = "name of this worker (default: the host's name)" },
	{ .name = "token-file", .type = OPTION_STRING, .offset = offsetof(struct join_options, token_file), .arg = "F|-",
		.help = "read the token from a file or standard input instead of asking for it" },
	{ .name = "system", .type = OPTION_FLAG, .offset = offsetof(struct join_options, system),
		.help = "use /etc/maestro, /var/lib/maestro and /run/maestro" },
};

static const struct option_table table = {
	.program = "maestro-worker join",
	.usage = "[OPTION]... ADDRESS",
	.summary = "Makes this machine a worker of the coordinator at ADDRESS (HOST, HOST:PORT or ipc:///PATH).\n"
		   "Asks for a token; an admin makes one with: maestro token create --role worker",
	.specs = specs,
	.count = ARRAY_SIZE(specs),
};

struct join {
	struct join_options options;
	char *url, *name, *state;
	struct link_token token;
	bool has_token;
	struct key key;
	char *ca_pem;
	sd_event *event;
	struct log log;
	struct link *link;
	struct link_dialer *dialer;
	struct error *error;
	int result;
};

/* --- the token --- */

static int read_line_quietly(char *text, size_t size, struct error *error)
{
	struct termios old, quiet;
	FILE *terminal = fopen("/dev/tty", "r+e");
	char *line;

	if (!terminal || tcgetattr(fileno(terminal), &old) < 0) {
		if (terminal)
			fclose(terminal);
		error_set(error, -ENOTTY, "there is no terminal to ask for the token on");
		error_hint(error, "use --token-file FILE, or --token-file - to read it from standard input");
		return -ENOTTY;
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(terminal), TCSAFLUSH, &quiet);
	fputs("Token: ", terminal);
	fflush(terminal);
	line = fgets(text, (int)size, terminal);
	tcsetattr(fileno(terminal), TCSAFLUSH, &old);
	fputc('\n', terminal);
	fclose(terminal);
	return line ? 0 : error_set(error, -ENODATA, "no token was given");
}

static int read_token_file(const char *file, char *text, size_t size, struct error *error)
{
	FILE *stream = !strcmp(file, "-") ? stdin : fopen(file, "re");
	char *line;

	if (!stream)
		return error_set(error, -errno, "%s: %s", file, strerror(errno));
	line = fgets(text, (int)size, stream);
	if (stream != stdin)
		fclose(stream);
	return line ? 0 : error_set(error, -ENODATA, "%s: there is no token in it", file);
}

static int take_token(struct join *join)
{
	bool local = str_starts(join->url, "ipc:");
	char text[TOKEN_MAX_BYTES] = "";
	int r;

	/* Over the local socket the coordinator knows its own user; whether that is enough is its to say. */
	if (local && !join->options.token_file)
		return 0;
	if (join->options.token_file)
		r = read_token_file(join->options.token_file, text, sizeof(text), join->error);
	else
		r = read_line_quietly(text, sizeof(text), join->error);
	if (r)
		return r;
	text[strcspn(text, " \t\r\n")] = 0;
	r = link_token_parse(text, &join->token, join->error);
	id_wipe(text, sizeof(text));
	if (r)
		return r;
	if (join->token.role != MAESTRO__ROLE__ROLE_WORKER) {
		error_set(join->error, -EINVAL, "this token is for role %s, not for a worker", name_role(join->token.role));
		error_hint(join->error, "make one with: maestro token create --role worker");
		return -EINVAL;
	}
	join->has_token = true;
	return 0;
}

/* --- the conversation --- */

static void end(struct join *join, int result)
{
	join->result = result;
	sd_event_exit(join->event, 0);
}

static void on_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	struct join *join = userdata;

	if (welcome->role == MAESTRO__ROLE__ROLE_WORKER)
		end(join, 0);
	else
		end(join, error_set(join->error, -EACCES, "the coordinator let us in as %s, not as a worker", name_role(welcome->role)));
}

static const char *hint_for(int code)
{
	switch (code) {
	case MAESTRO__REFUSED_CODE__REFUSED_TOKEN:
		return "a token works once and expires; make a new one with: maestro token create --role worker";
	case MAESTRO__REFUSED_CODE__REFUSED_NAME:
		return "choose another name with --name";
	case MAESTRO__REFUSED_CODE__REFUSED_IDENTITY:
		return "join with a token: maestro token create --role worker, then --token-file";
	case MAESTRO__REFUSED_CODE__REFUSED_VERSION:
		return "use the same version of maestro on both machines";
	case 0:
		return "is the coordinator running, and listening there (option listen)?";
	default:
		return NULL;
	}
}

static void on_failed(int code, const char *why, uint32_t retry_ms, void *userdata)
{
	struct join *join = userdata;
	const char *hint = hint_for(code);

	error_set(join->error, -EACCES, "%s: %s", join->url, why);
	if (hint)
		error_hint(join->error, "%s", hint);
	end(join, -EACCES);
}

static const struct link_dialer_ops dialer_ops = { on_connected, on_failed };

static int dial(struct join *join)
{
	struct link_dialer_config config = {
		.address = join->url,
		.ca_pem = join->ca_pem,
		.secret_key = join->key.secret_key,
		.join_secret = join->has_token ? join->token.secret : NULL,
		.join_secret_len = join->has_token ? join->token.secret_len : 0,
		.role = MAESTRO__ROLE__ROLE_WORKER,
		.name = join->name,
		.once = true,
		.ops = &dialer_ops,
		.userdata = join,
	};

	return error_fold(link_dialer_new(&join->dialer, join->link, &config, join->error));
}

static void on_ca(int r, const char *ca_pem, const char *why, void *userdata)
{
	struct join *join = userdata;

	if (!r) {
		join->ca_pem = strdup(ca_pem);
		r = join->ca_pem ? dial(join) : -ENOMEM;
		if (r)
			end(join, r);
		return;
	}
	error_set(join->error, -EACCES, "%s: %s", join->url, why);
	error_hint(join->error, "is this the coordinator that made the token, and is it listening there?");
	end(join, -EACCES);
}

static int on_too_long(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct join *join = userdata;

	error_set(join->error, -ETIMEDOUT, "%s does not answer", join->url);
	error_hint(join->error, "is the coordinator running, and is the address right?");
	end(join, -ETIMEDOUT);
	return 0;
}

static int talk(struct join *join)
{
	int r = sd_event_new(&join->event);

	if (r >= 0)
		r = link_new(&join->link, join->event, &join->log);
	if (r >= 0)
		r = sd_event_add_time_relative(join->event, NULL, CLOCK_BOOTTIME, (uint64_t)JOIN_LIMIT_MS * 1000, 100000,
			on_too_long, join);
	if (r < 0)
		return r;
	if (str_starts(join->url, "ipc:"))
		r = dial(join);
	else
		r = error_fold(link_fetch_ca(join->link, join->url, join->token.ca_digest, on_ca, join, join->error));
	if (r)
		return r;
	join->result = -EIO;
	r = sd_event_loop(join->event);
	return r < 0 ? r : join->result;
}

/* --- files --- */

static int write_file(const struct join *join, const char *name, const char *text)
{
	_cleanup_free_ char *path = io_join(join->state, name);
	int r = path ? io_replace_file(path, text, strlen(text), 0600) : -ENOMEM;

	return r ? error_set(join->error, r, "%s: %s", str_or(path, name), strerror(-r)) : 0;
}

static int prepare_files(struct join *join)
{
	_cleanup_free_ char *joined = io_join(join->state, "coordinator"), *path = io_join(join->state, "worker.key");
	_cleanup_free_ char *where = NULL;
	int r;

	if (!joined || !path)
		return -ENOMEM;
	if (io_read_file(joined, 4096, &where, NULL) == 0) {
		error_set(join->error, -EEXIST, "worker %s has joined %.*s already", join->name, (int)strcspn(where, "\n"), where);
		error_hint(join->error, "run it with: maestro-worker run --name %s; or join as another with --name", join->name);
		return -EEXIST;
	}
	r = io_make_dirs(join->state, 0700);
	if (r)
		return error_set(join->error, r, "%s: %s", join->state, strerror(-r));
	r = key_read(path, &join->key, join->error); /* of a join that did not end well */
	if (r != IO_E_NOT_FOUND)
		return r;
	key_generate(&join->key);
	return key_write(path, &join->key, join->error);
}

static int finish_files(struct join *join)
{
	_cleanup_free_ char *line = NULL;
	int r = join->ca_pem ? write_file(join, "ca.pem", join->ca_pem) : 0;

	if (r)
		return r;
	if (asprintf(&line, "%s\n", join->url) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	return write_file(join, "coordinator", line);
}

static int find_state(struct join *join)
{
	struct paths paths = { NULL, NULL, NULL };
	int r;

	join->name = join->options.name ? strdup(join->options.name) : config_host_name();
	if (!join->name)
		return -ENOMEM;
	if (!name_valid(join->name)) {
		error_set(join->error, 0, "'%s' is no name for a worker", join->name);
		error_hint(join->error, "use lower-case letters, digits, '.', '_' and '-', 64 at most");
		return OPTION_E_USAGE;
	}
	r = paths_init(&paths, join->options.system, join->error);
	if (r)
		return r;
	join->state = paths_worker_state(&paths, join->name);
	paths_deinit(&paths);
	return join->state ? 0 : -ENOMEM;
}

static int parse(struct join *join, int argc, char **argv)
{
	char **operands;
	int count, r;

	r = option_set_defaults(&table, &join->options);
	if (!r)
		r = option_parse(&table, &join->options, argc, argv, false, &operands, &count, join->error);
	if (r)
		return r;
	if (count != 1) {
		error_set(join->error, 0, "join takes one ADDRESS");
		error_hint(join->error, "as in: maestro-worker join coordinator.example:7717");
		return OPTION_E_USAGE;
	}
	r = link_address_parse(operands[0], &join->url, join->error);
	return r ? OPTION_E_USAGE : 0;
}

static int join_all(struct join *join, int argc, char **argv)
{
	int r = parse(join, argc, argv);

	if (!r)
		r = find_state(join);
	if (!r)
		r = prepare_files(join);
	if (!r)
		r = take_token(join);
	if (!r)
		r = talk(join);
	if (!r)
		r = finish_files(join);
	return r;
}

static void join_deinit(struct join *join)
{
	link_dialer_free_p(&join->dialer);
	link_free_p(&join->link);
	sd_event_unref(join->event);
	option_values_deinit(&table, &join->options);
	id_wipe(&join->token, sizeof(join->token));
	key_wipe(&join->key);
	free(join->ca_pem);
	free(join->url);
	free(join->name);
	free(join->state);
}

int program_join(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct join join = { .error = &error };
	int r;

	signal(SIGPIPE, SIG_IGN);
	umask(077);
	log_init(&join.log, "maestro-worker", STDERR_FILENO, LOG_LEVEL_ERROR);
	r = id_init();
	if (!r)
		r = join_all(&join, argc, argv);
	if (!r)
		printf("joined %s as worker %s; run it with: maestro-worker run --name %s\n", join.url, join.name, join.name);
	join_deinit(&join);
	if (r == OPTION_E_HELP || r == OPTION_E_VERSION)
		return 0;
	return r ? program_fail(r == OPTION_E_USAGE ? 2 : 1, &error, r) : 0;
}
