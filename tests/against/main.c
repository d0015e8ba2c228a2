#include <stdio.h>
#include <string.h>
#include "tests/against/against.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} parts[] = { { "drive", against_drive }, { "feed", against_feed }, { "judge", against_judge } };

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(argv[1], parts[i].name))
			return parts[i].run(argc - 2, argv + 2);
	fprintf(stderr, "usage: against drive|feed|judge DIR ...\n");
	return 2;
}
