/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of TCP share among themselves. Nobody else includes it.
 *
 * Every function below works within one entry of tcp.h and is handed that entry's struct tcp_env:
 * the stack, the world behind tcp_up.h, and the time. A function that may free its context returns
 * bool: true = freed, do not touch it again.
 */
#ifndef ENGINE_TCP_TCP_INT_H
#define ENGINE_TCP_TCP_INT_H

#include "engine/tcp/seq.h"
#include "engine/tcp/tcp.h"

#define TCP_MSS_MIN 64u /* options take up to 40 of it */
#define TCP_MSS_DEFAULT_V4 536u
#define TCP_MSS_DEFAULT_V6 1220u
#define TCP_WSCALE_MAX 14u
#define TCP_CWND_BYTES_MAX (64u << 20)
#define TCP_SND_BYTES_MAX (8u << 20)
#define TCP_QUICK_SEGS 16u
/* the same after a hole in what was received */
#define TCP_QUICK_SEGS_LOSS (TCP_QUICK_SEGS + 64u)
#define TCP_OUTPUT_SENDS 32u /* tcp_up_send() calls of one context in one turn */
#define TCP_RETRY_MS 2u      /* the port was full, or the neighbour unknown */
#define TCP_CORK_MS 200u     /* as Linux */
/* one ACK to empty unacceptable segments in this time, as Linux */
#define TCP_OOW_MS 500u
#define TCP_REUSE_MS 1000u /* TIME-WAIT gives way to an active open, as Linux */
#define TCP_PAWS_MS (24u * 86400000u)

struct tcp_env {
	struct tcp_stack *stack;
	struct core *core;
	uint64_t now_us;
	uint32_t now_ms;
};

#define TCP_ENV(stack_, core_, now_us_)                                  \
	{                                                                \
		.stack = (stack_), .core = (core_), .now_us = (now_us_), \
		.now_ms = (uint32_t)((now_us_) / 1000u)                  \
	}

#define TCP_COUNT(e, field) ((e)->stack->stats.field++)

/* ---- options (tcp_opt.c) ---- */

#define TCP_OPT_HAS_MSS 0x1u
#define TCP_OPT_HAS_WSCALE 0x2u
#define TCP_OPT_HAS_SACK_PERM 0x4u
#define TCP_OPT_HAS_TS 0x8u
#define TCP_OPT_HAS_FASTOPEN 0x10u
#define TCP_FASTOPEN_EXID 0xf989u /* of option 254 */
#define TCP_SACK_BLOCKS 4u

struct tcp_opts {
	uint32_t has; /* TCP_OPT_HAS_* */
	uint32_t tsval;
	uint32_t tsecr;
	uint16_t mss;
	uint8_t wscale;
	uint8_t sack_n;
	uint8_t fastopen_len; /* 0 = a cookie is asked for */
	bool fastopen_is_exp; /* in the experimental form */
	uint8_t fastopen[TCP_FASTOPEN_BYTES_MAX];
	struct tcp_range sack[TCP_SACK_BLOCKS];
};

/*
 * Read the options of @seg into @opts. A malformed option ends the reading; what came before it
 * counts.
 */
void tcp_opt_parse(const struct tcp_seg *seg, struct tcp_opts *opts);
/* Options of a SYN or SYN-ACK. Return: bytes. */
uint8_t tcp_opt_put_syn(const struct tcp_env *e, const struct tcp_ctx *ctx, uint8_t *opt);
/* Options of any other segment. Return: bytes. */
uint8_t tcp_opt_put(const struct tcp_env *e, const struct tcp_ctx *ctx, uint8_t *opt);

static inline uint32_t tcp_ts_now(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	return e->now_ms + ctx->ts_off;
}

/* ---- ranges (tcp_range.c) ---- */

/*
 * Add [@lo, @hi). When full, the farthest range makes room for a nearer one. Return: false if there
 * was no place.
 */
