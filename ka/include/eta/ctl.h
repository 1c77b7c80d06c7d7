/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of the control socket: AL and etactl ask, KA answers.
 *
 * An AF_UNIX SOCK_SEQPACKET socket (default /run/eta/etad.sock). One record = one message = struct eta_ctl_hdr, then the body of its
 * type, then nothing; a record of any other length is refused. A request gets exactly one reply with its own type and seq, status in the
 * header, in order; descriptors travel by SCM_RIGHTS with the message that names them. KA sends NOTIFY_* unasked.
 * KA never blocks on a client: one with ETA_CTL_UNREAD_MAX replies unread is dropped, its session ends.
 *
 * Who may: the socket's mode and group at connect time. Who is asking: SO_PEERCRED and a pidfd, never what the message says.
 * A forked child attaches through the socketpair its parent obtained beforehand (FORK), so it needs neither path nor privilege.
 * ATTACH by a process that has a session already (it called exec) orphans that one.
 *
 * Source: patent paragraphs 13-16, 25-29; DESIGN 9.
 */
#ifndef ETA_CTL_H
#define ETA_CTL_H

#include <eta/abi.h>
#include <eta/admin.h> /* enum eta_seg_kind, ETA_BIND_* */
#include <eta/dti.h>

#define ETA_CTL_SOCKET_DEFAULT "/run/eta/etad.sock"
#define ETA_CTL_BYTES_MAX 4096u
#define ETA_CTL_FDS_MAX 8u
#define ETA_CTL_UNREAD_MAX 64u

enum eta_ctl_type {
	ETA_CTL_ATTACH = 1, /* become a session */
	ETA_CTL_SEG_MAP,    /* descriptor and geometry of a segment this session may see */
	ETA_CTL_SEG_GROW,   /* another segment */
	ETA_CTL_RING_ADD,   /* another doorbell ring + event queue */
	ETA_CTL_LISTEN, /* make a DTI the master of what the shadow is bound to; fd: the listening shadow */
	ETA_CTL_BIND, /* authorise a DTI to connect from what the shadow is bound to; fd: the shadow */
	ETA_CTL_FORK, /* reply fd: a connected socket on which a forked child will ATTACH */
	ETA_CTL_SHARE, /* these DTIs are about to be held by other processes: watch their shadows' cookies */
	ETA_CTL_CLAIM, /* fd: a shadow received by exec or SCM_RIGHTS; which DTI is it? */
	ETA_CTL_PING,  /* is etad alive; is the holder of a lock alive */
	ETA_CTL_ADMIN, /* etactl: a command in text; reply is a stream of text records, last one empty. A refusal may say why, in text */
	ETA_CTL_NOTIFY_SEG, /* KA: segment added, map it when you meet it */
	ETA_CTL_NOTIFY_END, /* KA: etad is stopping, body says how connections are treated */
};

struct eta_ctl_hdr {
	uint16_t type;   /* enum eta_ctl_type */
	uint16_t status; /* reply: enum eta_status; request: 0 */
	uint32_t seq;    /* chosen by the asker */
};
ETA_ASSERT_SIZE(struct eta_ctl_hdr, 8);

/* Where things lie in one segment; offsets in bytes from its start, areas do not overlap. n = 0: area absent. */
struct eta_seg_geom {
	uint8_t seg;  /* number in the session */
	uint8_t kind; /* enum eta_seg_kind */
	uint8_t core; /* engine core it belongs to */
	uint8_t huge; /* 1 = on 2 MiB pages: map with that alignment */
	uint32_t pad;
	uint64_t bytes;
	uint32_t dti_off;   /* DTI record halves */
	uint32_t dti_first; /* DTI index of the first */
	uint32_t dti_n;
	uint32_t meta_off; /* eta_chunk_meta[chunk_pages] */
	uint32_t map_off; /* AL only: AL's allocation bitmap, one bit a page, set = used; the engine ignores it */
	uint32_t chunk_off; /* first chunk page, page aligned */
	uint32_t chunk_pages;
	uint32_t pad2;
};
ETA_ASSERT_SIZE(struct eta_seg_geom, 48);

/* A doorbell ring and the event queue that goes with it. Entries are zeroed. */
struct eta_ring_geom {
	uint16_t ring; /* number in the session = event queue number in SUBSCRIBE */
	uint8_t core;
	uint8_t seg_al; /* segment of doorbell slots and of the event queue's credit line */
	uint8_t seg_en; /* segment of event slots and of the doorbell's credit line */
	uint8_t pad[3];
	uint32_t doorbell_n;          /* entries, power of two */
	uint32_t doorbell_off;        /* in seg_al */
	uint32_t doorbell_credit_off; /* in seg_en: eta_doorbell_credit */
	uint32_t event_n;
	uint32_t event_off;        /* in seg_en */
	uint32_t event_credit_off; /* in seg_al: eta_ring_credit */
};
ETA_ASSERT_SIZE(struct eta_ring_geom, 32);

/* ATTACH. Reply fds, in order: AL segment, EN segment (read-only), core page (read-only), kick eventfd, wake pipe of ring 0. */
struct eta_ctl_attach {
	struct eta_ctl_hdr hdr;
	uint32_t abi;
	uint32_t flags; /* ETA_ATTACH_* */
};
#define ETA_ATTACH_MEMBARRIER 0x1u /* AL has registered MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED */

