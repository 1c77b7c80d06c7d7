/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The benchmark's work, over any stack that io.h describes.
 *
 *   rr      every connection has one message under way: request, response, again
 *   stream  every connection sends as fast as it is taken; the server reads
 *   crr     connect, one request and response, close, again
 *   idle    connections that did one rr and then nothing: memory. With --hold it says so, and idles until its standard input ends
 *
 * One program is server and client (--role self, in one thread or in two), or either. Every byte received is compared with what must have been
 * sent: the byte at stream offset o of connection c is a fixed function of both, in each direction, so nothing can be lost, doubled,
 * reordered or mixed up unseen. Bounded in time and in count. One line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/bench/gauge.h"
#include "test/bench/io.h"

#define PERIOD 65521u /* prime: patterns of offsets do not repeat with buffers or windows */
#define READ_BYTES 65536u
#define EVENTS 64
#define HELLO_BYTES \
	8u /* first bytes of a connection from its client: its number, so that the server knows the pattern */
#define MSG_MAX 16384u
#define GIVE_UP_S 10.0 /* no progress for so long: failed */
#define IDLE_S 5.0     /* idle: memory is given back after one to three seconds without use */
#define HOLD_S 60.0    /* the same with --hold, at most */

enum mode {
	MODE_RR,
	MODE_STREAM,
	MODE_CRR,
	MODE_IDLE,
	MODE_N
};
static const char *const mode_name[MODE_N] = {"rr", "stream", "crr", "idle"};

struct options {
	enum mode mode;
	bool serve, connect, spin, hold;
	int threads;
	uint32_t conns, msg_bytes;
	double seconds;
	double window_s; /* server of a stream: what is measured begins with the last connection, 0 = all its life */
	uint64_t count;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	const char *path;
	const char *tally;
};

/* One end of a connection. */
struct end {
	uint64_t conn;
	uint64_t tx, rx;  /* stream offsets */
	uint64_t tx_goal; /* send up to here */
	double since;     /* when the request under way was sent */
	uint32_t id;      /* pattern of the connection */
	uint8_t hello_n;
	bool used, is_server, is_opening;
	uint8_t hello[HELLO_BYTES];
};

struct worker {
	const struct options *o;
	struct end *ends; /* [ends_n], index = cookie */
	uint32_t ends_n, ends_high;
	uint32_t open_n, opening_n; /* client's ends */
	uint32_t serving_n;         /* server's ends */
	uint32_t next_id;
	uint64_t done;   /* requests answered, connections served */
	uint64_t bytes;  /* received and verified by the server side */
	uint64_t bad;    /* bytes that were wrong */
	uint64_t failed; /* connections that ended otherwise than planned */
	double progress; /* when something was last done */
	struct hist hist;
	bool serve, connect;
	struct tally *tally;
};

static uint8_t pattern[PERIOD + READ_BYTES];
static int volatile stop_server; /* set once by the client's thread */

/* ---- bytes ---- */

static const uint8_t *bytes_at(const struct end *e, uint64_t off, bool from_server)
{
	return pattern + (off + e->id * 257u + (from_server ? 31u : 0u)) % PERIOD;
}

static void verify(struct worker *w, const struct end *e, const uint8_t *got, uint32_t n)
{
	if (memcmp(got, bytes_at(e, e->rx, !e->is_server), n) != 0)
		w->bad++;
}

static struct end *end_take(struct worker *w, bool is_server)
{
	struct end *e = NULL;

	for (uint32_t i = 0; i < w->ends_n && !e; i++) {
		uint32_t at = (w->ends_high + i) % w->ends_n;

		if (w->ends[at].used)
			continue;
		e = &w->ends[at];
		w->ends_high = at + 1;
	}
	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->used = true;
	e->is_server = is_server;
	return e;
}

static void end_drop(struct worker *w, struct end *e, bool failed)
{
	io_close(e->conn);
	w->failed += failed;
	if (e->is_server)
		w->serving_n--;
	else
		w->open_n--;
	if (e->is_opening)
		w->opening_n--;
	e->used = e->is_opening = false;
}

