/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What applications do with their connections, by plan, and what they must see: each byte once, in order, as it was sent.
 */
#include <arpa/inet.h>
#include <string.h>

#include "test/sim/sim.h"

#define LOOK_BYTES 65536u

static uint64_t opens_run(struct sim *sim);
static uint64_t accepts_run(struct sim *sim, int side);
static void accepted(struct sim *sim, int side, uint8_t app, struct model_conn *c);
static uint64_t deaths_run(struct sim *sim);
static uint64_t end_run(struct sim *sim, uint32_t pair, uint32_t which);
static bool end_read(struct sim *sim, uint32_t pair, struct sim_end *e);
static bool end_write(struct sim *sim, uint32_t pair, struct sim_end *e);
static void end_close(struct sim *sim, uint32_t pair, struct sim_end *e);
static bool end_gone(struct sim *sim, uint32_t pair, struct sim_end *e);

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t sim_apps_run(struct sim *sim)
{
	uint64_t next_us = opens_run(sim), before = sim->progress;
	uint32_t p;

	next_us = earlier(next_us, accepts_run(sim, 0));
	next_us = earlier(next_us, accepts_run(sim, 1));
	for (p = 0; p < sim->pairs_n; p++) {
		next_us = earlier(next_us, end_run(sim, p, 0));
		next_us = earlier(next_us, end_run(sim, p, 1));
	}
	next_us = earlier(next_us, deaths_run(sim));
	if (sim->progress != before)
		sim->progress_us = sim->now_us;
	return next_us;
}

static uint64_t opens_run(struct sim *sim)
{
	uint64_t next_us = UINT64_MAX;
	uint32_t p;

	for (p = 0; p < sim->pairs_n; p++) {
		struct sim_pair *pair = &sim->pair[p];
		struct sim_end *e = &pair->end[0];
		struct sim_app *app = &sim->side[e->side].app[e->app];

		if (e->is_opened || e->is_released)
			continue;
		if (pair->open_us > sim->now_us) {
			next_us = earlier(next_us, pair->open_us);
			continue;
		}
		if (app->is_dead) {
			e->app_died = e->is_released = true;
			continue;
		}
		e->conn = model_connect(app->model,
				sim_addr(pair->is_local ? e->side : 1 - e->side, pair->is_v6),
				SIM_PORT);
		if (e->conn == NULL) { /* no DTI, or ring full: again soon */
			pair->open_us = sim->now_us + 1000;
			next_us = earlier(next_us, pair->open_us);
			continue;
		}
		e->is_opened = true;
		sim->progress++;
		sim_trace(sim, "%c pair %u connect", 'A' + e->side, p);
	}
	return next_us;
}

static uint64_t accepts_run(struct sim *sim, int side)
{
	struct sim_side *s = &sim->side[side];
	uint64_t next_us = UINT64_MAX;
	struct model_conn *c;
	uint32_t k;

	for (k = 0; k < s->masters_n; k++) {
		if (s->app[s->master[k].app].is_dead)
			continue;
		if (s->master[k].accept_us > sim->now_us) {
			next_us = earlier(next_us, s->master[k].accept_us);
			continue;
		}
		c = model_accept(s->master[k].conn);
		if (c == NULL)
			continue;
		accepted(sim, side, s->master[k].app, c);
		model_post_children(s->master[k].conn, 1);
		s->master[k].accept_us =
				sim->now_us + rnd_below(&sim->rnd, sim->conf.accept_pace_us + 1);
		next_us = earlier(next_us, s->master[k].accept_us);
	}
	return next_us;
}

/* Whose connection is it? The opener's record told its address. */
static void accepted(struct sim *sim, int side, uint8_t app, struct model_conn *c)
{
	const struct eta_dti_en *en = model_en(c);
	uint32_t p;

	sim->progress++;
	for (p = 0; p < sim->pairs_n; p++) {
		struct sim_pair *pair = &sim->pair[p];
		struct sim_end *o = &pair->end[0], *e = &pair->end[1];

		if (!pair->is_named || e->is_opened || e->is_released ||
				(pair->is_local ? o->side : 1 - o->side) != side ||
				pair->lport_be != en->rport_be ||
				memcmp(pair->laddr, en->raddr, 16) != 0)
			continue;
		e->conn = c;
		e->app = app;
		e->is_opened = true;
		sim_trace(sim, "%c pair %u accepted by session %u", 'A' + side, p, app);
		return;
	}
	sim_trace(sim, "%c accepted a connection whose opener is gone: port %u", 'A' + side,
			ntohs(en->rport_be));
	model_abort(c);
}