bool tcp_range_add(struct tcp_ext *ext, uint32_t lo, uint32_t hi);
/* Remove everything before @seq. */
void tcp_range_trim(struct tcp_ext *ext, uint32_t seq);
/* Bytes of the ranges that lie before @seq. */
uint32_t tcp_range_bytes(const struct tcp_ext *ext, uint32_t seq);
/* The range that contains @seq, NULL = none. */
const struct tcp_range *tcp_range_find(const struct tcp_ext *ext, uint32_t seq);
/* Are they sorted, disjoint, not adjacent? */
bool tcp_range_is_sound(const struct tcp_ext *ext);

/* Take a cleared extension. Return: index, 0 = none left (counted). */
uint32_t tcp_ext_get(struct tcp_stack *stack);
/* Give back *@idx, and clear it. 0 is allowed. */
void tcp_ext_put(struct tcp_stack *stack, uint32_t *idx);

/* ---- reassembly (tcp_ooo.c) ---- */

/* Place bytes that lie ahead of rcv_nxt. Return: bytes taken. */
uint32_t tcp_ooo_add(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t seq,
		const uint8_t *data, uint32_t len);
/* [@lo, @hi) came twice: the next ACK says so, if the peer understands SACK. */
void tcp_ooo_dup(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t lo, uint32_t hi);
/* rcv_nxt moved: swallow the ranges it has reached. */
void tcp_ooo_pull(const struct tcp_env *e, struct tcp_ctx *ctx);
/* SACK blocks to report, at most @max, newest first (RFC 2018 4). Return: number. */
uint32_t tcp_ooo_blocks(const struct tcp_stack *stack, const struct tcp_ctx *ctx,
		struct tcp_range *blocks, uint32_t max);

/* ---- receiving (tcp_rx.c, tcp_rx_slow.c, tcp_listen.c) ---- */

enum tcp_verdict tcp_rx_slow(const struct tcp_env *e, struct tcp_ctx *ctx,
		const struct tcp_seg *seg, const struct ip_tuple *tuple);
/* @len bytes came in order: when is the ACK due? */
void tcp_rx_ack_policy(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t len, uint16_t segs);
/* Text and FIN of a segment whose first byte is @seq. Return: freed. */
bool tcp_rx_text(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg,
		uint32_t seq);
void tcp_rx_urg(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg);

enum tcp_verdict tcp_listen_rx(const struct tcp_env *e, struct tcp_ctx *master,
		const struct tcp_seg *seg, const struct ip_tuple *tuple);
enum tcp_verdict tcp_syn_sent_rx(
		const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg);
enum tcp_verdict tcp_time_wait_rx(
		const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg);

/* why every segment takes the slow path */
#define TCP_CTX2_CAREFUL (TCP_CTX2_TLP | TCP_CTX2_CE_LAST | TCP_CTX2_EOR)

/* One of the reasons has changed. */
static inline void tcp_rx_careful(struct tcp_ctx *ctx)
{
	ctx->flags &= ~TCP_CTX_CAREFUL;
	ctx->flags |= ctx->flags2 & TCP_CTX2_CAREFUL ? TCP_CTX_CAREFUL : 0;
}

/* ---- life (tcp_conn.c) ---- */

/* What SYN options agree on. */
void tcp_conn_agree(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_opts *opts);
void tcp_conn_set_mss(struct tcp_ctx *ctx);
void tcp_conn_set_param(
		const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_param *param);
