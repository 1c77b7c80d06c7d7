/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TCP context: everything that TCP knows of one connection, as 640 bytes of numbers.
 *
 * No pointers: a context can be copied, moved to another core or written to a file (DESIGN,
 * invariant 3). Index 0 of every table means "none", so an all-zero context refers to nothing.
 * Bytes are not here: they lie in the DTI, named by stream offset. Fields are grouped by the moment
 * they are touched, one cache line a group.
 *
 * Only engine/tcp writes it. Others may read what the accessors below and tcp_ctx_info() give, and
 * ctx->idx, ctx->state.
 *
 * Times: *_ms are ticks of now_us / 1000 modulo 2^32, 0 in a deadline = not armed; *_us32 are
 * now_us modulo 2^32.
 */
#ifndef ENGINE_TCP_CTX_H
#define ENGINE_TCP_CTX_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/abi.h>

/*
 * RFC 9293 3.3.2, numbered as Linux's TCP_* so that TCP_INFO needs no table. 0 = the context is
 * unused.
 */
enum tcp_state {
	TCP_STATE_UNUSED = 0,
	TCP_STATE_ESTABLISHED = 1,
	TCP_STATE_SYN_SENT = 2,
	TCP_STATE_SYN_RECEIVED = 3,
	TCP_STATE_FIN_WAIT_1 = 4,
	TCP_STATE_FIN_WAIT_2 = 5,
	TCP_STATE_TIME_WAIT = 6,
	TCP_STATE_CLOSED = 7,
	TCP_STATE_CLOSE_WAIT = 8,
	TCP_STATE_LAST_ACK = 9,
	TCP_STATE_LISTEN = 10,
	TCP_STATE_CLOSING = 11,
};
#define TCP_STATES_N 12

/* Loss recovery, numbered as Linux's tcpi_ca_state. */
enum tcp_loss_state {
	TCP_LOSS_OPEN = 0,
	TCP_LOSS_DISORDER =
			1, /* SACKs, duplicates or a D-SACK to be judged; nothing is deemed lost */
	TCP_LOSS_CWR = 2, /* cwnd is being reduced without loss: ECN, or a loss that a probe repaired */
	TCP_LOSS_RECOVERY = 3, /* fast recovery: RFC 8985, RFC 6582 without SACK */
	TCP_LOSS_RTO = 4,      /* after a retransmission timeout, until `recover` is acknowledged */
};

/* ctx->flags */
#define TCP_CTX_TS 0x00000001u         /* timestamps on (RFC 7323) */
#define TCP_CTX_SACK 0x00000002u       /* SACK on (RFC 2018) */
#define TCP_CTX_WSCALE 0x00000004u     /* both sides sent window scale */
#define TCP_CTX_PASSIVE 0x00000008u    /* came from LISTEN */
#define TCP_CTX_USER 0x00000010u       /* tcp_up_closed() is still owed */
#define TCP_CTX_FIN_QUEUED 0x00000020u /* FIN stands at snd_tail */
#define TCP_CTX_FIN_SENT 0x00000040u   /* at least once; snd_nxt counts it */
#define TCP_CTX_FIN_RCVD 0x00000080u   /* rcv_nxt counts the peer's FIN */
/* tcp_close(): the user reads no more, new data is answered by RST */
#define TCP_CTX_RD_CLOSED 0x00000100u
#define TCP_CTX_ACK_NOW 0x00000200u  /* an ACK leaves at the next flush */
#define TCP_CTX_ACK_OWED 0x00000400u /* an ACK is due by delack_at_ms, or rides on data */
#define TCP_CTX_PINGPONG 0x00000800u /* interactive: answers follow requests, ACKs may ride */
#define TCP_CTX_NODELAY 0x00001000u
#define TCP_CTX_CORK 0x00002000u
#define TCP_CTX_KEEPALIVE 0x00004000u
#define TCP_CTX_QUICKACK 0x00008000u     /* user wants every segment acknowledged at once */
#define TCP_CTX_OUTPUT 0x00010000u       /* output is due at the next flush */
#define TCP_CTX_LISTED 0x00020000u       /* on the flush list */
#define TCP_CTX_PERSIST 0x00040000u      /* rtx_at_ms is the persist timer (zero-window probes) */
#define TCP_CTX_PROBED 0x00080000u       /* snd_nxt counts one octet sent into a closed window */
#define TCP_CTX_RTT_TIMING 0x00100000u   /* sent_us32 is valid, and nothing of it was sent twice */
#define TCP_CTX_SYN_RTX 0x00200000u      /* SYN or SYN-ACK was sent more than once */
#define TCP_CTX_URG_RCVD 0x00400000u     /* rcv_up is valid */
#define TCP_CTX_URG_SENT 0x00800000u     /* snd_up is valid */
#define TCP_CTX_CWND_LIMITED 0x01000000u /* output stopped at cwnd, see cwnd_lim_seq */
/* without a send log: send the segment at snd_una again */
#define TCP_CTX_RTX_ONE 0x02000000u
#define TCP_CTX_ZERO_WND 0x04000000u /* the last window we sent was zero */
#define TCP_CTX_PLPMTUD 0x08000000u  /* segment size is searched for by probes */
#define TCP_CTX_FIN_OOO 0x20000000u  /* rcv_fin is valid */
#define TCP_CTX_MORE \
	0x40000000u /* the last write said that more follows: as CORK until the next ACK; no PSH */
