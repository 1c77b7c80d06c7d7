/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two engines on one wire, with model applications on both, in virtual time.
 *
 *    model, model ... | engine core | simport ===== wire ===== simport | engine core | model, model ...
 *      side 0                                                                            side 1
 *
 * sim_world: the machinery (engines, sessions, wire, time). sim_app: what applications do with a connection, and what they must see.
 * sim: draws a scenario from a seed, runs it, judges the end. sim_count: the fixed scenario whose instructions are counted.
 *
 * One world at a time in a process; EAL is initialised once (sim_eal_init).
 */
#ifndef TEST_SIM_SIM_H
#define TEST_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/core/engine.h"
#include "test/lib/model.h"
#include "test/lib/simport.h"
#include "test/sim/rnd.h"

#define SIM_PORT 80u
#define SIM_PAIRS_MAX 48u
#define SIM_APPS_MAX 3u    /* sessions of a side */
#define SIM_MASTERS_MAX 6u /* listening handles of a side */

enum sim_ending {
	SIM_POLITE, /* FIN after our bytes, close after the peer's */
	SIM_LAST,   /* FIN only after the peer's */
	SIM_CLOSE,  /* close as soon as our bytes are queued */
	SIM_ABORT,  /* RST at some moment */
};

/* One end of a connection: its plan, and how far it has come. */
struct sim_end {
	struct model_conn *conn; /* NULL: not open yet, or released */
	uint8_t app;             /* of its side */
	uint8_t side;
	enum sim_ending ending;
	uint64_t key_tx, key_rx;
	uint32_t tx_total, write_max, read_max;
	uint32_t pace_us;
	uint32_t pause_ppm;
	uint64_t abort_us;
	uint64_t next_us; /* looks again then */
	uint32_t tx, rx;  /* bytes so far */
	bool is_opened, is_released;
	bool shut, closed, eof;
	bool app_died;
	uint8_t status; /* enum eta_status when it was gone */
};

struct sim_pair {
	struct sim_end end[2]; /* opener, acceptor */
	uint64_t open_us;
	bool is_local; /* both ends on one side */
	bool is_v6;
	bool is_named; /* laddr and lport_be are the opener's */
	uint8_t laddr[16];
	uint16_t lport_be;
};

struct sim_app {
	struct model *model;
	uint64_t die_us; /* UINT64_MAX = in the end */
	bool die_orderly;
	bool is_dead;
	uint64_t hold_us; /* does not drain its events until then */
};

struct sim_side {
	struct engine *engine;
	struct core *core;
	struct eta_core_page *page;
	struct model_ka *ka;
	struct port *port;
	struct sim_app app[SIM_APPS_MAX];
	uint32_t apps_n;
	struct {
		struct model_conn *conn;
		uint8_t app;
		uint64_t accept_us; /* next look */
	} master[SIM_MASTERS_MAX];
	uint32_t masters_n;
	uint32_t pool_free; /* frames free at start */
	uint32_t ctx_free;
	struct {
		uint32_t snd_nxt;
		uint32_t flight;
	} * seen; /* [contexts] at the last step */
};

struct sim_conf {
	struct engine_conf engine[2];
	struct simport_conf wire;
	struct model_conf model[2];
	uint32_t apps_n[2];
	uint32_t backlog, children;
	uint32_t accept_pace_us;
	uint32_t hold_ppm;
	bool neigh_late; /* neighbours are resolved when asked for */
	bool is_calm;    /* nothing on the wire or in memory does harm */
	bool may_fail;   /* resources so short that a connection may end in an error */
	uint64_t start_us;
};

struct sim {
	struct sim_conf conf;
	struct sim_side side[2];
	struct simport_wire *wire;
	struct sim_pair pair[SIM_PAIRS_MAX];
	uint32_t pairs_n;
	struct rnd rnd;
	uint64_t now_us;
	uint64_t progress;    /* counts what applications got done */
	uint64_t progress_us; /* when it last moved */
	uint64_t steps;
	bool is_settled; /* nothing was found to do a moment after nothing was due */
	bool verbose;
	bool failed;
	char why[256];
};

/* ---- sim_world.c ---- */

/* Return: 0, or 77 when EAL cannot run here. */
int sim_eal_init(void);
/* Engines, sessions, listeners: all attached. Return: false = failed, sim->why says. */
bool sim_create(struct sim *sim, const struct sim_conf *conf, uint64_t seed, bool verbose);
void sim_destroy(struct sim *sim);
void sim_fail(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(const struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Turn both cores, the agents and the models once. Return: work done. */
uint32_t sim_turn(struct sim *sim);
/* When wire or cores have something due; > now. */
uint64_t sim_next_us(const struct sim *sim);
/* Every invariant of both engines, and whether models saw the contract kept. */
void sim_check(struct sim *sim);
/* Close what listens, end the sessions, wait for TIME-WAIT; then everything must be free again. */
void sim_finish(struct sim *sim);
const char *sim_addr(int side, bool is_v6);
uint32_t sim_ctx_used(const struct sim_side *s);

/* ---- sim_app.c ---- */

/* What applications do now. Return: when one of them wants to be called again; work counts in sim->progress. */
uint64_t sim_apps_run(struct sim *sim);
bool sim_apps_done(const struct sim *sim);
/* Is @which of @pair an end that still waits, and whose peer did not go away without (perhaps) being heard? */
bool sim_end_is_stuck(const struct sim *sim, uint32_t pair, uint32_t which);
/* Did polite ends get everything? */
void sim_apps_judge(struct sim *sim);

/* ---- sim_count.c ---- */

/* `sim --count-instructions REQUESTS`. Return: exit status. */
int sim_count_main(uint32_t requests);

#endif