static uint64_t deaths_run(struct sim *sim)
{
	uint64_t next_us = UINT64_MAX;
	uint32_t k, p, w;
	int i;

	for (i = 0; i < 2; i++)
		for (k = 0; k < sim->side[i].apps_n; k++) {
			struct sim_app *app = &sim->side[i].app[k];

			if (app->is_dead || app->die_us > sim->now_us) {
				next_us = earlier(next_us, app->is_dead ? UINT64_MAX : app->die_us);
				continue;
			}
			sim_trace(sim, "%c session %u dies", 'A' + i, k);
			app->is_dead = true;
			sim->progress++;
			for (p = 0; p < sim->pairs_n; p++)
				for (w = 0; w < 2; w++) {
					struct sim_end *e = &sim->pair[p].end[w];

					if (e->side != i || e->app != k || !e->is_opened ||
							e->is_released)
						continue;
					e->conn = NULL;
					e->app_died = e->is_released = true;
				}
			model_die(app->model, app->die_orderly);
		}
	return next_us;
}

/* One look of the application at one end. */
static uint64_t end_run(struct sim *sim, uint32_t pair, uint32_t which)
{
	struct sim_end *e = &sim->pair[pair].end[which];
	bool moved;

	if (e->conn == NULL || e->is_released)
		return UINT64_MAX;
	/* The record still shows the last use of this DTI until the engine has taken the open. */
	if (which == 0 && !sim->pair[pair].is_named &&
			model_en(e->conn)->gen == model_gen(e->conn)) {
		memcpy(sim->pair[pair].laddr, model_en(e->conn)->laddr, 16);
		sim->pair[pair].lport_be = model_en(e->conn)->lport_be;
		sim->pair[pair].is_named = true;
	}
	if (e->abort_us <= sim->now_us && !e->closed) {
		sim_trace(sim, "%c pair %u abort", 'A' + e->side, pair);
		e->closed = true;
		sim->progress++;
		model_abort(e->conn);
	}
	if (end_gone(sim, pair, e))
		return UINT64_MAX;
	if (e->next_us > sim->now_us)
		return earlier(e->next_us, e->closed ? UINT64_MAX : e->abort_us);
	moved = end_read(sim, pair, e);
	moved |= end_write(sim, pair, e);
	end_close(sim, pair, e);
	if (moved) {
		sim->progress++;
		e->next_us = sim->now_us + rnd_below(&sim->rnd, e->pace_us + 1);
		if (rnd_ppm(&sim->rnd, e->pause_ppm))
			e->next_us += rnd_below(&sim->rnd, 3000000);
		return earlier(e->next_us, e->closed ? UINT64_MAX : e->abort_us);
	}
	return e->closed ? UINT64_MAX : e->abort_us;
}

static bool end_read(struct sim *sim, uint32_t pair, struct sim_end *e)
{
	static uint8_t buf[LOOK_BYTES];
	uint32_t want = LOOK_BYTES, right;
	size_t n;

	if (e->closed)
		return false;
	if (e->read_max < want)
		want = rnd_range(&sim->rnd, 1, e->read_max);
	n = model_recv(e->conn, buf, want);
	right = content_match(e->key_rx, e->rx, buf, (uint32_t)n);
	if (right != n)
		sim_fail(sim, "%c pair %u: wrong byte at stream offset %u", 'A' + e->side, pair,
				e->rx + right);
	e->rx += (uint32_t)n;
	if (n != 0)
		sim_trace(sim, "%c pair %u read %u to %u", 'A' + e->side, pair, (unsigned int)n,
				e->rx);
	if (!e->eof && model_is_eof(e->conn)) {
		e->eof = true;
		sim_trace(sim, "%c pair %u end of stream at %u", 'A' + e->side, pair, e->rx);
		return true;
	}
	return n != 0;
}

