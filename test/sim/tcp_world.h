/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two TCP stacks and a wire between them, without engine, DTI or DPDK: the seam of TCP (tcp_up.h) implemented by a model that
 * verifies as it goes.
 *
 * Each connection has two users. A user's bytes are a function of their offset, so nothing is stored: what TCP asks to be sent is made
 * up on the spot, what TCP places is compared at once. The model keeps which offsets have been placed, what was announced as readable, what
 * window was promised, and complains (world_fail) when TCP breaks a promise of its header.
 *
 * Failures of the world are injected by probability: a frame that finds no buffer, memory that stores only part, a full table, no child.
 *
 * Life: world_init -> world_connect / step functions of the caller -> world_fini.   Not thread-safe; one world a thread.
 */
#ifndef TEST_SIM_TCP_WORLD_H
#define TEST_SIM_TCP_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/tcp/tcp.h"
#include "test/sim/rnd.h"
#include "test/sim/wire.h"

#define WORLD_PORT_SERVER 80u
#define WORLD_PORT_FIRST 10000u
#define WORLD_CONNS_MAX 512u
#define WORLD_FRAME_BYTES 54u /* Ethernet, IPv4 and TCP headers, as a line counts them */

struct world;

/* A transmission of [seq, end). */
struct world_sent {
	uint32_t seq, end;
	uint64_t us;
};
#define WORLD_SENT_N 256u

/* One end of a connection, as its application sees it. */
struct user {
	uint32_t ctx_idx; /* 0 = TCP knows nothing of us (yet, or any more) */
	bool is_known;    /* connect() was called or accept said: a user exists */
	bool is_open;     /* connected */
	bool is_closed;   /* tcp_up_closed() was said */
	bool is_freed;    /* tcp_up_free() was said */
	uint8_t why;      /* enum eta_status of closed */
	uint64_t key_tx, key_rx;
	/* sending */
	uint32_t tx_total; /* bytes the plan sends */
	uint32_t snd_tail; /* queued */
	uint32_t snd_una;
	uint32_t snd_buf_bytes;
	uint32_t snd_edge; /* seq: right edge of the largest window seen */
	bool snd_edge_valid;
	uint64_t snd_una64;      /* stream offset without wrap */
	struct world_sent *sent; /* [WORLD_SENT_N] ring: the latest transmissions */
	uint32_t sent_n;
	uint32_t timeouts_n; /* of the context, as far as they were judged */
	uint64_t cwnd_limit; /* initial window and all that was acknowledged */
	uint32_t cwnd_una;   /* seq: counted in it up to here */
	bool shut, aborted, closed_by_us;
	/* receiving */
	uint32_t rcv_cap_bytes;
	uint8_t *placed;   /* [rcv_cap_bytes] by offset modulo: has been stored, not consumed */
	uint32_t rcv_tail; /* readable */
	uint64_t rcv_tail64;
	uint32_t rcv_head; /* consumed */
	uint32_t adv_edge; /* seq: right edge last advertised */
	bool adv_valid;
	bool rx_fin;
	bool poked;        /* something happened that the application may want to look at */
	uint32_t refusals; /* accept refused so often */
};

struct conn {
	struct user user[2];
	uint16_t port; /* of side 0 */
	bool is_refused;
	bool is_mutual; /* B opens it, too: no cookie, which cannot meet an open of its own tuple */
};

/* One host; opaque to TCP. */
struct core {
	struct world *world;
	int side;
	struct tcp_stack st;
	struct tcp_ctx *ctx;
	struct tcp_ext *ext;
	struct tcp_log *log;
	uint32_t *conn_of; /* [ctx_n] connection + 1, 0 = free slot */
	uint32_t ctx_n;
	uint32_t ctx_used;
	uint32_t listener; /* context, 0 = none */
	uint64_t rx_off64; /* phantom: of the segment that is being received */
};

struct world_conf {
	struct tcp_conf tcp[2];
	struct wire_conf wire[2]; /* [i]: from side i */
	uint16_t mss;
	uint32_t burst_bytes; /* tcp_up_burst_bytes() */
	bool superframes;     /* deliver uncut */
	uint32_t ctx_n, ext_n, log_n;
	uint32_t send_fail_ppm;   /* no buffer for a frame */
	uint32_t place_short_ppm; /* memory stores only a part */
	uint32_t space_zero_ppm;  /* memory says it is full */
	uint32_t accept_refuse_ppm;
	uint32_t embryo_refuse_ppm;
	uint64_t start_us;
	bool isn_near_wrap;
	bool hostile_peer; /* there is no honest TCP at the other end: its bytes and acknowledgements are not judged */
	/*
	 * Payload is not made, carried or compared byte by byte: a frame says which offsets it holds, and what is placed is judged by
	 * that. For gigabytes. rcv_cap_bytes must be powers of two.
	 */
	bool phantom;
};

struct world {
	struct world_conf conf;
	struct core host[2];
	struct wire wire[2];
	struct conn conn[WORLD_CONNS_MAX];
	uint32_t conn_n;
	uint64_t now_us;
	/* The narrowest link takes so much payload without options; larger frames are lost and answered by ICMP. 0 = conf.mss */
	uint16_t path_mss;
	uint64_t too_big_n;
	/* Bytes were placed: a caller's own judgement. NULL = none. */
	void (*placed)(struct world *w, struct user *u, uint32_t off, const uint8_t *data,
			uint32_t len);
	void *caller;
	struct rnd rnd;
	bool verbose;
	bool failed;
	char why[256];
};

int world_init(struct world *w, const struct world_conf *conf, uint64_t seed, bool verbose);
void world_fini(struct world *w);
/* Says what is broken, once. */
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void world_trace(const struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A connection that exists as a plan only; the caller sets what users send and how large their buffers are before world_connect(). */
struct conn *world_conn_add(struct world *w);
void world_user_init(
		struct user *u, uint32_t tx_total, uint32_t snd_buf_bytes, uint32_t rcv_cap_bytes);
/* @side opens @conn; both sides may (simultaneous open). @param: NULL = defaults. */
void world_connect(struct world *w, struct conn *conn, int side, const struct tcp_param *param);
/* Side 1 listens. */
void world_listen(struct world *w, const struct tcp_param *param);

/* Take up to @budget due frames of @side and hand them to TCP. Return: frames. */
uint32_t world_rx(struct world *w, int side, uint32_t budget);
void world_timers_and_flush(struct world *w, int side);
/* Check contexts of @conn and what users may expect. */
void world_check_conn(struct world *w, struct conn *conn);
void world_check_stacks(struct world *w);
/* When anything is due on the wires or in the stacks. */
uint64_t world_next_us(struct world *w);

/* The user's calls; nothing happens after closed. */
void world_write(struct world *w, struct conn *conn, int side, uint32_t bytes);
void world_read(struct world *w, struct conn *conn, int side, uint32_t bytes);
void world_shut(struct world *w, struct conn *conn, int side);
void world_close(struct world *w, struct conn *conn, int side);
void world_abort(struct world *w, struct conn *conn, int side);

#endif