#define TCP_CTX_DRS_SEEN 0x10000000u /* receive RTT and space measurement have started */
#define TCP_CTX_CAREFUL 0x80000000u  /* every segment takes the slow path; flags2 knows why */

/* ctx->flags2 */
#define TCP_CTX2_ECN 0x00000001u      /* ECN agreed (RFC 3168) */
#define TCP_CTX2_ECE_OWED 0x00000002u /* CE was received: ACKs carry ECE until the peer's CWR */
#define TCP_CTX2_CWR_OWED 0x00000004u /* cwnd was reduced: the next new segment carries CWR */
#define TCP_CTX2_CE_LAST 0x00000008u  /* the last segment received carried CE (RFC 8257 DCTCP.CE) */
#define TCP_CTX2_REORDERED 0x00000010u /* RACK.reordering_seen */
#define TCP_CTX2_DSACK 0x00000020u   /* RACK: a D-SACK came in this round, rack_round_seq ends it */
#define TCP_CTX2_TLP 0x00000040u     /* a tail loss probe is out, tlp_end_seq is valid */
#define TCP_CTX2_TLP_RTX 0x00000080u /* ... and it was a retransmission */
#define TCP_CTX2_UNDO 0x00000100u    /* the last reduction may prove wrong: undo_* are valid */
#define TCP_CTX2_FRTO 0x00000200u    /* is the timeout spurious? (RFC 5682) */
#define TCP_CTX2_TIMER_TLP 0x00000400u   /* rtx_at_ms is the probe timeout */
#define TCP_CTX2_TIMER_REO 0x00000800u   /* rtx_at_ms is RACK's reordering timeout */
#define TCP_CTX2_PACED 0x00001000u       /* pacing_rate limits output */
#define TCP_CTX2_APP_LIMITED 0x00002000u /* app_limited is valid */
#define TCP_CTX2_RENEGED 0x00004000u     /* the peer took back what it had SACKed */
#define TCP_CTX2_UNDO_RTX \
	0x00008000u /* undo_rtx_n and undo_ts are valid: something was sent again */
#define TCP_CTX2_FRTO_NEW 0x00010000u   /* the next output prefers new bytes to lost ones */
#define TCP_CTX2_DSACK_OWED 0x00020000u /* dsack is valid */
#define TCP_CTX2_MORE_OVER \
	0x00400000u /* an ACK came, or the user changed his mind: MORE holds nothing back now */
