/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Direct Transport Interface: the memory that an application (through AL) and an engine core share.
 *
 *   AL segment [AL]: read-write in AL, read-only in etad          EN segment [EN]: read-write in etad, read-only in AL
 *   +-----------------------------------------------+            +-----------------------------------------------+
 *   | DTI records, AL half     eta_dti_al[dti_n]    |  <-- i --> | DTI records, EN half     eta_dti_en[dti_n]    |
 *   | doorbell rings           slots                |  credit -> | credits of doorbell rings, answers to INFO    |
 *   | credits of event queues  (head, armed)        |  <- events | event queues             slots                |
 *   | send chunks + their eta_chunk_meta            |            | receive chunks + their eta_chunk_meta         |
 *   +-----------------------------------------------+            +-----------------------------------------------+
 *                 KA page [KA]/[EN]: eta_core_page per engine core, read-only in AL
 *
 * SEGMENTS are memfds that KA creates and seals (GROW, SHRINK, SEAL). AL gets a read-only descriptor of EN segments. Where
 * things lie in a segment (struct eta_seg_geom in ctl.h) is decided by KA and told to both sides by message: nothing in shared
 * memory describes shared memory. A session starts with one of each and asks for more; segment numbers are per session.
 *
 * RECORD. Both halves of DTI i hold the truth about it at any moment: cumulative byte counters, state, addresses. Messages repeat
 * the counters so that the other side need not read the record per message; the record serves attach, fork, overflow, a
 * thread that did not get the event, and restart. A half is written before the message that tells of it.
 *
 * STREAMS OF CHUNKS. The bytes of each direction lie in chunks of 1, 4 or 16 pages, allocated by the *writing* side alone from its
 * own segment (send: AL; receive: engine). A chunk covers a fixed range of stream offsets [off, off + size). The writer keeps
 *
 *     record.chunk  - the chunk of the oldest byte it still keeps (ETA_CHUNK_NONE: keeps nothing)
 *     meta[c].next  - the chunk that covers meta[c].off + size onwards (ETA_CHUNK_NONE: not there yet)
 *
 *   Writer: fill meta of the new chunk; link it (release); write bytes; publish the counter (release). To free a chunk: move
 *   record.chunk past it (release), then set meta.dti to ETA_DTI_NONE (release), then reuse it. It frees only bytes that the reader has
 *   told it to be done with (send: snd_una; receive: rcv_head).
 *   Reader: keeps a private cursor (chunk, off, order). Before it touches bytes that a counter has announced, it compares
 *   the chunk's meta with the cursor: equal dti, gen, off, order mean the cursor is right, because announced bytes that it has not
 *   released cannot move. Past the end it follows next; with no valid cursor it starts from record.chunk, reads the meta, and reads
 *   record.chunk again: if that moved, it starts over. A chunk ends at off + size or where its successor's off begins, whichever comes
 *   first; the successor is linked before a counter passes that point. A successor that begins later leaves a gap that the send queue covers.
 *   The engine keeps its own copy of the metas of chunks that hold bytes it has not released: if one of those no longer matches, it kills the
 *   DTI. It seeks from record.chunk only when it keeps no such byte, with at most 4 restarts, then tries again in the next loop. It
 *   checks what it reads (segment of that session, send area, order, alignment, range). AL checks in the same way: what it shares with
 *   siblings it trusts as little.
 *   IDLE: a writer may drop drained chunks of a connection at any time. What the AL half says (rcv_head, stored with release after the copy) counts
 *   as told: the engine reads it when it sweeps connections idle for 1 s and before it refuses memory. AL keeps its DTIs with send chunks
 *   on a list and sweeps it against snd_una before it asks for memory or blocks. AL compares rcv_head with ring_at whenever either moves; an
 *   engine that lowers ring_at reads rcv_head after it (full fence on both sides in that case only).
 *
 * DOORBELL (AL -> engine): one ring per (thread, core), entries are self-contained {dti, gen, op, counters}. Counters: newest wins,
 * so the entries of one DTI may come by several rings in any order. Ring full: AL waits for credit, it never defers a doorbell to a
 * later call. An entry with a wrong dti or gen is counted and ignored. A counter outside [what the engine has, what the record's rules
 * allow] is stale, not judged: the engine reads the AL half instead, and only an impossible value *there* (or an impossible argument)
 * kills the DTI. AL treats counters of events likewise: outside the window means read the EN half.
 * Operations other than counters keep their order only within one ring: SUBSCRIBE, UNSUBSCRIBE and ACCEPTED that name event queue q are rung
 * on doorbell ring q alone, and until the EN half shows the gen of an open, only the ring that opened the DTI rings it.
 * ETA_DB_WANT_WRITE is a level at receipt: room already there is answered at once.
 * ETA_DB_INFO is answered in the record of the ring that it came by, after the doorbells before it: AL asks one question at a time on a ring,
 * with a ticket that differs from the last, and waits for the ticket.
 *
 * EVENT (engine -> AL): {dti, gen, flags, counters, state}. Events of a DTI go to its subscribers (op SUBSCRIBE). If an event queue is
 * full the engine keeps the DTI on a private owed-list and sends its newest state when there is room: nothing is lost. An ACCEPT that names a
 * child is owed by the child, so several do not merge. A refused SUBSCRIBE is answered on that queue by flags 0, status QUOTA.
 * Whoever subscribes (SUBSCRIBE, ACCEPTED, CONNECT) is told what stands already by an event of its own: bytes may have come before it.
 *
 * OPEN. AL takes a free DTI (state FREE in its EN half, and not handed out by AL itself) writes its AL half (gen + 1, parameters) and
 * rings CONNECT or posts it as a child of a master (op CHILD). All counters are 0 at open. The engine writes gen, state and (CONNECT) the
 * local address into the EN half when it takes the doorbell, before any packet. A DTI is free again when the EN half says FREE with the gen
 * AL used last: after CLOSE the engine says FREE as soon as it needs no more of the DTI's memory; TIME-WAIT lives in the engine alone. AL
 * reuses free DTIs first in, first out, and not before it has drained its event queues once since, so that a 16-bit gen is enough.
 * {gen, state, status} is one aligned 32-bit word (ETA_DTI_WORD): for a reuse the engine writes the rest first and that word last (release); a
 * reader of the rest loads it before and after.
 *
 * ACCEPT. A SYN to a master becomes an embryo in engine memory. When the handshake completes the engine picks a subscriber of the master (an
 * exclusive one in rotation, armed ones first) and binds the first child its session posted; event ACCEPT on that queue names it.
 * If several sessions subscribe and none is armed, the connection stays unbound: accept_n in the master's EN half counts those, ACCEPT with arg
 * ETA_DTI_NONE tells every subscriber, and the first that rings TAKE gets it. Arming includes a look at accept_n.
 * AL answers ACCEPTED when the application has it; so does any doorbell of the child with a counter above 0. Until then the connection belongs
 * to the listener: if the session dies (its rings are drained first) or withdraws (UNSUBSCRIBE of the master), the engine moves it, bytes
 * included, to a child of another subscriber, or leaves it unbound. Children that a closed master no longer needs become FREE.
 * No child posted: the last ACK of the handshake is ignored, as Linux does when its accept queue is full.
 *
 * CLOSE. SHUT_WR: FIN after snd_tail. CLOSE: SHUT_WR, and AL will read no more (RST if unread data is or arrives, RFC 2525 2.17). ABORT: RST.
 * DETACH: this session lets go of a DTI that others share; the last holder's close arrives through KA.
 *
 * SLEEPING. Each of the four crossings is store, full fence, load on both sides (Dekker); whoever stores second sees the other:
 *   AL thread:  armed = next number; FENCE; look at queue and record once more; sleep on the queue's wake pipe;
 *               armed = 0, then drain the pipe, then look at the queue.
 *   engine:     publish events of the burst; FENCE (once per burst); if armed != 0 and not the number it last woke: remember it, write one byte.
 *   engine:     core_page.asleep = number of this sleep; FENCE + membarrier(GLOBAL_EXPEDITED); look at every ring once more; sleep; asleep = 0.
 *   AL thread:  push doorbell; FENCE (compiler fence only, where AL is registered for membarrier); if asleep, write the kick eventfd.
 *   The same two lines hold for doorbell_credit.polled = 0, an idle ring that left the engine's polled list: a core with such rings looks at
 *   its kick descriptors every 50 us while awake, and a kick puts all rings of that session back (polled = 1, then look).
 *   One kick serves a whole sleep: an AL thread that has kicked for this number of asleep, or of doorbell_credit.nap for polled = 0, need not
 *   again. Both numbers are new each time, and set before what they number is.
 *   There is one kick eventfd per session and core; the engine never reads it (edge-triggered), so nobody can steal or block a kick.
 *
 * Hostility: everything [AL] is hostile to the engine; AL treats all of this memory as hostile to itself.
 * Source: patent paragraphs 19-28, 43-48; ring form after TAS; DESIGN 5.
 */
