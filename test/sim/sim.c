/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulator: two engines and their applications, a random scenario by seed, every step checked.
 *
 * A seed draws the wire (20 us .. 200 ms round trip, loss to 10 %, duplicates, corruption, reordering, jitter, bottleneck), the ports' abilities, the
 * engines' limits (frames, contexts, receive memory, rings and queues of the least size), sessions that fork, pause or die, and connections
 * over IPv4, IPv6 and inside one host, each with a plan for both users.
 *
 * Holds when: each byte arrives once and in order; core_check() finds every invariant after every step; the models see the contract of dti.h
 * kept; nothing stands still; polite connections end with all bytes delivered; in the end every context, chunk and frame is free.
 *
 *   sim --seeds FIRST COUNT [--jobs N] | --seed N [--verbose] | --count-instructions REQUESTS
 */
#include "test/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/core/core.h"
#include "test/sim/runner.h"

#define STALL_US \
	(400ull * 1000000) /* virtual time without any progress: more than the longest timer */
#define STEPS_MAX 2000000u

static void conf_draw(struct rnd *r, struct sim_conf *conf);
static void wire_draw(struct rnd *r, struct sim_conf *conf);
static void limits_draw(struct rnd *r, struct sim_conf *conf);
static void engine_draw(struct rnd *r, struct sim_conf *conf, int i);
static void pairs_draw(struct sim *sim, struct rnd *r);
static void end_draw(struct sim *sim, struct rnd *r, struct sim_end *e);
static void simulate(struct sim *sim);
static void undone_say(struct sim *sim);
static void summary_print(const struct sim *sim, uint64_t seed);

static int seed_run(uint64_t seed, bool verbose)
{
	static struct sim sim;
	struct sim_conf conf;
	struct rnd r = {.state = seed};
	int rc;

	conf_draw(&r, &conf);
	if (sim_create(&sim, &conf, seed, verbose)) {
		pairs_draw(&sim, &r);
		simulate(&sim);
		if (!sim.failed)
			sim_apps_judge(&sim);
		if (verbose)
			summary_print(&sim, seed);
		if (!sim.failed)
			sim_finish(&sim);
	}
	rc = sim.failed;
	if (rc != 0)
		printf("seed %llu at %.3f ms: %s\n", (unsigned long long)seed,
				(double)(sim.now_us - conf.start_us) / 1000, sim.why);
	sim_destroy(&sim);
	return rc;
}

int main(int argc, char **argv)
{
	const struct runner runner = {
			.prog = argv[0], .start = sim_eal_init, .run = seed_run, .seed_s_max = 60};
	int rc = runner_main(&runner, argc, argv);

	if (rc >= 0)
		return rc;
	if (argc == 3 && strcmp(argv[1], "--count-instructions") == 0)
		return sim_count_main((uint32_t)strtoul(argv[2], NULL, 0));
	fprintf(stderr, "usage: %s --seeds FIRST COUNT [--jobs N] | --seed N [--verbose] | --count-instructions REQUESTS\n",
			argv[0]);
	return 2;
}

/* ---- drawing ---- */

static void conf_draw(struct rnd *r, struct sim_conf *conf)
{
	int i;

	memset(conf, 0, sizeof(*conf));
	conf->is_calm = rnd_below(r, 5) == 0;
	conf->start_us = rnd_start_us(r);
	conf->backlog = 256;
	conf->children = 64;
	conf->neigh_late = rnd_below(r, 2) == 0;
	wire_draw(r, conf);
	for (i = 0; i < 2; i++)
		engine_draw(r, conf, i);
	if (!conf->is_calm && rnd_below(r, 2) == 0)
		limits_draw(r, conf);
}

static void wire_draw(struct rnd *r, struct sim_conf *conf)
{
	static const uint16_t mtu[] = {1500, 1500, 1500, 1280, 9000};
	struct simport_fate f;

	memset(&f, 0, sizeof(f));
	conf->wire.seed = rnd_u64(r);
	conf->wire.flags = rnd_below(r, 4) == 0   ? SIMPORT_SUPER
			   : rnd_below(r, 3) == 0 ? SIMPORT_SYNC
						  : 0;
	conf->wire.mtu = mtu[rnd_below(r, 5)];
	f.delay_us = 10 + rnd_log(r, 100000);
	if (!conf->is_calm) {
		if (rnd_below(r, 3) == 0)
			f.rate_bps = 1000000ull * (1 + rnd_log(r, 10000));
		f.queue_frames = 20 + rnd_log(r, 1000);
		f.loss_ppm = rnd_below(r, 3) == 0 ? 0 : rnd_log(r, 100000);
		f.dup_ppm = rnd_below(r, 3) == 0 ? rnd_log(r, 50000) : 0;
		f.corrupt_ppm = rnd_below(r, 3) == 0 && conf->wire.flags == 0 ? rnd_log(r, 50000)
									      : 0;
		f.reorder_ppm = rnd_below(r, 2) == 0 ? rnd_log(r, 200000) : 0;
		f.reorder_us = 10 + rnd_log(r, 20000);
		f.jitter_us = rnd_below(r, 2) == 0 ? rnd_log(r, f.delay_us) : 0;
	}
	conf->wire.fate[0] = conf->wire.fate[1] = f;
}