/* fast open (RFC 7413), until ESTABLISHED: data of the SYN was taken (server), or may leave with it (client) */
#define TCP_CTX2_TFO 0x00040000u
#define TCP_CTX2_TFO_OPT 0x00080000u /* ... SYN or SYN-ACK carry the option */
#define TCP_CTX2_SYN_DUE 0x00100000u /* ... the SYN waits for what the user writes first */
#define TCP_CTX2_TFO_NO_COOKIE \
	0x02000000u /* ... data goes, or is taken, without cookie (a listener keeps it) */
#define TCP_CTX2_EOR 0x00800000u      /* ends of records are not acknowledged: eor_ext is valid */
#define TCP_CTX2_SYN_DATA 0x01000000u /* fast open: data of the SYN was taken; stays */
#define TCP_CTX2_DEFERRED 0x00200000u /* embryo: the handshake is complete, data is waited for */
/* slow start: half of cwnd was in use, used_segs is valid */
#define TCP_CTX2_CWND_USED 0x04000000u
/* limit is TCP_LIMIT_RWND: ACKs are looked at more closely */
#define TCP_CTX2_RWND_LIMITED 0x08000000u

/* What holds output back, if not cwnd or the want of bytes. */
enum tcp_limit {
	TCP_LIMIT_NONE,
	TCP_LIMIT_RWND,   /* the peer's window */
	TCP_LIMIT_SNDBUF, /* the user waits for room, and all he could queue is in flight */
	TCP_LIMIT_N
};

/* Numbered as tcpi_fastopen_client_fail. */
enum tcp_fastopen_fail {
	TCP_FASTOPEN_FAIL_NONE,
	TCP_FASTOPEN_FAIL_NO_COOKIE,
	TCP_FASTOPEN_FAIL_NOT_ACKED, /* the peer did not take the data */
	TCP_FASTOPEN_FAIL_SYN_RTX,
};

#define TCP_CTX_CC_WORDS 12
#define TCP_CTX_BYTES_HALF (4u << 20) /* half of the largest buffer */

/* Sequence space. */
struct tcp_range {
	uint32_t lo; /* first byte */
	uint32_t hi; /* byte after the last */
};

struct tcp_ctx {
	/* line 0: every received segment, every sent segment */
	/* index in every per-context table of the core, >= 1. Written by the engine. */
	uint32_t idx;
	uint32_t flags;     /* TCP_CTX_* */
	uint8_t state;      /* enum tcp_state */
	uint8_t loss_state; /* enum tcp_loss_state */
	uint8_t snd_wscale; /* shift of windows we receive */
	uint8_t rcv_wscale; /* shift of windows we send */
	uint32_t rcv_nxt;   /* RCV.NXT */
	/* right edge of the largest window ever advertised; never moves left */
	uint32_t rcv_adv;
	uint32_t rcv_acked; /* rcv_nxt of the last segment sent (Last.ACK.sent) */
	uint32_t ts_recent; /* TS.Recent */
	uint32_t snd_una;   /* SND.UNA */
	/* SND.NXT = highest sent + 1; moves back only to take back a window probe */
	uint32_t snd_nxt;
	uint32_t snd_wnd;  /* SND.WND in bytes */
	uint32_t snd_wl1;  /* SND.WL1 */
	uint32_t snd_wl2;  /* SND.WL2 */
	uint32_t snd_tail; /* seq after the last byte the user queued; FIN stands here */
	/* estimate of the peer's segment size, for "every second full segment" */
	uint16_t rcv_mss;
	uint8_t quick_n;     /* segments still to be acknowledged at once */
	uint8_t dupacks;     /* consecutive duplicate ACKs */
	uint32_t ooo_ext;    /* extension with out-of-order ranges, 0 = none */
	uint32_t rx_last_ms; /* last acceptable segment */

