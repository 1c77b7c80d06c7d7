/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines for tests. See the header.
 */
#include "test/lib/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <rte_eal.h>

#define START_US 1000000u
#define STEP_US 1000u

static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
static const char *const addr4[2] = {"10.0.0.1", "10.0.0.2"};
static const char *const addr6[2] = {"fd00::1", "fd00::2"};

void pair_eal_init(void)
{
	char prefix[64], arg[12][24] = {"test", "--no-pci", "--no-huge", "-m", "256",
					 "--no-telemetry", "--log-level=error", "--no-shconf", "-l",
					 "0"};
	char *argv[12];
	int n = 0;

	snprintf(prefix, sizeof(prefix), "--file-prefix=eta_test_%d", getpid());
	while (n < 10) {
		argv[n] = arg[n];
		n++;
	}
	argv[n++] = prefix;
	argv[n] = NULL;
	if (rte_eal_init(n, argv) < 0) {
		fprintf(stderr, "EAL does not start\n");
		exit(77);
	}
}

static void side_create(struct pair *p, int i, const struct pair_conf *pc)
{
	struct engine_conf conf = pc->engine;
	char err[256] = "";

	conf.cores_n = 1;
	conf.socket_id = -1;
	conf.contexts_max = conf.contexts_max ? conf.contexts_max : 1024;
	conf.sessions_max = conf.sessions_max ? conf.sessions_max : 8;
	conf.mbufs_n = 1024;
	conf.port_lo = conf.port_lo ? conf.port_lo : 40000;
	conf.port_hi = conf.port_hi ? conf.port_hi : 49999;
	conf.port[0] = simport_port(p->wire, i);
	conf.ports_n = 1;
	conf.local_turnaround = true;
	memset(conf.isn_key, 0x5a + i, sizeof(conf.isn_key));
	p->page[i] = aligned_alloc(ETA_PAGE_BYTES, ETA_PAGE_BYTES);
	memset(p->page[i], 0, ETA_PAGE_BYTES);
	p->engine[i] = engine_create(
			&conf, (struct eta_core_page *const *)&p->page[i], err, sizeof(err));
	if (!p->engine[i]) {
		fprintf(stderr, "engine_create: %s\n", err);
		abort();
	}
	p->core[i] = engine_core(p->engine[i], 0);
	p->ka[i] = model_ka_create(p->core[i]);
	model_ka_addr(p->ka[i], addr4[i], 24, 0);
	model_ka_addr(p->ka[i], addr6[i], 64, 0);
	model_ka_neigh(p->ka[i], addr4[1 - i], macs[1 - i], 0, !pc->neigh_late);
	model_ka_neigh(p->ka[i], addr6[1 - i], macs[1 - i], 0, !pc->neigh_late);
}

struct pair *pair_create(const struct pair_conf *conf)
{
	static const struct pair_conf none;
	struct pair *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	if (!conf)
		conf = &none;
	p->now_us = START_US;
	p->no_check = conf->no_check;
	p->wire = simport_create(&conf->wire);
	simport_set_now(p->wire, p->now_us);
	for (int i = 0; i < 2; i++)
		side_create(p, i, conf);
	pair_pass(p, 1000);
	return p;
}

void pair_destroy(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		model_ka_destroy(p->ka[i]);
		engine_destroy(p->engine[i]);
		free(p->page[i]);
	}
	simport_destroy(p->wire);
	free(p);
}

struct model *pair_attach(struct pair *p, int side, const struct model_conf *conf)
{
	static const struct model_conf none;
	struct model *m = model_attach(p->ka[side], conf ? conf : &none);

	p->model[side][p->model_n[side]++] = m;
	for (int i = 0; i < 100 && !model_is_attached(m); i++)
		pair_step(p, 10);
	if (!model_is_attached(m)) {
		fprintf(stderr, "model does not attach\n");
		abort();
	}
	return m;
}

static void note(struct pair *p, const char *wrong)
{
	if (wrong && !p->wrong)
		p->wrong = wrong;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void pair_step(struct pair *p, uint64_t step_us)
{
	uint64_t next = p->now_us + step_us;

	for (int i = 0; i < 2; i++) {
		uint32_t work = 0;

		for (uint32_t k = 0; k < 64; k++) {
			work = core_poll_once(p->core[i], p->now_us);
			work += model_ka_poll(p->ka[i]);
			for (uint32_t m = 0; m < p->model_n[i]; m++)
				work += model_poll(p->model[i][m]);
			if (work == 0)
				break;
		}
		if (!p->no_check)
			note(p, core_check(p->core[i]));
		next = min_u64(next, work ? p->now_us + 1 : core_next_deadline_us(p->core[i]));
	}
	if (p->step)
		p->step(p);
	next = min_u64(next, simport_next_us(p->wire));
	p->now_us = next > p->now_us ? next : p->now_us + 1;
	simport_set_now(p->wire, p->now_us);
}

bool pair_run(struct pair *p, bool (*done)(struct pair *pair), uint64_t max_us)
{
	uint64_t end = p->now_us + max_us;

	while (!done(p)) {
		if (p->now_us >= end || pair_wrong(p))
			return false;
		pair_step(p, STEP_US);
	}
	return true;
}

void pair_pass(struct pair *p, uint64_t us)
{
	uint64_t end = p->now_us + us;

	while (p->now_us < end && !pair_wrong(p))
		pair_step(p, min_u64(end - p->now_us, STEP_US * 100));
}

const char *pair_wrong(const struct pair *p)
{
	if (p->wrong)
		return p->wrong;
	for (int i = 0; i < 2; i++)
		for (uint32_t m = 0; m < p->model_n[i]; m++)
			if (model_error(p->model[i][m]))
				return model_error(p->model[i][m]);
	return NULL;
}

uint64_t pair_stat(const struct pair *p, int side, const char *name)
{
	for (uint32_t i = 0; core_stat_name(i); i++)
		if (strcmp(core_stat_name(i), name) == 0)
			return core_stat_value(p->core[side], i);
	fprintf(stderr, "no counter '%s'\n", name);
	abort();
}
