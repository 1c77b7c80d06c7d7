/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands between the kernel agent and an engine core: the slow "registers" of the card.
 *
 * Two rte_rings per core of fixed elements (rte_ring_create_elem, esize sizeof(struct eta_admin_msg)): commands KA -> engine, answers and
 * notices engine -> KA; and two of mbuf pointers: punted frames engine -> KA, injected frames KA -> engine. Both ends are threads of etad, so
 * pointers may travel; KA keeps what it points to alive until the engine's ADMIN_DONE with the same cookie. A core takes at most
 * ETA_ADMIN_BURST commands per loop. The answer ring is never full: KA has at most its size of commands outstanding, and notices
 * are levels kept in the engine until there is room.
 *
 * Only KA writes the tables of addresses, routes and neighbours; each core has its own copy (shared nothing).
 */
#ifndef ETA_ADMIN_H
#define ETA_ADMIN_H

#include <eta/abi.h>
#include <eta/status.h>

enum eta_seg_kind {
	ETA_SEG_AL = 1, /* written by AL */
	ETA_SEG_EN,     /* written by the engine */
	ETA_SEG_APP,    /* registered application memory */
};

/* Flags of LISTEN and BIND. */
#define ETA_BIND_V6ONLY 0x1u

/*
 * TCP's defaults that may change while the engine runs (KNOB_SET); value as the name says, booleans 0 and 1. A connection takes most of them over
 * when it begins.
 */
enum eta_knob {
	ETA_KNOB_TIMESTAMPS,
	ETA_KNOB_SACK,
	ETA_KNOB_RCV_WSCALE,
	ETA_KNOB_ECN,      /* 0 off, 1 ask and accept, 2 accept */
	ETA_KNOB_FASTOPEN, /* bits: 1 client, 2 server, 4 clients need no cookie, 0x20 servers need no cookie, 0x40 every listener */
	ETA_KNOB_SYN_COOKIES, /* when no embryo is left */
	ETA_KNOB_SLOW_START_IDLE,
	ETA_KNOB_NOTSENT_LOWAT, /* bytes, UINT32_MAX = no limit */
	ETA_KNOB_REORDER_SEGS,
	ETA_KNOB_CC, /* as eta_dti_al.cc, not 0 */
	ETA_KNOB_RTO_US_MIN,
	ETA_KNOB_SYN_RETRIES,
	ETA_KNOB_SYNACK_RETRIES,
	ETA_KNOB_DATA_RETRIES,
	ETA_KNOB_ORPHAN_RETRIES, /* closed by the user */
	ETA_KNOB_KEEP_IDLE_MS,
	ETA_KNOB_KEEP_INTVL_MS,
	ETA_KNOB_KEEP_PROBES,
	ETA_KNOB_FIN_WAIT2_MS,
	ETA_KNOB_MTU_PROBING,  /* 0 off, 1 after black holes, 2 always */
	ETA_KNOB_MIN_TSO_SEGS, /* of a piece for the port, however slow the connection */
	/* 4 words of the key of fast open cookies, in the order of net.ipv4.tcp_fastopen_key */
	ETA_KNOB_FASTOPEN_KEY0,
	ETA_KNOB_FASTOPEN_KEY1,
	ETA_KNOB_FASTOPEN_KEY2,
	ETA_KNOB_FASTOPEN_KEY3,
	ETA_KNOB_N
};

#define ETA_ADMIN_RING 1024u
#define ETA_ADMIN_BURST 16u

enum eta_admin_op {
	/* KA -> engine; each answered by ADMIN_DONE */
	ETA_ADMIN_SESSION_ADD = 1, /* session */
	ETA_ADMIN_SESSION_DEL, /* session; orderly != 0: FIN, else RST. DONE when the engine refers to nothing of it any more */
	ETA_ADMIN_SESSION_ORPHAN, /* its process is gone, others hold some of its DTIs: rings, subscriptions, posted children and
				    * unaccepted connections go; shared DTIs (dti SHARE) and segments stay until CLOSE of each */
	ETA_ADMIN_SHARE,      /* dti: other processes hold it too */
	ETA_ADMIN_SEG_ADD,    /* seg */
	ETA_ADMIN_RING_ADD,   /* ring */
	ETA_ADMIN_LISTEN,     /* dti */
	ETA_ADMIN_BIND,       /* dti: authorise the local address for CONNECT */
	ETA_ADMIN_CLOSE,      /* dti: its last holder is gone */
	ETA_ADMIN_ADDR_SET,   /* addr */
	ETA_ADMIN_ROUTE_SET,  /* route */
	ETA_ADMIN_NEIGH_SET,  /* neigh */
	ETA_ADMIN_LINK_SET,   /* link */
	ETA_ADMIN_DUMP,       /* dump: fill rows of contexts */
	ETA_ADMIN_STOP,       /* leave core_run() after flushing */
	ETA_ADMIN_HIDDEN_SET, /* hidden: KA's filter keeps this local port from the kernel, or does so no more. Told for every port that has, or
				    * had, a listener, as long as the filter has an entry: longer than the listener lives */
	ETA_ADMIN_KNOB_SET,   /* knob */
	ETA_ADMIN_KNOB_GET,   /* knob; answer: value. Of a secret: 0 */
	/* engine -> KA */
	ETA_ADMIN_DONE = 64,     /* cookie, status */
	ETA_ADMIN_NEIGH_WANT,    /* neigh: resolve this next hop */
	ETA_ADMIN_NEIGH_CONFIRM, /* neigh: still in use and answering */
	ETA_ADMIN_SEG_WANT,      /* session needs receive memory */
	ETA_ADMIN_TUPLE_ADD, /* tuple the engine owns outside its ranges (explicitly bound): drop it in the kernel */
	ETA_ADMIN_TUPLE_DEL,
	ETA_ADMIN_DTI_DEAD, /* a hostile or broken DTI was killed: for the log */
};

