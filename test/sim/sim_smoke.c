/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines back to back, the shortest proof that the rooms fit together: bulk both ways over a bad wire, many small dialogues, in
 * virtual time. The simulator proper goes on from here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/pair.h"

#define BULK_BYTES (1u << 20)
#define RR_CONNS 64u
#define RR_ROUNDS 20u
#define RR_BYTES 64u
#define LOOK_BYTES 16384u

static void must_hold(const struct pair *p, bool cond, const char *what)
{
	const char *wrong = pair_wrong(p);

	if (cond && !wrong)
		return;
	fprintf(stderr, "sim_smoke: %s failed at %llu us: %s\n", what,
			(unsigned long long)p->now_us, wrong ? wrong : "-");
	exit(1);
}

static uint8_t pattern(uint32_t side, uint32_t off)
{
	return (uint8_t)(off * 31 + (off >> 8) * 17 + (off >> 16) * 7 + side);
}

/* ---- 1 MiB each way, then both close ---- */

struct bulk {
	struct model_conn *master, *conn[2];
	uint32_t tx[2], rx[2];
	bool shut[2], closed[2];
};

static void bulk_side(const struct pair *p, struct bulk *b, int i)
{
	static uint8_t buf[LOOK_BYTES];
	struct model_conn *c = b->conn[i];
	size_t n;

	/* CLOSED: both FINs are through, and the last bytes may still be unread */
	if (!c || b->closed[i] || model_state(c) == ETA_DTI_CONNECTING)
		return;
	n = BULK_BYTES - b->tx[i] < LOOK_BYTES ? BULK_BYTES - b->tx[i] : LOOK_BYTES;
	for (uint32_t k = 0; k < n; k++)
		buf[k] = pattern((uint32_t)i, b->tx[i] + k);
	b->tx[i] += (uint32_t)model_send(c, buf, n);
	if (b->tx[i] == BULK_BYTES && !b->shut[i]) {
		b->shut[i] = true;
		model_shut_wr(c);
	}
	n = model_recv(c, buf, sizeof(buf));
	for (uint32_t k = 0; k < n; k++)
		must_hold(p, buf[k] == pattern((uint32_t)(1 - i), b->rx[i] + k),
				"every byte once, in order");
	b->rx[i] += (uint32_t)n;
	if (model_is_eof(c) && b->shut[i] && model_is_acked(c)) {
		b->closed[i] = true;
		model_close(c);
	}
}

static void bulk_step(struct pair *p)
{
	struct bulk *b = p->arg;

	if (!b->conn[1])
		b->conn[1] = model_accept(b->master);
	for (int i = 0; i < 2; i++)
		bulk_side(p, b, i);
}

static bool is_listening(struct pair *p)
{
	return model_state(((struct bulk *)p->arg)->master) == ETA_DTI_LISTENING;
}

static bool bulk_done(struct pair *p)
{
	const struct bulk *b = p->arg;

	return b->closed[0] && b->closed[1] && model_is_free(b->conn[0]) &&
	       model_is_free(b->conn[1]);
}

static void bulk(uint32_t flags, const char *raddr, uint32_t loss_ppm)
{
	struct pair_conf conf = {.wire = {.seed = 42, .flags = flags}, .no_check = flags != 0};
	struct bulk b = {0};
	struct model *m[2];
	struct pair *p;

	for (int i = 0; i < 2; i++)
		conf.wire.fate[i] = (struct simport_fate){.loss_ppm = loss_ppm, .delay_us = 50};
	p = pair_create(&conf);
	m[0] = pair_attach(p, 0, NULL);
	m[1] = pair_attach(p, 1, NULL);
	p->arg = &b;
	b.master = model_listen(m[1], raddr, 80, 16, 4);
	must_hold(p, pair_run(p, is_listening, 100000), "listen");
	pair_pass(p, 1000);
	b.conn[0] = model_connect(m[0], raddr, 80);
	p->step = bulk_step;
	must_hold(p, pair_run(p, bulk_done, 200000000), "1 MiB each way and close");
	must_hold(p, b.rx[0] == BULK_BYTES && b.rx[1] == BULK_BYTES, "all bytes");
	printf("bulk flags=%u loss=%u ppm %s: %.1f ms, %llu frames, %llu retransmitted\n", flags,
			loss_ppm, raddr, (double)p->now_us / 1000.0,
			(unsigned long long)simport_stats(p->wire, 0)->sent,
			(unsigned long long)pair_stat(p, 0, "TcpRetransSegs"));
	pair_destroy(p);
}

