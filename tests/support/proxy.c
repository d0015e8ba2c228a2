/* A proxy on the link between two programs, which can be told to be a bad network.
 *
 * proxy LISTEN TARGET CONTROL [SEED]: LISTEN and TARGET are `unix:PATH` or `tcp:PORT` (127.0.0.1; port 0: a
 * free one), CONTROL is a FIFO that exists. Standard output tells what happens, a line each: `ready ADDRESS`
 * first, then `did N COMMAND` after the Nth line of the control, and the events named below. Commands:
 *
 *   heal                   bytes pass again as they come
 *   delay MS [JITTER_MS]   every chunk is late by so much (order is kept)
 *   stall up|down|both     nothing passes that way; connections stay open (up: from who connected)
 *   cut                    connections are reset
 *   refuse                 cut, and new ones are reset too, until `heal`
 *   swallow N              the Nth chunk down from now is lost and its connection reset: `swallowed`
 *   lossy N                one chunk down in N, by the seed, is lost and its connection reset: `swallowed`
 *   flap N UP_MS DOWN_MS   N times refuse for DOWN_MS, then pass for UP_MS; then `flapped`
 *
 * One process, one loop, no signals; it ends when it is killed. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAIRS_MAX 128
#define CHUNK_BYTES 16384
#define QUEUE_BYTES_MAX (256u * 1024)

struct chunk {
	struct chunk *next;
	int64_t due_ms;
	size_t len, sent;
	char data[];
};

struct way {
	int from, to; /* owned by the pair */
	struct chunk *first, *last;
	size_t bytes;
	bool ended; /* `from` has nothing more to say */
};

struct pair {
	bool used;
	int fds[2];	    /* who connected, the target */
	struct way ways[2]; /* up, down */
};

static struct pair pairs[PAIRS_MAX];
static struct {
	bool stalled[2], refusing;
	int64_t delay_ms, jitter_ms;
	long swallow_in, lossy;
	long flaps;
	int64_t flap_up_ms, flap_down_ms, flap_at_ms;
} network;
static uint64_t random_state;
static const char *target;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return limit ? random_state % limit : 0;
}

/* --- addresses --- */

static int make_socket(const char *address, struct sockaddr_storage *ret_name, socklen_t *ret_len)
{
	struct sockaddr_un *local = (struct sockaddr_un *)ret_name;
	struct sockaddr_in *inet = (struct sockaddr_in *)ret_name;
	int n = 0;

	memset(ret_name, 0, sizeof(*ret_name));
	if (!strncmp(address, "unix:", 5)) {
		local->sun_family = AF_UNIX;
		n = snprintf(local->sun_path, sizeof(local->sun_path), "%s", address + 5);
		*ret_len = sizeof(*local);
	} else if (!strncmp(address, "tcp:", 4)) {
		inet->sin_family = AF_INET;
		inet->sin_port = htons((uint16_t)atoi(address + 4));
		inet->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*ret_len = sizeof(*inet);
	} else {
		n = -1;
	}
	if (n < 0 || (size_t)n >= sizeof(local->sun_path)) {
		errno = EINVAL;
		return -1;
	}
	return socket(ret_name->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int listen_on(const char *address)
{
	struct sockaddr_storage name;
	socklen_t len;
	int fd = make_socket(address, &name, &len), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, (struct sockaddr *)&name, len) < 0 || listen(fd, 64) < 0)
		return -1;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (name.ss_family == AF_INET) {
		getsockname(fd, (struct sockaddr *)&name, &len);
		printf("ready tcp:%u\n", ntohs(((struct sockaddr_in *)&name)->sin_port));
	} else {
		printf("ready %s\n", address);
	}
	return fd;
}

/* --- connections --- */

/* A connection that is cut ends by a reset, as one does whose other end is gone. */
static void reset_fd(int fd)
{
	struct linger linger = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

static void pair_reset(struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		struct chunk *chunk;

		reset_fd(pair->fds[i]);
		while ((chunk = pair->ways[i].first)) {
			pair->ways[i].first = chunk->next;
			free(chunk);
		}
	}
	memset(pair, 0, sizeof(*pair));
}

static void reset_all(void)
{
	for (size_t i = 0; i < PAIRS_MAX; i++)
		if (pairs[i].used)
			pair_reset(&pairs[i]);
}

static void tune(int fd)
{
	int on = 1;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* no matter if it is no TCP */
}