struct eta_ctl_attach_reply {
	struct eta_ctl_hdr hdr;
	uint32_t abi; /* KA's, also when status is ABI_MISMATCH */
	uint32_t session;
	uint32_t dtis_max; /* quota */
	uint16_t inherited_n; /* owners 1..n in ETA_DTI_OWNER: sessions this one may ring, oldest ancestor last */
	uint16_t cores_n;
	uint32_t inherited[ETA_INHERIT_MAX]; /* their session numbers */
	uint32_t flags;                      /* ETA_POLICY_* */
	uint32_t page_bytes;                 /* of the core page mapping */
	uint16_t port_lo, port_hi;           /* ephemeral range the engine uses */
	uint32_t epoch;
	uint32_t lock_id; /* nonzero, bits 0..30: this session in eta_dti_al.snd_lock and rcv_lock */
	uint32_t pad;
	struct eta_seg_geom seg[2]; /* AL, EN */
	struct eta_ring_geom ring0;
};
#define ETA_POLICY_LOOPBACK 0x1u /* 127/8 and ::1 are carried too */
#define ETA_POLICY_PING \
	0x2u /* PING before a CONNECT without BIND: KA looks at what it cannot watch */

/* SEG_MAP, SEG_GROW. Reply fd: the segment (read-only for EN). */
struct eta_ctl_seg {
	struct eta_ctl_hdr hdr;
	uint32_t session; /* SEG_MAP, SEG_GROW: own or inherited session */
	uint8_t seg;      /* SEG_MAP */
	uint8_t grow;     /* SEG_GROW: ETA_GROW_* */
	uint8_t core;
	uint8_t pad;
};
#define ETA_GROW_SEND 1 /* chunk pages for sending: one AL segment; reply fd: it */
#define ETA_GROW_DTIS \
	2 /* DTI records: one pair; reply: the AL one; SEG_MAP brings its twin seg + 1 */

struct eta_ctl_seg_reply {
	struct eta_ctl_hdr hdr;
	struct eta_seg_geom seg;
};

/* RING_ADD. Reply fds: wake pipe, kick eventfd of this session and core. The segments it lies in may be new: SEG_MAP them. */
struct eta_ctl_ring {
	struct eta_ctl_hdr hdr;
	uint8_t core;
	uint8_t pad[7];
};

struct eta_ctl_ring_reply {
	struct eta_ctl_hdr hdr;
	struct eta_ring_geom ring;
};

/*
 * LISTEN, BIND. KA reads address, port, SO_ACCEPTCONN and network namespace from the descriptor itself and keeps it as long as the
 * DTI lives. NOT_CARRIED: not on an ETA port, other namespace, or refused by policy: use the kernel. Subscribe before LISTEN.
 */
struct eta_ctl_dti {
	struct eta_ctl_hdr hdr;
	uint32_t dti; /* as in doorbells */
	uint16_t gen;
	uint16_t pad;
	uint32_t backlog; /* LISTEN */
	uint32_t flags;   /* ETA_BIND_* */
};

struct eta_ctl_dti_reply {
	struct eta_ctl_hdr hdr;
	uint8_t laddr[16];
	uint16_t lport_be;
	uint16_t pad;
	uint32_t pad2;
};

/* SHARE: at most ETA_CTL_SHARE_MAX per message. The reply means the watch is on: fork or send afterwards. */
#define ETA_CTL_SHARE_MAX 128u
struct eta_ctl_share_item {
	uint64_t cookie; /* SO_COOKIE of the shadow */
	uint32_t dti;
	uint16_t gen;
	uint16_t pad;
};
struct eta_ctl_share {
	struct eta_ctl_hdr hdr;
	uint32_t n;
	uint32_t pad;
	struct eta_ctl_share_item item[ETA_CTL_SHARE_MAX]; /* only n are sent */
};

/*
 * CLAIM. The DTI has been moved to segments of its own, which the caller maps (reply fds: AL, EN read-only) and rings under an index of its
 * own DTI space; whoever held it before sees ETA_DTI_MOVED in the old record and maps the new one in the same way.
 */
struct eta_ctl_claim_reply {
	struct eta_ctl_hdr hdr;
	uint32_t dti; /* as the claimer rings it, owner 0 */
	uint16_t gen;
	uint16_t pad;
	struct eta_seg_geom al, en;
};

/* PING. lock_id != 0: NOT_FOUND says that no live session has it, and its locks may be broken by compare-exchange. */
struct eta_ctl_ping {
	struct eta_ctl_hdr hdr;
	uint32_t lock_id;
	uint32_t pad;
};

/* NOTIFY_SEG */
struct eta_ctl_notify_seg {
	struct eta_ctl_hdr hdr;
	uint32_t session;
	uint32_t pad;
	struct eta_seg_geom seg;
};

/* NOTIFY_END */
struct eta_ctl_notify_end {
	struct eta_ctl_hdr hdr;
	uint32_t grace_ms; /* connections are reset after this long */
	uint32_t pad;
};

/* ADMIN: body is the command line, NUL-terminated ("connections --json"); replies: text chunks, empty chunk = end. */
struct eta_ctl_text {
	struct eta_ctl_hdr hdr;
	char text[ETA_CTL_BYTES_MAX - sizeof(struct eta_ctl_hdr)]; /* only the used part is sent */
};
ETA_ASSERT_SIZE(struct eta_ctl_text, ETA_CTL_BYTES_MAX);

#endif