static void engine_draw(struct rnd *r, struct sim_conf *conf, int i)
{
	struct engine_conf *e = &conf->engine[i];

	*e = (struct engine_conf){.cores_n = 1,
			.socket_id = 0,
			.contexts_max = 256,
			.embryos_max = 128,
			.sessions_max = 8,
			.mbufs_n = 4096,
			.idle = ENGINE_IDLE_POLL,
			.local_turnaround = true,
			.port_lo = 32768,
			.port_hi = 60999,
			.msl_ms = 1000,
			.tsc_hz = 1000000000};
	memset(e->lcore_cpu, 0xff, sizeof(e->lcore_cpu));
	for (uint32_t k = 0; k < 16; k++)
		e->isn_key[k] = (uint8_t)rnd_u64(r);
	e->cc_default = (uint8_t)rnd_below(r, 3);
	e->rcv_bytes_max = rnd_below(r, 2) ? 0 : 4096 + rnd_log(r, 1 << 22);
	e->snd_bytes_max = rnd_below(r, 2) ? 0 : 4096 + rnd_log(r, 1 << 22);
	e->delack_us = rnd_below(r, 2) ? 0 : rnd_range(r, 1000, 100000);
	conf->apps_n[i] = rnd_below(r, 3) == 0 ? rnd_range(r, 2, SIM_APPS_MAX) : 1;
	conf->model[i].chunk_order = 2 * rnd_below(r, 3);
}

/* What is there to run out of. */
static void limits_draw(struct rnd *r, struct sim_conf *conf)
{
	int i;

	conf->children = rnd_below(r, 2) ? rnd_range(r, 1, 4) : 64;
	conf->accept_pace_us = rnd_below(r, 2) ? rnd_log(r, 50000) : 0;
	conf->hold_ppm = rnd_below(r, 3) == 0 ? rnd_log(r, 3000) : 0;
	if (rnd_below(r, 3) == 0)
		conf->wire.pool_n = rnd_range(r, 128, 512);
	for (i = 0; i < 2; i++) {
		struct model_conf *m = &conf->model[i];

		if (rnd_below(r, 2) == 0)
			m->doorbell_n = m->event_n = 64;
		if (rnd_below(r, 2) == 0) {
			m->rcv_pages = rnd_range(r, 32, 256);
			m->rcv_segs_max = rnd_range(r, 1, 2);
			conf->may_fail = true;
		}
		if (rnd_below(r, 3) == 0)
			m->snd_pages = rnd_range(r, 128, 512);
	}
}

static void pairs_draw(struct sim *sim, struct rnd *r)
{
	uint32_t p;

	sim->pairs_n = rnd_range(r, 1, rnd_below(r, 4) == 0 ? SIM_PAIRS_MAX : 6);
	for (p = 0; p < sim->pairs_n; p++) {
		struct sim_pair *pair = &sim->pair[p];
		struct sim_end *o = &pair->end[0], *a = &pair->end[1];

		pair->is_v6 = rnd_below(r, 2) == 0;
		pair->is_local = rnd_below(r, 6) == 0;
		pair->open_us = sim->now_us + rnd_log(r, 500000);
		o->side = (uint8_t)(rnd_below(r, 4) == 0);
		a->side = pair->is_local ? o->side : 1 - o->side;
		o->app = (uint8_t)rnd_below(r, sim->side[o->side].apps_n);
		end_draw(sim, r, o);
		end_draw(sim, r, a);
		if (o->ending == SIM_LAST && a->ending == SIM_LAST)
			o->ending = SIM_POLITE;
		o->key_tx = a->key_rx = rnd_u64(r);
		a->key_tx = o->key_rx = rnd_u64(r);
	}
	if (!sim->conf.is_calm && rnd_below(r, 5) == 0) {
		struct sim_side *s = &sim->side[rnd_below(r, 2)];
		struct sim_app *app = &s->app[rnd_below(r, s->apps_n)];

		app->die_us = sim->now_us + rnd_log(r, 2000000);
		app->die_orderly = rnd_below(r, 2) == 0;
		sim->conf.may_fail = true;
	}
}