#ifndef ETA_DTI_H
#define ETA_DTI_H

#include <eta/abi.h>
#include <eta/ring.h>
#include <eta/status.h>

/* ---- names ---------------------------------------------------------------------------------------------------------- */

/*
 * DTI number as messages carry it: bits 0..23 index in the owning session's DTI space, bits 24..31 the owner as the *sender or
 * receiver of the message* knows it: 0 = its own session, k = k-th session it inherited by fork (told in the attach reply).
 */
#define ETA_DTI_NONE 0xffffffffu
#define ETA_DTI_INDEX(dti) ((dti)&0x00ffffffu)
#define ETA_DTI_OWNER(dti) ((dti) >> 24)
#define ETA_DTI_MAKE(owner, index) (((uint32_t)(owner) << 24) | (uint32_t)(index))
#define ETA_SESSION_DTIS_MAX (1u << 20)
#define ETA_INHERIT_MAX 15u

/* Chunk number: bits 20..27 segment of the owning session, bits 0..19 page in its chunk area (not in the whole segment). */
#define ETA_CHUNK_NONE 0xffffffffu
#define ETA_CHUNK_SEG(chunk) (((chunk) >> 20) & 0xffu)
#define ETA_CHUNK_PAGE(chunk) ((chunk)&0xfffffu)
#define ETA_CHUNK_MAKE(seg, page) (((uint32_t)(seg) << 20) | (uint32_t)(page))
#define ETA_SEGS_MAX 255u /* per session */