/* Send what is owed. Return: false if the connection failed. */
static bool pump(struct worker *w, struct end *e)
{
	while (e->tx < e->tx_goal) {
		uint64_t left = e->tx_goal - e->tx;
		ssize_t n = io_send(e->conn, bytes_at(e, e->tx, e->is_server),
				left < READ_BYTES ? (size_t)left : READ_BYTES);

		if (n == -EAGAIN)
			return true;
		if (n <= 0)
			return false;
		e->tx += (uint64_t)n;
		w->progress = 0;
	}
	return true;
}

/* ---- the client ---- */

static void request(struct worker *w, struct end *e)
{
	e->since = now_s();
	e->tx_goal = e->tx_goal + w->o->msg_bytes;
	if (!pump(w, e))
		end_drop(w, e, true);
}

static void client_connected(struct worker *w, struct end *e)
{
	uint32_t hello[2] = {htonl(e->id), htonl(w->o->msg_bytes)};

	w->opening_n--;
	e->is_opening = false;
	if (io_send(e->conn, hello, HELLO_BYTES) != HELLO_BYTES) {
		end_drop(w, e, true);
		return;
	}
	if (w->o->mode == MODE_STREAM) {
		e->tx_goal = UINT64_MAX;
		if (!pump(w, e))
			end_drop(w, e, true);
	} else {
		e->tx = 0;
		request(w, e);
	}
}

static bool client_open(struct worker *w)
{
	struct end *e = end_take(w, false);
	int ret;

	if (!e)
		return false;
	e->id = w->next_id++;
	if (w->o->mode == MODE_CRR)
		e->since = now_s();
	ret = io_connect((const struct sockaddr *)&w->o->addr, w->o->addr_len,
			(uint32_t)(e - w->ends), &e->conn);
	if (ret) {
		e->used = false;
		w->failed++;
		if (w->failed < 3)
			fprintf(stderr, "connect: %s\n", strerror(-ret));
		return false;
	}
	w->open_n++;
	w->opening_n++;
	e->is_opening = true;
	return true;
}

static void client_answer(struct worker *w, struct end *e)
{
	w->done++;
	w->progress = 0;
	hist_add(&w->hist, now_s() - e->since);
	w->tally->done++;
	switch (w->o->mode) {
	case MODE_RR: request(w, e); break;
	case MODE_CRR: end_drop(w, e, false); break;
	case MODE_STREAM:
	case MODE_IDLE:
	case MODE_N: break;
	}
}

/* ---- the server ---- */

static void server_bytes(struct worker *w, struct end *e, const uint8_t *got, uint32_t n)
{
	while (n && e->hello_n < HELLO_BYTES) {
		e->hello[e->hello_n++] = *got++;
		n--;
		if (e->hello_n == HELLO_BYTES) {
			uint32_t id;

			memcpy(&id, e->hello, sizeof(id));
			e->id = ntohl(id);
		}
	}
	if (!n)
		return;
	verify(w, e, got, n);
	e->rx += n;
	w->bytes += n;
	w->tally->bytes += n;
	w->progress = 0;
	/* Each message is answered by as many bytes. */
	if (w->o->mode != MODE_STREAM)
		e->tx_goal = e->rx - e->rx % w->o->msg_bytes;
}

/* ---- events ---- */

static void readable(struct worker *w, struct end *e)
{
	static __thread uint8_t buf[READ_BYTES];
	uint64_t conn = e->conn;

	for (;;) {
		ssize_t n = io_recv(conn, buf, sizeof(buf));

		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			end_drop(w, e, !e->is_server || n < 0);
			return;
		}
		if (e->is_server) {
			server_bytes(w, e, buf, (uint32_t)n);
			if (!pump(w, e)) {
				end_drop(w, e, true);
				return;
			}
		} else {
			verify(w, e, buf, (uint32_t)n);
			e->rx += (uint64_t)n;
			if (e->rx == e->tx_goal)
				client_answer(w, e);
			if (!e->used || e->conn != conn)
				return;
		}
		if ((size_t)n < sizeof(buf) && w->o->mode != MODE_STREAM)
			break; /* a short read is the end of what is there, or another event follows */
	}
}

