/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machinery of the simulator: two engines, a wire, sessions, virtual time.
 *
 * Everything an engine is given comes from the scenario; nothing here depends on real time, on addresses or on the process, so a seed
 * repeats exactly.
 */
#include "test/sim/sim.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#include "engine/core/core.h"
#include "engine/tcp/seq.h"

#define SETUP_TURNS 20000u
#define FINISH_US 150000000u /* FIN-WAIT-2 of orphans, TIME-WAIT, the idle sweep */

static bool side_create(struct sim *sim, int i);
static bool apps_create(struct sim *sim, int i);
static bool masters_create(struct sim *sim, int i);
static bool setup_until(struct sim *sim, bool (*cond)(const struct sim *sim, int i), int i,
		const char *what);
static bool all_attached(const struct sim *sim, int i);
static bool all_listening(const struct sim *sim, int i);
static bool frame_trace(void *arg, int side, const uint8_t *frame, uint32_t len);
static void flight_check(struct sim *sim, int i);
static void leftovers_check(struct sim *sim, int i);

static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

int sim_eal_init(void)
{
	char args[][24] = {"sim", "--no-pci", "--no-huge", "-m", "768", "--no-telemetry",
			"--log-level=error", "-l", "0", "--no-shconf"};
	char *argv[sizeof(args) / sizeof(args[0]) + 1] = {NULL};
	size_t i, n = sizeof(args) / sizeof(args[0]);

	for (i = 0; i < n; i++)
		argv[i] = args[i];
	if (rte_eal_init((int)n, argv) >= 0)
		return 0;
	fprintf(stderr, "sim: EAL does not start here: %s\n", rte_strerror(rte_errno));
	return 77;
}

const char *sim_addr(int side, bool is_v6)
{
	static const char *const addr[2][2] = {{"10.0.0.1", "fd00::1"}, {"10.0.0.2", "fd00::2"}};

	return addr[side][is_v6];
}

bool sim_create(struct sim *sim, const struct sim_conf *conf, uint64_t seed, bool verbose)
{
	int i;

	memset(sim, 0, sizeof(*sim));
	sim->conf = *conf;
	sim->rnd.state = seed ^ 0x51321;
	sim->verbose = verbose;
	sim->now_us = conf->start_us;
	sim->wire = simport_create(&sim->conf.wire);
	if (verbose)
		simport_set_tap(sim->wire, frame_trace, sim);
	simport_set_now(sim->wire, sim->now_us);
	for (i = 0; i < 2; i++)
		if (!side_create(sim, i))
			return false;
	for (i = 0; i < 2; i++)
		if (!apps_create(sim, i) || !masters_create(sim, i))
			return false;
	return true;
}

static bool side_create(struct sim *sim, int i)
{
	struct sim_side *s = &sim->side[i];
	char err[256] = "";

	s->port = simport_port(sim->wire, i);
	sim->conf.engine[i].port[0] = s->port;
	sim->conf.engine[i].ports_n = 1;
	s->page = aligned_alloc(ETA_PAGE_BYTES, ETA_PAGE_BYTES);
	memset(s->page, 0, ETA_PAGE_BYTES);
	s->engine = engine_create(&sim->conf.engine[i], (struct eta_core_page *const *)&s->page,
			err, sizeof(err));
	if (s->engine == NULL) {
		sim_fail(sim, "engine_create: %s", err);
		return false;
	}
	s->core = engine_core(s->engine, 0);
	s->seen = calloc(s->core->tcp.ctx_n, sizeof(*s->seen));
	s->ctx_free = s->core->ctx_free_n;
	s->pool_free = rte_mempool_avail_count(s->port->pool);
	s->ka = model_ka_create(s->core);
	model_ka_addr(s->ka, sim_addr(i, false), 24, 0);
	model_ka_addr(s->ka, sim_addr(i, true), 64, 0);
	model_ka_neigh(s->ka, sim_addr(1 - i, false), macs[1 - i], 0, !sim->conf.neigh_late);
	model_ka_neigh(s->ka, sim_addr(1 - i, true), macs[1 - i], 0, !sim->conf.neigh_late);
	return true;
}

static bool apps_create(struct sim *sim, int i)
{
	struct sim_side *s = &sim->side[i];
	struct model_conf conf = sim->conf.model[i];
	uint32_t k;

	for (k = 0; k < sim->conf.apps_n[i]; k++) {
		conf.parent = k != 0 ? s->app[0].model : NULL;
		s->app[k] = (struct sim_app){
				.model = model_attach(s->ka, &conf), .die_us = UINT64_MAX};
		s->apps_n++;
		if (s->app[k].model == NULL) {
			sim_fail(sim, "model_attach");
			return false;
		}
		if (!setup_until(sim, all_attached, i, "attach"))
			return false;
	}
	return true;
}