/* Chunk sizes: 1 << order pages; page number aligned to its size. Only these orders are valid. */
#define ETA_CHUNK_ORDER_SMALL 0  /* 4 KiB */
#define ETA_CHUNK_ORDER_MEDIUM 2 /* 16 KiB */
#define ETA_CHUNK_ORDER_LARGE 4  /* 64 KiB */
#define ETA_CHUNK_BYTES(order) (ETA_PAGE_BYTES << (order))
#define ETA_STREAM_CHUNKS_MAX 4096u /* chunks of one direction at one time */

/* Bytes one direction of a DTI may hold; the largest window advertised. */
#define ETA_STREAM_BYTES_MAX (8u << 20)

struct eta_chunk_meta {
	uint32_t next; /* chunk that follows in the stream, ETA_CHUNK_NONE = not there yet */
	uint32_t off;  /* stream offset of the first byte */
	uint32_t dti;  /* index of the DTI that uses it (no owner bits), ETA_DTI_NONE = free */
	uint16_t gen;  /* that DTI's generation */
	uint8_t order;
	uint8_t pad;
};
ETA_ASSERT_SIZE(struct eta_chunk_meta, 16);

/* ---- the DTI record ------------------------------------------------------------------------------------------------- */

enum eta_dti_state {
	ETA_DTI_FREE = 0,   /* engine needs nothing of it */
	ETA_DTI_CHILD,      /* posted on a master, no connection yet */
	ETA_DTI_CONNECTING, /* SYN-SENT */
	ETA_DTI_OPEN,       /* established; half-closed is told by the flags */
	ETA_DTI_LISTENING,  /* master */
	ETA_DTI_CLOSED,     /* no connection any more, status says why; AL has not rung CLOSE yet */
	ETA_DTI_MOVED,      /* lives in another segment now: ask KA (CLAIM) */
};