static void accepted(struct worker *w, const struct io_event *ev)
{
	struct end *e = end_take(w, true);

	if (!e) {
		io_close(ev->conn);
		w->failed++;
		return;
	}
	e->conn = ev->conn;
	w->serving_n++;
	io_set_cookie(ev->conn, (uint32_t)(e - w->ends));
	readable(w, e);
}

static void event(struct worker *w, const struct io_event *ev)
{
	struct end *e;

	if (ev->what & IO_ACCEPTED) {
		accepted(w, ev);
		return;
	}
	if (ev->cookie >= w->ends_n)
		return;
	e = &w->ends[ev->cookie];
	if (!e->used || e->conn != ev->conn)
		return; /* closed while this was under way */
	if (ev->what & IO_CONNECTED)
		client_connected(w, e);
	if (ev->what & IO_WRITABLE && e->used && e->conn == ev->conn && !pump(w, e))
		end_drop(w, e, true);
	if (ev->what & IO_READABLE && e->used && e->conn == ev->conn)
		readable(w, e);
	if (ev->what & IO_CLOSED && e->used && e->conn == ev->conn) {
		if (ev->error && w->failed < 3)
			fprintf(stderr, "connection %u: %s\n", e->id, strerror(-ev->error));
		end_drop(w, e, ev->error || !e->is_server);
	}
}

/* Take events once. Return 0 or -errno. */
static int turn(struct worker *w)
{
	struct io_event ev[EVENTS];
	int n = io_poll(ev, EVENTS, w->o->spin ? 0 : 20);

	for (int i = 0; i < n; i++)
		event(w, &ev[i]);
	return n < 0 ? n : 0;
}

/* ---- the run ---- */

static bool client_is_done(const struct worker *w, double start, double now)
{
	if (w->o->mode == MODE_IDLE)
		return w->done >= w->o->conns;
	return now - start >= w->o->seconds || (w->o->count && w->done >= w->o->count);
}

static bool stuck(struct worker *w, double now)
{
	if (w->progress == 0)
		w->progress = now;
	return now - w->progress > GIVE_UP_S;
}

/* Return: seconds of the measured part, negative on failure. */
static double client_run(struct worker *w)
{
	double start = now_s(), now = start, warm = 0;
	int ret = 0;

	w->progress = start;
	while (!ret) {
		while (w->open_n < w->o->conns && w->opening_n < 64 &&
				!client_is_done(w, start, now) && client_open(w))
			;
		ret = turn(w);
		now = now_s();
		if (stuck(w, now) || (w->failed > w->o->conns + 16)) {
			fprintf(stderr, "no progress: %u open, %u opening, %llu failed\n",
					w->open_n, w->opening_n, (unsigned long long)w->failed);
			return -1;
		}
		/* The clock starts when all connections are there. */
		if (!warm && (w->o->mode == MODE_CRR ||
					     (w->open_n == w->o->conns && !w->opening_n))) {
			warm = start = now;
			if (w->o->mode == MODE_IDLE)
				continue;
			w->done = w->bytes = 0;
			memset(&w->hist, 0, sizeof(w->hist));
		}
		if (warm && client_is_done(w, start, now))
			return now - start;
	}
	fprintf(stderr, "poll: %s\n", strerror(-ret));
	return -1;
}

static void *server_thread(void *arg)
{
	struct worker *w = arg;
	int ret = io_thread_start();

	if (!ret)
		ret = io_listen((const struct sockaddr *)&w->o->addr, w->o->addr_len, 1024);
	if (ret) {
		fprintf(stderr, "listen: %s\n", strerror(-ret));
		w->failed++;
		stop_server = 2;
		return NULL;
	}
	stop_server = -1; /* listening */
	while (stop_server == -1 && turn(w) == 0)
		;
	return NULL;
}

static struct worker *worker_new(const struct options *o, bool serve, bool connect)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		exit(2);
	w->o = o;
	w->serve = serve;
	w->connect = connect;
	w->tally = tally_open(o->tally);
	w->ends_n = 2 * o->conns + 1024;
	w->ends = calloc(w->ends_n, sizeof(*w->ends));
	if (!w->ends)
		exit(2);
	return w;
}