static bool end_write(struct sim *sim, uint32_t pair, struct sim_end *e)
{
	static uint8_t buf[LOOK_BYTES];
	uint32_t want = e->tx_total - e->tx;
	size_t n;

	if (e->closed || e->shut || want == 0 || model_state(e->conn) != ETA_DTI_OPEN)
		return false;
	if (want > e->write_max)
		want = rnd_range(&sim->rnd, 1, e->write_max);
	if (want > LOOK_BYTES)
		want = LOOK_BYTES;
	content_fill(e->key_tx, e->tx, buf, want);
	n = model_send(e->conn, buf, want);
	e->tx += (uint32_t)n;
	if (n != 0)
		sim_trace(sim, "%c pair %u write %u to %u", 'A' + e->side, pair, (unsigned int)n,
				e->tx);
	return n != 0;
}

static void end_close(struct sim *sim, uint32_t pair, struct sim_end *e)
{
	uint8_t state = model_state(e->conn);

	if (e->closed)
		return;
	if (state == ETA_DTI_CLOSED) {
		e->status = model_status(e->conn);
		if (model_readable(e->conn) != 0)
			return; /* read what came before the end */
		sim_trace(sim, "%c pair %u sees it closed: %s", 'A' + e->side, pair,
				eta_status_text(e->status));
		e->closed = true;
		sim->progress++;
		model_close(e->conn);
		return;
	}
	if (state != ETA_DTI_OPEN || e->tx != e->tx_total)
		return;
	if (e->ending == SIM_CLOSE || (e->shut && e->eof)) {
		sim_trace(sim, "%c pair %u close", 'A' + e->side, pair);
		e->closed = true;
		sim->progress++;
		model_close(e->conn);
	} else if (!e->shut && (e->ending != SIM_LAST || e->eof)) {
		sim_trace(sim, "%c pair %u shut", 'A' + e->side, pair);
		e->shut = true;
		sim->progress++;
		model_shut_wr(e->conn);
	}
}

/* The engine says FREE: give the DTI back. */
static bool end_gone(struct sim *sim, uint32_t pair, struct sim_end *e)
{
	if (!e->closed || !model_is_free(e->conn))
		return false;
	sim_trace(sim, "%c pair %u free", 'A' + e->side, pair);
	model_release(e->conn);
	e->conn = NULL;
	e->is_released = true;
	sim->progress++;
	return true;
}

/* Nobody may demand anything of @e: somebody was impolite or died, or resources were so short that the connection failed. */
static bool end_is_excused(const struct sim *sim, const struct sim_end *e, const struct sim_end *q)
{
	if (e->app_died || q->app_died || e->ending >= SIM_CLOSE || q->ending == SIM_ABORT ||
			(q->ending == SIM_CLOSE && e->tx_total != 0))
		return true;
	return sim->conf.may_fail && (e->status != ETA_STATUS_OK || q->status != ETA_STATUS_OK);
}

bool sim_end_is_stuck(const struct sim *sim, uint32_t pair, uint32_t which)
{
	const struct sim_end *e = &sim->pair[pair].end[which], *q = &sim->pair[pair].end[1 - which];

	/* A RST may be lost, and who only waits never learns of it: that is TCP. */
	return e->conn != NULL && !q->app_died && q->ending < SIM_CLOSE;
}

bool sim_apps_done(const struct sim *sim)
{
	uint32_t p;

	for (p = 0; p < sim->pairs_n; p++) {
		const struct sim_end *o = &sim->pair[p].end[0], *a = &sim->pair[p].end[1];

		if (!o->is_released || (a->is_opened && !a->is_released))
			return false;
		if (!a->is_opened && !end_is_excused(sim, a, o))
			return false;
	}
	return true;
}

void sim_apps_judge(struct sim *sim)
{
	uint32_t p, w;

	for (p = 0; p < sim->pairs_n; p++)
		for (w = 0; w < 2; w++) {
			const struct sim_end *e = &sim->pair[p].end[w],
					     *q = &sim->pair[p].end[1 - w];

			if (end_is_excused(sim, e, q))
				continue;
			if (!e->is_opened || e->rx != q->tx_total || !e->eof)
				sim_fail(sim, "%c pair %u: got %u of %u bytes, end of stream %d, status: %s",
						'A' + e->side, p, e->rx, q->tx_total, e->eof,
						eta_status_text(e->status));
		}
}