/* eta_dti_en.flags, eta_event.flags share these bits */
#define ETA_EV_READ 0x01u /* rcv_tail moved */
#define ETA_EV_WRITE \
	0x02u /* room in the send buffer that AL had asked for (ETA_DB_WANT_WRITE), or connected */
#define ETA_EV_ACCEPT 0x04u    /* master: arg names the child; see ACCEPT */
#define ETA_EV_RD_CLOSED 0x08u /* level: the peer's FIN stands at rcv_tail */
#define ETA_EV_CLOSED 0x10u    /* level: connection gone, status says why */
#define ETA_EV_URGENT 0x20u    /* urgent pointer moved; see eta_dti_en.urg */
#define ETA_EV_FREE 0x40u      /* the DTI may be used again */
#define ETA_EV_DONE 0x80u      /* descriptors done: arg = sq_head, re-read rq_head */

/* [AL] half, line 0: written on every call, read by the engine only off the fast path. */
struct eta_dti_al {
	uint32_t snd_tail; /* bytes queued for sending, cumulative */
	uint32_t rcv_head; /* bytes consumed, cumulative */
	uint32_t chunk;    /* send chunk of the oldest byte kept */
	uint32_t wants;    /* ETA_WANT_*: level form of what doorbells asked for */
	uint16_t gen;      /* use count of this DTI, raised by AL at each open */
	uint16_t pad0;
	uint32_t snd_lock; /* AL's own, between processes that share the DTI: 0 free, else lock_id of the holder | waiters bit 31 */
	uint32_t sq_tail; /* descriptors posted on the send queue, cumulative (registered memory) */
	uint32_t rq_tail; /* descriptors posted on the receive queue, cumulative */
	uint32_t sq_chunk; /* chunk that holds the send queue, ETA_CHUNK_NONE = none */
	uint32_t rq_chunk;
	uint32_t shut_at;  /* stream offset of FIN, valid with ETA_WANT_SHUT_WR */
	uint32_t rcv_lock; /* as snd_lock */
	uint32_t snd_urg;  /* stream offset after the urgent byte, valid with ETA_WANT_URG */
	uint32_t param_seq; /* raised with each change of line 1; the engine answers in eta_dti_en.param_seen */
	uint64_t cookie; /* of the application (native interface) or AL; the engine ignores it */