static void accept_one(int listener)
{
	struct sockaddr_storage name;
	struct pair *pair = pairs;
	socklen_t len;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), to = -1;

	if (fd < 0)
		return;
	while (pair < pairs + PAIRS_MAX && pair->used)
		pair++;
	if (!network.refusing && pair < pairs + PAIRS_MAX)
		to = make_socket(target, &name, &len);
	if (to < 0 || connect(to, (struct sockaddr *)&name, len) < 0) {
		reset_fd(fd);
		if (to >= 0)
			close(to);
		return;
	}
	tune(fd);
	tune(to);
	*pair = (struct pair){
		.used = true, .fds = {fd, to}, .ways = {{.from = fd, .to = to}, {.from = to, .to = fd}}};
}

/* --- bytes --- */

/* True: this chunk is lost. */
static bool is_swallowed(int direction)
{
	bool lost;

	if (direction == 0)
		return false;
	lost = (network.swallow_in > 0 && --network.swallow_in == 0) ||
	       (network.lossy > 0 && random_below((uint64_t)network.lossy) == 0);
	if (lost)
		printf("swallowed\n");
	return lost;
}

static bool way_append(struct way *way, const char *data, size_t len)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + len);

	if (!chunk)
		return false;
	*chunk = (struct chunk){.len = len};
	chunk->due_ms = now_ms() + network.delay_ms + (int64_t)random_below((uint64_t)network.jitter_ms);
	if (way->last && way->first && chunk->due_ms < way->last->due_ms)
		chunk->due_ms = way->last->due_ms;
	memcpy(chunk->data, data, len);
	if (way->first)
		way->last->next = chunk;
	else
		way->first = chunk;
	way->last = chunk;
	way->bytes += len;
	return true;
}

/* False: the pair is to be reset. */
static bool way_read(struct way *way, int direction)
{
	char data[CHUNK_BYTES];
	ssize_t n = read(way->from, data, sizeof(data));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) {
		way->ended = true;
		return true;
	}
	return !is_swallowed(direction) && way_append(way, data, (size_t)n);
}

static bool way_is_due(const struct way *way, int direction)
{
	return way->first && !network.stalled[direction] && way->first->due_ms <= now_ms();
}

static bool way_write(struct way *way)
{
	struct chunk *chunk = way->first;
	ssize_t n = send(way->to, chunk->data + chunk->sent, chunk->len - chunk->sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	chunk->sent += (size_t)n;
	if (chunk->sent < chunk->len)
		return true;
	way->bytes -= chunk->len;
	way->first = chunk->next;
	if (!way->first)
		way->last = NULL;
	free(chunk);
	return true;
}

/* An end travels like bytes do: behind all of them, and not while its way is stalled. */
static bool way_is_over(const struct way *way, int direction)
{
	return way->ended && !way->first && !network.stalled[direction];
}

/* --- control --- */

static void do_heal(void)
{
	memset(&network, 0, sizeof(network));
}

static bool do_stall(const char *which)
{
	bool both = !strcmp(which, "both");

	network.stalled[0] |= both || !strcmp(which, "up");
	network.stalled[1] |= both || !strcmp(which, "down");
	return network.stalled[0] || network.stalled[1];
}

static bool obey(const char *line)
{
	char word[16] = "", which[16] = "";
	long a = 0, b = 0, c = 0;
	int n = sscanf(line, "%15s %ld %ld %ld", word, &a, &b, &c);

	if (!strcmp(word, "heal"))
		do_heal();
	else if (!strcmp(word, "delay") && n >= 2)
		network.delay_ms = a, network.jitter_ms = n > 2 ? b : 0;
	else if (!strcmp(word, "stall"))
		return sscanf(line, "%*s %15s", which) == 1 && do_stall(which);
	else if (!strcmp(word, "cut"))
		reset_all();
	else if (!strcmp(word, "refuse"))
		network.refusing = true, reset_all();
	else if (!strcmp(word, "swallow") && n == 2)
		network.swallow_in = a;
	else if (!strcmp(word, "lossy") && n == 2)
		network.lossy = a;
	else if (!strcmp(word, "flap") && n == 4)
		network.flaps = 2 * a, network.flap_up_ms = b, network.flap_down_ms = c,
		network.flap_at_ms = now_ms();
	else
		return false;
	return true;
}

static void read_control(int fd)
{
	static char text[512];
	static size_t len;
	static long number;
	ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);
	char *end;

	if (n <= 0)
		return;
	len += (size_t)n;
	text[len] = 0;
	while ((end = strchr(text, '\n'))) {
		*end = 0;
		number++;
		printf("%s %ld %s\n", obey(text) ? "did" : "not understood", number, text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len + 1);
	}
}

