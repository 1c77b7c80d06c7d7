/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP against TCP: random connections over a random wire, thousands a minute, each step checked.
 *
 * A seed chooses the stacks' configuration, the wire (20 us .. 200 ms round trip, loss to 10 %, reordering, duplicates, bottleneck), what fails
 * (buffers, memory, table, children) and for each connection a plan for both users: how much they send, in what portions and at what pace, how
 * fast they read (or pause: zero windows), and how they end (half-close either way, close at once, abort at any moment, simultaneous
 * open). Holds when, besides all that the world checks, every connection whose users were polite delivers all bytes and both FINs, nothing
 * stands still, and every context, extension, timer and list is empty in the end. On a wire that loses and reorders nothing
 * TCP must not repeat a single byte.
 *
 * The engine's simulator is test/sim/sim; this one needs neither DPDK nor shared memory, and is what kills mutants of TCP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/runner.h"
#include "test/sim/tcp_world.h"

#define CONNS_MAX 40u
#define STEPS_MAX 3000000u
#define TIME_US_MAX (7200ull * 1000000) /* virtual */

enum ending {
	END_POLITE, /* FIN after our bytes, close after the peer's */
	END_LAST,   /* FIN only after the peer's */
	END_CLOSE,  /* close as soon as our bytes are queued */
	END_ABORT,  /* RST at some moment */
};

struct plan {
	enum ending ending;
	uint32_t write_max, read_max;
	uint32_t pace_us;   /* at most so long between two looks, 0 = at once */
	uint32_t pause_ppm; /* chance of a long pause before a look */
	uint64_t next_us;   /* UINT64_MAX = when poked */
	uint64_t abort_us;
	bool is_set; /* parameters */
};

struct scenario {
	struct world *w;
	struct plan plan[CONNS_MAX][2];
	struct tcp_param param[CONNS_MAX];
	uint64_t open_us[CONNS_MAX][2];
	bool is_opened[CONNS_MAX][2];
	uint32_t n;
	bool is_calm; /* wire and hosts do no harm: nothing may be repeated */
	struct rnd rnd;
};

static void world_conf_draw(struct scenario *sc, struct world_conf *conf);
static void hosts_draw(struct scenario *sc, struct world_conf *conf);
static void conn_draw(struct scenario *sc, uint32_t i);
static void plan_draw(struct scenario *sc, struct plan *p);
static bool simulate(struct scenario *sc);
static void opens_run(struct scenario *sc);
static uint64_t apps_run(struct scenario *sc);
static void app_look(struct scenario *sc, uint32_t i, int side);
static bool app_read(struct scenario *sc, struct conn *conn, const struct plan *p, int side);
static bool app_write(struct scenario *sc, struct conn *conn, const struct plan *p, int side);
static void app_end(struct scenario *sc, struct conn *conn, const struct plan *p, int side);
static bool all_done(const struct scenario *sc);
static void end_check(struct scenario *sc);
static void conn_end_check(struct scenario *sc, uint32_t i);
static void summary_print(const struct scenario *sc, uint64_t seed);