	/* line 1: parameters; written before the doorbell that refers to them (CONNECT, CHILD, LISTEN by KA, PARAM) */
	uint8_t raddr[16];        /* CONNECT: remote address; IPv4 as ::ffff:a.b.c.d */
	uint16_t rport_be;        /* CONNECT */
	uint16_t opt;             /* ETA_OPT_* */
	uint32_t rcvbuf_bytes;    /* 0 = automatic */
	uint32_t sndbuf_bytes;    /* 0 = automatic; informs eta_dti_en.snd_limit */
	uint32_t scope_id;        /* IPv6 link-local */
	uint32_t user_timeout_ms; /* 0 = default */
	uint16_t keep_idle_s;     /* 0 = default */
	uint16_t keep_intvl_s;    /* 0 = default */
	uint8_t keep_probes;      /* 0 = default */
	uint8_t cc;         /* congestion control: index in eta_core_page.cc_name, 0 = default */
	uint8_t tos;        /* DSCP + ECN bits as IP_TOS / IPV6_TCLASS */
	uint8_t ttl;        /* 0 = default */
	uint16_t maxseg;    /* TCP_MAXSEG, 0 = from path */
	uint16_t linger2_s; /* FIN-WAIT-2 time, 0 = default */
	uint32_t notsent_lowat; /* TCP_NOTSENT_LOWAT, 0 = configured default */
	uint32_t pace_64;       /* SO_MAX_PACING_RATE in units of 64 bytes/s, 0 = none */
	uint32_t window_clamp;  /* TCP_WINDOW_CLAMP, bytes, 0 = none */
	uint16_t fastopen_qlen; /* listener: embryos with data in their SYN, 0 = none */
	uint8_t syn_retries;    /* TCP_SYNCNT, 0 = default */
	uint8_t defer_accept_s; /* listener: keep an embryo until data comes, this long; 0 = off */
};
ETA_ASSERT_LINE(struct eta_dti_al, raddr, 1);

#define ETA_WANT_SHUT_WR 0x1u
#define ETA_WANT_CLOSE 0x2u
#define ETA_WANT_ABORT 0x4u
#define ETA_WANT_URG 0x8u
#define ETA_WANT_WRITE 0x10u

#define ETA_OPT_NODELAY 0x0001u
#define ETA_OPT_CORK 0x0002u
#define ETA_OPT_KEEPALIVE 0x0004u
#define ETA_OPT_QUICKACK 0x0008u
#define ETA_OPT_OOBINLINE 0x0010u
#define ETA_OPT_LOCAL_BOUND \
	0x0020u /* KA has authorised a local address and port for this DTI (ctl.h BIND) */
#define ETA_OPT_LINGER0 0x0040u /* CLOSE means ABORT */
#define ETA_OPT_DELACK 0x0080u  /* TCP_QUICKACK was set to 0: a dialogue, ACKs may wait for data */
/*
 * CONNECT: data may ride on the SYN if a cookie is known (RFC 7413). Then (eta_dti_en.syn_bytes) the SYN waits for the first bytes, or for
 * PARAM without this bit.
 */
#define ETA_OPT_FASTOPEN 0x0100u
#define ETA_OPT_FASTOPEN_NO_COOKIE 0x0200u /* ... or without; listener: takes it without */

/* [EN] half */
struct eta_dti_en {
	/* line 0: written with every event */
	uint32_t rcv_tail; /* bytes received in order, cumulative */
	uint32_t snd_una;  /* bytes acknowledged and no longer referred to, cumulative */
	uint32_t chunk;    /* receive chunk of the oldest byte AL has not told consumed */
	uint32_t ring_at; /* rcv_head at which AL owes a doorbell; before that, reading rings nothing */
	uint16_t gen;     /* generation of the use that state speaks of */
	uint8_t state;  /* enum eta_dti_state */
	uint8_t status; /* enum eta_status, why CLOSED */
	uint32_t flags; /* level bits: ETA_EV_RD_CLOSED, ETA_EV_CLOSED */
	uint32_t snd_limit; /* bytes AL may keep unacknowledged, <= ETA_STREAM_BYTES_MAX; grows with cwnd */
	uint32_t urg; /* stream offset of the byte after urgent data, valid with ETA_EV_URGENT in flags */
	uint32_t sq_head; /* send-queue descriptors done */
	uint32_t rq_head;
	uint32_t soft_status; /* SO_ERROR of a living connection: count << 8 | enum eta_status that ICMP said last, 0 = none;
			       * valid while snd_una == soft_una */
	uint32_t accept_n;   /* master: established connections bound to no child yet */
	uint32_t param_seen; /* param_seq that lines 1 and 2 reflect */
	uint32_t snd_nxt;    /* stream offset sent so far; as fresh as the last event */
	uint32_t ctx; /* the engine's own: where it finds the DTI's context again; means nothing to AL */
	uint32_t soft_una;

