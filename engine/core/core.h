/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One engine core from inside: what the files of this room share. Others use engine.h.
 */
#ifndef ENGINE_CORE_CORE_H
#define ENGINE_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "engine/core/ctable.h"
#include "engine/core/engine.h"
#include "engine/core/trace.h"
#include "engine/dti/dti.h"
#include "engine/net/net.h"
#include "engine/tcp/tcp.h"

#define CORE_TIMER_BUDGET 128u
#define CORE_SWEEP_BUDGET 32u
#define CORE_REAP_SLICE 2048u
#define CORE_TURN_FRAMES \
	8192u /* frames to ourselves that wait for the next turn of the loop; power of two */
#define CORE_HOPS 1024u  /* destinations whose next hop is remembered; power of two */
#define CORE_FAILED 256u /* contexts remembered whose segment had no way */
#define CORE_NET_LOOK_US 1000000u
#define CORE_KICK_LOOK_US 50u /* awake: look at kick descriptors of dormant rings this often */
#define CORE_NOTICE_ROOM 64u  /* entries of the answer ring that notices leave to answers */

/* Of a flood, what the kernel gets to see in a second. */
#define CORE_FALLBACK_PER_S \
	100u /* SYNs that a listener of ours has no place for: its shadow may have */
#define CORE_BAD_COOKIE_PER_S \
	10000u /* ACKs for a listener, without context, while cookies are out */

/* Stages of the loop, for cycle accounting. */
enum core_stage {
	CORE_STAGE_RX,
	CORE_STAGE_TCP,
	CORE_STAGE_EVENTS,
	CORE_STAGE_DOORBELLS,
	CORE_STAGE_TIMERS,
	CORE_STAGE_ADMIN,
	CORE_STAGE_OUTPUT,
	CORE_STAGE_TX,
	CORE_STAGE_N
};

struct core_stats {
	uint64_t loops;
	uint64_t loops_idle;
	uint64_t sleeps;
	uint64_t cyc[CORE_STAGE_N]; /* of turns that did work */
	uint64_t cyc_idle;
	uint64_t rx_no_ctx;   /* TCP segments without context or listener: punted */
	uint64_t rx_fallback; /* SYNs that a full context table left to the kernel's listener */
	uint64_t rx_flood; /* segments without context that were too many for the kernel: dropped */
	uint64_t rx_not_local;     /* TCP segments to an address that is not ours */
	uint64_t turned;           /* frames to ourselves */
	uint64_t turn_full;        /* ... dropped: queue full, or in several buffers */
	uint64_t tx_no_hop;        /* segments not sent: no route */
	uint64_t tx_pending;       /* segments not sent: neighbour not resolved yet */
	uint64_t tx_no_bytes;      /* segments not sent: the DTI's chunks did not give the bytes */
	uint64_t open_not_carried; /* active opens left to the kernel */
	uint64_t open_failed;
	uint64_t ctx_full;      /* opens and embryos refused: context table full */
	uint64_t ports_used_up; /* active opens refused: no free port */
};

/* The next hop towards one destination. Direct-mapped by a hash of the address. */
struct core_hop {
	struct ip_addr dst;
	struct net_hop hop;
	uint64_t confirm_us; /* when its neighbour was last confirmed */
	uint8_t result;      /* enum route_result; valid while the hop is current */
};

/* So many a second, all at once if need be. */
struct core_limit {
	uint64_t since_us;
	uint32_t used;
};

struct core_mem {
	void *base;
	uint64_t bytes;
};

struct core {
	struct dti dti; /* must be first: dti_of() */
	struct tcp_stack tcp;
	struct net net;
	struct ctable ctable;
	struct engine *engine;
	const struct engine_conf *conf;
	uint32_t idx;
	uint64_t now_us;
	bool is_stopping;
	bool is_net;     /* net_init() succeeded */
	bool is_napping; /* a port has no descriptor to sleep on */
	bool is_stopped;

	/* free context slots: a stack */
	uint32_t *ctx_free; /* [ctx_n] */
	uint32_t ctx_free_n;

	struct port *turn_port; /* traffic to our own address (turn.c); last in net.port, NULL = none */

