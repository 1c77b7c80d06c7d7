/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a SYN flood costs those who have nothing to do with it, in real time.
 *
 * Two engines on one wire in one process, on one CPU: a transfer from one to the other runs as fast as it can, while SYNs of sources that do
 * not exist arrive at the receiver, and now and then somebody opens a connection. Measured by turns: with the flood, and with one that is
 * made and lost on the wire, since making it costs the same CPU.
 *
 *     flood_bench [SYNs per second, default 100000] [seconds of each part, default 1] [rounds, default 5]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>

#include "test/lib/flood.h"
#include "test/lib/pair.h"

#define PORT 80
#define OPEN_US 10000u /* a new connection this often */
#define BURST_MAX 1024u
#define GONE_MAX 64u

struct bench {
	struct pair *pair;
	struct model *client, *server;
	struct model_conn *master, *a, *b;
	struct model_conn *probe; /* being opened */
	struct model_conn *gone[GONE_MAX];
	uint32_t gone_n;
	struct flood flood;
	uint64_t per_s;
	uint64_t start_us;
	uint64_t flood_from_us, flood_n; /* 0 = no flood */
	bool is_control;                 /* the flood is made, and lost on the wire */
	uint64_t bytes;
	uint64_t opened, asked;
	uint64_t probe_us;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* Answers to nobody go nowhere; nor do the SYNs themselves where only the making of them is measured. */
static bool tap(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	const struct bench *b = arg;

	if (side == 0)
		return !b->is_control || len != FLOOD_FRAME_BYTES || !flood_is_syn(frame, len);
	return !flood_is_answer(frame, len);
}

static void flood_go(struct bench *b, uint64_t now)
{
	uint8_t frame[FLOOD_FRAME_BYTES];
	uint64_t due;

	if (b->flood_from_us == 0)
		return;
	due = (now - b->flood_from_us) * b->per_s / 1000000u;
	/* what could not be sent in time is not sent: a slow machine is not flooded more slowly for it */
	if (due - b->flood_n > BURST_MAX)
		b->flood_n = due - BURST_MAX;
	for (; b->flood_n < due; b->flood_n++) {
		(void)flood_syn(&b->flood, frame);
		simport_inject(b->pair->wire, 0, frame, sizeof(frame));
	}
}

static void transfer(struct bench *b)
{
	static uint8_t buf[65536];
	size_t n;

	while (model_send(b->a, buf, sizeof(buf)) > 0)
		;
	while ((n = model_recv(b->b, buf, sizeof(buf))) > 0)
		b->bytes += n;
}

static void let_go(struct bench *b, struct model_conn *c)
{
	model_abort(c);
	if (b->gone_n < GONE_MAX)
		b->gone[b->gone_n++] = c;
}

static void release(struct bench *b)
{
	for (uint32_t i = 0; i < b->gone_n;) {
		if (model_is_free(b->gone[i])) {
			model_release(b->gone[i]);
			b->gone[i] = b->gone[--b->gone_n];
		} else {
			i++;
		}
	}
}

/* One connection after the other: opened, accepted, closed. */
static void probe(struct bench *b, uint64_t now)
{
	struct model_conn *c = model_accept(b->master);

	release(b);
	if (c) {
		b->opened++;
		let_go(b, c);
		let_go(b, b->probe);
		b->probe = NULL;
		model_post_children(b->master, 1);
	}
	if (b->probe || now - b->probe_us < OPEN_US)
		return;
	b->probe_us = now;
	b->probe = model_connect(b->client, "10.0.0.2", PORT);
	b->asked++;
}

static void turn(struct bench *b)
{
	struct pair *p = b->pair;
	uint64_t now = now_us() - b->start_us + 1000000u;

	p->now_us = now > p->now_us ? now : p->now_us;
	simport_set_now(p->wire, p->now_us);
	flood_go(b, p->now_us);
	for (int i = 0; i < 2; i++) {
		(void)core_poll_once(p->core[i], p->now_us);
		(void)model_ka_poll(p->ka[i]);
	}
	(void)model_poll(b->client);
	(void)model_poll(b->server);
}

static void begin(struct bench *b)
{
	struct pair_conf conf = {
			.engine = {.contexts_max = 2048, .embryos_max = 512}, .no_check = true};
	struct model_conf many = {.dtis_n = 1024, .rcv_pages = 4096, .snd_pages = 4096};
	struct eta_admin_msg m = {.op = ETA_ADMIN_ROUTE_SET};
	struct ip_addr gw = ip_addr_from_v4(inet_addr("10.0.0.1"));
	struct ip_addr any = ip_addr_from_v4(0);

	b->pair = pair_create(&conf);
	b->client = pair_attach(b->pair, 0, &many);
	b->server = pair_attach(b->pair, 1, &many);
	memcpy(m.route.dst, any.b, 16);
	memcpy(m.route.src, any.b, 16);
	memcpy(m.route.gw, gw.b, 16);
	m.route.is_v4 = 1;
	(void)model_ka_command(b->pair->ka[1], &m);
	b->master = model_listen(b->server, "10.0.0.2", PORT, 64, 64);
	pair_pass(b->pair, 60000);
	b->a = model_connect(b->client, "10.0.0.2", PORT);
	pair_pass(b->pair, 60000);
	b->b = model_accept(b->master);
	if (!b->b) {
		fprintf(stderr, "no connection\n");
		exit(1);
	}
	b->flood = (struct flood){
			.random = 1, .dst_be = inet_addr("10.0.0.2"), .port_be = htons(PORT)};
	memcpy(b->flood.dmac, simport_port(b->pair->wire, 1)->mac, 6);
	memcpy(b->flood.smac, simport_port(b->pair->wire, 0)->mac, 6);
	simport_set_tap(b->pair->wire, tap, b);
	b->start_us = now_us() - (b->pair->now_us - 1000000u);
}

/* Mbit/s of the transfer. */
static double part(struct bench *b, double seconds, bool is_control)
{
	uint64_t end = now_us() + (uint64_t)(seconds * 1e6);
	uint64_t from = now_us();

	b->flood_from_us = b->pair->now_us;
	b->is_control = is_control;
	b->flood_n = 0;
	b->bytes = b->opened = b->asked = 0;
	while (now_us() < end) {
		for (int i = 0; i < 64; i++) {
			turn(b);
			transfer(b);
			probe(b, b->pair->now_us);
		}
	}
	return (double)b->bytes * 8 / (double)(now_us() - from);
}

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
	struct bench b = {.per_s = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000};
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 1;
	int rounds = argc > 3 ? atoi(argv[3]) : 5;
	double quiet[64], flooded[64];
	uint64_t asked = 0, opened = 0, sent = 0;