uint32_t tcp_conn_iss(const struct tcp_env *e, const struct ip_tuple *tuple, uint32_t *ts_off);
void tcp_conn_init(const struct tcp_env *e, struct tcp_ctx *ctx, const struct ip_tuple *tuple);
/* SYN-SENT or SYN-RECEIVED becomes ESTABLISHED (FIN-WAIT-1 if the user has closed meanwhile). */
void tcp_conn_established(const struct tcp_env *e, struct tcp_ctx *ctx);
void tcp_conn_set_state(const struct tcp_env *e, struct tcp_ctx *ctx, enum tcp_state state);
void tcp_conn_time_wait(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Our FIN is acknowledged. Return: freed. */
bool tcp_conn_fin_acked(const struct tcp_env *e, struct tcp_ctx *ctx);
/* The end: tell the user if one is owed the news, unlink, free. Returns true. */
bool tcp_conn_end(const struct tcp_env *e, struct tcp_ctx *ctx, enum eta_status why);
/* The end of TIME-WAIT for a new life of the tuple, which begins above these numbers. Returns true. */
bool tcp_conn_recycle(const struct tcp_env *e, struct tcp_ctx *ctx);
/* The same as tcp_conn_end() with RST to the peer. */
bool tcp_conn_reset(const struct tcp_env *e, struct tcp_ctx *ctx, enum eta_status why);

static inline bool tcp_fin_is_acked(const struct tcp_ctx *ctx)
{
	return (ctx->flags & TCP_CTX_FIN_SENT) && ctx->snd_una == ctx->snd_tail + 1;
}

/* ESTABLISHED or CLOSE-WAIT, or a state in which queued bytes may still have to leave. */
static inline bool tcp_state_sends(uint8_t state)
{
	const uint32_t states = 1u << TCP_STATE_ESTABLISHED | 1u << TCP_STATE_CLOSE_WAIT |
				1u << TCP_STATE_FIN_WAIT_1 | 1u << TCP_STATE_CLOSING |
				1u << TCP_STATE_LAST_ACK;

	return 1u << state & states;
}

/* May bytes leave? A fast open's before its handshake is complete, too. */
static inline bool tcp_may_send(const struct tcp_ctx *ctx)
{
	return tcp_state_sends(ctx->state) ||
	       (ctx->state == TCP_STATE_SYN_RECEIVED && ctx->flags2 & TCP_CTX2_TFO &&
			       ctx->flags & TCP_CTX_PASSIVE);
}

/* Has the connection a stream that the user may add to? */
static inline bool tcp_may_write(const struct tcp_ctx *ctx)
{
	const uint32_t states = 1u << TCP_STATE_SYN_SENT | 1u << TCP_STATE_SYN_RECEIVED |
				1u << TCP_STATE_ESTABLISHED | 1u << TCP_STATE_CLOSE_WAIT;

	return !(ctx->flags & TCP_CTX_FIN_QUEUED) && (1u << ctx->state & states);
}

static inline bool tcp_state_receives(uint8_t state)
{
	return (1u << state) & (1u << TCP_STATE_ESTABLISHED | 1u << TCP_STATE_FIN_WAIT_1 |
					       1u << TCP_STATE_FIN_WAIT_2);
}

/* ---- ICMP (tcp_icmp.c) ---- */

/* Why a connection ends whose peer is silent: what ICMP has said meanwhile, or TIMED_OUT. */
enum eta_status tcp_icmp_timed_out(const struct tcp_ctx *ctx);

/* ---- path MTU discovery by probes (tcp_mtu.c) ---- */

/* ESTABLISHED. */
void tcp_mtu_open(const struct tcp_env *e, struct tcp_ctx *ctx);
/* The segment size that peer, path and user allow is @mss. Return: what may be used of it. */
uint16_t tcp_mtu_bound(struct tcp_ctx *ctx, uint16_t mss);
/* The retransmission timer fires. */
void tcp_mtu_timeout(const struct tcp_env *e, struct tcp_ctx *ctx);
/* New data may leave, @room bytes. Return: payload of the probe that is to leave first, 0 = none. */
uint32_t tcp_mtu_piece(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t room);
/* Is [@seq, @end) the probe? */
bool tcp_mtu_is_probe(const struct tcp_ctx *ctx, uint32_t seq, uint32_t end);
/* Segments at snd_una are deemed lost. Return: only the probe is: its size is to blame, not congestion. */
bool tcp_mtu_lost(const struct tcp_env *e, struct tcp_ctx *ctx);

/* ---- sending (tcp_tx.c) ---- */

/* Send all that may be sent now, retransmissions first, then an ACK if one is due at once. */
void tcp_output(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Pure ACK. */
void tcp_tx_ack(const struct tcp_env *e, struct tcp_ctx *ctx);
/* ACK that an outsider may have provoked (RFC 5961), limited per stack. */
void tcp_tx_challenge(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Keepalive probe: an ACK one before snd_una. */
void tcp_tx_keepalive(const struct tcp_env *e, struct tcp_ctx *ctx);
/* One octet into a closed window, or what fits. */
void tcp_tx_window_probe(const struct tcp_env *e, struct tcp_ctx *ctx);
/* SYN, or SYN-ACK in SYN-RECEIVED. */
void tcp_tx_syn(const struct tcp_env *e, struct tcp_ctx *ctx);
void tcp_tx_rst(const struct tcp_env *e, struct tcp_ctx *ctx);
/* RST in answer to @seg, by context or by tuple (RFC 9293 3.10.7.1). */
void tcp_tx_rst_to(struct tcp_stack *stack, struct core *core, struct tcp_ctx *ctx,
		const struct ip_tuple *tuple, const struct tcp_seg *seg);
/*
 * Send [@seq, @end) of sequence space, FIN included if it lies there.
 * Return: sequence numbers handed over (lost by the network counts for a lone FIN).
 */
uint32_t tcp_tx_range(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t seq, uint32_t end,
		bool is_retransmit);
/* One new segment whatever cwnd says, if there is one and the window allows. Return: was it sent? */
bool tcp_tx_probe_new(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Owe output or an ACK: enter the flush list. */
void tcp_flush_add(struct tcp_stack *stack, struct tcp_ctx *ctx);
void tcp_flush_del(struct tcp_stack *stack, struct tcp_ctx *ctx);

static inline void tcp_owe(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t flag)
{
	ctx->flags |= flag;
	if (!(ctx->flags & TCP_CTX_LISTED))
		tcp_flush_add(e->stack, ctx);
}

/* Is anything queued that was never sent? */
static inline bool tcp_tx_pending(const struct tcp_ctx *ctx)
{
	if (ctx->flags & TCP_CTX_FIN_SENT)
		return false;
	return ctx->snd_tail != ctx->snd_nxt || (ctx->flags & TCP_CTX_FIN_QUEUED);
}

/* ---- the receive window (tcp_wnd.c) ---- */

/* What a SYN promises, before there is a user who could say how much; bytes beyond what he gives will count as lost. */
void tcp_wnd_first(const struct tcp_env *e, struct tcp_ctx *ctx);
/* The window field of the segment that leaves now; moves rcv_adv. */
uint16_t tcp_wnd_select(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Has consumption opened the window so far that the peer should hear of it? */
bool tcp_wnd_update_due(const struct tcp_env *e, struct tcp_ctx *ctx);
/* DRS: the user consumed bytes. */
void tcp_wnd_drs(const struct tcp_env *e, struct tcp_ctx *ctx);

/* ---- what an ACK tells (tcp_ack.c) ---- */

/* What one ACK told, gathered before anybody draws conclusions from it. Bytes, microseconds. */
#define TCP_ACK_UNA 0x0001u       /* snd_una moved */
#define TCP_ACK_SACKED 0x0002u    /* bytes were newly SACKed */
#define TCP_ACK_DSACK 0x0004u     /* a D-SACK (RFC 2883) */
#define TCP_ACK_DSACK_TLP 0x0008u /* ... which reports the tail loss probe */
#define TCP_ACK_ORIG \
	0x0010u /* bytes were delivered that had been sent once only, before `recover` */
#define TCP_ACK_RTX 0x0020u      /* acknowledged bytes had been sent twice or more */
#define TCP_ACK_ECE 0x0040u      /* the ECE flag, where ECN is agreed */
#define TCP_ACK_DUP 0x0080u      /* a duplicate by RFC 5681 2 */
#define TCP_ACK_LOST_RTX 0x0100u /* a retransmission was lost again */
#define TCP_ACK_WND 0x0200u      /* carried text, or moved the window: no duplicate */
#define TCP_ACK_RACK 0x0400u     /* RACK learned of a newer delivery */
#define TCP_ACK_TIMER 0x0800u    /* rtx_at_ms was armed for a reason of its own */

struct tcp_ack {
	uint32_t flags; /* TCP_ACK_* */
	uint32_t ack;   /* SEG.ACK */
	uint32_t tsecr; /* TSecr, valid with TS */
	bool has_tsecr;
	uint32_t prior_una;
	uint32_t prior_fack; /* RACK.fack before it */
	uint32_t prior_pipe; /* bytes in the network before it */
	uint32_t acked;      /* snd_una moved by */
	uint32_t delivered;  /* left the network: newly acknowledged or SACKed */
	uint32_t lost;       /* newly deemed lost */
	uint32_t rtt_us;     /* of the newest bytes that were sent once only; 0 = no sample */
	uint32_t rtt_us_max; /* the same of the oldest of them: the ACK may have been delayed */
	/* rate sample (draft-ietf-ccwg-bbr, delivery rate): over the flight of the newest delivered bytes */
	uint32_t rate_bytes;      /* delivered in ... */
	uint32_t rate_us;         /* ... this time; 0 = no sample */
	uint32_t rate_prior;      /* tcp_delivered() when they were sent */
	uint32_t rate_prior_us32; /* and when the newest of that had been delivered */
	uint32_t rate_sent_us32;  /* when they were sent */
	bool has_rate;            /* the fields above are valid */
	bool rate_app_limited;
	bool rate_rtx;
};

/* Fifth step of RFC 9293 3.10.7.4 in a synchronized state. Return: false = drop the segment. */
bool tcp_ack_rx(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg,
		const struct tcp_opts *opts);
/* snd_una moves to @ack, without anything unusual. */
void tcp_ack_fast(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t ack);

/* ---- what is in flight (tcp_sent.c) ---- */

/* [@lo, @hi) has left for the first time; snd_nxt is @hi. */
void tcp_sent_add(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t lo, uint32_t hi);
/* The log, which begins now if there was none. Return: NULL if the pool is empty, or nothing is in flight. */
struct tcp_log *tcp_sent_log(const struct tcp_env *e, struct tcp_ctx *ctx);
/* a->ack is about to become snd_una: account for what it covers. The log may end. */
void tcp_sent_acked(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a);
/* The same for duplicates that were counted, where the peer names nothing. */
void tcp_sent_reno_acked(struct tcp_ctx *ctx, struct tcp_ack *a);
/* The peer has [@lo, @hi), which lies in flight. There is a log. */
void tcp_sent_sacked(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t lo, uint32_t hi,
		struct tcp_ack *a);
/* @r, which is out, is deemed lost. @a: counts it, may be NULL. */
void tcp_sent_lost(struct tcp_ctx *ctx, struct tcp_sent *r, struct tcp_ack *a);
/* @r has been sent again, just now. */
void tcp_sent_again(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_sent *r);
/* The record with @seq in it. There is a log. */
struct tcp_sent *tcp_sent_at(const struct tcp_env *e, const struct tcp_ctx *ctx, uint32_t seq);
/* Make a record end at @seq. There is a log. Return: false if there is no room. */
bool tcp_sent_cut(const struct tcp_env *e, const struct tcp_ctx *ctx, uint32_t seq);
/* Is something out for the second time, or the first byte unacknowledged so? */
bool tcp_sent_any_again(const struct tcp_env *e, const struct tcp_ctx *ctx);
/* Nothing is in flight, or all that is known of it is to be forgotten. */
void tcp_sent_clear(struct tcp_stack *stack, struct tcp_ctx *ctx);
const char *tcp_sent_check(const struct tcp_stack *stack, const struct tcp_ctx *ctx);

/* ---- ends of records (tcp_eor.c); valid with EOR ---- */

/* The first end of a record inside (@lo, @hi), @hi if there is none. */
uint32_t tcp_eor_first(
		const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint32_t lo, uint32_t hi);
/* The last one there, @lo if there is none. */
uint32_t tcp_eor_last(
		const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint32_t lo, uint32_t hi);
/* Does a record end at @seq? */
bool tcp_eor_is_at(const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint32_t seq);
/* snd_una has moved. */
void tcp_eor_acked(struct tcp_stack *stack, struct tcp_ctx *ctx);
/* The connection sends no more. */
void tcp_eor_clear(struct tcp_stack *stack, struct tcp_ctx *ctx);
const char *tcp_eor_check(const struct tcp_stack *stack, const struct tcp_ctx *ctx);

/* ---- RACK and TLP (tcp_rack.c) ---- */

/* The bytes of @r up to @end were delivered. */
void tcp_rack_advance(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_sent *r,
		uint32_t end, struct tcp_ack *a);
/* A D-SACK: the reordering window was too small. */
void tcp_rack_dsack(struct tcp_ctx *ctx);
/* A recovery ended that was none too many. */
void tcp_rack_recovered(struct tcp_ctx *ctx);
/* Mark what is lost. There is a log. Return: microseconds until more may be, 0 = none. */
uint32_t tcp_rack_detect(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a);
void tcp_rack_arm(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t wait_us);
void tcp_rack_timeout(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Let rtx_at_ms be the probe timeout. Return: false if no probe is due in this state. */
bool tcp_tlp_arm(const struct tcp_env *e, struct tcp_ctx *ctx);
void tcp_tlp_timeout(const struct tcp_env *e, struct tcp_ctx *ctx);
/* What does an ACK say of the probe? Before loss_state is decided. */
void tcp_tlp_ack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a);
void tcp_tlp_end(struct tcp_ctx *ctx);

/* ---- loss (tcp_loss.c) ---- */

/* Bytes in the network. */
static inline uint32_t tcp_loss_pipe(const struct tcp_ctx *ctx)
{
	return ctx->snd_nxt - ctx->snd_una - ctx->sacked_bytes - ctx->lost_bytes;
}

void tcp_loss_set_state(const struct tcp_env *e, struct tcp_ctx *ctx, enum tcp_loss_state next);
/* The peer reports @dup as received twice. */
void tcp_loss_dsack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_range *dup,
		struct tcp_ack *a);
/* An ACK, its news gathered in @a: which state follows, and what is lost? */
void tcp_loss_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a);
/* OPEN, or DISORDER if something is still unclear. */
void tcp_loss_keep_open(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Reduce cwnd without loss (ECN); once a round trip. */
void tcp_loss_cwr(const struct tcp_env *e, struct tcp_ctx *ctx);
void tcp_loss_enter_recovery(const struct tcp_env *e, struct tcp_ctx *ctx, bool by_ece);
/* The retransmission timer fired. */
void tcp_loss_rto(const struct tcp_env *e, struct tcp_ctx *ctx);
/* All that is in flight was too large for the path: send it again, without blaming congestion. */
void tcp_loss_resend(const struct tcp_env *e, struct tcp_ctx *ctx);
/*
 * Send again what is lost, as far as cwnd allows. @pipe is kept up to date. Return: false if the
 * port is full.
 */
bool tcp_loss_output(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t *pipe);

/* ---- undo (tcp_undo.c) ---- */

/* cwnd has been reduced: remember what may be given back. */
void tcp_undo_begin(const struct tcp_env *e, struct tcp_ctx *ctx);
/* @n bytes were sent again. */
void tcp_undo_sent_again(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t n);
/* A D-SACK says that @dup was sent again in vain. */
void tcp_undo_excuse(struct tcp_ctx *ctx, const struct tcp_range *dup);
/* Is the reduction proved wrong by now? */
bool tcp_undo_may(const struct tcp_ctx *ctx, const struct tcp_ack *a);
/* `recover` is acknowledged: the end of recovery or of an RTO's repair, undone or not. */
void tcp_undo_recovery(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a);
/* A partial ACK. Return: is everything decided? */
bool tcp_undo_partial(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a);
/* All that was sent again is excused? Return: undone. */
bool tcp_undo_dsack(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Was the timeout spurious? @frto: F-RTO says so. Return: undone. */
bool tcp_undo_rto(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a, bool frto);

/* ---- proportional rate reduction (tcp_prr.c) ---- */

void tcp_prr_begin(const struct tcp_env *e, struct tcp_ctx *ctx);
/* cwnd after an ACK in CWR or RECOVERY. @floor: bytes to allow even if nothing was delivered. */
void tcp_prr_ack(struct tcp_ctx *ctx, const struct tcp_ack *a, uint32_t floor);
void tcp_prr_end(struct tcp_ctx *ctx);

/* ---- time (tcp_timer.c) ---- */

void tcp_timer_enter(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t at_ms);
/* Probe, retransmission or persist timer, from now, with backoff. */
void tcp_timer_arm_rtx(const struct tcp_env *e, struct tcp_ctx *ctx);
/* The retransmission timer, as if it had run since the first byte in flight left. */
void tcp_timer_arm_rto(const struct tcp_env *e, struct tcp_ctx *ctx);
/* The same, but from now on. */
void tcp_timer_restart_rto(const struct tcp_env *e, struct tcp_ctx *ctx);
/* Microseconds until it would fire, at least 1000. */
uint32_t tcp_timer_rto_left_us(const struct tcp_env *e, const struct tcp_ctx *ctx);
/* Long timer by state and keepalive. */
void tcp_timer_arm_long(const struct tcp_env *e, struct tcp_ctx *ctx);
void tcp_timer_rtt_sample(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t rtt_us);

static inline void tcp_timer_arm(
		const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t *at, uint32_t delay_ms)
{
	uint32_t at_ms = e->now_ms + delay_ms;

	if (at_ms == 0)
		at_ms = 1;
	*at = at_ms;
	if (ETA_UNLIKELY(ctx->wheel_slot == 0 || seq_lt(at_ms, ctx->wheel_at_ms)))
		tcp_timer_enter(e, ctx, at_ms);
}

/* ---- congestion control (tcp_cc.c, cc_*.c) ---- */

/*
 * A congestion control. cwnd and ssthresh in bytes; state in ctx->cc_state, zeroed before init. Optional functions may
 * be NULL. Context: hot where an ACK calls it.
 */
#define TCP_CC_ECN 0x1u       /* asks for ECN whatever the configuration says (RFC 8257) */
#define TCP_CC_PACED 0x2u     /* sets pacing_rate, wants rate samples */
#define TCP_CC_EVERY_ACK 0x4u /* acked() beyond slow start, too */
struct tcp_cc_ops {
	const char *name;
	uint32_t flags; /* TCP_CC_ECN, TCP_CC_PACED */
	void (*init)(struct tcp_ctx *ctx);
	/* Loss: the new ssthresh. @flight: bytes outstanding. */
	uint32_t (*ssthresh)(struct tcp_ctx *ctx, uint32_t flight);
	/* @acked new bytes while cwnd was the limit, in congestion avoidance. */
	void (*avoid)(struct tcp_ctx *ctx, uint32_t acked, uint32_t now_ms);
	/* Time without growth has passed: recovery or RTO ended, or the sender was idle. */
	void (*restart)(struct tcp_ctx *ctx);
	/* Optional. By how much @acked bytes enlarge cwnd in slow start; NULL = by all of them. */
	uint32_t (*slow_start)(struct tcp_ctx *ctx, uint32_t acked);
	/* Optional. Every ACK that delivered bytes, before cwnd moves: RTT samples, marks. In slow start, or EVERY_ACK. */
	void (*acked)(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *ack);
	/* Optional. Owns cwnd and pacing_rate on each ACK; neither PRR nor avoid() is asked then. */
	void (*control)(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *ack);
	/* Optional. cwnd after an undo; NULL = the larger of cwnd and prior_cwnd. */
	uint32_t (*undo_cwnd)(struct tcp_ctx *ctx);
	/* Optional. ctx->loss_state becomes @next. */
	void (*loss_state)(const struct tcp_env *e, struct tcp_ctx *ctx, uint8_t next);
	/* Optional. Data with (@is_ce) or without CE arrived, in order; the receiver's half of DCTCP (RFC 8257 3.2). */
	void (*ce)(const struct tcp_env *e, struct tcp_ctx *ctx, bool is_ce);
};

extern const struct tcp_cc_ops tcp_cc_newreno;
extern const struct tcp_cc_ops tcp_cc_cubic;
extern const struct tcp_cc_ops tcp_cc_dctcp;
extern const struct tcp_cc_ops tcp_cc_bbr;

const struct tcp_cc_ops *tcp_cc_get(uint8_t cc);
void tcp_cc_set(struct tcp_ctx *ctx, uint8_t cc);
/* The user chooses another for an established connection. */
void tcp_cc_change(const struct tcp_env *e, struct tcp_ctx *ctx);
/* One segment per window of acknowledged bytes (RFC 5681 3.1); *@sum: bytes towards the next. */
void tcp_cc_reno_avoid(struct tcp_ctx *ctx, uint32_t *sum, uint32_t acked);
/* What the algorithm wants to know of an ACK before loss is judged and cwnd moves; closes the rate sample. */
void tcp_cc_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a);
/* After loss was judged. Return: the algorithm owns cwnd, and has set it. */
bool tcp_cc_control(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a);
/* Set the initial window; at ESTABLISHED, when the MSS is known. */
void tcp_cc_open(const struct tcp_env *e, struct tcp_ctx *ctx);
void tcp_cc_acked(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t acked);
/* Congestion: ssthresh falls; what was before is remembered. */
void tcp_cc_reduce(struct tcp_ctx *ctx);
/* cwnd after a timeout: one segment more than what is still believed in the network. */
void tcp_cc_rto(struct tcp_ctx *ctx);
/* About to send with nothing in flight: after idle time cwnd is stale (RFC 5681 4.1). */
void tcp_cc_idle(const struct tcp_env *e, struct tcp_ctx *ctx);

/* ---- what holds output back (tcp_limit.c) ---- */

/* Room in the peer's window. */
static inline uint32_t tcp_wnd_room(const struct tcp_ctx *ctx)
{
	uint32_t edge = ctx->snd_una + ctx->snd_wnd;

	return seq_gt(edge, ctx->snd_nxt) ? edge - ctx->snd_nxt : 0;
}

/* Output stopped with bytes left, or an ACK came: is it the peer's window? */
void tcp_limit_look(const struct tcp_env *e, struct tcp_ctx *ctx);
/* @ms of the past during which @limit held output back. */
uint32_t tcp_limit_ms(const struct tcp_ctx *ctx, enum tcp_limit limit, uint32_t now_ms);

/* ---- delivery rate (tcp_rate.c) ---- */

/* What is in flight ends a bubble: the user, or we ourselves, sent less than the path could take. */
void tcp_rate_limit(struct tcp_ctx *ctx);
/* The same, if the user left cwnd unused. Before bytes are queued, or after an ACK. */
void tcp_rate_check_limit(struct tcp_ctx *ctx);
/* New bytes have left; with PACED. */
void tcp_rate_sent(const struct tcp_env *e, struct tcp_ctx *ctx);
/* @r was delivered by this ACK; before it leaves the log. */
void tcp_rate_delivered(struct tcp_ctx *ctx, const struct tcp_sent *r, struct tcp_ack *a);
/* All was delivered: close the sample. */
void tcp_rate_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a);

/* ---- pacing (tcp_pace.c) ---- */

/* Pace or not, by configuration, algorithm, and the user's limit. */
void tcp_pace_open(const struct tcp_env *e, struct tcp_ctx *ctx);
/* pacing_rate becomes @rate bytes/s, or the user's limit. */
void tcp_pace_set(struct tcp_ctx *ctx, uint64_t rate);
/* The rate from cwnd and RTT, for algorithms that set none. */
void tcp_pace_update(struct tcp_ctx *ctx);
/* @bytes have left. */
void tcp_pace_sent(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t bytes);
/* Sending begins after a pause. */
void tcp_pace_idle(const struct tcp_env *e, struct tcp_ctx *ctx);
/*
 * Return: bytes of @room that may leave now; if they are fewer than @need, 0, and output will be tried again in time.
 * Only with PACED.
 */
uint32_t tcp_pace_room(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t room, uint32_t need);

/* ---- explicit congestion notification (tcp_ecn.c) ---- */

#define ECN_ECT0 2u /* IP's ECN field */
#define ECN_CE 3u

/* A SYN or SYN-ACK leaves. */
void tcp_ecn_syn(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_txseg *seg);
/* A SYN or SYN-ACK came. */
void tcp_ecn_agree(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg);
/* Any other segment leaves, where ECN is agreed. */
void tcp_ecn_tx(struct tcp_ctx *ctx, struct tcp_txseg *seg);
/* An acceptable segment came, where ECN is agreed; before its text is taken. */
void tcp_ecn_rx(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg);
/* An ACK with ECE (TCP_ACK_ECE), when all that it delivered is known; before loss is judged. */
void tcp_ecn_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a);

#endif