struct eta_admin_msg {
	uint16_t op;
	uint16_t status;
	uint32_t session; /* session number, where one is concerned */
	uint64_t cookie;  /* KA's, returned in DONE */
	union {
		struct {
			uint32_t orderly;
			uint32_t dtis_max;
			uint32_t rcv_bytes_max; /* quota of receive memory */
			uint32_t inherited_n;
			uint32_t inherited[15]; /* session numbers, as in the attach reply */
			uint32_t uid;
			int32_t pid;
		} session_add;
		struct {
			uint8_t seg, kind, core, pad;
			uint32_t dti_off, dti_first, dti_n, meta_off, chunk_off, chunk_pages;
			uint8_t *base; /* etad's mapping: read-only for AL segments */
			uint64_t bytes;
		} seg;
		struct {
			uint16_t ring;
			uint8_t seg_al, seg_en;
			uint32_t doorbell_n, doorbell_off, doorbell_credit_off;
			uint32_t event_n, event_off, event_credit_off;
			int32_t wake_fd; /* write end of the wake pipe, O_NONBLOCK; closed by KA after SESSION_DEL is done */
			int32_t kick_fd; /* eventfd of this session and core; never read by the engine */
		} ring;
		struct {
			uint32_t dti; /* index in session's space */
			uint16_t gen;
			uint16_t lport_be;
			uint8_t laddr[16];
			uint32_t backlog;
			uint32_t flags; /* ETA_BIND_* of ctl.h */
		} dti;
		struct {
			uint8_t addr[16];
			uint8_t prefix_len; /* of the subnet, v4: 0..32, v6: 0..128 */
			uint8_t port, is_del, is_loopback;
		} addr;
		struct {
			uint8_t dst[16];
			uint8_t gw[16];  /* any = on link */
			uint8_t src[16]; /* preferred source, any = choose by address selection */
			uint8_t prefix_len; /* v4: 0..32, v6: 0..128 */
			uint8_t is_v4, port, is_del;
			uint8_t is_elsewhere; /* through an interface that no port serves: the kernel's */
			uint32_t metric, mtu;
		} route;
		struct {
			uint8_t addr[16];
			uint8_t mac[6];
			uint8_t port, is_del; /* del or failed: frames that wait are dropped, connects fail UNREACHABLE */
		} neigh;
		struct {
			uint8_t port, up;
			uint16_t mtu;
			uint8_t mac[6];
		} link;
		struct {
			struct eta_ctx_row *rows; /* [n], KA's memory */
			uint32_t first, n; /* context indices; answer: first = next index or UINT32_MAX at the end, n = rows filled */
		} dump;
		struct {
			uint8_t laddr[16], raddr[16];
			uint16_t lport_be, rport_be;
		} tuple;
		struct {
			uint16_t port_be;
			uint8_t is_del;
		} hidden;
		struct {
			uint32_t id; /* enum eta_knob */
			uint32_t value;
		} knob;
	};
};
ETA_ASSERT_SIZE(struct eta_admin_msg, 104);

/* One connection for `etactl show connections`. */
struct eta_ctx_row {
	uint8_t laddr[16], raddr[16];
	uint16_t lport_be, rport_be;
	uint8_t tcp_state; /* RFC 9293, numbered as Linux's TCP_* */
	uint8_t has_dti;
	uint16_t mss;
	uint32_t session, dti;
	uint32_t ctx_idx;
	uint32_t rcv_queue_bytes, snd_queue_bytes;
	uint32_t cwnd_bytes, ssthresh_bytes, srtt_us, rttvar_us, rto_us;
	uint32_t snd_wnd_bytes, rcv_wnd_bytes;
	uint32_t retrans_n, retrans_bytes, unacked_bytes;
	uint64_t tx_bytes, rx_bytes;
	char cc[16];
};

#endif