	/* line 1: sending and timers */
	uint32_t iss;          /* ISS */
	uint32_t irs;          /* IRS */
	uint32_t cwnd;         /* bytes */
	uint32_t ssthresh;     /* bytes */
	uint16_t mss;          /* payload of a full segment with the usual options (timestamps) */
	uint16_t mss_base;     /* the same without options: min(peer's MSS, path, user's) */
	uint32_t ts_off;       /* random offset of our timestamp clock */
	uint32_t rtx_at_ms;    /* deadline: retransmission, or persist */
	uint32_t delack_at_ms; /* deadline: delayed ACK */
	uint32_t xmit_at_ms;   /* deadline: try output again (port was full; pacing's place) */
	uint32_t long_at_ms;   /* deadline: keepalive, FIN-WAIT-2, or TIME-WAIT, by state */
	/* when the wheel will look at us: never later than the earliest deadline */
	uint32_t wheel_at_ms;
	uint16_t wheel_slot; /* slot + 1, 0 = not in the wheel */
	uint8_t backoff_n;   /* timeouts since the last progress: rto << backoff_n */
	uint8_t probes_n;    /* keepalive or window probes without answer */
	uint32_t flush_next; /* flush list */
	uint32_t flush_prev;
	uint32_t tx_last_ms;   /* last data sent */
	uint32_t cwnd_lim_seq; /* snd_nxt when output last stopped at cwnd */

	/* line 2: acknowledgements */
	/*
	 * Without a send log all that is in flight left at once, at sent_us32, last; RTT_TIMING says that it left once
	 * only. Handshake: the SYN.
	 */
	uint32_t sent_us32;
	uint32_t sent_log; /* log of what is in flight, 0 = none needed */
	uint32_t srtt_us;  /* 0 = no sample yet */
	uint32_t rttvar_us;
	uint32_t rtt_min_us;
	uint32_t rto_us;      /* without backoff */
	uint32_t snd_wnd_max; /* largest window ever offered (sender SWS) */
	/* when the oldest unanswered byte first timed out or was probed, 0 = none */
	uint32_t rtx_first_ms;
	uint32_t wheel_next;
	uint32_t wheel_prev;
	/* RFC 6582 recover, RFC 6675 RecoveryPoint; also where an RTO's repair and a CWR end */
	uint32_t recover;
	/* SACKed beyond snd_una; without SACK: what duplicate ACKs say has left the network */
	uint32_t sacked_bytes;
	uint32_t lost_bytes; /* deemed lost and not sent again since */
	uint32_t flags2;     /* TCP_CTX2_* */
	uint32_t busy_at_ms; /* when bytes were queued after all had been acknowledged */
	/* end of the last segment sent below mss (Minshall's form of Nagle's rule) */
	uint32_t snd_sml;

	/* lines 3 and 4: congestion control's own */
	uint64_t cc_state[TCP_CTX_CC_WORDS];
	/* pacing and ECN */
	uint64_t pacing_rate; /* bytes/s, 0 = none */
	uint32_t pacing_us32; /* what was sent will have been sent at pacing_rate, valid with PACED */
	uint32_t pacing_ns;   /* beyond pacing_us32, below 1000 */
	uint32_t ce_bytes;    /* received with CE since the connection began */
	uint32_t ece_bytes;   /* acknowledged with ECE since */
	uint32_t rto_at_ms;   /* first timeout of a series, 0 = none runs */
	uint32_t retrans_bytes;