static void end_draw(struct sim *sim, struct rnd *r, struct sim_end *e)
{
	uint32_t most = sim->pairs_n > 8 ? 40000 : 400000;

	e->tx_total = rnd_below(r, 3) == 0 ? rnd_log(r, most) : rnd_log(r, 20000);
	e->ending = rnd_below(r, 4) == 0 ? SIM_LAST : rnd_below(r, 6) == 0 ? SIM_CLOSE : SIM_POLITE;
	e->abort_us = UINT64_MAX;
	if (rnd_below(r, 12) == 0) {
		e->ending = SIM_ABORT;
		e->abort_us = sim->now_us + rnd_log(r, 2000000);
	}
	e->write_max = 1 + rnd_log(r, 100000);
	e->read_max = rnd_below(r, 2) ? UINT32_MAX : 1 + rnd_log(r, 100000);
	if (!sim->conf.is_calm && rnd_below(r, 2) == 0) {
		e->pace_us = rnd_log(r, 20000);
		e->pause_ppm = rnd_below(r, 2) ? rnd_log(r, 50000) : 0;
	}
	if (e->pace_us != 0 || e->write_max < 100)
		e->write_max += 500;
	if (e->read_max < 1000)
		e->read_max += 500;
}

/* ---- running ---- */

static void simulate(struct sim *sim)
{
	uint64_t app_us, next_us, before;
	uint32_t work, busy = 0;

	sim->progress_us = sim->now_us;
	while (!sim->failed && sim->steps++ < STEPS_MAX) {
		simport_set_now(sim->wire, sim->now_us);
		before = sim->progress;
		work = sim_turn(sim);
		app_us = sim_apps_run(sim);
		/* Every table in full: each step at first, then a sample; a trace checks all. */
		if (sim->verbose || sim->steps < 100 || sim->steps % 32 == 0)
			sim_check(sim);
		if (work != 0 || sim->progress != before) {
			/* Work takes time, too: who waits for memory may ask again and again until an ACK comes. */
			if (++busy % 64 == 0)
				sim->now_us += 1 + busy / 64;
			continue;
		}
		busy = 0;
		if (sim_apps_done(sim))
			return;
		if (sim->now_us - sim->progress_us > STALL_US) {
			undone_say(sim);
			return;
		}
		next_us = sim_next_us(sim);
		if (app_us < next_us)
			next_us = app_us;
		/* A ring that went to sleep is looked at within 50 us of a kick: not a deadline the core can name. */
		if (next_us > sim->now_us + 60 && !sim->is_settled) {
			next_us = sim->now_us + 60;
			sim->is_settled = true;
		} else {
			sim->is_settled = false;
		}
		if (next_us == UINT64_MAX) {
			undone_say(sim);
			return;
		}
		sim->now_us = next_us > sim->now_us ? next_us : sim->now_us + 1;
	}
	if (!sim->failed)
		sim_fail(sim, "no end after %u steps", STEPS_MAX);
}

static void undone_say(struct sim *sim)
{
	uint32_t p, w;

	for (p = 0; p < sim->pairs_n; p++)
		for (w = 0; w < 2; w++) {
			const struct sim_end *e = &sim->pair[p].end[w];

			if (sim_end_is_stuck(sim, p, w))
				sim_fail(sim,
						"nothing moves any more: %c pair %u %s: state %u sent %u/%u got %u/%u readable %u "
						"shut %d eof %d closed %d",
						'A' + e->side, p, w == 0 ? "opener" : "acceptor",
						model_state(e->conn), e->tx, e->tx_total, e->rx,
						sim->pair[p].end[1 - w].tx_total,
						(unsigned int)model_readable(e->conn), e->shut,
						e->eof, e->closed);
		}
	for (p = 0; p < sim->pairs_n && !sim->failed; p++)
		if (!sim->pair[p].end[0].is_released && sim->pair[p].end[0].conn == NULL)
			sim_fail(sim, "pair %u could not be opened", p);
}

static void summary_print(const struct sim *sim, uint64_t seed)
{
	const struct simport_fate *f = &sim->conf.wire.fate[0];
	uint32_t p, w, i;
	int s;

	printf("seed %llu: %u pairs, delay %u us, loss %u ppm, dup %u, corrupt %u, reorder %u, flags %u, calm %d, %llu steps\n",
			(unsigned long long)seed, sim->pairs_n, f->delay_us, f->loss_ppm,
			f->dup_ppm, f->corrupt_ppm, f->reorder_ppm, sim->conf.wire.flags,
			sim->conf.is_calm, (unsigned long long)sim->steps);
	for (p = 0; p < sim->pairs_n; p++)
		for (w = 0; w < 2; w++) {
			const struct sim_end *e = &sim->pair[p].end[w];

			printf("  pair %u %c app %u %s%s ending %d tx %u/%u rx %u eof %d closed %d released %d died %d status %s\n",
					p, 'A' + e->side, e->app, sim->pair[p].is_v6 ? "v6" : "v4",
					sim->pair[p].is_local ? " local" : "", e->ending, e->tx,
					e->tx_total, e->rx, e->eof, e->closed, e->is_released,
					e->app_died, eta_status_text(e->status));
		}
	for (s = 0; s < 2; s++)
		for (i = 0; core_stat_name(i) != NULL; i++)
			if (core_stat_value(sim->side[s].core, i) != 0)
				printf("  %c %s %llu\n", 'A' + s, core_stat_name(i),
						(unsigned long long)core_stat_value(
								sim->side[s].core, i));
}