	/* line 1: set at open; mss is refreshed with state changes and on PARAM doorbells */
	uint8_t laddr[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t raddr[16];
	uint16_t lport_be;
	uint16_t rport_be;
	uint16_t mss; /* payload of a full segment */
	uint16_t syn_bytes; /* CONNECT with ETA_OPT_FASTOPEN: what the SYN may take along, 0 = it has left without */
	uint32_t pad2[6];
};
ETA_ASSERT_LINE(struct eta_dti_en, laddr, 1);
ETA_ASSERT_OFFSET(struct eta_dti_en, gen, 16);

/* Either half of a record: segments of both kinds are laid out alike. */
#define ETA_DTI_HALF_BYTES (2u * ETA_CACHELINE)
ETA_ASSERT_SIZE(struct eta_dti_al, ETA_DTI_HALF_BYTES);
ETA_ASSERT_SIZE(struct eta_dti_en, ETA_DTI_HALF_BYTES);

/* gen, state and status as the one word they share. */
#define ETA_DTI_WORD(en) ((const uint32_t *)(const void *)&(en)->gen)
#define ETA_DTI_WORD_MAKE(gen, state, status) \
	((uint32_t)(uint16_t)(gen) | (uint32_t)(state) << 16 | (uint32_t)(status) << 24)

/* ---- doorbells ------------------------------------------------------------------------------------------------------ */

enum eta_doorbell_op {
	ETA_DB_DATA = 0, /* counters only */
	ETA_DB_CONNECT,  /* open actively; arg0 = event queue to subscribe, arg1 = mask */
	ETA_DB_CHILD,    /* dti = master; arg0 = first child (own session), arg1 = count 1..256 */
	ETA_DB_ACCEPTED, /* the application holds the child; arg0 = event queue to subscribe, arg1 = mask */
	ETA_DB_SHUT_WR, /* arg0 = offset of FIN (= snd_tail) */
	ETA_DB_CLOSE,
	ETA_DB_ABORT,
	ETA_DB_PARAM,       /* re-read line 1 of the AL half; refresh mss of the EN half */
	ETA_DB_SUBSCRIBE,   /* arg0 = event queue, arg1 = mask | ETA_SUB_EXCLUSIVE: add or change */
	ETA_DB_UNSUBSCRIBE, /* arg0 = event queue */
	ETA_DB_DETACH,      /* this session holds the DTI no longer (it is shared) */
	ETA_DB_INFO, /* arg0 = ticket: what TCP knows of the DTI now, into the ring's eta_conn_info */
	ETA_DB_TAKE, /* dti = master: bind up to arg0 waiting connections to my children; answered by ACCEPT events */
	ETA_DB_OP_N
};

#define ETA_DB_OP_MASK 0x1fu
#define ETA_DB_EOR \
	0x20u /* with DATA, PARAM: a record ends at snd_tail (MSG_EOR): no segment carries it and what follows */
#define ETA_DB_MORE 0x40u /* with DATA: more follows (MSG_MORE): hold a short segment back */
#define ETA_DB_WANT_WRITE \
	0x80u /* with any op: tell me (ETA_EV_WRITE) when a third of the send buffer is free, or all acknowledged */

/* arg1 of CONNECT, ACCEPTED, SUBSCRIBE: ETA_EV_* bits wanted, and: */
#define ETA_SUB_EXCLUSIVE \
	0x10000u /* one of the exclusive subscribers is told, armed ones first (EPOLLEXCLUSIVE) */
#define ETA_SUBS_MAX 1024u /* subscribers of one DTI */

/*
 * One doorbell. CHILD posts children [arg0, arg0 + arg1) of the ringing session; the engine reads the gen of each from its AL half
 * and refuses a child that is not FREE. Without CHILD, snd_tail and rcv_head are those of the DTI.
 */
struct eta_doorbell {
	uint32_t dti;
	uint16_t gen;
	uint8_t op; /* ETA_DB_* */
	uint8_t phase;
	uint32_t snd_tail;
	uint32_t rcv_head;
	uint32_t arg0;
	uint32_t arg1;
	uint32_t sq_tail;
	uint32_t rq_tail;
};
ETA_ASSERT_SIZE(struct eta_doorbell, sizeof(struct eta_ring_slot));
ETA_ASSERT_OFFSET(struct eta_doorbell, phase, 7);

/*
 * What TCP knows of one connection, as asked for by ETA_DB_INFO. One record per doorbell ring: asking costs the asker, idle connections nothing.
 * Segments count as Linux counts them (TCP_INFO); times are intervals until the answer.
 */
struct eta_conn_info {
	/* [EN] line 0 */
	uint32_t ticket; /* arg0 of the question answered; stored last, with release */
	uint32_t dti;    /* and its dti and gen */
	uint16_t gen;
	uint8_t status;        /* enum eta_status: OK, or NOT_FOUND and nothing else is valid */
	uint8_t tcp_state;     /* RFC 9293 state as in TCP_INFO */
	uint8_t ca_state;      /* TCP_CA_* */
	uint8_t retransmits_n; /* timeouts since the last progress */
	uint8_t probes_n;
	uint8_t backoff_n;
	uint8_t opt; /* TCPI_OPT_* of linux/tcp.h */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t cc;             /* index in eta_core_page.cc_name */
	uint8_t is_app_limited; /* delivery_rate is the application's, not the network's */
	uint8_t is_pingpong;    /* a dialogue: ACKs wait for data */
	uint8_t fastopen_fail;  /* TFO_* of linux/tcp.h */
	uint8_t pad0;
	uint16_t snd_mss, rcv_mss, adv_mss;
	uint16_t pmtu_bytes;
	uint32_t rto_us, ato_us;
	uint32_t srtt_us, rttvar_us, rtt_min_us;
	uint32_t ts_val;          /* our timestamp clock now (RFC 7323 TSval) */
	uint32_t rto_recovery_ms; /* time spent in recoveries by timeout */
	uint32_t rehash_n;        /* changes of the IPv6 flow label after timeouts */
	/* line 1 */
	uint32_t unacked_segs, sacked_segs, lost_segs,
			retrans_segs; /* retrans: sent again, not acknowledged yet */
	uint32_t cwnd_segs, ssthresh_segs, reorder_segs;
	uint32_t data_sent_ms, data_rcvd_ms, ack_rcvd_ms; /* ago */
	uint32_t snd_wnd_bytes, rcv_wnd_bytes, rcv_ssthresh_bytes;
	uint32_t notsent_bytes;
	uint32_t rcv_rtt_us, rcv_space_bytes;
	/* lines 2 and 3 */
	uint64_t pacing_rate, pacing_rate_max; /* bytes/s, UINT64_MAX = none */
	uint64_t delivery_rate;                /* bytes/s, 0 = not measured */
	uint64_t bytes_acked, bytes_rcvd; /* as Linux: SYN and FIN count where it counts them */
	uint64_t bytes_sent, bytes_retrans;
	uint64_t busy_us, rwnd_limited_us, sndbuf_limited_us;
	uint32_t segs_out, segs_in, data_segs_out, data_segs_in;
	uint32_t retrans_n; /* segments sent again since open */
	uint32_t delivered_segs, delivered_ce_segs;
	uint32_t dsack_n, reorder_n, ooo_n;
	uint32_t rcvd_ce_segs;
	uint16_t rto_n, rto_recoveries_n;
};
ETA_ASSERT_SIZE(struct eta_conn_info, 4 * ETA_CACHELINE);
ETA_ASSERT_LINE(struct eta_conn_info, unacked_segs, 1);
ETA_ASSERT_LINE(struct eta_conn_info, pacing_rate, 2);

/* What goes with a doorbell ring, in the EN segment. */
struct eta_doorbell_credit {
	/* line 0 */
	uint32_t head;   /* as eta_ring_credit */
	uint32_t nap;    /* how often polled has become 0 */
	uint32_t polled; /* 0 = the engine no longer polls this idle ring: kick after a push */
	uint32_t pad[13];
	/* lines 1 to 4 */
	struct eta_conn_info info;
};
ETA_ASSERT_SIZE(struct eta_doorbell_credit, 5 * ETA_CACHELINE);
ETA_ASSERT_LINE(struct eta_doorbell_credit, info, 1);

/* ---- events --------------------------------------------------------------------------------------------------------- */

struct eta_event {
	uint32_t dti;
	uint16_t gen;
	uint8_t flags; /* ETA_EV_* */
	uint8_t phase;
	uint32_t rcv_tail;
	uint32_t snd_una;
	uint32_t ring_at;
	uint8_t state;  /* enum eta_dti_state */
	uint8_t status; /* enum eta_status */
	uint16_t arg_gen;
	uint32_t arg; /* ACCEPT: the child's number (own session) and arg_gen its generation */
	uint32_t snd_limit; /* as in eta_dti_en */
};
ETA_ASSERT_SIZE(struct eta_event, sizeof(struct eta_ring_slot));
ETA_ASSERT_OFFSET(struct eta_event, phase, 7);

/* ---- what everybody may see ----------------------------------------------------------------------------------------- */

/* Options that AL leaves to the kernel's own sockets where the engine does not know them. */
#define ETA_FEATURE_DEFER_ACCEPT 0x1u
#define ETA_FEATURE_FASTOPEN 0x2u /* both sides (RFC 7413) */
#define ETA_FEATURE_PACING 0x4u   /* SO_MAX_PACING_RATE */

#define ETA_CC_MAX 16u
#define ETA_CC_NAME_BYTES 16u

/* One per engine core, read-only in AL. */
struct eta_core_page {
	/* [EN] line 0 */
	uint32_t asleep; /* not 0 = kick after a doorbell; another number in each sleep */
	uint32_t pad0[15];
	/* [EN] line 1: apart, because line 0 is read after every doorbell */
	uint64_t heartbeat_tsc; /* TSC of a recent loop or wake-up, at most 1 ms old while awake; stale alone is no death: ask KA */
	uint64_t loops;
	uint32_t pad1[12];
	/* [KA] line 2 */
	uint32_t abi;   /* ETA_ABI_VERSION of etad */
	uint32_t epoch; /* raised at each etad start */
	uint64_t tsc_hz;
	uint32_t runnable; /* threads beside etad's that want a CPU, 0 while hardly any waits for one; a hint for spinning */
	uint32_t pad2[11];
	/* [EN] line 3, at start */
	uint32_t features;      /* ETA_FEATURE_*: what TCP of this etad does if asked */
	uint32_t cc_default;    /* index in cc_name */
	uint32_t notsent_lowat; /* bytes, for connections without TCP_NOTSENT_LOWAT, 0 = no limit */
	uint32_t pad3[13];
	/* [EN] lines 4 to 7, at start: congestion controls by index, NUL-terminated; empty = no such one */
	char cc_name[ETA_CC_MAX][ETA_CC_NAME_BYTES];
};
ETA_ASSERT_SIZE(struct eta_core_page, 8 * ETA_CACHELINE);
ETA_ASSERT_LINE(struct eta_core_page, features, 3);
ETA_ASSERT_LINE(struct eta_core_page, cc_name, 4);
ETA_ASSERT_LINE(struct eta_core_page, heartbeat_tsc, 1);
ETA_ASSERT_LINE(struct eta_core_page, abi, 2);

#endif
