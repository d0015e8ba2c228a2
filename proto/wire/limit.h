/* Every bound that both ends of a connection agree on. */
#pragma once

#define LIMIT_FRAME_HANDSHAKE_BYTES (16u * 1024)
#define LIMIT_FRAME_BYTES (1024u * 1024)
#define LIMIT_PART_BYTES (64u * 1024)
#define LIMIT_MESSAGE_BYTES (16u * 1024 * 1024) /* put together from parts */
#define LIMIT_UNPACK_FACTOR 320u                /* memory an unpacked message may take, in its bytes: what our own may need */
#define LIMIT_UNPACK_BYTES (128u * 1024 * 1024) /* and at most; a page of LIMIT_PAGE of anything is far below */
#define LIMIT_PAGE 1024u                        /* entries of one page of a list */
#define LIMIT_HANDSHAKE_MS 10000u
#define LIMIT_PING_MS 10000u
#define LIMIT_DEAD_MS 30000u
#define LIMIT_UNACKED_BYTES (64u * 1024)        /* on a main connection, besides keys */

#define LIMIT_PROMPT_BYTES (256u * 1024)
#define LIMIT_PROMPT_ARG_BYTES (64u * 1024)     /* above it a prompt is handed over as a file */
#define LIMIT_NAME_CHARS 64u
#define LIMIT_TITLE_BYTES 256u
#define LIMIT_STATUS_BYTES 1024u                /* message and file of an agent's status */
#define LIMIT_REASON_BYTES 2048u
#define LIMIT_LABELS 64u
#define LIMIT_COPIES 16u
#define LIMIT_REPEATED 65536u                   /* entries of any repeated field */

#define PROTOCOL_VERSION_MIN 1u
#define PROTOCOL_VERSION_MAX 1u
/* Of a holder towards its workers. 2: input is counted. */
#define HOLDER_VERSION_MIN 1u
#define HOLDER_VERSION_MAX 2u
#define HOLDER_VERSION_COUNTS 2u
#define DEFAULT_PORT 7717
#define TLS_SERVER_NAME "maestro-coordinator"
