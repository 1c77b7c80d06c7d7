/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A world for TCP without a world: implements tcp_up.h, logs every side effect as one string, and keeps a virtual clock.
 *
 * The log of a call reads like a trace, numbers relative to ISS and IRS, one entry after another:
 *
 *     "SA 0+0 1; "            segment: flags (F S R P A U), seq + payload bytes, ack; "rtx " in front of a retransmission
 *     "place 0+100; readable 100; acked 50; connected; urgent 10; closed RESET; embryo; accept; free; "
 *
 * What was sent stands in sent[], so that a test can look at options and windows, or carry it to another world.
 */
#ifndef TEST_UNIT_TCP_FAKE_UP_H
#define TEST_UNIT_TCP_FAKE_UP_H

#include "engine/tcp/tcp_int.h"

#define FAKE_CTX_N 64u
#define FAKE_EXT_N 17u
#define FAKE_LOG_N 9u
#define FAKE_SENT_MAX 4096u
#define FAKE_LOG_BYTES 65536u
#define FAKE_ISS 1000u

struct fake_sent {
	struct tcp_txseg seg;
	uint32_t ctx_idx; /* 0 = no context */
	bool has_tuple;
};

struct core {
	struct tcp_stack stack;
	struct tcp_ctx ctx[FAKE_CTX_N];
	struct tcp_ext ext[FAKE_EXT_N];
	struct tcp_log log_mem[FAKE_LOG_N];
	uint64_t now_us;
	struct ip_tuple tuple;
	/* what the world does */
	uint32_t rcv_space;
	uint16_t mss;
	uint32_t burst_bytes;
	uint32_t place_max; /* bytes tcp_up_place() stores at most */
	int32_t send_max;   /* payload bytes tcp_up_send() takes at most; -1 = the port is full */
	enum tcp_room room;
	bool refuse_embryo;
	bool refuse_accept;
	/* hooks of tests that move real bytes; NULL = none */
	uint32_t (*on_place)(struct core *core, struct tcp_ctx *ctx, uint32_t off,
			const uint8_t *data, uint32_t len);
	uint32_t (*on_space)(struct core *core, struct tcp_ctx *ctx);
	int32_t (*on_send)(struct core *core, struct tcp_ctx *ctx, const struct tcp_txseg *seg);
	void (*on_readable)(struct core *core, struct tcp_ctx *ctx, uint32_t tail, bool fin);
	void (*on_acked)(struct core *core, struct tcp_ctx *ctx, uint32_t una);
	void (*on_closed)(struct core *core, struct tcp_ctx *ctx, enum eta_status why);
	void *arg;
	/* what it saw */
	struct fake_sent sent[FAKE_SENT_MAX];
	uint32_t sent_n;
	uint32_t freed_n;
	uint32_t closed_n;
	enum eta_status closed_why;
	uint32_t last_embryo; /* index */
	bool is_silent;       /* no log */
	char log[FAKE_LOG_BYTES];
	size_t log_len;
	char taken[FAKE_LOG_BYTES];
};

/* The peer of the tests below: window 65535 << 0 unless the test says otherwise. */
struct fake_peer {
	bool timestamps, sack, wscale;
	uint16_t mss; /* 0 = no option */
};

/* A world with defaults; @conf NULL = defaults without timestamps. Freed by fake_free(). */
struct core *fake_new(const struct tcp_conf *conf);
void fake_free(struct core *core);

/* The log since the last call. */
const char *fake_take(struct core *core);
/* Fail the test if an invariant is broken. */
void fake_check(const struct core *core);
/* A free context, zeroed, idx set. */
struct tcp_ctx *fake_ctx(struct core *core);
/* Let @ms pass, with timers and flushes at their times. */
void fake_run(struct core *core, uint32_t ms);
void fake_flush(struct core *core);

/* A segment from the peer: @seq relative to IRS, @ack to ISS. Data is zeroes. */
enum tcp_verdict fake_rx(struct core *core, struct tcp_ctx *ctx, uint8_t flags, uint32_t seq,
		uint32_t ack, uint32_t len);
/* The same with everything chosen; seq and ack absolute. */
enum tcp_verdict fake_rx_seg(struct core *core, struct tcp_ctx *ctx, struct tcp_seg seg);
/* fake_rx() with window. */
enum tcp_verdict fake_rx_wnd(struct core *core, struct tcp_ctx *ctx, uint8_t flags, uint32_t seq,
		uint32_t ack, uint32_t len, uint16_t wnd);
/* fake_rx() of an ACK with SACK blocks, relative to ISS: [@n][2]. */
enum tcp_verdict fake_rx_sack(struct core *core, struct tcp_ctx *ctx, uint32_t seq, uint32_t ack,
		const uint32_t (*blocks)[2], uint32_t n);
/* Segment with a timestamp option. */
enum tcp_verdict fake_rx_ts(struct core *core, struct tcp_ctx *ctx, uint8_t flags, uint32_t seq,
		uint32_t ack, uint32_t len, uint32_t tsval, uint32_t tsecr);

/* Established by a passive or an active open; the log is empty afterwards. IRS is 5000. @peer NULL: MSS 1460, SACK, scale 7. */
struct tcp_ctx *fake_accepted(struct core *core, const struct fake_peer *peer);
struct tcp_ctx *fake_connected(struct core *core, const struct fake_peer *peer);
/* A listener. */
struct tcp_ctx *fake_listener(struct core *core);
/* SYN options of @peer. Return: bytes. */
uint8_t fake_syn_opts(const struct fake_peer *peer, uint32_t tsval, uint32_t tsecr, uint8_t *opt);

/* The last segment sent. */
const struct tcp_txseg *fake_last(const struct core *core);
/* Queue @len more bytes and write them. */
void fake_write(struct core *core, struct tcp_ctx *ctx, uint32_t len);

#define FAKE_IRS 5000u

#endif
