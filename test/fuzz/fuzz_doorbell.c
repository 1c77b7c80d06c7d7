/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine against a hostile application, with a neighbour whose connection must not notice.
 *
 * One core, traffic to its own address. The neighbour, an honest model, keeps a connection to itself and sends bytes over it after every
 * few moves of the other session, which rings doorbells of any content, writes any word of its records and chunk metas, and in between does what
 * is right, so that the engine has contexts and chunks of it to be confused about.
 *
 * Holds when every invariant of the core does, the neighbour gets each byte once and in order and sees its contract kept, and when the hostile
 * session ends its contexts are given back.
 */
#include <unistd.h>

#include <rte_eal.h>

#include "engine/core/core.h"
#include "test/fuzz/fuzz.h"
#include "test/lib/model.h"
#include "test/lib/simport.h"
#include "test/sim/rnd.h"
#include "test/sim/sim.h"

#define CONNS 6u
#define OPS_MAX 300u
#define KEY 0x5eed
#define GUESTS 64u

static struct {
	struct simport_wire *wire;
	struct engine *engine;
	struct core *core;
	struct eta_core_page *page;
	struct model_ka *ka;
	struct model *good, *bad;
	struct model_conn *master, *a, *b; /* the neighbour's connection */
	struct model_conn *guest[GUESTS];  /* what the other session has opened to the neighbour */
	struct model_conn *c[CONNS];
	uint64_t now_us;
	uint32_t tx, rx;
} f;

static void world_make(void);
static void turn(uint32_t n);
static void neighbour_step(void);
static void guests_refuse(void);
static void op_run(struct fuzz_in *in);
static void doorbell_ring(struct fuzz_in *in, const struct model_conn *c);
static void memory_write(struct fuzz_in *in, struct model_conn *c);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_require(sim_eal_init() == 0, "EAL");
	world_make();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model_conf conf = {.dtis_n = 64,
			.snd_pages = 64,
			.rcv_pages = 64,
			.rcv_segs_max = 1,
			.doorbell_n = 64,
			.event_n = 64};
	struct fuzz_in in = {data, size};
	uint32_t i, used;

	used = f.core->ctx_free_n;
	memset(f.c, 0, sizeof(f.c));
	f.bad = model_attach(f.ka, &conf);
	for (i = 0; i < 100 && !model_is_attached(f.bad); i++)
		turn(1);
	fuzz_require(model_is_attached(f.bad), "a session attaches");
	for (i = 0; i < OPS_MAX && in.left != 0; i++) {
		op_run(&in);
		if ((i & 7) == 7) {
			guests_refuse();
			neighbour_step();
		}
	}
	turn(3);
	neighbour_step();
	model_die(f.bad, size & 1);
	for (i = 0; i < 300 && f.core->ctx_free_n != used; i++) {
		f.now_us += 1000000; /* FIN-WAIT-2, TIME-WAIT, retransmissions to nobody */
		guests_refuse();
		turn(1);
	}
	neighbour_step();
	fuzz_require(f.core->ctx_free_n == used, "the dead session's contexts are free");
	return 0;
}

static void world_make(void)
{
	struct simport_conf wire = {.seed = 1};
	struct engine_conf conf = {.cores_n = 1,
			.contexts_max = 256,
			.embryos_max = 64,
			.sessions_max = 8,
			.mbufs_n = 1024,
			.idle = ENGINE_IDLE_POLL,
			.local_turnaround = true,
			.port_lo = 32768,
			.port_hi = 60999,
			.msl_ms = 1000,
			.tsc_hz = 1000000000,
			.ports_n = 1};
	struct model_conf good = {0};
	char err[256] = "";
	uint32_t i;

	memset(conf.lcore_cpu, 0xff, sizeof(conf.lcore_cpu));
	f.now_us = 1000000;
	f.wire = simport_create(&wire);
	conf.port[0] = simport_port(f.wire, 0);
	f.page = aligned_alloc(ETA_PAGE_BYTES, ETA_PAGE_BYTES);
	memset(f.page, 0, ETA_PAGE_BYTES);
	f.engine = engine_create(&conf, (struct eta_core_page *const *)&f.page, err, sizeof(err));
	fuzz_require(f.engine != NULL, err);
	f.core = engine_core(f.engine, 0);
	f.ka = model_ka_create(f.core);
	model_ka_addr(f.ka, "10.0.0.1", 24, 0);
	f.good = model_attach(f.ka, &good);
	turn(10);
	f.master = model_listen(f.good, "10.0.0.1", SIM_PORT, 64, 64);
	turn(10);
	f.a = model_connect(f.good, "10.0.0.1", SIM_PORT);
	for (i = 0; i < 100 && f.b == NULL; i++) {
		turn(1);
		f.b = model_accept(f.master);
	}
	fuzz_require(f.b != NULL, "the neighbour connects to itself");
}

