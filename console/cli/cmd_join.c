#include "console/cli/command.h"
#include "console/client/join.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#define TOKEN_MAX 1024u

struct values {
	struct cli_common common;
	char *profile, *token_file;
};

static const struct option_spec specs[] = {
	{ .name = "profile", .type = OPTION_STRING, .offset = offsetof(struct values, profile), .arg = "NAME",
		.initial = "default", .help = "what this coordinator is called in client.conf" },
	{ .name = "token-file", .type = OPTION_STRING, .offset = offsetof(struct values, token_file), .arg = "FILE|-",
		.help = "read the token from a file or standard input; else it is asked for" },
	CLI_COMMON_OPTIONS,
};

/* On the terminal, unseen. */
static int ask_token(char *token, struct error *error)
{
	_cleanup_close_ int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct termios saved, quiet;
	ssize_t n;

	if (fd < 0 || tcgetattr(fd, &saved) < 0) {
		error_set(error, CLIENT_E_USAGE, "there is no terminal to ask for the token on");
		error_hint(error, "use --token-file FILE, or --token-file - for standard input");
		return CLIENT_E_USAGE;
	}
	quiet = saved;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	io_write_all(fd, "Token: ", 7);
	tcsetattr(fd, TCSAFLUSH, &quiet);
	n = read(fd, token, TOKEN_MAX - 1);
	tcsetattr(fd, TCSAFLUSH, &saved);
	io_write_all(fd, "\n", 1);
	token[n > 0 ? n : 0] = 0;
	return 0;
}

static int read_token(const char *path, char *token, struct error *error)
{
	_cleanup_close_ int opened = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	int fd = strcmp(path, "-") ? opened : STDIN_FILENO;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return error_set(error, CLIENT_E_FAILED, "%s: %m", path);
	while (len < TOKEN_MAX - 1 && (n = read(fd, token + len, TOKEN_MAX - 1 - len)) > 0)
		len += (size_t)n;
	token[len] = 0;
	return 0;
}

static int get_token(const char *path, char *token, struct error *error)
{
	int r = path ? read_token(path, token, error) : ask_token(token, error);

	if (!r)
		token[strcspn(token, " \t\r\n")] = 0;
	if (!r && !*token)
		return error_set(error, CLIENT_E_USAGE, "the token is empty");
	return r;
}

/* A token works once: what can fail on our side is tried before it is used. */
static int check_directory(const struct paths *paths, struct error *error)
{
	_cleanup_free_ char *keys = io_join(paths->config, "keys");
	int r = keys ? io_make_dirs(keys, 0700) : -ENOMEM;

	if (!r && access(keys, W_OK) < 0)
		r = -errno;
	return r ? error_set(error, r, "%s: %s", keys ? keys : "keys", strerror(-r)) : 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_(profile_deinit) struct profile profile = PROFILE_NULL;
	_cleanup_free_ char *url = NULL;
	char token[TOKEN_MAX];
	int r;

	if (!name_valid(values->profile))
		return error_set(error, CLIENT_E_USAGE, "profile: '%s' is no name (a-z, 0-9, '.', '_', '-')", values->profile);
	r = link_address_parse(operands[0], &url, error);
	if (r)
		return r == -ENOMEM ? r : CLIENT_E_USAGE;
	if (str_starts(url, "ipc:"))
		return error_set(error, CLIENT_E_USAGE, "on the coordinator's own machine its user needs no token");
	r = check_directory(&cli->paths, error);
	if (!r)
		r = get_token(values->token_file, token, error);
	if (!r) {
		r = join_coordinator(url, token, &cli->log, &profile, error);
		id_wipe(token, sizeof(token));
		if (r)
			error_prefix(error, "%s", url);
	}
	if (r)
		return r;
	profile.name = strdup(values->profile);
	r = profile.name ? profile_save(&cli->paths, &profile, error) : -ENOMEM;
	if (r)
		return r > 0 ? CLIENT_E_FAILED : r;
	if (cli->json)
		return cli_print_json(json_pack("{ss ss ss}", "profile", profile.name, "address", url, "role",
			name_role(profile.role)));
	printf("This machine is enrolled at %s as %s (profile %s).\n", url, name_role(profile.role), profile.name);
	return 0;
}

const struct command command_join = {
	.name = "join",
	.group = GROUP_START,
	.brief = "enrol this machine with a coordinator elsewhere",
	.table = { "maestro join", "ADDRESS [--profile NAME] [--token-file FILE|-]",
		"Enrols a person's machine with a coordinator. The token is from 'maestro token create' there; it is asked\n"
		"for on the terminal, and never stands in an argument.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
