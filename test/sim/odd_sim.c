/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP against a peer that is hostile or odd.
 *
 * A seed chooses which oddities the peer has (one, some, or all), who opens, what both sides want to say, how the user reads. After each step
 * the invariants of contexts and stack are checked, besides what the world checks of every segment (windows, bytes, cwnd, timeouts) and
 * what the peer's books say. In the end the peer either behaves, and then everything that is queued must arrive, on both sides, with
 * both FINs; or it falls silent, and the connection must end by itself. Either way nothing is left over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tcp/seq.h"
#include "test/sim/odd_peer.h"
#include "test/sim/runner.h"

#define STEPS_MAX 400u
#define END_US_MAX (1000ull * 1000000) /* virtual: all retries, twice over */
#define END_STEPS_MAX 100000u
#define WND_MIN 2000u   /* of a peer that behaves, as on the wire */
#define SENDS_MAX 4000u /* segments of the stack for one of the peer's turns */

struct odd_sim {
	struct world *w;
	struct odd_peer p;
	struct user *user;
	struct rnd rnd;
	uint32_t read_max;
	bool is_reader; /* reads as it goes; else only in the end */
	bool closes_early;
};

static void conf_draw(struct rnd *r, struct world_conf *conf);
static void user_draw(struct odd_sim *s);
static void open_both(struct odd_sim *s);
static void user_turn(struct odd_sim *s);
static void step_check(struct odd_sim *s);
static void pass(struct odd_sim *s, uint64_t us);
static void behave_to_the_end(struct odd_sim *s);
static void silent_to_the_end(struct odd_sim *s);
static void end_check(struct odd_sim *s);

static int seed_run(uint64_t seed, bool verbose)
{
	static struct world world;
	static struct odd_sim sim;
	struct odd_sim *s = &sim;
	struct world_conf conf;
	uint32_t steps, i;

	memset(s, 0, sizeof(*s));
	s->w = &world;
	s->rnd.state = seed;
	conf_draw(&s->rnd, &conf);
	if (world_init(&world, &conf, seed, verbose) != 0)
		return 1;
	user_draw(s);
	odd_peer_init(&s->p, &world, &world.conn[0], seed);
	i = rnd_below(&s->rnd, 3);
	s->p.mask = i == 0   ? 1u << rnd_below(&s->rnd, ODD_ACTS_N)
		    : i == 1 ? (uint32_t)rnd_u64(&s->rnd)
			     : UINT32_MAX;
	open_both(s);
	steps = rnd_below(&s->rnd, STEPS_MAX);
	for (i = 0; i < steps && !world.failed && !s->user->is_freed; i++) {
		if (rnd_below(&s->rnd, 3) == 0)
			odd_peer_behave(&s->p, rnd_below(&s->rnd, 4));
		else
			odd_peer_act(&s->p);
		user_turn(s);
		pass(s, rnd_below(&s->rnd, 3) ? rnd_log(&s->rnd, 2000) : rnd_log(&s->rnd, 500000));
	}
	if (rnd_below(&s->rnd, 2))
		behave_to_the_end(s);
	else
		silent_to_the_end(s);
	end_check(s);
	if (verbose)
		for (i = 0; i < ODD_ACTS_N; i++)
			printf("%-16s %llu\n", odd_act_name(i), (unsigned long long)s->p.acts_n[i]);
	if (world.failed)
		printf("seed %llu at %.3f ms: %s\n", (unsigned long long)seed,
				(double)(world.now_us - conf.start_us) / 1000, world.why);
	odd_peer_fini(&s->p);
	world_fini(&world);
	return world.failed;
}

int main(int argc, char **argv)
{
	const struct runner runner = {.prog = argv[0], .run = seed_run, .seed_s_max = 60};
	int rc = runner_main(&runner, argc, argv);

	if (rc >= 0)
		return rc;
	fprintf(stderr, "usage: %s --seeds FIRST COUNT [--jobs N] | --seed N [--verbose]\n",
			argv[0]);
	return 2;
}

