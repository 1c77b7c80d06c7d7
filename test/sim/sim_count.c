/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fixed scenario for counting instructions: 64-byte requests and responses on eight connections between two engines, over a wire without
 * fault. Nothing in it depends on time or chance, so under a counting simulator of the CPU the number repeats to the last digit.
 *
 * Only turns of the core that have something to do are made, and only through engine_turn(): a profiler that counts inside it, and not inside
 * the port's functions, counts the engine's work for requests, idle polls apart. Setting up and tearing down go another way.
 */
#include <stdio.h>
#include <string.h>

#include "engine/core/core.h"
#include "test/sim/sim.h"

#define CONNS 8u
#define BYTES 64u
#define WARM_ROUNDS 64u

uint32_t engine_turn(struct core *core, uint64_t now_us);

struct counted {
	struct sim sim;
	struct model_conn *client[CONNS], *server[CONNS];
	uint32_t requests, turns, idle_turns;
};

static bool conns_open(struct counted *c);
static void round_run(struct counted *c, bool counted);
static void side_turn(struct counted *c, int side, bool counted);
static uint64_t segments(const struct counted *c);

__attribute__((noinline)) uint32_t engine_turn(struct core *core, uint64_t now_us)
{
	return core_poll_once(core, now_us);
}

int sim_count_main(uint32_t requests)
{
	static struct counted c;
	struct sim_conf conf;
	uint64_t segs;
	uint32_t i;
	int rc = sim_eal_init();

	if (rc != 0)
		return rc;
	memset(&conf, 0, sizeof(conf));
	for (i = 0; i < 2; i++) {
		conf.engine[i] = (struct engine_conf){.cores_n = 1,
				.contexts_max = 512,
				.embryos_max = 64,
				.sessions_max = 4,
				.mbufs_n = 4096,
				.idle = ENGINE_IDLE_POLL,
				.port_lo = 32768,
				.port_hi = 60999,
				.tsc_hz = 1000000000};
		memset(conf.engine[i].lcore_cpu, 0xff, sizeof(conf.engine[i].lcore_cpu));
		conf.apps_n[i] = 1;
		conf.wire.fate[i].delay_us = 1;
	}
	conf.backlog = 64;
	conf.children = 16;
	conf.start_us = 1000000;
	if (!sim_create(&c.sim, &conf, 1, false) || !conns_open(&c)) {
		fprintf(stderr, "sim: %s\n", c.sim.why);
		return 1;
	}
	for (i = 0; i < WARM_ROUNDS; i++)
		round_run(&c, false);
	segs = segments(&c);
	c.requests = 0;
	while (c.requests < requests && !c.sim.failed)
		round_run(&c, true);
	if (!c.sim.failed)
		printf("requests %u segments %llu turns %u idle_turns %u\n", c.requests,
				(unsigned long long)(segments(&c) - segs), c.turns, c.idle_turns);
	else
		fprintf(stderr, "sim: %s\n", c.sim.why);
	rc = c.sim.failed;
	sim_destroy(&c.sim);
	return rc;
}

static bool conns_open(struct counted *c)
{
	struct sim *sim = &c->sim;
	uint32_t i, n = 0, turn;

	for (i = 0; i < CONNS; i++)
		c->client[i] = model_connect(
				sim->side[0].app[0].model, sim_addr(1, false), SIM_PORT);
	for (turn = 0; turn < 10000 && n < CONNS; turn++) {
		simport_set_now(sim->wire, sim->now_us += 2);
		sim_turn(sim);
		c->server[n] = model_accept(sim->side[1].master[0].conn);
		if (c->server[n] != NULL)
			n++;
	}
	if (n < CONNS)
		sim_fail(sim, "only %u of %u connections open", n, CONNS);
	return n == CONNS;
}

/* A request on every connection, and its response. */
static void round_run(struct counted *c, bool counted)
{
	struct sim *sim = &c->sim;
	uint8_t buf[BYTES];
	uint32_t i, sent = 0, answered = 0, guard;

	memset(buf, 'r', sizeof(buf));
	for (i = 0; i < CONNS; i++)
		sent += model_send(c->client[i], buf, BYTES) == BYTES;
	if (sent != CONNS)
		sim_fail(sim, "a request does not fit");
	side_turn(c, 0, counted);
	for (guard = 0; answered < CONNS && !sim->failed; guard++) {
		sim->now_us = simport_next_us(sim->wire);
		if (sim->now_us == UINT64_MAX || guard > 100) {
			sim_fail(sim, "a request or response is lost");
			return;
		}
		simport_set_now(sim->wire, sim->now_us);
		side_turn(c, 1, counted);
		for (i = 0, sent = 0; i < CONNS; i++)
			if (model_recv(c->server[i], buf, BYTES) == BYTES)
				sent += model_send(c->server[i], buf, BYTES) == BYTES;
		if (sent != 0)
			side_turn(c, 1, counted);
		if (simport_next_us(sim->wire) != UINT64_MAX)
			simport_set_now(sim->wire, sim->now_us = simport_next_us(sim->wire));
		side_turn(c, 0, counted);
		for (i = 0; i < CONNS; i++)
			answered += model_recv(c->client[i], buf, BYTES) == BYTES;
	}
	c->requests += answered;
}

static void side_turn(struct counted *c, int side, bool counted)
{
	struct sim_side *s = &c->sim.side[side];
	uint32_t work = counted ? engine_turn(s->core, c->sim.now_us)
				: core_poll_once(s->core, c->sim.now_us);

	if (counted) {
		c->turns++;
		c->idle_turns += work == 0;
	}
	model_ka_poll(s->ka);
	model_poll(s->app[0].model);
}

static uint64_t segments(const struct counted *c)
{
	return c->sim.side[0].core->tcp.stats.in_segs + c->sim.side[1].core->tcp.stats.in_segs;
}