static void report(const struct options *o, const struct worker *c, const struct worker *s,
		double seconds, long rss_kib, long free_kib)
{
	const struct worker *server = s ? s : c;
	uint64_t bad = c->bad + (s ? s->bad : 0), failed = c->failed + (s ? s->failed : 0);

	printf("{\"bench\": \"%s\", \"stack\": \"%s\", \"conns\": %u, \"threads\": %d, \"msg_bytes\": %u, \"seconds\": %.3f, ",
			mode_name[o->mode], io_name, o->conns, o->threads, o->msg_bytes, seconds);
	if (o->mode == MODE_STREAM)
		printf("\"gbit_per_s\": %.6f, ", (double)server->bytes * 8e-9 / seconds);
	else if (o->mode == MODE_IDLE)
		printf("\"rss_bytes_per_conn\": %ld, \"machine_bytes_per_conn\": %ld, ",
				rss_kib * 1024 / (long)o->conns, free_kib * 1024 / (long)o->conns);
	else
		printf("\"per_s\": %.0f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, ",
				(double)c->done / seconds, hist_at_us(&c->hist, 0.5),
				hist_at_us(&c->hist, 0.99), hist_at_us(&c->hist, 0.999));
	printf("\"bad\": %llu, \"failed\": %llu}\n", (unsigned long long)bad,
			(unsigned long long)failed);
}

static void settle(struct worker *w, double seconds)
{
	double until = now_s() + seconds;

	while (now_s() < until)
		if (turn(w))
			return;
}

/*
 * A stream over a bad path: connections take their time to come, and a full send buffer its time to drain when the client is gone. What
 * arrives in @window_s from the moment that all have come is the rate; then we stay until they are gone. Return: seconds measured.
 */
static double serve_window(struct worker *w)
{
	double end = now_s() + w->o->seconds, start = 0, took = 0;
	uint64_t before = 0, got = 0;

	for (double now = now_s(); now < end && turn(w) == 0; now = now_s()) {
		if (start == 0 && w->serving_n == w->o->conns) {
			start = now;
			before = w->bytes;
		} else if (start != 0 && took == 0 && now - start >= w->o->window_s) {
			took = now - start;
			got = w->bytes - before;
		} else if (took != 0 && w->serving_n == 0) {
			break;
		}
	}
	w->bytes = got;
	return took;
}

/* Who looks at us decides how long: there is no other way to know that he has. */
static void hold(struct worker *w)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	double until = now_s() + HOLD_S;

	printf("idle\n");
	fflush(stdout);
	while (now_s() < until && poll(&input, 1, 0) == 0)
		if (turn(w))
			return;
}

static int run(const struct options *o)
{
	struct worker *c = worker_new(o, o->serve && o->threads == 1, o->connect), *s = NULL;
	long rss = resident_kib(), avail = available_kib();
	pthread_t thread;
	double seconds = 0, served = o->seconds;
	int ret = io_start(o->path);

	if (!ret)
		ret = io_thread_start();
	if (ret) {
		fprintf(stderr, "start: %s\n", strerror(-ret));
		return 2;
	}
	if (o->serve && o->threads == 2 && o->connect) {
		s = worker_new(o, true, false);
		if (pthread_create(&thread, NULL, server_thread, s))
			return 2;
		while (!stop_server)
			usleep(1000);
	} else if (o->serve) {
		ret = io_listen((const struct sockaddr *)&o->addr, o->addr_len, 1024);
		if (ret) {
			fprintf(stderr, "listen: %s\n", strerror(-ret));
			return 2;
		}
	}
	if (o->connect)
		seconds = stop_server == 2 ? -1 : client_run(c);
	else if (o->window_s > 0)
		served = serve_window(c);
	else
		settle(c, o->seconds);
	if (o->mode == MODE_IDLE && seconds > 0 && o->connect) {
		if (o->hold)
			hold(c);
		else
			settle(c, IDLE_S);
	}
	rss = resident_kib() - rss;
	avail -= available_kib();
	if (s) {
		uint64_t bytes = s->bytes;

		stop_server = 1;
		pthread_join(thread, NULL);
		s->bytes = bytes;
	}
	if (o->connect && seconds > 0)
		report(o, c, s, seconds, rss, avail);
	else if (!o->connect && served > 0)
		report(o, c, NULL, served, rss, avail);
	else if (!o->connect)
		fprintf(stderr, "no window of %g s in which all %u connections were open\n",
				o->window_s, o->conns);
	return seconds < 0 || served <= 0 || c->bad || (s && s->bad) || c->failed ? 1 : 0;
}