	if (b.per_s == 0 || seconds <= 0 || rounds < 1 || rounds > 64) {
		fprintf(stderr, "usage: flood_bench [SYNs per second] [seconds] [rounds]\n");
		return 2;
	}
	pair_eal_init();
	begin(&b);
	(void)part(&b, seconds / 4, true);
	for (int i = 0; i < rounds; i++) {
		quiet[i] = part(&b, seconds, true);
		flooded[i] = part(&b, seconds, false);
		asked += b.asked;
		opened += b.opened;
		sent += b.flood_n;
	}
	qsort(quiet, (size_t)rounds, sizeof(*quiet), by_value);
	qsort(flooded, (size_t)rounds, sizeof(*flooded), by_value);
	printf("flood syns_per_s=%.0f mbit_quiet=%.0f mbit_flooded=%.0f ratio=%.2f opens=%" PRIu64
	       "/%" PRIu64 " cookies_sent=%" PRIu64 " cookies_recv=%" PRIu64 " punted=%" PRIu64
	       " embryos=%u\n",
			(double)sent / seconds / rounds, quiet[rounds / 2], flooded[rounds / 2],
			flooded[rounds / 2] / quiet[rounds / 2], opened, asked,
			pair_stat(b.pair, 1, "TcpExtSyncookiesSent"),
			pair_stat(b.pair, 1, "TcpExtSyncookiesRecv"),
			pair_stat(b.pair, 1, "punt_up"), b.pair->core[1]->dti.embryo_n);
	pair_destroy(b.pair);
	return 0;
}
