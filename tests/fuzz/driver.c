/* Runs a fuzz target without libFuzzer: every file of the given files and directories as it is, then `-runs=N`
 * seeded mutations of them. The same seed gives the same run. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "proto/base/buf.h"
#include "proto/base/io.h"

#define INPUT_BYTES_MAX (1U << 20)
#define INPUTS_MAX 4096U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
	char *data;
	size_t len;
};

static struct input inputs[INPUTS_MAX];
static size_t input_count;

static uint32_t next_random(void)
{
	static uint32_t seed = 1;

	seed = seed * 1664525U + 1013904223U;
	return seed >> 8;
}

static int run(const char *data, size_t len)
{
	/* A copy of exactly its size, so that the sanitizer sees a read behind it. */
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	return 0;
}

static int add_file(const char *path)
{
	struct input *input = &inputs[input_count];
	int r;

	if (input_count == INPUTS_MAX)
		return 0;
	r = io_read_file(path, INPUT_BYTES_MAX, &input->data, &input->len);
	if (r) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return error_fold(r);
	}
	input_count++;
	return run(input->data, input->len);
}

static int add_path(const char *path)
{
	struct dirent *entry;
	struct stat info;
	int r = 0;
	DIR *dir;

	if (stat(path, &info) < 0 || !S_ISDIR(info.st_mode))
		return add_file(path);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir))) {
		_cleanup_free_ char *name = NULL;

		if (entry->d_name[0] == '.')
			continue;
		name = io_join(path, entry->d_name);
		r = name ? add_path(name) : -ENOMEM;
	}
	closedir(dir);
	return r;
}

static int run_mutated(const struct input *input, const struct input *other)
{
	_cleanup_(buf_deinit) struct buf data = BUF_NULL;
	size_t from, len;

	if (buf_append(&data, input->data, input->len) < 0)
		return -ENOMEM;
	for (uint32_t i = 1 + next_random() % 8; i; i--) {
		if (data.len == 0 || next_random() % 4 == 0) {
			from = other->len ? next_random() % other->len : 0;
			len = other->len ? next_random() % (other->len - from) + 1 : 0;
			if (buf_append(&data, other->data + from, len) < 0)
				return -ENOMEM;
		} else {
			data.data[next_random() % data.len] ^= (uint8_t)next_random();
		}
	}
	if (data.len && next_random() % 4 == 0)
		data.len = next_random() % data.len;
	return run((const char *)data.data, data.len);
}

int main(int argc, char **argv)
{
	unsigned long mutations = 0;
	int r = 0;

	for (int i = 1; i < argc && r == 0; i++) {
		if (!strncmp(argv[i], "-runs=", 6))
			mutations = strtoul(argv[i] + 6, NULL, 10);
		else if (argv[i][0] != '-')
			r = add_path(argv[i]);
	}
	for (unsigned long i = 0; i < mutations && input_count && r == 0; i++)
		r = run_mutated(&inputs[next_random() % input_count], &inputs[next_random() % input_count]);
	for (size_t i = 0; i < input_count; i++)
		free(inputs[i].data);
	printf("%zu inputs, %lu mutations\n", input_count, mutations);
	return r < 0;
}
