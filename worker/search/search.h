/* Looks through transcripts for a slice of time, and says where to go on. Reads files only; knows no worker. */
#pragma once

#include "proto/base/buf.h"
#include "proto/schema/search.pb-c.h"

#define SEARCH_PATTERN_BYTES_MAX 4096u
#define SEARCH_PLACES_MAX 16384u
#define SEARCH_MATCHES_MAX 2000u           /* of one answer */
#define SEARCH_ANSWER_BYTES (256u * 1024)  /* no new line is told after so many */

/* Always an answer (to be freed), except -ENOMEM and the like. */
int search_run(const Maestro__SearchJob *job, Maestro__SearchFound **ret_found);