/* The first application listens on both addresses; the others, forked from it, listen too. */
static bool masters_create(struct sim *sim, int i)
{
	struct sim_side *s = &sim->side[i];
	uint32_t k, v6;

	for (v6 = 0; v6 < 2; v6++) {
		s->master[s->masters_n].conn = model_listen(s->app[0].model, sim_addr(i, v6),
				SIM_PORT, sim->conf.backlog, sim->conf.children);
		s->masters_n++;
	}
	if (!setup_until(sim, all_listening, i, "listen"))
		return false;
	for (k = 1; k < s->apps_n; k++)
		for (v6 = 0; v6 < 2; v6++) {
			s->master[s->masters_n].conn = model_listen_share(
					s->app[k].model, s->master[v6].conn, sim->conf.children);
			s->master[s->masters_n++].app = (uint8_t)k;
		}
	return true;
}

static bool setup_until(struct sim *sim, bool (*cond)(const struct sim *sim, int i), int i,
		const char *what)
{
	uint32_t n;

	for (n = 0; n < SETUP_TURNS && !cond(sim, i); n++) {
		sim_turn(sim);
		sim->now_us += 10;
		simport_set_now(sim->wire, sim->now_us);
	}
	if (n == SETUP_TURNS)
		sim_fail(sim, "side %d: %s does not end", i, what);
	return !sim->failed;
}

static bool all_attached(const struct sim *sim, int i)
{
	uint32_t k;

	for (k = 0; k < sim->side[i].apps_n; k++)
		if (!model_is_attached(sim->side[i].app[k].model))
			return false;
	return true;
}

static bool all_listening(const struct sim *sim, int i)
{
	uint32_t k;

	for (k = 0; k < sim->side[i].masters_n; k++)
		if (model_state(sim->side[i].master[k].conn) != ETA_DTI_LISTENING)
			return false;
	return true;
}

void sim_destroy(struct sim *sim)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct sim_side *s = &sim->side[i];

		if (s->ka != NULL)
			model_ka_destroy(s->ka);
		if (s->engine != NULL)
			engine_destroy(s->engine);
		free(s->page);
		free(s->seen);
	}
	simport_destroy(sim->wire);
}

void sim_fail(struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	if (sim->failed)
		return;
	sim->failed = true;
	va_start(ap, fmt);
	vsnprintf(sim->why, sizeof(sim->why), fmt, ap);
	va_end(ap);
	sim_trace(sim, "BROKEN: %s", sim->why);
}