	/* line 5: receive side, beyond the fast path */
	uint32_t rcv_head;     /* seq: the user has consumed up to here */
	uint32_t rcv_up;       /* RCV.UP */
	uint32_t snd_up;       /* SND.UP */
	uint32_t ts_recent_ms; /* when ts_recent was set */
	uint32_t oow_last_ms;  /* last ACK to an unacceptable segment */
	uint32_t rcv_rtt_us;   /* receiver's estimate of RTT, 0 = none (DRS) */
	uint32_t rcv_rtt_seq;  /* DRS without timestamps: measured when rcv_nxt gets here */
	uint32_t rcv_rtt_us32;
	uint32_t drs_head; /* rcv_head at the start of this measurement */
	uint32_t drs_start_us32;
	uint32_t drs_bytes;      /* most bytes consumed in one RTT */
	uint32_t rcv_want_bytes; /* receive buffer that this rate deserves */
	uint32_t ooo_n;          /* segments that came out of order */
	uint32_t prior_cwnd; /* before the last reduction: PRR's RecoverFS, and what an undo restores */
	uint32_t prior_ssthresh;
	uint16_t dsack_n;   /* D-SACKs received */
	uint16_t reorder_n; /* times that reordering was seen */

	/* line 6: set by the user, read-mostly */
	uint32_t user_timeout_ms; /* 0 = by retries */
	uint32_t keep_idle_ms;
	uint32_t keep_intvl_ms;
	uint32_t fin_wait2_ms;
	uint8_t keep_probes;
	uint8_t cc;        /* index of the congestion control, >= 1 */
	uint8_t cc_wanted; /* of tcp_param, 0 = default */
	uint8_t err_soft;  /* enum eta_status that ICMP said, valid while snd_una == err_una */
	uint16_t mss_user; /* TCP_MAXSEG, 0 = none */
	uint16_t mss_path; /* tcp_up_mss() at open, or what ICMP told since */
	uint16_t mss_peer; /* the MSS option we received */
	uint16_t mss_adv;  /* the MSS option we sent */
	/* seq of a FIN that came out of order, valid with TCP_CTX_FIN_OOO */
	uint32_t rcv_fin;
	uint64_t pacing_rate_max; /* bytes/s, 0 = none */
	/* what came twice and is to be reported by the next ACK, valid with DSACK_OWED (RFC 2883) */
	struct tcp_range dsack;
	uint32_t notsent_lowat; /* bytes queued and not sent above which the user shall not write */
	uint16_t fastopen_qlen; /* listener: connections that may be pending with data of their SYN */
	uint8_t syn_retries;    /* TCP_SYNCNT, 0 = configured */
	uint8_t defer_accept_s; /* listener and its embryos: an embryo waits for data, this long */
	union {
		uint32_t master_idx; /* passive: its listener, which may have gone */
		struct {
			uint16_t slot; /* active open: where its destination's cookie is kept ... */
			uint16_t gen;  /* ... if still of the same generation; 0 = nowhere */
		} fastopen;
	};
	union {
		uint16_t fastopen_n;   /* listener: connections pending, see fastopen_qlen */
		uint16_t reorder_segs; /* others: how far a segment was passed, at most */
	};
	uint16_t eor_ext; /* extension with ends of records (tcp_eor.c), 0 = none */

	/* line 7: statistics of this connection */
	uint64_t tx_bytes; /* acknowledged */
	uint64_t rx_bytes; /* received in order */
	uint32_t segs_in;
	uint32_t segs_out;
	uint32_t data_segs_in;
	uint32_t data_segs_out;
	uint32_t data_rx_ms; /* last segment with data */
	uint32_t busy_ms; /* time with bytes queued or in flight, but for what runs since busy_at_ms */
	uint16_t timeouts_n;
	uint16_t recoveries_n;
	uint32_t err_una; /* snd_una when err_soft was said */
	/* path MTU discovery without ICMP (tcp_mtu.c), valid with TCP_CTX_PLPMTUD; sizes as mss_base */
	uint16_t mtu_lo;    /* arrives */
	uint16_t mtu_hi;    /* may arrive */
	uint16_t mtu_probe; /* size of the probe that is out, 0 = none */
	/* most segments in flight of this window, which cwnd_lim_seq ends; valid with CWND_USED */
	uint16_t used_segs;
	uint32_t mtu_probe_end; /* seq after it */
	uint32_t mtu_ms;        /* when the search began */