static int usage(const char *name)
{
	fprintf(stderr,
			"usage: %s [--mode rr|stream|crr|idle] [--role self|server|client] [--threads 1|2] [--addr A] [--port P]\n"
			"  [--conns N] [--msg-bytes N] [--seconds S] [--count N] [--spin] [--hold] [--window S] [--socket PATH]\n"
			"  [--tally FILE]\n"
			"  --count ends a run earlier than --seconds; --spin polls without ever sleeping; --window: a server of\n"
			"  streams counts so long from the moment that all have come, and ends with them; --socket: etad's (eta only);\n"
			"  --tally: bytes received and requests answered so far can be read there, two numbers of 64 bits\n",
			name);
	return 2;
}

static bool addr_parse(struct options *o, const char *text, uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&o->addr;
	struct sockaddr_in *in4 = (struct sockaddr_in *)&o->addr;

	memset(&o->addr, 0, sizeof(o->addr));
	if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		o->addr_len = sizeof(*in4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
		return false;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	o->addr_len = sizeof(*in6);
	return true;
}

static bool mode_parse(struct options *o, const char *text)
{
	for (int i = 0; i < MODE_N; i++) {
		if (!strcmp(text, mode_name[i])) {
			o->mode = (enum mode)i;
			return true;
		}
	}
	return false;
}

static bool role_parse(struct options *o, const char *text)
{
	o->serve = strcmp(text, "client") != 0;
	o->connect = strcmp(text, "server") != 0;
	return !o->serve || !o->connect || !strcmp(text, "self");
}

int main(int argc, char **argv)
{
	struct options o = {.serve = true,
			.connect = true,
			.threads = 1,
			.conns = 1,
			.msg_bytes = 64,
			.seconds = 1};
	const char *addr = "127.0.0.1";
	uint16_t port = 7777;

	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *val = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(name, "--spin") || !strcmp(name, "--hold")) {
			o.spin |= !strcmp(name, "--spin");
			o.hold |= !strcmp(name, "--hold");
			continue;
		}
		if (!val)
			return usage(argv[0]);
		i++;
		if (!strcmp(name, "--mode") ? !mode_parse(&o, val)
					    : !strcmp(name, "--role") && !role_parse(&o, val))
			return usage(argv[0]);
		if (!strcmp(name, "--mode") || !strcmp(name, "--role"))
			continue;
		if (!strcmp(name, "--threads"))
			o.threads = (int)strtol(val, NULL, 10);
		else if (!strcmp(name, "--addr"))
			addr = val;
		else if (!strcmp(name, "--port"))
			port = (uint16_t)strtoul(val, NULL, 10);
		else if (!strcmp(name, "--conns"))
			o.conns = (uint32_t)strtoul(val, NULL, 10);
		else if (!strcmp(name, "--msg-bytes"))
			o.msg_bytes = (uint32_t)strtoul(val, NULL, 10);
		else if (!strcmp(name, "--seconds"))
			o.seconds = strtod(val, NULL);
		else if (!strcmp(name, "--window"))
			o.window_s = strtod(val, NULL);
		else if (!strcmp(name, "--count"))
			o.count = strtoull(val, NULL, 10);
		else if (!strcmp(name, "--tally"))
			o.tally = val;
		else if (!strcmp(name, "--socket"))
			o.path = val;
		else
			return usage(argv[0]);
	}
	if (!o.conns || o.conns > 1000000 || !o.msg_bytes || o.msg_bytes > MSG_MAX ||
			o.seconds <= 0 || o.seconds > 3600 || o.threads < 1 || o.threads > 2 ||
			!port || !addr_parse(&o, addr, port))
		return usage(argv[0]);
	for (uint32_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)((i % PERIOD) * 2654435761u >> 13);
	return run(&o);
}