void sim_trace(const struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	if (!sim->verbose)
		return;
	printf("%10.3f ms ", (double)(sim->now_us - sim->conf.start_us) / 1000);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

uint32_t sim_turn(struct sim *sim)
{
	uint32_t work = 0, k;
	int i;

	for (i = 0; i < 2; i++) {
		struct sim_side *s = &sim->side[i];

		work += core_poll_once(s->core, sim->now_us);
		work += model_ka_poll(s->ka);
		for (k = 0; k < s->apps_n; k++) {
			struct sim_app *app = &s->app[k];

			if (app->is_dead)
				continue;
			if (app->hold_us != 0 && app->hold_us <= sim->now_us) {
				app->hold_us = 0;
				model_hold_events(app->model, false);
			} else if (app->hold_us == 0 && rnd_ppm(&sim->rnd, sim->conf.hold_ppm)) {
				app->hold_us = sim->now_us + rnd_log(&sim->rnd, 300000);
				model_hold_events(app->model, true);
			}
			work += model_poll(app->model);
		}
	}
	return work;
}

uint64_t sim_next_us(const struct sim *sim)
{
	uint64_t next_us = simport_next_us(sim->wire), us;
	uint32_t k;
	int i;

	for (i = 0; i < 2; i++) {
		us = core_next_deadline_us(sim->side[i].core);
		if (us < next_us)
			next_us = us;
		for (k = 0; k < sim->side[i].apps_n; k++) {
			us = sim->side[i].app[k].hold_us;
			if (us != 0 && us < next_us)
				next_us = us;
		}
	}
	return next_us > sim->now_us ? next_us : sim->now_us + 1;
}

void sim_check(struct sim *sim)
{
	const char *why;
	uint32_t k;
	int i;

	for (i = 0; i < 2; i++) {
		why = core_check(sim->side[i].core);
		if (why != NULL)
			sim_fail(sim, "side %d: core_check: %s", i, why);
		for (k = 0; k < sim->side[i].apps_n; k++) {
			why = sim->side[i].app[k].is_dead ? NULL
							  : model_error(sim->side[i].app[k].model);
			if (why != NULL)
				sim_fail(sim, "side %d, session %u: the engine breaks the contract: %s",
						i, k, why);
		}
		flight_check(sim, i);
	}
}

/* New bytes leave only into the congestion window and the peer's window. */
static void flight_check(struct sim *sim, int i)
{
	struct sim_side *s = &sim->side[i];
	uint32_t idx;

	for (idx = 1; idx < s->core->tcp.ctx_n; idx++) {
		const struct tcp_ctx *c = &s->core->tcp.ctx[idx];
		uint32_t flight = c->snd_nxt - c->snd_una;

		if (c->state != TCP_STATE_ESTABLISHED && c->state != TCP_STATE_CLOSE_WAIT) {
			s->seen[idx].flight = 0;
			continue;
		}
		if (flight > s->seen[idx].flight && c->snd_nxt != s->seen[idx].snd_nxt &&
				c->loss_state == TCP_LOSS_OPEN &&
				flight > c->cwnd + c->sacked_bytes + 4u * c->mss_base)
			sim_fail(sim, "side %d context %u: %u bytes in flight, cwnd %u", i, idx,
					flight, c->cwnd);
		s->seen[idx].flight = flight;
		s->seen[idx].snd_nxt = c->snd_nxt;
	}
}

/* ---- the end ---- */

uint32_t sim_ctx_used(const struct sim_side *s)
{
	return s->ctx_free - s->core->ctx_free_n;
}

void sim_finish(struct sim *sim)
{
	uint64_t end_us;
	uint32_t k, work;
	int i;

	for (i = 0; i < 2; i++)
		for (k = 0; k < sim->side[i].apps_n; k++) {
			struct sim_app *app = &sim->side[i].app[k];

			if (!app->is_dead)
				model_die(app->model, rnd_below(&sim->rnd, 2) != 0);
			app->is_dead = true;
		}
	end_us = sim->now_us + FINISH_US;
	while (sim->now_us < end_us && !sim->failed) {
		simport_set_now(sim->wire, sim->now_us);
		do {
			work = sim_turn(sim);
		} while (work != 0);
		if (sim_next_us(sim) > end_us)
			break;
		sim->now_us = sim_next_us(sim) > sim->now_us + 60 ? sim_next_us(sim)
								  : sim->now_us + 60;
	}
	sim_check(sim);
	for (i = 0; i < 2; i++)
		leftovers_check(sim, i);
}

static void leftovers_check(struct sim *sim, int i)
{
	struct sim_side *s = &sim->side[i];
	const struct dti_stats *d = &s->core->dti.stats;
	uint32_t idx, frames = rte_mempool_avail_count(s->port->pool);

	for (idx = 1; idx < s->core->tcp.ctx_n && sim_ctx_used(s) != 0; idx++)
		if (s->core->tcp.ctx[idx].state != TCP_STATE_UNUSED)
			sim_trace(sim, "side %d context %u is in state %u", i, idx,
					s->core->tcp.ctx[idx].state);
	if (sim_ctx_used(s) != 0)
		sim_fail(sim, "side %d: %u contexts left over", i, sim_ctx_used(s));
	if (d->chunk_alloc != d->chunk_free)
		sim_fail(sim, "side %d: %llu receive chunks taken, %llu given back", i,
				(unsigned long long)d->chunk_alloc,
				(unsigned long long)d->chunk_free);
	if (frames != s->pool_free)
		sim_fail(sim, "side %d: %u of %u frames are free in the end", i, frames,
				s->pool_free);
}

/* ---- trace ---- */

static bool frame_trace(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	const struct sim *sim = arg;
	const uint8_t *t;
	uint32_t seq, ack, l3 = frame[12] == 8 ? (frame[14] & 15u) * 4 : 40, payload;
	uint16_t sport, dport, wnd;

	if (len < 14 + l3 + 20)
		return true;
	t = frame + 14 + l3;
	memcpy(&sport, t, 2);
	memcpy(&dport, t + 2, 2);
	memcpy(&seq, t + 4, 4);
	memcpy(&ack, t + 8, 4);
	memcpy(&wnd, t + 14, 2);
	payload = len - 14 - l3 - (t[12] >> 4) * 4u;
	sim_trace(sim, "%c %s %u>%u %s%s%s%s%s seq %u ack %u wnd %u len %u", 'A' + side,
			l3 == 40 ? "v6" : "v4", ntohs(sport), ntohs(dport),
			(t[13] & TCP_SYN) ? "S" : "", (t[13] & TCP_FIN) ? "F" : "",
			(t[13] & TCP_RST) ? "R" : "", (t[13] & TCP_PSH) ? "P" : "",
			(t[13] & TCP_ACK) ? "." : "", ntohl(seq), ntohl(ack), ntohs(wnd), payload);
	return true;
}