static int seed_run(uint64_t seed, bool verbose)
{
	static struct world world;
	static struct scenario sc;
	struct world_conf conf;
	uint32_t i;
	int rc;

	memset(&sc, 0, sizeof(sc));
	sc.w = &world;
	sc.rnd.state = seed;
	world_conf_draw(&sc, &conf);
	if (world_init(&world, &conf, seed, verbose) != 0)
		return 1;
	world_listen(&world, NULL);
	sc.n = rnd_range(&sc.rnd, 1, rnd_below(&sc.rnd, 4) == 0 ? CONNS_MAX : 5);
	for (i = 0; i < sc.n; i++)
		conn_draw(&sc, i);
	if (simulate(&sc))
		end_check(&sc);
	if (verbose)
		summary_print(&sc, seed);
	rc = world.failed;
	if (rc != 0)
		printf("seed %llu at %.3f ms: %s\n", (unsigned long long)seed,
				(double)(world.now_us - conf.start_us) / 1000, world.why);
	world_fini(&world);
	return rc;
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

/* ---- drawing ---- */

static void world_conf_draw(struct scenario *sc, struct world_conf *conf)
{
	static const uint16_t mss[] = {1460, 1460, 1440, 536, 8960, 88};
	struct rnd *r = &sc->rnd;
	struct wire_conf *c = &conf->wire[0];

	memset(conf, 0, sizeof(*conf));
	conf->mss = mss[rnd_below(r, 6)];
	conf->superframes = rnd_below(r, 3) == 0;
	conf->burst_bytes = rnd_below(r, 2) ? 65536 - 8960 : conf->mss * rnd_range(r, 1, 8);
	if (conf->burst_bytes > 50000)
		conf->burst_bytes = 50000;
	conf->ctx_n = CONNS_MAX + 2;
	conf->ext_n = rnd_below(r, 4) == 0 ? 2 : 2 * CONNS_MAX + 1;
	conf->log_n = rnd_below(r, 4) == 0 ? 2 : CONNS_MAX + 1;
	c->delay_us = 10 + rnd_log(r, 100000);
	if (rnd_below(r, 3) == 0) {
		c->rate_bytes_ms = 100 + rnd_log(r, 1000000);
		c->queue_bytes_max = 20000 + c->rate_bytes_ms * rnd_range(r, 1, 50);
	}
	sc->is_calm = rnd_below(r, 4) == 0;
	if (sc->is_calm) {
		c->rate_bytes_ms = 0;
	} else {
		c->loss_ppm = rnd_below(r, 3) == 0 ? 0 : rnd_log(r, 100000);
		c->dup_ppm = rnd_below(r, 3) == 0 ? rnd_log(r, 50000) : 0;
		c->reorder_ppm = rnd_below(r, 2) == 0 ? rnd_log(r, 200000) : 0;
		c->reorder_us = 10 + rnd_log(r, 20000);
		c->jitter_us = rnd_below(r, 2) == 0 ? rnd_log(r, c->delay_us) : 0;
		if (rnd_below(r, 3) == 0) {
			conf->send_fail_ppm = rnd_log(r, 50000);
			conf->place_short_ppm = rnd_log(r, 50000);
			conf->space_zero_ppm = rnd_log(r, 50000);
			conf->accept_refuse_ppm = rnd_below(r, 2) ? rnd_log(r, 500000) : 0;
			conf->embryo_refuse_ppm = rnd_below(r, 2) ? rnd_log(r, 200000) : 0;
		}
	}
	conf->wire[1] = conf->wire[0];
	conf->start_us = rnd_start_us(r);
	conf->isn_near_wrap = rnd_below(r, 2) == 0;
	hosts_draw(sc, conf);
}

static void hosts_draw(struct scenario *sc, struct world_conf *conf)
{
	struct rnd *r = &sc->rnd;
	int side;

	for (side = 0; side < 2; side++) {
		struct tcp_conf *t = &conf->tcp[side];

		tcp_conf_default(t);
		t->time_wait_ms = 2000;
		t->isn_key[0] = rnd_u64(r);
		t->isn_key[1] = rnd_u64(r);
		t->cc = rnd_below(r, 2) ? TCP_CC_CUBIC : TCP_CC_NEWRENO;
		t->timestamps = rnd_below(r, 3) != 0;
		t->sack = rnd_below(r, 3) != 0;
		t->rto_us_max = 10000000;
		t->data_retries = 30;
		t->orphan_retries = 30;
		t->syn_retries = 30;
		t->synack_retries = 30;
		if (rnd_below(r, 3) == 0)
			t->delack_ms = rnd_range(r, 1, 100);
	}
}

static void conn_draw(struct scenario *sc, uint32_t i)
{
	struct world *w = sc->w;
	struct rnd *r = &sc->rnd;
	struct conn *conn = world_conn_add(w);
	uint32_t many = sc->n > 8 ? 40000 : 300000;
	int side;

	for (side = 0; side < 2; side++) {
		uint32_t tx = rnd_below(r, 3) == 0 ? rnd_log(r, many * (sc->is_calm ? 2 : 1))
						   : rnd_log(r, 20000);
		uint32_t snd, rcv;

		if (w->conf.mss < 500)
			tx /= 8;
		snd = tx / 100 + rnd_range(r, 1, 1 + rnd_log(r, 262144));
		rcv = (sc->is_calm ? 65536 : 2048) + rnd_log(r, 262144);
		world_user_init(&conn->user[side], tx, snd, rcv);
		plan_draw(sc, &sc->plan[i][side]);
		sc->open_us[i][side] = UINT64_MAX;
	}
	if (sc->plan[i][0].ending == END_LAST && sc->plan[i][1].ending == END_LAST)
		sc->plan[i][0].ending = END_POLITE;
	conn->user[0].key_tx = conn->user[1].key_rx = rnd_u64(r);
	conn->user[1].key_tx = conn->user[0].key_rx = rnd_u64(r);
	sc->open_us[i][0] = w->now_us + rnd_log(r, 500000);
	conn->is_mutual = !sc->is_calm && rnd_below(r, 6) == 0;
	if (conn->is_mutual) /* simultaneous, or nearly so */
		sc->open_us[i][1] = sc->open_us[i][0] + rnd_below(r, 2 * w->conf.wire[0].delay_us);
	sc->param[i] = (struct tcp_param){
			.keep_idle_ms = 1000, .keep_intvl_ms = 1000, .keep_probes = 30};
	sc->param[i].nodelay = rnd_below(r, 2) == 0;
	sc->param[i].quickack = rnd_below(r, 4) == 0;
	sc->param[i].cc = (uint8_t)rnd_below(r, TCP_CC_N);
	/* Only where a RST may be lost: elsewhere keepalive would hide that something stands still. */
	sc->param[i].keepalive =
			sc->plan[i][0].ending >= END_CLOSE || sc->plan[i][1].ending >= END_CLOSE;
}

static void plan_draw(struct scenario *sc, struct plan *p)
{
	struct rnd *r = &sc->rnd;

	p->ending = END_POLITE;
	if (rnd_below(r, 4) == 0)
		p->ending = END_LAST;
	else if (rnd_below(r, 6) == 0)
		p->ending = END_CLOSE;
	else if (rnd_below(r, 10) == 0)
		p->ending = END_ABORT;
	p->write_max = 1 + rnd_log(r, 100000);
	p->read_max = rnd_below(r, 2) ? UINT32_MAX : 1 + rnd_log(r, 100000);
	if (!sc->is_calm && rnd_below(r, 2) == 0) {
		p->pace_us = rnd_log(r, 20000);
		p->pause_ppm = rnd_below(r, 2) ? rnd_log(r, 50000) : 0;
	}
	if (p->pace_us != 0) {
		p->write_max += 500;
		if (p->read_max < 500)
			p->read_max += 500;
	}
	p->next_us = UINT64_MAX;
	p->abort_us = p->ending == END_ABORT ? sc->w->now_us + rnd_log(r, 2000000) : UINT64_MAX;
}

/* ---- running ---- */

static bool simulate(struct scenario *sc)
{
	struct world *w = sc->w;
	uint64_t end_us = w->now_us + TIME_US_MAX, app_us, next_us;
	uint32_t step, i, n;
	int side;

	for (step = 0; step < STEPS_MAX && !w->failed; step++) {
		opens_run(sc);
		n = 0;
		for (side = 0; side < 2; side++)
			n += world_rx(w, side, rnd_range(&sc->rnd, 1, 32));
		app_us = apps_run(sc);
		for (side = 0; side < 2; side++)
			world_timers_and_flush(w, side);
		for (i = 0; i < sc->n; i++)
			world_check_conn(w, &w->conn[i]);
		if ((step & 63) == 0)
			world_check_stacks(w);
		if (n != 0)
			continue;
		next_us = world_next_us(w);
		if (app_us < next_us)
			next_us = app_us;
		if (next_us == UINT64_MAX) {
			if (!all_done(sc))
				world_fail(w, "deadlock: nothing is due, but connections are not done");
			return true;
		}
		if (next_us > end_us) {
			world_fail(w, "no end after %llu s", TIME_US_MAX / 1000000);
			break;
		}
		if (next_us > w->now_us)
			w->now_us = next_us;
	}
	if (step == STEPS_MAX)
		world_fail(w, "no end after %u steps", STEPS_MAX);
	return !w->failed;
}

static void opens_run(struct scenario *sc)
{
	uint32_t i;
	int side;

	for (i = 0; i < sc->n; i++)
		for (side = 0; side < 2; side++) {
			struct conn *conn = &sc->w->conn[i];

			if (sc->is_opened[i][side] || sc->open_us[i][side] > sc->w->now_us)
				continue;
			sc->is_opened[i][side] = true;
			if (conn->user[side].ctx_idx == 0 && !conn->user[side].is_known &&
					!conn->user[1 - side].is_closed)
				world_connect(sc->w, conn, side, &sc->param[i]);
		}
}

/* Every application that has something to do and whose time has come. Return: when the next one wants to run. */
static uint64_t apps_run(struct scenario *sc)
{
	struct world *w = sc->w;
	uint64_t next_us = UINT64_MAX;
	uint32_t i;
	int side;

	for (i = 0; i < sc->n; i++)
		for (side = 0; side < 2; side++) {
			struct plan *p = &sc->plan[i][side];
			struct user *u = &w->conn[i].user[side];

			if (!sc->is_opened[i][side] && sc->open_us[i][side] < next_us)
				next_us = sc->open_us[i][side];
			if (u->is_known && !u->is_closed && !u->aborted && p->abort_us <= w->now_us)
				world_abort(w, &w->conn[i], side);
			else if (u->is_known && !u->is_closed && p->abort_us < next_us &&
					!u->aborted)
				next_us = p->abort_us;
			if (u->poked && p->next_us == UINT64_MAX) {
				p->next_us = w->now_us + rnd_below(&sc->rnd, p->pace_us + 1);
				if (rnd_ppm(&sc->rnd, p->pause_ppm))
					p->next_us += rnd_below(&sc->rnd, 3000000);
			}
			u->poked = false;
			if (p->next_us <= w->now_us) {
				p->next_us = UINT64_MAX;
				app_look(sc, i, side);
			}
			if (p->next_us < next_us)
				next_us = p->next_us;
		}
	return next_us;
}

static void app_look(struct scenario *sc, uint32_t i, int side)
{
	struct world *w = sc->w;
	struct conn *conn = &w->conn[i];
	struct user *u = &conn->user[side];
	struct plan *p = &sc->plan[i][side];
	bool more;

	more = app_read(sc, conn, p, side);
	if (u->is_open && !u->is_closed && !u->closed_by_us && !u->aborted) {
		if (!p->is_set) {
			p->is_set = true; /* children begin with the listener's */
			tcp_param(&w->host[side].st, &w->host[side], &w->host[side].ctx[u->ctx_idx],
					&sc->param[i], w->now_us);
		}
		more |= app_write(sc, conn, p, side);
		app_end(sc, conn, p, side);
	}
	if (more)
		p->next_us = w->now_us + rnd_below(&sc->rnd, p->pace_us + 1);
}

static bool app_read(struct scenario *sc, struct conn *conn, const struct plan *p, int side)
{
	struct user *u = &conn->user[side];
	uint32_t n = u->rcv_tail - u->rcv_head;

	if (n == 0 || u->closed_by_us)
		return false;
	if (n > p->read_max)
		n = rnd_range(&sc->rnd, 1, p->read_max);
	world_read(sc->w, conn, side, n);
	return u->rcv_tail != u->rcv_head;
}

static bool app_write(struct scenario *sc, struct conn *conn, const struct plan *p, int side)
{
	struct user *u = &conn->user[side];
	uint32_t room = u->snd_buf_bytes - (u->snd_tail - u->snd_una);
	uint32_t n = u->tx_total - u->snd_tail;

	if (n > room)
		n = room;
	if (n == 0 || u->shut)
		return false;
	if (n > p->write_max)
		n = rnd_range(&sc->rnd, 1, p->write_max);
	world_write(sc->w, conn, side, n);
	return u->snd_tail != u->tx_total && u->snd_tail - u->snd_una != u->snd_buf_bytes;
}

static void app_end(struct scenario *sc, struct conn *conn, const struct plan *p, int side)
{
	struct user *u = &conn->user[side];
	bool peer_done = u->rx_fin && u->rcv_head == u->rcv_tail;

	if (u->snd_tail != u->tx_total)
		return;
	if (p->ending == END_CLOSE) {
		world_close(sc->w, conn, side);
		return;
	}
	if (!u->shut && (p->ending != END_LAST || peer_done))
		world_shut(sc->w, conn, side);
	if (u->shut && peer_done && !u->is_closed)
		world_close(sc->w, conn, side);
}

/* ---- the end ---- */

static bool all_done(const struct scenario *sc)
{
	const struct world *w = sc->w;
	uint32_t i;
	int side;

	for (i = 0; i < sc->n; i++)
		for (side = 0; side < 2; side++) {
			const struct user *u = &w->conn[i].user[side];

			if ((u->is_known && !u->is_closed) || u->ctx_idx != 0)
				return false;
		}
	return true;
}

static void end_check(struct scenario *sc)
{
	struct world *w = sc->w;
	uint32_t i, n;
	int side;

	world_check_stacks(w);
	for (i = 0; i < sc->n; i++)
		conn_end_check(sc, i);
	for (side = 0; side < 2; side++) {
		struct core *host = &w->host[side];

		if (host->ctx_used != 0 || host->st.flush_n != 0 || host->st.wheel.n != 0)
			world_fail(w, "%c: left over: %u contexts, %u on the flush list, %u in the wheel",
					'A' + side, host->ctx_used, host->st.flush_n,
					host->st.wheel.n);
		for (n = 0, i = host->st.log_free; i != 0 && n < w->conf.log_n;
				i = host->log[i].next)
			n++;
		if (n != w->conf.log_n - 1)
			world_fail(w, "%u of %u send logs are free in the end", n,
					w->conf.log_n - 1);
		for (n = 0, i = host->st.ext_free; i != 0 && n < w->conf.ext_n; i = host->ext[i].n)
			n++;
		if (n != w->conf.ext_n - 1)
			world_fail(w, "%c: %u of %u extensions are free in the end", 'A' + side, n,
					w->conf.ext_n - 1);
		/* A probe may be impatient with an application that is slow to read. */
		if (sc->is_calm && (host->st.stats.retrans_segs > host->st.stats.loss_probes ||
						   host->st.stats.timeouts != 0))
			world_fail(w, "%c: %llu segments repeated, %llu timeouts on a wire that loses nothing",
					'A' + side, (unsigned long long)host->st.stats.retrans_segs,
					(unsigned long long)host->st.stats.timeouts);
		if (host->st.stats.curr_estab != 0)
			world_fail(w, "%c: TcpCurrEstab is not 0 in the end", 'A' + side);
	}
}

/* Polite users, or users whose peer had nothing more to say, got every byte and a clean end. */
static void conn_end_check(struct scenario *sc, uint32_t i)
{
	struct world *w = sc->w;
	int side;

	for (side = 0; side < 2; side++) {
		const struct user *u = &w->conn[i].user[side], *peer = &w->conn[i].user[1 - side];
		const struct plan *p = &sc->plan[i][side], *q = &sc->plan[i][1 - side];

		if (p->ending >= END_CLOSE || q->ending == END_ABORT ||
				(q->ending == END_CLOSE && u->tx_total != 0))
			continue;
		if (!u->rx_fin || u->rcv_tail != peer->tx_total || u->rcv_head != u->rcv_tail)
			world_fail(w, "%c conn %u: got %u (read %u) of %u bytes, FIN %d, closed: %s",
					'A' + side, i, u->rcv_tail, u->rcv_head, peer->tx_total,
					u->rx_fin, eta_status_text(u->why));
		if (u->why != ETA_STATUS_OK && q->ending < END_CLOSE &&
				(u->why != ETA_STATUS_RESET || u->snd_una != u->tx_total))
			world_fail(w, "%c conn %u: a polite end is told as: %s", 'A' + side, i,
					eta_status_text(u->why));
	}
}

static void summary_print(const struct scenario *sc, uint64_t seed)
{
	const struct world *w = sc->w;
	uint32_t i;
	int side;

	printf("seed %llu: %u connections, mss %u, delay %u us, loss %u ppm, dup %u, reorder %u; calm %d\n",
			(unsigned long long)seed, sc->n, w->conf.mss, w->conf.wire[0].delay_us,
			w->conf.wire[0].loss_ppm, w->conf.wire[0].dup_ppm,
			w->conf.wire[0].reorder_ppm, sc->is_calm);
	for (i = 0; i < sc->n; i++)
		for (side = 0; side < 2; side++) {
			const struct user *u = &w->conn[i].user[side];

			printf("  conn %u %c: ending %d sent %u/%u acked %u got %u read %u fin %d ctx %u closed %d (%s)\n",
					i, 'A' + side, sc->plan[i][side].ending, u->snd_tail,
					u->tx_total, u->snd_una, u->rcv_tail, u->rcv_head,
					u->rx_fin, u->ctx_idx, u->is_closed,
					eta_status_text(u->why));
		}
	for (side = 0; side < 2; side++)
		for (i = 0; tcp_stats_name(i) != NULL; i++)
			if (tcp_stats_value(&w->host[side].st.stats, i) != 0)
				printf("  %c %s %llu\n", 'A' + side, tcp_stats_name(i),
						(unsigned long long)tcp_stats_value(
								&w->host[side].st.stats, i));
}