static void conf_draw(struct rnd *r, struct world_conf *conf)
{
	struct tcp_conf *t = &conf->tcp[1];

	memset(conf, 0, sizeof(*conf));
	tcp_conf_default(&conf->tcp[0]);
	tcp_conf_default(t);
	t->time_wait_ms = 1000;
	t->fin_wait2_ms = 2000;
	t->rto_us_max = 10000000;
	t->data_retries = 6;
	t->orphan_retries = 4;
	t->syn_retries = 4;
	t->synack_retries = 4;
	t->isn_key[0] = rnd_u64(r);
	t->cc = (uint8_t)rnd_range(r, 1, TCP_CC_N - 1);
	t->timestamps = rnd_below(r, 4) != 0;
	t->sack = rnd_below(r, 4) != 0;
	t->rcv_wscale = (uint8_t)rnd_below(r, 9); /* buffers are at least 1 KiB */
	conf->mss = rnd_below(r, 3) == 0 ? 536 : 1460;
	conf->burst_bytes = conf->mss * rnd_range(r, 1, 20);
	conf->ctx_n = 4;
	conf->ext_n = rnd_below(r, 4) == 0 ? 1 : 4;
	conf->log_n = rnd_below(r, 4) == 0 ? 1 : 4;
	conf->start_us = 1000000 + rnd_log(r, 1u << 30) * 4000ull;
	conf->isn_near_wrap = rnd_below(r, 2) == 0;
	conf->hostile_peer = true;
	if (rnd_below(r, 4) == 0) {
		conf->place_short_ppm = rnd_log(r, 50000);
		conf->space_zero_ppm = rnd_log(r, 50000);
		conf->send_fail_ppm = rnd_log(r, 50000);
	}
}

static void user_draw(struct odd_sim *s)
{
	struct rnd *r = &s->rnd;
	struct conn *conn = world_conn_add(s->w);
	struct user *u = s->user = &conn->user[1];
	uint32_t tx = rnd_log(r, 300000), snd = rnd_log(r, 200000), rcv = rnd_log(r, 60000);

	world_user_init(u, tx, 5000 + snd, 1024 + rcv);
	world_user_init(&conn->user[0], 0, 1, 1);
	u->key_tx = rnd_u64(r);
	u->key_rx = rnd_u64(r);
	s->read_max = 1 + rnd_log(r, 60000);
	s->is_reader = rnd_below(r, 4) != 0;
	s->closes_early = rnd_below(r, 8) == 0;
}

static void open_both(struct odd_sim *s)
{
	struct tcp_param param = {.keepalive = true,
			.keep_idle_ms = 20000,
			.keep_intvl_ms = 1000,
			.keep_probes = 4};

	param.nodelay = rnd_below(&s->rnd, 2) == 0;
	param.cc = (uint8_t)rnd_below(&s->rnd, TCP_CC_N);
	world_listen(s->w, &param);
	if (rnd_below(&s->rnd, 2))
		world_connect(s->w, s->p.conn, 1, &param);
	odd_peer_open(&s->p);
	pass(s, 1000);
}

static void user_turn(struct odd_sim *s)
{
	struct user *u = s->user;
	uint32_t n = u->rcv_tail - u->rcv_head;
	uint32_t room = u->snd_buf_bytes - (u->snd_tail - u->snd_una);

	if (!u->is_open || u->is_closed || u->closed_by_us)
		return;
	if (n > s->read_max)
		n = rnd_range(&s->rnd, 1, s->read_max);
	if (n != 0 && s->is_reader)
		world_read(s->w, s->p.conn, 1, n);
	if (room > u->tx_total - u->snd_tail)
		room = u->tx_total - u->snd_tail;
	if (room != 0)
		world_write(s->w, s->p.conn, 1, rnd_range(&s->rnd, 1, room));
	if (u->snd_tail == u->tx_total && !u->shut && rnd_below(&s->rnd, 4) == 0)
		world_shut(s->w, s->p.conn, 1);
	if (s->closes_early && rnd_below(&s->rnd, 50) == 0)
		world_close(s->w, s->p.conn, 1);
	else if (u->shut && u->rx_fin && u->rcv_head == u->rcv_tail)
		world_close(s->w, s->p.conn, 1);
}

static void step_check(struct odd_sim *s)
{
	const struct odd_peer *p = &s->p;
	const struct user *u = s->user;

	world_check_conn(s->w, s->p.conn);
	world_check_stacks(s->w);
	if (u->rx_fin && (u->rcv_tail > ODD_STREAM_BYTES || !p->fin_at[u->rcv_tail]))
		world_fail(s->w, "a FIN at %u, where the peer said none", u->rcv_tail);
	if (u->snd_una != 0 && seq_gt(u->snd_una, p->ack_max - p->irs - 1))
		world_fail(s->w, "%u bytes count as acknowledged, the peer acknowledged %u",
				u->snd_una, p->ack_max - p->irs - 1);
	if (u->is_closed && u->why == ETA_STATUS_RESET && !p->may_reset && !u->closed_by_us)
		world_fail(s->w, "reset by a segment that may not");
}