static void turn(uint32_t n)
{
	const char *why;

	while (n-- != 0) {
		f.now_us += 20;
		simport_set_now(f.wire, f.now_us);
		core_poll_once(f.core, f.now_us);
		model_ka_poll(f.ka);
		model_poll(f.good);
		why = core_check(f.core);
		fuzz_require(why == NULL, why != NULL ? why : "");
		why = model_error(f.good);
		fuzz_require(why == NULL, why != NULL ? why : "");
	}
}

static void neighbour_step(void)
{
	static uint8_t buf[2000];
	uint32_t tries, goal, right;
	size_t n;

	content_fill(KEY, f.tx, buf, sizeof(buf));
	f.tx += (uint32_t)model_send(f.a, buf, sizeof(buf));
	goal = f.tx;
	for (tries = 0; tries < 200 && f.rx != goal; tries++) {
		turn(1);
		n = model_recv(f.b, buf, sizeof(buf));
		right = content_match(KEY, f.rx, buf, (uint32_t)n);
		fuzz_require(right == n, "the neighbour's bytes are right");
		f.rx += (uint32_t)n;
		if (tries > 20)
			f.now_us += 10000; /* a frame of its was lost to a full table: it comes again */
	}
	fuzz_require(f.rx == goal, "the neighbour's bytes arrive");
}

static void guests_refuse(void)
{
	uint32_t i;

	for (i = 0; i < GUESTS; i++) {
		if (f.guest[i] == NULL) {
			f.guest[i] = model_accept(f.master);
			if (f.guest[i] == NULL)
				continue;
			model_post_children(f.master, 1);
			model_abort(f.guest[i]);
		} else if (model_is_free(f.guest[i])) {
			model_release(f.guest[i]);
			f.guest[i] = NULL;
		}
	}
}

static void op_run(struct fuzz_in *in)
{
	static uint8_t buf[4096];
	uint8_t op = fuzz_u8(in);
	struct model_conn **slot = &f.c[(op >> 4) % CONNS];

	if (*slot == NULL) {
		*slot = op & 8 ? model_listen(f.bad, "10.0.0.1", (uint16_t)(90 + (op >> 4)), 8, 4)
			       : model_connect(f.bad, "10.0.0.1",
						 op & 4 ? (uint16_t)(90 + (op & 3)) : SIM_PORT);
		turn(1 + (op & 1));
		return;
	}
	switch (op & 15) {
	case 0: turn(1 + fuzz_u8(in) % 8); break;
	case 1: model_send(*slot, buf, fuzz_u16(in) % sizeof(buf)); break;
	case 2:
		f.now_us += 1ull << (fuzz_u8(in) % 22);
		turn(1);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
	case 8: memory_write(in, *slot); break;
	default:
		doorbell_ring(in, *slot);
		if (op & 1)
			turn(1);
		break;
	}
}

/* Fields from the input, or left as they would be right. */
static void doorbell_ring(struct fuzz_in *in, const struct model_conn *c)
{
	uint8_t how = fuzz_u8(in);
	struct eta_doorbell db;

	memset(&db, 0, sizeof(db));
	db.dti = model_dti(c);
	db.gen = model_gen(c);
	db.op = how & 1 ? fuzz_u8(in) : ETA_DB_DATA;
	if (how & 2)
		db.dti = fuzz_u32(in) >> (how >> 5);
	if (how & 4)
		db.gen = fuzz_u16(in);
	db.snd_tail = how & 8 ? fuzz_u32(in) : fuzz_u8(in);
	db.rcv_head = how & 16 ? fuzz_u32(in) : fuzz_u8(in);
	db.arg0 = how & 32 ? fuzz_u32(in) : fuzz_u8(in);
	db.arg1 = how & 64 ? fuzz_u32(in) : fuzz_u8(in);
	db.sq_tail = fuzz_u8(in);
	db.rq_tail = fuzz_u8(in);
	(void)model_ring(f.bad, &db);
}

static void memory_write(struct fuzz_in *in, struct model_conn *c)
{
	uint8_t how = fuzz_u8(in);
	struct eta_chunk_meta *meta;
	uint32_t *w;

	if (how & 1) {
		w = (uint32_t *)(void *)model_al(c);
		w[(how >> 1) % (sizeof(struct eta_dti_al) / 4)] = fuzz_u32(in);
		return;
	}
	meta = model_snd_meta(f.bad, fuzz_u8(in) % 64);
	if (meta == NULL)
		return;
	if (how & 2) {
		meta->next = how & 4 ? fuzz_u32(in) : fuzz_u8(in) % 64;
		return;
	}
	meta->off = how & 4 ? fuzz_u32(in) : fuzz_u8(in) * 4096u;
	meta->dti = how & 8 ? fuzz_u32(in) : ETA_DTI_INDEX(model_dti(c));
	meta->gen = how & 16 ? fuzz_u16(in) : model_gen(c);
	meta->order = how & 32 ? fuzz_u8(in) : 0;
	if (how & 64)
		model_al(c)->chunk = fuzz_u8(in) % 64;
}