	/* line 8: loss recovery beyond the send log */
	uint32_t rack_us32;      /* RACK.xmit_ts: when the newest delivered segment was sent */
	uint32_t rack_end_seq;   /* RACK.end_seq of it */
	uint32_t rack_rtt_us;    /* RACK.rtt of it */
	uint32_t rack_fack;      /* RACK.fack: highest sequence delivered, by ACK or SACK */
	uint32_t rack_round_seq; /* snd_nxt at the last D-SACK: one adjustment a round */
	uint8_t rack_reo_mult; /* RACK.reo_wnd_mult, in quarters of the minimum RTT; 0 counts as 1 */
	uint8_t rack_reo_persist; /* recoveries until it is 1 again */
	uint8_t rtx_n;            /* F-RTO: timeouts of this series that it was told of */
	/* low bits of sent_us32 of a flight whose segments are not all of mss but for the last */
	uint8_t mixed_us8;
	uint32_t tlp_end_seq;   /* TLP.end_seq, valid with TLP */
	uint32_t prr_delivered; /* bytes since the reduction began (RFC 6937) */
	uint32_t prr_out;
	uint32_t undo_una;       /* snd_una when the reduction began */
	uint32_t undo_rtx_n;     /* retransmissions since that no D-SACK has excused */
	uint32_t undo_ts;        /* our timestamp of the first of them, valid with TS (RFC 3522) */
	uint32_t delivered_us32; /* when bytes were last delivered (rate sampling) */
	uint32_t first_us32;     /* when the first byte of the current sample was sent */
	uint32_t app_limited;    /* delivered bytes at which the sender's pause is forgotten */
	uint32_t retrans_n;

	/* line 9: what only TCP_INFO asks for */
	uint32_t rate_bytes; /* last delivery rate that says something: so much ... */
	uint32_t rate_us;    /* ... in this time, 0 = none yet */
	/* a flight without log: sent_us32 of the last that was sampled, and what was delivered of it */
	uint32_t rate_sent_us32;
	uint32_t rate_flight_bytes;
	uint32_t limited_at_ms;           /* since when @limit holds output back */
	uint32_t limited_ms[TCP_LIMIT_N]; /* how long each did, but for what runs since then */
	uint32_t rto_recovery_ms;         /* how long series have taken to be acknowledged */
	uint16_t rto_recoveries_n;        /* series of timeouts */
	uint8_t limit;                    /* enum tcp_limit */
	uint8_t fastopen_fail;            /* enum tcp_fastopen_fail */
	bool rate_app_limited;            /* of rate_bytes: the user had no more */
	uint8_t pad[23];
};
ETA_ASSERT_SIZE(struct tcp_ctx, 10 * ETA_CACHELINE);
ETA_ASSERT_OFFSET(struct tcp_ctx, rx_last_ms, 60);
ETA_ASSERT_LINE(struct tcp_ctx, iss, 1);
ETA_ASSERT_LINE(struct tcp_ctx, sent_us32, 2);
ETA_ASSERT_LINE(struct tcp_ctx, cc_state, 3);
ETA_ASSERT_LINE(struct tcp_ctx, rcv_head, 5);
ETA_ASSERT_LINE(struct tcp_ctx, user_timeout_ms, 6);
ETA_ASSERT_LINE(struct tcp_ctx, tx_bytes, 7);
ETA_ASSERT_LINE(struct tcp_ctx, rack_us32, 8);
ETA_ASSERT_LINE(struct tcp_ctx, rate_bytes, 9);

/*
 * Ranges of sequence space that were received ahead of rcv_nxt: sorted, disjoint, not adjacent. One
 * extension serves one connection with holes.
 */
#define TCP_RANGES_MAX 62u
#define TCP_RECENT_MAX 3u

struct tcp_ext {
	uint32_t n; /* free extension: index of the next free one */
	/* reassembly: a byte in each of the ranges last touched, newest first */
	uint32_t recent[TCP_RECENT_MAX];
	struct tcp_range r[TCP_RANGES_MAX];
};
ETA_ASSERT_SIZE(struct tcp_ext, 8 * ETA_CACHELINE);