/* Time passes, timer by timer. */
static void pass(struct odd_sim *s, uint64_t us)
{
	struct world *w = s->w;
	uint64_t end_us = w->now_us + us, next_us;
	uint64_t sent = w->wire[1].stats.sent;

	do {
		world_timers_and_flush(w, 1);
		odd_peer_listen(&s->p);
		step_check(s);
		next_us = world_next_us(w);
		if (next_us > end_us)
			next_us = end_us;
		if (next_us > w->now_us)
			w->now_us = next_us;
	} while (w->now_us < end_us && !w->failed);
	if (w->wire[1].stats.sent - sent > SENDS_MAX)
		world_fail(w, "%llu segments to a peer that says nothing",
				(unsigned long long)(w->wire[1].stats.sent - sent));
}

static void behave_to_the_end(struct odd_sim *s)
{
	struct user *u = s->user;
	uint64_t end_us = s->w->now_us + END_US_MAX;
	uint32_t i;

	s->p.deaf_us = 0;
	s->p.loss_ppm = 0;
	s->is_reader = true;
	s->read_max += 10000;
	if (s->p.wnd < WND_MIN << s->p.snd_wscale)
		s->p.wnd = WND_MIN << s->p.snd_wscale;
	for (i = 0; i < END_STEPS_MAX && !u->is_closed && !s->w->failed; i++) {
		odd_peer_behave(&s->p, 16);
		user_turn(s);
		pass(s, 20000);
		if (s->w->now_us > end_us)
			break;
	}
	if (!u->is_known || s->w->failed)
		return;
	if (!u->is_closed)
		world_fail(s->w,
				"the peer behaves, but nothing ends: sent %u/%u acked %u, FIN %d at %u of %u",
				u->snd_tail, u->tx_total, u->snd_una, u->rx_fin, u->rcv_tail,
				s->p.total);
	else if (!s->p.may_reset && !s->closes_early && u->why != ETA_STATUS_OK)
		world_fail(s->w, "the peer behaves, but it ends with: %s", eta_status_text(u->why));
	else if (!s->p.may_reset && !s->closes_early && u->snd_una != u->tx_total)
		world_fail(s->w, "a good end, but %u of %u bytes were acknowledged", u->snd_una,
				u->tx_total);
}

/* Whatever is still there ends by its own timers, be it a handshake, text, a FIN, a probe, or nothing at all (keepalive). */
static void silent_to_the_end(struct odd_sim *s)
{
	struct user *u = s->user;
	uint64_t end_us = s->w->now_us + END_US_MAX;

	if (u->is_open && !u->is_closed && !u->closed_by_us && rnd_below(&s->rnd, 2))
		world_close(s->w, s->p.conn, 1);
	while (u->ctx_idx != 0 && s->w->now_us < end_us && !s->w->failed)
		pass(s, 1000000);
	if (u->ctx_idx != 0)
		world_fail(s->w, "the peer is silent, and the connection stays in state %u",
				s->w->host[1].ctx[u->ctx_idx].state);
	if (u->is_known && !u->is_closed)
		world_fail(s->w, "the connection is gone, and the user was not told");
}

static void end_check(struct odd_sim *s)
{
	struct world *w = s->w;
	struct core *host = &w->host[1];
	uint32_t n = 0, logs = 0, i;

	/* TIME-WAIT of a good end. */
	for (i = 0; i < 10 && s->user->ctx_idx != 0 && !w->failed; i++)
		pass(s, 2000000);
	world_check_stacks(w);
	for (i = host->st.ext_free; i != 0 && n < w->conf.ext_n; i = host->ext[i].n)
		n++;
	for (i = host->st.log_free; i != 0 && logs < w->conf.log_n; i = host->log[i].next)
		logs++;
	if (logs != w->conf.log_n - 1)
		world_fail(w, "%u of %u send logs are free in the end", logs, w->conf.log_n - 1);
	if (host->ctx_used != 0 || host->st.flush_n != 0 || host->st.wheel.n != 0 ||
			n != w->conf.ext_n - 1 || host->st.stats.curr_estab != 0)
		world_fail(w, "left over: %u contexts, %u on the flush list, %u in the wheel, %u of %u extensions free, %llu established",
				host->ctx_used, host->st.flush_n, host->st.wheel.n, n,
				w->conf.ext_n - 1, (unsigned long long)host->st.stats.curr_estab);
}