	struct core_hop hop[CORE_HOPS];
	struct ip_addr confirm_addr; /* who delivered an acknowledgement last, looked at in ... */
	uint32_t confirm_tick;       /* this second */
	uint32_t failed[CORE_FAILED]; /* contexts whose segment had no way: TCP is told at the end of the turn */
	uint32_t failed_n;
	uint64_t net_look_us; /* when fragments, path MTUs and contexts' MSS are looked at next (icmp.c) */
	uint32_t mtu_left;  /* contexts still to be told how large packets may be (icmp.c) */
	uint32_t mtu_at;    /* ... the last that was */
	uint32_t mtu_epoch; /* route_mtu_epoch() of the last look */
	struct {
		const uint8_t *smac; /* [6]; NULL = no frame */
		uint8_t port;
	} reply_to; /* frame being processed: where answers of embryos may go without neighbour resolution */

	struct core_limit fallback;   /* CORE_FALLBACK_PER_S */
	struct core_limit bad_cookie; /* CORE_BAD_COOKIE_PER_S */

	uint16_t port_lo, port_hi; /* host order */
	uint8_t hidden[65536 /
			8]; /* ports outside of that range that KA's filter hides from the kernel; bit = port_be */
	uint64_t port_key[2];
	uint32_t port_step[64]; /* RFC 6056 3.3.4: counters by hash */

	struct rte_ring *commands;
	struct rte_ring *answers;
	uint64_t sample_at; /* the next turn whose cycles are counted */
	uint32_t sample_rand;
	bool is_sampled;  /* ... is this one */
	bool is_answered; /* something for KA since it was last notified */
	int kick_fd;
	int notify_fd;
	int epoll_fd;
	uint64_t kick_look_us; /* last look at kick descriptors */
	struct eta_core_page *page;
	struct trace *trace;
	struct core_stats stats;
	struct core_mem mem[8];
	uint32_t mem_n;
	uint64_t memory_bytes;
};
ETA_STATIC_ASSERT(offsetof(struct core, dti) == 0, "dti_of() needs it first");

/* engine.c */
ETA_MUST_CHECK int core_init(struct core *core, struct engine *engine, uint32_t idx,
		struct eta_core_page *page, char *err, size_t err_len);
void core_fini(struct core *core);

/* admin.c: commands within ETA_ADMIN_BURST, endings, notices. Return: commands done. */
uint32_t admin_poll(struct core *core);
/* Answer @msg (op becomes DONE). */
void admin_done(struct core *core, const struct eta_admin_msg *msg, enum eta_status status);
/* Write KA's descriptor once, if something was said or punted in this turn. */
void admin_notify(struct core *core);

/* up.c */
/* Next hop towards @dst, remembered while it is current. Context: hot. */
struct core_hop *core_hop(struct core *core, const struct ip_addr *dst);
/* Tell TCP of the segments that had no way to go. */
void core_fail_unreachable(struct core *core);

/* knob.c: ETA_ADMIN_KNOB_SET, _GET (answers in @msg). Return: OK, or INVALID for a knob or a value that is none. */
enum eta_status core_knob_set(struct core *core, const struct eta_admin_msg *msg);
enum eta_status core_knob_get(const struct core *core, struct eta_admin_msg *msg);

/* icmp.c */
void core_rx_icmp(struct core *core, const struct icmp_err *e);
/* How large packets may be has changed: look at every context, a slice in each turn. */
void core_mtu_changed(struct core *core);
/* net_look_us has come: forget old fragments and path MTUs, go on with the walk over the contexts. */
void core_net_look(struct core *core);

/* dump.c: rows for etactl. Answers in @msg. */
void core_dump(struct core *core, struct eta_admin_msg *msg);
/* stats.c: cycles of the stage that ends here, in turns that are sampled. */
uint64_t core_stage_end(struct core *core, enum core_stage stage, uint64_t since_cyc);

/* ports.c: a free local port for @tuple (laddr, raddr, rport set). Return: false = none. */
bool ports_pick(struct core *core, struct ip_tuple *tuple);
/* Is @tuple free? Ends what is in TIME-WAIT there and may be used again. */
bool ports_is_free(struct core *core, const struct ip_tuple *tuple);

/* turn.c: the port to ourselves. */
ETA_MUST_CHECK int turn_init(struct core *core);
void turn_fini(struct core *core);
/* Frames to be received in the next turn. */
uint32_t turn_waiting(const struct core *core);

/* idle.c */
ETA_MUST_CHECK int idle_init(struct core *core, char *err, size_t err_len);
void idle_fini(struct core *core);
/* Awake, with dormant rings: look whether one was kicked. */
void idle_look_kicks(struct core *core);
/* Nothing to do: sleep until something is. */
void idle_sleep(struct core *core, uint64_t now_us);

#endif
