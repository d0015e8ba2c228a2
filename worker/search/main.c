/* maestro-search: one search in on standard input, what was found out on standard output, then it ends. A process of its
 * own with little time and memory, since an expression may be made to take all of both. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "proto/base/io.h"
#include "proto/wire/frame.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "worker/search/search.h"

#define CPU_SECONDS 15u
#define MEMORY_BYTES (512ull * 1024 * 1024)

static void limit(void)
{
	(void)setrlimit(RLIMIT_CPU, &(struct rlimit){ CPU_SECONDS, CPU_SECONDS });
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
#ifndef __SANITIZE_ADDRESS__ /* its shadow is larger than any limit */
	(void)setrlimit(RLIMIT_AS, &(struct rlimit){ MEMORY_BYTES, MEMORY_BYTES });
#endif
	(void)nice(10);
}

static int read_job(struct message *ret_message, struct error *error)
{
	_cleanup_free_ uint8_t *data = NULL;
	uint8_t header[4];
	int r = io_read_all(STDIN_FILENO, header, sizeof(header));

	if (!r && get_u32(header) > LIMIT_MESSAGE_BYTES)
		return error_set(error, MESSAGE_E_BROKEN, "a search of %u bytes", get_u32(header));
	data = r ? NULL : malloc(get_u32(header) + 1);
	if (!r)
		r = data ? io_read_all(STDIN_FILENO, data, get_u32(header)) : -ENOMEM;
	return r ? r : message_unpack(&maestro__search_job__descriptor, data, get_u32(header), ret_message, error);
}

static int run(struct error *error)
{
	_cleanup_(message_deinit) struct message job = MESSAGE_NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	Maestro__SearchFound *found = NULL;
	int r = read_job(&job, error);

	if (!r)
		r = search_run((const Maestro__SearchJob *)job.base, &found);
	if (r)
		return r;
	r = message_pack_framed(found, &out);
	maestro__search_found__free_unpacked(found, NULL);
	return r ? r : io_write_all(STDOUT_FILENO, out.data, out.len);
}

int main(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r;

	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts("maestro-search " MAESTRO_VERSION);
		return 0;
	}
	if (argc > 1 || isatty(STDIN_FILENO)) {
		fputs("maestro-search is started by maestro-worker: it reads one search on standard input\n", stderr);
		return 2;
	}
	setlocale(LC_CTYPE, "C.UTF-8");
	limit();
	r = run(&error);
	if (r)
		fprintf(stderr, "maestro-search: %s\n", error_text(&error, r));
	return r ? 1 : 0;
}
