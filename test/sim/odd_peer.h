/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A peer that is hostile, or just odd: it speaks segments by hand with one of our stacks.
 *
 * It keeps the books of an honest TCP (what it has sent and got, what windows it gave, which timestamps it used), so that whenever it wants
 * to it can behave, and so that the simulation can say what the stack may believe:
 *
 *   - a byte that is delivered is one of those the peer sent for that place (it may have sent several, in overlapping segments);
 *   - a FIN is delivered where the peer said one;
 *   - what counts as acknowledged was acknowledged, by a number the stack had sent;
 *   - nothing goes beyond the windows that the peer gave, but for one byte.
 *
 * Side 1 is the stack, side 0 the peer. Segments take no time: the books are exact.
 */
#ifndef TEST_SIM_ODD_PEER_H
#define TEST_SIM_ODD_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "test/sim/tcp_world.h"

#define ODD_STREAM_BYTES 65536u /* longest stream of the peer */
#define ODD_VARIANTS 8u         /* of a byte */

/* What it does, beside behaving. Each is a bit of odd_peer.mask, and a row of the table of acts. */
enum odd_act {
	ODD_SHRINK,         /* takes window back */
	ODD_RENEGE,         /* forgets what it reported by SACK */
	ODD_ACK_FUTURE,     /* acknowledges what was not sent */
	ODD_ACK_OLD,        /* acknowledges less than before */
	ODD_ACK_SPLIT,      /* byte by byte */
	ODD_ACK_OPTIMISTIC, /* what did not arrive */
	ODD_ACK_FLOOD,      /* the same again and again */
	ODD_OVERLAP,        /* other bytes for the same place */
	ODD_OUT_OF_WINDOW,  /* text before or beyond the window */
	ODD_TINY,           /* one-byte segments, every second one missing */
	ODD_SYN,            /* again */
	ODD_FIN,            /* early, or twice */
	ODD_RST,            /* near, but not at the next number */
	ODD_DEAF,           /* zero window, for a while */
	ODD_TS,             /* timestamps from the past or the future */
	ODD_SACK,           /* inverted, beyond snd_nxt, old, tiny */
	ODD_ECN,            /* ECE, CWR, CE */
	ODD_OPTIONS,        /* any bytes */
	ODD_URG,            /* urgent pointers */
	ODD_FLAGS,          /* any flags, near the right numbers */
	ODD_ICMP,           /* too big, of a number that may be in flight */
	ODD_ACTS_N
};

struct odd_peer {
	struct world *w;
	struct conn *conn;
	struct user *user; /* of the stack */
	struct rnd rnd;
	uint32_t mask;    /* acts, 1 << enum odd_act */
	bool stack_opens; /* its SYN came first */

	/* sending */
	uint32_t iss, snd_nxt;                  /* as honest TCP counts */
	uint32_t total;                         /* bytes of the stream */
	uint32_t snd_acked;                     /* the stack's latest ack */
	uint32_t snd_edge;                      /* the stack's window */
	uint8_t variants[ODD_STREAM_BYTES + 1]; /* bit v: the byte was sent in variant v */
	bool fin_at[ODD_STREAM_BYTES + 1];
	uint8_t variant; /* of what is sent now */

	/* receiving */
	bool irs_valid;
	uint32_t irs, rcv_nxt;
	uint32_t stack_max; /* highest sequence number of the stack's, + 1 */
	uint32_t stack_fin; /* where its FIN stands */
	bool stack_fin_valid;
	uint8_t *got; /* [got_n] by offset */
	uint32_t got_n;
	uint32_t wnd; /* bytes it gives */
	uint32_t loss_ppm;

	/* what the stack may believe */
	uint32_t ack_max;  /* highest acknowledgement that named what was sent */
	uint32_t edge_max; /* right edge of the windows given */
	bool may_reset;    /* a RST that ends the connection was sent */
	uint64_t deaf_us;  /* zero window until then */

	/* options */
	bool ts, sack, wscale;
	uint8_t snd_wscale; /* of windows it sends */
	uint8_t rcv_wscale;
	uint16_t mss;     /* the stack's segments, as it announces */
	uint16_t snd_mss; /* its own */
	uint32_t ts_max, ts_recent;
	uint64_t segs_n, acts_n[ODD_ACTS_N];
};

struct odd_seg {
	uint8_t flags, ecn;
	uint32_t seq, ack, len;
	uint16_t wnd; /* as on the wire */
	uint16_t urg;
	uint8_t opt_len;
	uint8_t opt[40];
};

void odd_peer_init(struct odd_peer *p, struct world *w, struct conn *conn, uint64_t seed);
void odd_peer_fini(struct odd_peer *p);
/* Its SYN, if it opens; else it answers the stack's. */
void odd_peer_open(struct odd_peer *p);
/* Read what the stack has sent, and answer a SYN. */
void odd_peer_listen(struct odd_peer *p);
bool odd_peer_is_open(const struct odd_peer *p);
/* One turn of an honest TCP: acknowledge, and send from where the stack has got to. @segs: at most so many. */
void odd_peer_behave(struct odd_peer *p, uint32_t segs);
/* One of the acts of the mask. */
void odd_peer_act(struct odd_peer *p);

/* ---- for the acts ---- */

/* The usual ACK: next number, what has arrived, window, options. */
struct odd_seg odd_seg(const struct odd_peer *p);
/* Put it on the wire, and read the answer. Text of the stream at its place, in the variant of the moment. */
void odd_send(struct odd_peer *p, const struct odd_seg *seg);
/* Add a timestamp option, or SACK blocks, if they were agreed. */
void odd_opt_ts(const struct odd_peer *p, struct odd_seg *seg, uint32_t tsval);
void odd_opt_sack(struct odd_seg *seg, const uint32_t (*block)[2], uint32_t n);
void odd_opt_sack_honest(const struct odd_peer *p, struct odd_seg *seg);
/* Offset in the peer's stream. */
uint32_t odd_off(const struct odd_peer *p, uint32_t seq);
const char *odd_act_name(uint32_t act);

#endif