/*
 * The send log: what is in flight, as records that cover [snd_una, snd_nxt) in order, without gap.
 * A record is one transmission of up to a burst; it is split where the peer's word or ours differs
 * within it. A connection whose flight left at once, and of which nothing was lost, needs none.
 */
enum tcp_sent_state {
	TCP_SENT_OUT = 0,    /* in the network, as far as we know */
	TCP_SENT_LOST = 1,   /* deemed lost, to be sent again */
	TCP_SENT_SACKED = 2, /* the peer has it */
};
#define TCP_SENT_RTX 0x01u         /* was sent more than once */
#define TCP_SENT_APP_LIMITED 0x02u /* rate sample: the application had no more to send */
#define TCP_SENT_MELTED 0x04u      /* left at several times: us32 is the last of them */
#define TCP_SENT_UNTIMED 0x08u     /* ... and not that of its last byte */

struct tcp_sent {
	uint32_t lo;        /* sequence of the first byte */
	uint32_t hi;        /* and after the last; FIN counts */
	uint32_t us32;      /* last transmission */
	uint32_t delivered; /* tcp_delivered() at that time */
	uint32_t delivered_us32;
	uint32_t first_us32;
	uint8_t state; /* enum tcp_sent_state */
	uint8_t flags; /* TCP_SENT_* */
	/* a segment ends every so many bytes after lo, and at hi; 1 = nobody knows where */
	uint16_t seg_bytes;
	uint32_t pad1;
};
ETA_ASSERT_SIZE(struct tcp_sent, 32);

#define TCP_SENT_MAX 254u

struct tcp_log {
	uint32_t next;  /* free log: index of the next free one */
	uint16_t first; /* records [first, first + n) are valid */
	uint16_t n;
	uint32_t pad[14];
	struct tcp_sent r[TCP_SENT_MAX];
};
ETA_ASSERT_SIZE(struct tcp_log, 8192);

/* Bytes that have arrived, modulo 2^32: acknowledged or SACKed. */
static inline uint32_t tcp_delivered(const struct tcp_ctx *ctx)
{
	return (uint32_t)ctx->tx_bytes + ctx->sacked_bytes;
}

/* Stream offsets (tcp_up.h) of a sequence number. */
static inline uint32_t tcp_snd_off(const struct tcp_ctx *ctx, uint32_t seq)
{
	return seq - ctx->iss - 1;
}

static inline uint32_t tcp_rcv_off(const struct tcp_ctx *ctx, uint32_t seq)
{
	return seq - ctx->irs - 1;
}

/* Bytes received in order, as a stream offset: what tcp_up_readable() said last. */
static inline uint32_t tcp_rcv_tail_off(const struct tcp_ctx *ctx)
{
	return tcp_rcv_off(ctx, ctx->rcv_nxt) - ((ctx->flags & TCP_CTX_FIN_RCVD) ? 1 : 0);
}

/* Bytes we have promised to take beyond rcv_nxt: dti must keep room for them. */
static inline uint32_t tcp_rcv_promised_bytes(const struct tcp_ctx *ctx)
{
	return ctx->rcv_adv - ctx->rcv_nxt;
}

/*
 * The receive buffer that DRS asks for; 0 before anything was measured. dti caps it by SO_RCVBUF,
 * quota, ETA_STREAM_BYTES_MAX.
 */
static inline uint32_t tcp_rcv_want_bytes(const struct tcp_ctx *ctx)
{
	return ctx->rcv_want_bytes;
}

/* The send buffer that keeps the path full: twice cwnd. */
static inline uint32_t tcp_snd_want_bytes(const struct tcp_ctx *ctx)
{
	return ctx->cwnd > TCP_CTX_BYTES_HALF ? 2 * TCP_CTX_BYTES_HALF : 2 * ctx->cwnd;
}

#endif