/* ---- many small dialogues ---- */

struct rr {
	struct model_conn *master, *client[RR_CONNS], *server[RR_CONNS];
	uint32_t server_n, round[RR_CONNS];
	bool asked[RR_CONNS];
	uint32_t done_n;
};

static void rr_step(struct pair *p)
{
	static const uint8_t ask[RR_BYTES];
	struct rr *r = p->arg;
	struct model_conn *c;
	uint8_t buf[RR_BYTES];

	while ((c = model_accept(r->master)) != NULL)
		r->server[r->server_n++] = c;
	for (uint32_t i = 0; i < r->server_n; i++)
		if (model_readable(r->server[i]) >= RR_BYTES &&
				model_recv(r->server[i], buf, RR_BYTES) == RR_BYTES)
			must_hold(p, model_send(r->server[i], buf, RR_BYTES) == RR_BYTES,
					"an answer fits");
	for (uint32_t i = 0; i < RR_CONNS; i++) {
		c = r->client[i];
		if (model_state(c) != ETA_DTI_OPEN || r->round[i] == RR_ROUNDS)
			continue;
		if (!r->asked[i])
			r->asked[i] = model_send(c, ask, RR_BYTES) == RR_BYTES;
		if (model_readable(c) < RR_BYTES)
			continue;
		must_hold(p, model_recv(c, buf, RR_BYTES) == RR_BYTES, "an answer is whole");
		r->asked[i] = false;
		if (++r->round[i] == RR_ROUNDS)
			r->done_n++;
	}
}

static bool rr_done(struct pair *p)
{
	return ((struct rr *)p->arg)->done_n == RR_CONNS;
}

static bool rr_listening(struct pair *p)
{
	return model_state(((struct rr *)p->arg)->master) == ETA_DTI_LISTENING;
}

static void rr(void)
{
	struct pair_conf conf = {.wire = {.seed = 7}};
	struct model *m[2];
	struct rr r = {0};
	struct pair *p;

	conf.wire.fate[0].delay_us = conf.wire.fate[1].delay_us = 20;
	p = pair_create(&conf);
	m[0] = pair_attach(p, 0, NULL);
	m[1] = pair_attach(p, 1, NULL);
	p->arg = &r;
	r.master = model_listen(m[1], "10.0.0.2", 7, 128, RR_CONNS);
	must_hold(p, pair_run(p, rr_listening, 100000), "listen");
	pair_pass(p, 1000);
	for (uint32_t i = 0; i < RR_CONNS; i++)
		r.client[i] = model_connect(m[0], "10.0.0.2", 7);
	p->step = rr_step;
	must_hold(p, pair_run(p, rr_done, 10000000), "64 connections, 20 rounds each");
	printf("rr: %.1f ms, %llu frames from the clients, %llu requests\n",
			(double)p->now_us / 1000.0,
			(unsigned long long)simport_stats(p->wire, 0)->sent,
			(unsigned long long)RR_CONNS * RR_ROUNDS);
	pair_destroy(p);
}

int main(void)
{
	pair_eal_init();
	bulk(0, "10.0.0.2", 50000);
	bulk(0, "fd00::2", 50000);
	bulk(SIMPORT_SUPER, "10.0.0.2", 50000);
	bulk(SIMPORT_SYNC, "10.0.0.2", 50000);
	rr();
	return 0;
}
