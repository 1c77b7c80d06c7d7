/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the engine knows of one endpoint beside TCP: whose DTI it is, where its bytes lie, who is told.
 *
 * One record per context, parallel to struct tcp_ctx by index; 128 bytes, so that an idle connection costs the engine less than 700 bytes
 * in all. No pointers: chunks, sessions, rings and lists are numbers.
 *
 * A slot is in use while TCP needs it (TCP_USED), while a DTI is bound to it (BOUND), while it waits for an accept() (WAITING), or
 * while something is still owed to somebody (DIRTY, OWED); the last of them to go frees the slot. So a connection in TIME-WAIT has
 * no DTI, and a DTI that was reset keeps its slot until AL rings CLOSE.
 *
 * Stream offsets count from 0 at open, as in eta/dti.h.
 */
#ifndef ENGINE_DTI_DTI_CTX_H
#define ENGINE_DTI_DTI_CTX_H

#include <stdint.h>

#include <eta/abi.h>
#include <eta/dti.h>

#include "engine/net/addr.h"

/* dti_ctx.flags */
#define DTI_CTX_TCP_USED 0x0001u   /* TCP has not called tcp_up_free() */
#define DTI_CTX_BOUND 0x0002u      /* session, dti, gen are valid and the EN half speaks of us */
#define DTI_CTX_DIRTY 0x0004u      /* on the list of contexts to publish */
#define DTI_CTX_HASHED 0x0008u     /* in the context table */
#define DTI_CTX_MASTER 0x0010u     /* listener: master is its struct dti_master */
#define DTI_CTX_UNACCEPTED 0x0020u /* child of a master, the application has not got it yet */
#define DTI_CTX_WAITING 0x0040u    /* established and bound to no child, on its master's queue */
#define DTI_CTX_CLOSING 0x0080u    /* AL rang CLOSE: free the DTI when its bytes are acknowledged */
#define DTI_CTX_SHUT 0x0100u       /* AL rang SHUT_WR: snd_tail is final */
#define DTI_CTX_WANT_WRITE 0x0200u /* AL waits for room in the send buffer */
#define DTI_CTX_SHARED 0x0400u     /* other processes hold it too: survives its session */
#define DTI_CTX_KILL 0x0800u       /* hostile or broken: abort at the next publish */
#define DTI_CTX_SWEPT 0x1000u      /* on a sweep list */
#define DTI_CTX_ACTIVE 0x2000u     /* bytes came since the sweep last looked */
#define DTI_CTX_TUPLE \
	0x4000u /* its local port is outside the engine's range: KA was, or is to be, told */
#define DTI_CTX_NOTICE 0x8000u /* that TUPLE_ADD (TCP_USED) or TUPLE_DEL is still owed to KA */

/* A subscription. Its reference (uint32_t): context index = the one inline; DTI_SUB_NODE | node = one of the pool. 0 = none. */
#define DTI_SUB_NODE 0x80000000u
#define DTI_SUB_RING_MASK 0x3fffu
#define DTI_SUB_EXCLUSIVE 0x8000u
#define DTI_SUB_OWED 0x4000u /* on its ring's owed-list */

struct dti_sub {
	uint16_t ring;      /* index in the core's ring table | DTI_SUB_*, 0 = no subscription */
	uint8_t mask;       /* ETA_EV_* wanted */
	uint8_t pend;       /* ETA_EV_* owed */
	uint32_t owed_next; /* reference */
};
ETA_ASSERT_SIZE(struct dti_sub, 8);

struct dti_ctx {
	/* line 0: doorbells, placing, sending, events */
	uint16_t session;       /* index in the core's session table; 0 = none */
	uint16_t gen;           /* of the DTI's use */
	uint32_t dti;           /* index in the session's DTI space */
	uint16_t flags;         /* DTI_CTX_* */
	uint16_t rcvbuf_kib;    /* SO_RCVBUF, 0 = automatic */
	uint16_t sndbuf_kib;    /* SO_SNDBUF, 0 = automatic */
	uint16_t snd_limit_kib; /* what AL was told it may keep unacknowledged */
	uint32_t rcv_tail;      /* received in order */
	uint32_t rcv_head;      /* consumed, as AL has told us */
	uint32_t snd_tail;      /* queued, as AL has told us and we have believed */
	uint32_t snd_una;       /* acknowledged */
	uint32_t sub_more;      /* node of the second subscription, 0 = none */
	union {
		uint32_t snd_chunk; /* private copy of the oldest send chunk's meta; ETA_CHUNK_NONE = none */
		uint32_t accept_next; /* WAITING: next in the master's queue */
	};
	union {
		uint32_t snd_off;
		uint32_t dead_why; /* WAITING: enum eta_status that ended the connection, 0 = it lives */
	};
	uint32_t snd_more;  /* note of the following send chunk, 0 = none */
	uint32_t snd_last;  /* note of the last send chunk, 0 = the one above is the last */
	uint32_t rcv_chunk; /* receive chunk of the oldest byte kept, ETA_CHUNK_NONE = none */
	uint32_t rcv_last;  /* newest receive chunk */
	union {
		uint32_t rcv_cur; /* where the last bytes were placed */
		uint32_t stage;   /* WAITING: buffer of early bytes, 0 = none */
	};

	/* line 1: output, lists */
	struct ip_tuple tuple;
	uint32_t dirty_next;
	struct dti_sub sub;
	uint32_t sweep_next;
	uint32_t master; /* UNACCEPTED, WAITING, embryo: context of the listener; MASTER: index of its dti_master; else 0 */
	uint8_t snd_order; /* of snd_chunk */
	uint8_t tos;       /* for IP */
	uint8_t ttl;
	uint8_t ev; /* ETA_EV_* to publish at the end of this burst */
};
ETA_ASSERT_SIZE(struct dti_ctx, 2 * ETA_CACHELINE);
ETA_ASSERT_LINE(struct dti_ctx, tuple, 1);

#endif
