/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP: the one header that the engine includes.
 *
 * A stack is the TCP of one core: contexts (the caller's table), configuration, timing wheel,
 * counters. It has no clock, no memory of its own and no I/O: every entry is given the time, and
 * answers through tcp_up.h, whose functions must not call back into this header.
 *
 * LIFE OF A CONTEXT
 *   The engine takes a free slot of the table, zeroes it, sets ctx->idx (>= 1) and calls
 *   tcp_connect() or tcp_listen(); or it does so in tcp_up_embryo() for a SYN. A context that has a
 *   user (connect, listen, or tcp_up_accept() returned true) gets exactly one tcp_up_closed(), then
 *   exactly one tcp_up_free(), whatever ended it, tcp_abort() included; both may happen inside any
 *   entry below. tcp_up_closed() is said when the user needs it no more: on reset and timeout, or
 *   when both FINs are done (TIME-WAIT lives on without user). An embryo that never found a user
 *   gets tcp_up_free() only. In tcp_up_free() ctx->state is TCP_STATE_UNUSED, and no list or wheel
 *   refers to the context any more.
 *
 * ONE LOOP OF THE CORE
 *   tcp_rx() per segment -> events -> doorbells: tcp_write(), tcp_read(), ... -> tcp_timers() ->
 *   tcp_flush() -> transmit. tcp_rx() and tcp_read() send nothing unless a rule wants a segment of
 *   its own (duplicate ACKs without SACK, RST, challenge ACK): what they owe (an ACK, or data that
 *   an ACK let go) leaves in tcp_flush(), or rides on what tcp_write() sends before it. One burst,
 *   one ACK.
 *
 * Thread: the core that owns the stack, for everything here.
 */
#ifndef ENGINE_TCP_TCP_H
#define ENGINE_TCP_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eta/abi.h>
#include <eta/status.h>

#include "engine/net/addr.h"
#include "engine/tcp/ctx.h"
#include "engine/tcp/tcp_seg.h"
#include "engine/tcp/tcp_stats.h"
#include "engine/tcp/tcp_up.h"
#include "engine/tcp/wheel.h"

enum tcp_cc_id {
	TCP_CC_DEFAULT = 0, /* conf.cc */
	TCP_CC_NEWRENO = 1,
	TCP_CC_CUBIC = 2,
	TCP_CC_DCTCP = 3,
	TCP_CC_BBR = 4,
	TCP_CC_N
};

/* Explicit congestion notification (RFC 3168), as Linux's tcp_ecn. */
enum tcp_ecn {
	TCP_ECN_OFF = 0,    /* neither asked for nor accepted */
	TCP_ECN_ON = 1,     /* asked for, and accepted */
	TCP_ECN_ACCEPT = 2, /* accepted */
};

/* TCP Fast Open (RFC 7413), as Linux's tcp_fastopen. */
#define TCP_FASTOPEN_CLIENT 0x1u
#define TCP_FASTOPEN_SERVER 0x2u
#define TCP_FASTOPEN_CLIENT_COOKIELESS 0x4u /* clients send data without cookie */
#define TCP_FASTOPEN_COOKIELESS 0x20u       /* servers take data without cookie */
#define TCP_FASTOPEN_ALL 0x40u              /* every listener does it, with its backlog as limit */

/* Is the segment size searched for by probes (tcp_mtu.c)? Numbered as Linux's tcp_mtu_probing. */
enum tcp_mtu_probing {
	TCP_MTU_PROBING_OFF,
	TCP_MTU_PROBING_BLACKHOLE,
	TCP_MTU_PROBING_ALWAYS,
};

/* Unit and default of each: tcp_conf_default(). */
struct tcp_conf {
	uint32_t time_wait_ms;       /* 2 MSL: 60000 */
	uint32_t fin_wait2_ms;       /* 60000 */
	uint32_t rto_us_min;         /* 200000 */
	uint32_t rto_us_max;         /* 120000000 */
	uint32_t rto_us_initial;     /* 1000000 */
	uint32_t delack_ms;          /* 40 */
	uint32_t keep_idle_ms;       /* 7200000 */
	uint32_t keep_intvl_ms;      /* 75000 */
	uint8_t keep_probes;         /* 9 */
	uint8_t syn_retries;         /* 6 */
	uint8_t synack_retries;      /* 5 */
	uint8_t data_retries;        /* 15 */
	uint8_t orphan_retries;      /* 8: closed by the user */
	uint8_t initial_window_segs; /* 10 (RFC 6928) */
	uint8_t cc;                  /* TCP_CC_CUBIC */
	uint8_t rcv_wscale;          /* 7: windows to 8 MiB */
	uint8_t mtu_probing;         /* enum tcp_mtu_probing: off */
	uint8_t min_tso_segs;        /* 2: of a piece for the port, however slow the connection */
	bool timestamps;             /* true */
	bool sack;                   /* true */
	uint8_t ecn;                 /* enum tcp_ecn: TCP_ECN_ACCEPT */
	uint8_t fastopen;            /* TCP_FASTOPEN_*: CLIENT */
	uint8_t reorder_segs;        /* 3: DupThresh, as long as no reordering was seen */
	bool slow_start_after_idle;  /* true (RFC 2861, RFC 7661) */
	bool tlp;                    /* true: tail loss probes (RFC 8985 7) */
	bool pacing;      /* false: pace every connection, not only where its algorithm asks */
	bool syn_cookies; /* true: when no embryo is left (RFC 4987) */
	uint32_t notsent_lowat;   /* bytes, default of TCP_NOTSENT_LOWAT; UINT32_MAX = no limit */
	uint32_t challenge_per_s; /* 1000 ACKs that any outsider may provoke (RFC 5961 7) */
	uint64_t isn_key[2];      /* secret; the caller fills it from a random source */
	uint64_t fastopen_key
			[2]; /* the same; as long as it stays, so do the cookies that peers have */
};

/* Memory of a stack, all the caller's, zeroed, cache-line aligned, alive as long as the stack. */
struct tcp_mem {
	struct tcp_ctx *ctx; /* [ctx_n], [0] is never used */
	uint32_t ctx_n;
	/* [ext_n], [0] is never used. One per direction with holes; tcp_ext_n() recommends */
	struct tcp_ext *ext;
	uint32_t ext_n;
	/* [log_n], [0] is never used. One per connection that sends in bulk or repairs a loss; tcp_log_n() */
	struct tcp_log *log;
	uint32_t log_n;
};

#define TCP_COOKIES_SEEN \
	1024u /* used SYN cookies that are remembered, as far as they do not collide; power of two */

/* A fast open cookie of a destination (RFC 7413 4.1.3). */
#define TCP_FASTOPEN_BYTES_MAX 16u
#define TCP_TFO_N 256u /* destinations; power of two */
struct tcp_tfo {
	struct ip_addr raddr;
	uint8_t cookie[TCP_FASTOPEN_BYTES_MAX];
	uint64_t off_until_us; /* it is not tried before */
	uint16_t mss;          /* of the peer, then */
	uint16_t gen;          /* raised with each destination that comes here; 0 = unused */
	uint8_t len;           /* of the cookie, 0 = none */
};

struct tcp_stack {
	struct tcp_ctx *ctx;
	struct tcp_ext *ext;
	struct tcp_log *log;
	uint32_t ctx_n;
	uint32_t ext_n;
	uint32_t log_n;
	uint32_t ext_free;   /* list through ext->n, 0 = empty */
	uint32_t log_free;   /* list through log->next, 0 = empty */
	uint32_t flush_head; /* contexts that owe output */
	uint32_t flush_tail;
	uint32_t flush_n;
	uint32_t isn_min;         /* TIME-WAIT reuse: the next ISS starts here ... */
	uint32_t isn_min_for;     /* ... of the tuple with this ts_off ... */
	bool isn_min_valid;       /* ... if set */
	uint32_t challenge_ms;    /* this second of challenge ACKs began here */
	uint32_t challenge_n;     /* left in it */
	uint64_t cookie_until_us; /* SYN cookies that are out may come back until then; 0 = none */
	struct tcp_tfo tfo[TCP_TFO_N];          /* by hash of the address */
	uint64_t cookie_seen[TCP_COOKIES_SEEN]; /* marks of those that have; 0 = none */
	uint64_t random;                        /* state of a small generator; not for secrets */
	struct tcp_conf conf;
	struct tcp_stats stats;
	struct wheel wheel;
};

/* What the user may set, at open or later. 0 = default, or off. */
struct tcp_param {
	bool nodelay;
	bool cork;
	bool keepalive;
	bool quickack;
	bool delack;   /* a dialogue: ACKs may wait for data from now on */
	bool fastopen; /* active open: the SYN waits for the first tcp_write() and takes its data along if a cookie is known */
	bool fastopen_wait; /* ... however long that takes, or until tcp_param() without fastopen */
	bool fastopen_no_cookie; /* data rides on SYNs without cookie; listener: takes it without */
	uint8_t cc;              /* enum tcp_cc_id; unknown = default */
	uint8_t keep_probes;
	uint8_t syn_retries; /* of SYN, and of a listener's SYN-ACKs (TCP_SYNCNT); 0 = configured */
	uint16_t maxseg;     /* of connections opened with it */
	uint16_t fastopen_qlen; /* listener: connections pending with data of their SYN, 0 = no fast open */
	uint16_t defer_accept_s; /* listener: an embryo waits for data, this long */
	uint32_t keep_idle_ms;
	uint32_t keep_intvl_ms;
	uint32_t user_timeout_ms;
	uint32_t fin_wait2_ms;
	uint32_t notsent_lowat;   /* bytes, 0 = conf.notsent_lowat */
	uint64_t pacing_rate_max; /* bytes/s */
};

/* What of struct tcp_param this TCP acts on beyond the plain ones; the user's side leaves the rest to others. */
#define TCP_FEATURES \
	(ETA_FEATURE_DEFER_ACCEPT | ETA_FEATURE_FASTOPEN | ETA_FEATURE_PACING) /* ETA_FEATURE_* */

enum tcp_verdict {
	TCP_RX_OK,    /* done with the segment; the context lives */
	TCP_RX_FREED, /* done with the segment; tcp_up_free() was called for the context */
	/*
	 * tcp_up_free() was called (TIME-WAIT gave way to a new SYN): look the tuple up again, a
	 * listener takes it by tcp_rx(), else tcp_rx_no_ctx()
	 */
	TCP_RX_AGAIN,
	/* a listener has no place for this SYN and sends no cookie: whoever else listens may have it */
	TCP_RX_REFUSED,
};

/* ---- the stack ---- */

void tcp_conf_default(struct tcp_conf *conf);
/* Extensions recommended for @ctx_n contexts: one for every eighth, at least 64. */
uint32_t tcp_ext_n(uint32_t ctx_n);
/* Send logs recommended for @ctx_n contexts: one for every 128th, at least 64. */
uint32_t tcp_log_n(uint32_t ctx_n);
/* @conf is copied. Values out of range are brought into it. */
void tcp_stack_init(struct tcp_stack *stack, const struct tcp_mem *mem, const struct tcp_conf *conf,
		uint64_t now_us);

/* New defaults from now on: same rules. Does not touch connections that took theirs over. */
void tcp_stack_conf(struct tcp_stack *stack, const struct tcp_conf *conf);

/* ---- segments ---- */

/**
 * tcp_rx() - A segment for @ctx.
 * @ctx:   the context that the tuple hashes to, or a listener.
 * @tuple: as seen from this host; read only when @ctx is a listener, may be NULL otherwise.
 *
 * Context: hot.   Source: RFC 9293 3.10.7.
 */
enum tcp_verdict tcp_rx(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		const struct tcp_seg *seg, const struct ip_tuple *tuple, uint64_t now_us);

/* Are SYN cookies out that an ACK may bring back? Context: hot. */
static inline bool tcp_cookies_are_out(const struct tcp_stack *stack, uint64_t now_us)
{
	return stack->cookie_until_us > now_us;
}

/**
 * tcp_rx_cookie() - A segment for no context, where @master listens: does it complete a handshake that a SYN cookie stands for?
 *
 * Return: true = yes, and the segment is done with, whether or not there was room for the connection; false = nothing of ours.
 * Context: hot under a flood.   Source: RFC 4987 3.6.
 */
bool tcp_rx_cookie(struct tcp_stack *stack, struct core *env, struct tcp_ctx *master,
		const struct tcp_seg *seg, const struct ip_tuple *tuple, uint64_t now_us);

/*
 * A segment for no context, on an address and port that are ETA's alone: answered by RST (RFC 9293
 * 3.10.7.1).
 */
void tcp_rx_no_ctx(struct tcp_stack *stack, struct core *env, const struct ip_tuple *tuple,
		const struct tcp_seg *seg);

/**
 * tcp_flush() - Send what the burst owes: ACKs, window updates, data that ACKs let go.
 *
 * Return: true if something is left for another flush (a bound was met): do not sleep.   Context:
 * hot.
 */
bool tcp_flush(struct tcp_stack *stack, struct core *env, uint64_t now_us);

/* ---- time ---- */

/**
 * tcp_timers() - Do what is due.
 * @budget: most contexts looked at in this call.
 *
 * Return: contexts looked at; @budget means call again soon.
 */
uint32_t tcp_timers(struct tcp_stack *stack, struct core *env, uint64_t now_us, uint32_t budget);

/*
 * Return: microseconds from @now_us until tcp_timers() may have work, 0 = now; UINT64_MAX = never.
 */
uint64_t tcp_next_deadline_us(const struct tcp_stack *stack, uint64_t now_us);

/* ---- the user's calls (RFC 9293 3.9.1); @ctx is one that has a user ---- */

/**
 * tcp_connect() - Active open: sends SYN.
 * @ctx:   zeroed, idx set.
 * @param: NULL = defaults.
 *
 * tcp_up_connected() or tcp_up_closed() follows.
 */
void tcp_connect(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		const struct ip_tuple *tuple, const struct tcp_param *param, uint64_t now_us);

/*
 * Bytes that the SYN of a tcp_connect() with @param->fastopen would wait for and take along; 0 = it leaves at once: no cookie of @tuple's
 * destination is known.
 */
uint16_t tcp_fastopen_bytes(const struct tcp_stack *stack, struct core *env,
		const struct ip_tuple *tuple, const struct tcp_param *param, uint64_t now_us);

/**
 * tcp_reuse() - May the tuple of @ctx serve a new active open? Then end @ctx.
 *
 * Only in TIME-WAIT, with timestamps, a second after the peer's last one: whatever is left of the old connection
 * is older than the new one's SYN by timestamp, and by sequence number, for the tcp_connect() that follows begins above.
 *
 * Return: true if @ctx was freed.   Source: RFC 6191; Linux, tcp_tw_reuse.
 */
bool tcp_reuse(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint64_t now_us);
/* Would tcp_reuse() say yes? */
bool tcp_is_reusable(const struct tcp_ctx *ctx, uint64_t now_us);

/*
 * Passive open. Children inherit @param. Abort the embryos of a listener before closing it: TCP
 * keeps no list of them.
 */
void tcp_listen(struct tcp_stack *stack, struct tcp_ctx *ctx, const struct tcp_param *param);

/**
 * tcp_write() - The user has queued bytes up to stream offset @snd_tail; send what may be sent.
 *
 * An offset that moves backwards, past the FIN, or more than the largest buffer ahead of snd_una is
 * ignored: validate it before. Before the handshake is complete it is noted. Context: hot.
 */
void tcp_write(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint32_t snd_tail,
		uint64_t now_us);

/* As tcp_write(), but more follows (MSG_MORE): a short last segment waits for it, at most 200 ms. */
void tcp_write_more(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		uint32_t snd_tail, uint64_t now_us);

/*
 * The byte before stream offset @snd_up is urgent; before the tcp_write() that queues it. Ignored
 * unless it lies ahead of snd_una and of the last one (RFC 9293 3.8.5, pointer as RFC 6093 2.1).
 */
void tcp_urgent(struct tcp_ctx *ctx, uint32_t snd_up);

/*
 * The byte before stream offset @snd_off ends a record (MSG_EOR): no segment carries it and what follows. Before the tcp_write() that
 * queues it. Forgotten where there is no room for more ends, see tcp_eor.c.
 */
void tcp_eor(struct tcp_stack *stack, struct tcp_ctx *ctx, uint32_t snd_off);

/*
 * The user has consumed bytes up to stream offset @rcv_head (not beyond what was readable): a
 * window update may be owed. Context: hot.
 */
void tcp_read(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint32_t rcv_head,
		uint64_t now_us);

/* tcp_read() and tcp_write() of one doorbell: what leaves tells of the window, too. Context: hot. */
void tcp_read_write(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		uint32_t rcv_head, uint32_t snd_tail, uint64_t now_us);

/* FIN after the bytes queued so far. Again: nothing. */
void tcp_shut_wr(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint64_t now_us);

/**
 * tcp_close() - The user neither reads nor writes any more: FIN after the bytes queued; RST at once
 * if bytes are unread (tcp_read() first), and later if new data arrives (RFC 2525 2.17).
 *
 * May free @ctx (see LIFE).
 */
void tcp_close(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint64_t now_us);

/*
 * RST where the state asks for one; tcp_up_closed(@why) and tcp_up_free() happen before it returns.
 * Takes embryos and TIME-WAIT too.
 */
void tcp_abort(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, enum eta_status why);

/* Change parameters. Clearing cork or setting nodelay sends what was held back. */
void tcp_param(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		const struct tcp_param *param, uint64_t now_us);

/* ---- what ICMP says about @ctx ---- */

/* Is a segment with sequence number @seq in flight? Only then the error that quotes it is believed (RFC 5927 4.1). */
bool tcp_icmp_is_credible(const struct tcp_ctx *ctx, uint32_t seq);

/**
 * tcp_icmp_error() - A credible ICMP error about a segment of @ctx, or that there is no way to send one.
 * @why:         what it says.
 * @ends_embryo: may it end a handshake that the peer began?
 *
 * Ends the attempt to connect. An established connection goes on, and ends by @why if it times out.
 * Return: true if @ctx was freed.
 */
bool tcp_icmp_error(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		enum eta_status why, bool ends_embryo, uint64_t now_us);

/*
 * The path of @ctx carries segments of @mss (as tcp_up_mss()) from now on: a credible message of a router, or a change of
 * route or link. What is in flight and may be too large is sent again.
 */
void tcp_mss_changed(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint16_t mss,
		uint64_t now_us);

/* ---- looking ---- */

struct tcp_ctx_info {
	uint8_t state; /* enum tcp_state, CLOSED for a context without connection */
	uint8_t loss_state;
	uint8_t retransmits_n; /* timeouts since the last progress */
	uint8_t probes_n;
	uint8_t snd_wscale, rcv_wscale;
	uint8_t cc_id; /* enum tcp_cc_id */
	bool timestamps, sack, wscale, ecn, ecn_seen, syn_data;
	bool is_pingpong, is_app_limited; /* app_limited: of the rate */
	uint16_t mss, mss_adv, mss_path, rcv_mss;
	uint32_t cwnd_bytes, ssthresh_bytes, srtt_us, rttvar_us, rtt_min_us, rto_us, ato_us;
	uint32_t snd_wnd_bytes, rcv_wnd_bytes;
	uint32_t snd_queue_bytes; /* queued, not acknowledged */
	uint32_t rcv_queue_bytes; /* in order, not consumed */
	uint32_t unacked_bytes, sacked_bytes, notsent_bytes;
	uint32_t lost_bytes;       /* deemed lost and not arrived yet, sent again or not */
	uint32_t rtx_flight_bytes; /* sent again, neither acknowledged nor deemed lost anew */
	uint32_t reorder_segs;
	uint32_t retrans_n, retrans_bytes, timeouts_n, ooo_n, dsack_n, reorder_n;
	uint32_t segs_in, segs_out, data_segs_in, data_segs_out;
	uint32_t data_sent_ms, data_rcvd_ms, ack_rcvd_ms; /* ago */
	uint32_t ts_val;                                  /* our timestamp clock */
	uint32_t rcv_rtt_us, rcv_want_bytes, rcv_space_bytes;
	uint32_t ce_bytes, ece_bytes;
	uint64_t tx_bytes, rx_bytes;  /* acknowledged, received in order */
	uint64_t sent_bytes;          /* what was sent again counts again */
	uint64_t busy_ms;             /* time with bytes queued or in flight, of it ... */
	uint32_t rwnd_limited_ms;     /* ... held back by the peer's window */
	uint32_t sndbuf_limited_ms;   /* ... all in flight, and the user waits for room */
	uint32_t rate_bytes, rate_us; /* delivery rate; rate_us 0 = not measured */
	uint8_t fastopen_fail;        /* enum tcp_fastopen_fail */
	uint16_t rto_recoveries_n;    /* series of timeouts, and what they took */
	uint32_t rto_recovery_ms;
	uint64_t pacing_rate, pacing_rate_max; /* bytes/s, 0 = none */
	uint64_t acked_seqs;                   /* acknowledged, our SYN and FIN counted */
	uint64_t rcvd_seqs;                    /* received in order, the peer's FIN counted */
	const char *cc;
};

void tcp_ctx_info(const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint64_t now_us,
		struct tcp_ctx_info *info);

/* The user waits for room to queue more, or (@waits false) has been told that there is some: for tcp_ctx_info(). */
void tcp_user_waits(struct tcp_ctx *ctx, bool waits, uint64_t now_us);

/* Name of congestion control @cc, NULL = there is no such one. */
const char *tcp_cc_name(uint8_t cc);

/* May the user queue more bytes, as far as those not sent yet go (TCP_NOTSENT_LOWAT)? */
static inline bool tcp_notsent_is_low(const struct tcp_ctx *ctx)
{
	int32_t notsent = (int32_t)(ctx->snd_tail - ctx->snd_nxt); /* a FIN that was sent: -1 */

	return notsent <= 0 || (uint64_t)notsent * 2 < ctx->notsent_lowat;
}

/**
 * tcp_ctx_check() - Do the invariants of @ctx hold? For tests, simulation and fuzzing, after each
 * step.
 *
 * Return: NULL, or the first invariant that does not hold, in words.
 */
const char *tcp_ctx_check(const struct tcp_stack *stack, const struct tcp_ctx *ctx);

/* The same for what contexts share: flush list, extensions, wheel. Looks at every context. */
const char *tcp_stack_check(const struct tcp_stack *stack);

#endif
