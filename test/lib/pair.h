/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines on one wire, or one engine talking to itself, with models of the kernel agent, in virtual time: what most tests begin with.
 *
 * Side 0 is 10.0.0.1 and fd00::1, side 1 is .2 and ::2. Each has one core. pair_run() turns everything, jumping from event to event, and after
 * each step asks core_check() of both cores; the first broken invariant is in pair->wrong.
 */
#ifndef TEST_LIB_PAIR_H
#define TEST_LIB_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/core/core.h"
#include "test/lib/model.h"
#include "test/lib/simport.h"

#define PAIR_MODELS_MAX 8

struct pair_conf {
	struct simport_conf wire;
	struct engine_conf engine; /* zero fields get small defaults */
	bool neigh_late;           /* neighbours are told when wanted */
	bool no_check;             /* do not call core_check() at each step */
};

struct pair {
	struct simport_wire *wire;
	struct engine *engine[2];
	struct core *core[2];
	struct eta_core_page *page[2];
	struct model_ka *ka[2];
	struct model *model[2][PAIR_MODELS_MAX]; /* polled in each step */
	uint32_t model_n[2];
	uint64_t now_us;
	bool no_check;
	const char *wrong;               /* first broken invariant */
	void (*step)(struct pair *pair); /* the application, called in each step; may be NULL */
	void *arg;
};

/* EAL for tests, once per process: works without hugepages and in parallel. */
void pair_eal_init(void);
/* @conf: NULL = all default. */
struct pair *pair_create(const struct pair_conf *conf);
void pair_destroy(struct pair *pair);
/* Attach an application on @side and turn until it is. @conf: NULL = default. */
struct model *pair_attach(struct pair *pair, int side, const struct model_conf *conf);
/* One step: every core, every model; then time goes on to the next event, but at most @step_us. */
void pair_step(struct pair *pair, uint64_t step_us);
/* Steps until @done(pair) or @max_us of virtual time passed, or something is wrong. Return: did @done hold? */
bool pair_run(struct pair *pair, bool (*done)(struct pair *pair), uint64_t max_us);
/* Steps for @us of virtual time. */
void pair_pass(struct pair *pair, uint64_t us);
/* What is wrong: an invariant, or what a model saw; NULL = nothing. */
const char *pair_wrong(const struct pair *pair);
/* Counter @name of @side's core. */
uint64_t pair_stat(const struct pair *pair, int side, const char *name);

#endif