/* An even number of half flaps is left while it passes. */
static void flap(void)
{
	if (!network.flaps || now_ms() < network.flap_at_ms)
		return;
	network.refusing = network.flaps % 2 == 0;
	if (network.refusing)
		reset_all();
	network.flap_at_ms = now_ms() + (network.refusing ? network.flap_down_ms : network.flap_up_ms);
	if (--network.flaps == 0)
		printf("flapped\n");
}

/* --- the loop --- */

static int64_t sooner(int64_t wait_ms, int64_t at_ms)
{
	int64_t left = at_ms - now_ms();

	left = left < 0 ? 0 : left;
	return wait_ms < 0 || left < wait_ms ? left : wait_ms;
}

static short wanted(const struct pair *pair, int side, int64_t *wait_ms)
{
	const struct way *out = &pair->ways[side], *in = &pair->ways[!side];
	short events = 0;

	if (!out->ended && !network.stalled[side] && out->bytes < QUEUE_BYTES_MAX)
		events |= POLLIN;
	if (way_is_due(in, !side))
		events |= POLLOUT;
	else if (in->first && !network.stalled[!side])
		*wait_ms = sooner(*wait_ms, in->first->due_ms);
	return events;
}

/* With nothing wanted of a descriptor poll would still tell of its hang-up, again and again. */
static size_t gather(struct pollfd *polls, int64_t *wait_ms)
{
	size_t count = 2;

	for (size_t i = 0; i < PAIRS_MAX; i++)
		for (int side = 0; pairs[i].used && side < 2; side++) {
			short events = wanted(&pairs[i], side, wait_ms);

			if (events)
				polls[count++] = (struct pollfd){pairs[i].fds[side], events, 0};
		}
	if (network.flaps)
		*wait_ms = sooner(*wait_ms, network.flap_at_ms);
	return count;
}

static void pair_work(struct pair *pair, int fd, short revents)
{
	int side = pair->fds[1] == fd;
	bool ok = true;

	if (revents & POLLOUT && way_is_due(&pair->ways[!side], !side))
		ok = way_write(&pair->ways[!side]);
	if (ok && revents & (POLLIN | POLLHUP | POLLERR) && !network.stalled[side] && !pair->ways[side].ended)
		ok = way_read(&pair->ways[side], side);
	if (!ok || way_is_over(&pair->ways[0], 0) || way_is_over(&pair->ways[1], 1))
		pair_reset(pair);
}

static void dispatch(const struct pollfd *polls, size_t count)
{
	for (size_t i = 2; i < count; i++)
		for (size_t k = 0; polls[i].revents && k < PAIRS_MAX; k++)
			if (pairs[k].used &&
				(pairs[k].fds[0] == polls[i].fd || pairs[k].fds[1] == polls[i].fd)) {
				pair_work(&pairs[k], polls[i].fd, polls[i].revents);
				break;
			}
}

int main(int argc, char **argv)
{
	static struct pollfd polls[2 + 2 * PAIRS_MAX];
	int listener, control;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4) {
		fprintf(stderr, "usage: proxy LISTEN TARGET CONTROL [SEED]\n");
		return 2;
	}
	target = argv[2];
	random_state = (argc > 4 ? strtoull(argv[4], NULL, 10) : 1) * 2654435761u + 88172645463325252ull;
	control = open(argv[3], O_RDWR | O_CLOEXEC); /* so that it never ends */
	listener = listen_on(argv[1]);
	if (control < 0 || listener < 0) {
		fprintf(stderr, "proxy: %s\n", strerror(errno));
		return 1;
	}
	polls[0] = (struct pollfd){control, POLLIN, 0};
	polls[1] = (struct pollfd){listener, POLLIN, 0};
	for (;;) {
		int64_t wait_ms = -1;
		size_t count;

		flap();
		count = gather(polls, &wait_ms);
		if (poll(polls, count, (int)wait_ms) < 0 && errno != EINTR)
			return 1;
		dispatch(polls, count);
		if (polls[0].revents)
			read_control(control);
		if (polls[1].revents)
			accept_one(listener);
	}
}
