/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine's record of a session: which memory it shares with us, which rings it rings, how much it may use.
 *
 * Sessions, segments, rings and the bitmaps of receive pages come from pools sized at create, named by index; index 0 of each is
 * never used. KA has checked every geometry, and it is checked here again, because an engine that believes a wrong number writes
 * outside.
 *
 * Life: FREE -> SESSION_ADD -> LIVE -> SESSION_ORPHAN -> ORPHAN (rings gone, shared DTIs live) -> SESSION_DEL -> DYING: the core
 * visits the context table a slice per turn until nothing refers to the session, then tells KA and the record is FREE.
 */
#ifndef ENGINE_DTI_SESSION_H
#define ENGINE_DTI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/abi.h>
#include <eta/admin.h>
#include <eta/dti.h>
#include <eta/ring.h>

struct dti;

#define SESSION_RINGS_MAX 256u /* ring numbers 0 .. 255 */
#define SESSION_DSEGS_MAX 32u  /* pairs of segments with DTI records */
#define SEG_MAP_PAGES 4096u    /* pages of one bitmap block */
#define SEG_MAP_WORDS (SEG_MAP_PAGES / 64u)
#define SEG_MAP_BLOCKS \
	16u /* blocks of one segment: receive memory beyond 256 MiB of a segment stays unused */

enum session_state {
	SESSION_FREE = 0,
	SESSION_LIVE,
	SESSION_ORPHAN,
	SESSION_DYING,
};

struct dti_seg {
	uint8_t *base; /* etad's mapping; of an AL segment never written */
	uint64_t bytes;
	uint8_t kind; /* enum eta_seg_kind; 0 = unused */
	uint8_t seg;  /* number in the session */
	uint16_t session;
	uint32_t dti_off, dti_first, dti_n;
	uint32_t meta_off, chunk_off, chunk_pages;
	/* EN segments: receive pages */
	uint32_t pages; /* that the bitmap covers */
	uint32_t pages_free;
	uint32_t hint; /* bitmap word to look at first: where a page was freed last */
	uint16_t map[SEG_MAP_BLOCKS]; /* blocks; bit set = in use */
};

struct dti_ring {
	struct eta_ring_consumer db;
	struct eta_ring_producer ev;
	uint16_t session; /* 0 = unused */
	uint16_t number;
	uint16_t next; /* of the session's rings */
	bool is_polled;
	bool is_dormant; /* off the polled list, AL kicks */
	uint32_t nap;    /* how often it left that list */
	bool is_touched; /* events pushed in this burst */
	bool is_closed;  /* its session is going: nothing is sent any more */
	bool is_owing;   /* on the list of rings with something owed */
	uint16_t owing_next;
	uint32_t armed_woken; /* the arming that was woken last */
	int wake_fd;
	uint32_t owed_head, owed_tail;   /* subscriptions with an event owed: references */
	uint32_t reply_head, reply_tail; /* refusals owed: struct dti_reply */
	uint64_t used_us;                /* when it last had an entry */
};

/* Both halves of a range of DTIs. */
struct session_dseg {
	uint32_t first, n;
	const struct eta_dti_al *al;
	struct eta_dti_en *en;
};

struct session {
	uint32_t number; /* KA's */
	uint16_t idx;
	uint8_t state;      /* enum session_state */
	bool is_seg_wanted; /* SEG_WANT is owed */
	bool is_seg_asked; /* told since memory last came; refusals are silent, so see seg_asked_us */
	bool is_orderly;   /* DYING: FIN, not RST */
	bool is_ending;    /* session_reap() works on it */
	bool is_reaped;    /* it has seen every context once */
	uint32_t dtis_max;
	uint32_t ctx_n;        /* contexts bound to it */
	uint32_t note_n;       /* send chunk notes of its DTIs */
	uint64_t seg_asked_us; /* when SEG_WANT was last told */
	uint64_t rcv_bytes_max;
	uint32_t rcv_pages;     /* in use */
	uint32_t rcv_pages_all; /* in its segments */
	uint16_t inherited_n;
	uint16_t inherited[ETA_INHERIT_MAX]; /* session indices; 0 = gone */
	uint16_t dseg_n;
	uint16_t seg_hi;     /* highest segment number + 1 */
	uint16_t en_at;      /* EN segment that gave a page last */
	uint16_t ring_first; /* list of its rings, through dti_ring.next */
	uint16_t ring_at;    /* deficit round robin: ring to go on with */
	uint16_t poll_next;  /* list of sessions with polled rings; itself when alone */
	uint16_t ring_n;
	uint16_t ring_polled_n;
	int32_t deficit; /* entries it may still have taken this turn */
	int kick_fd;
	uint32_t reap_at;    /* context the slice visitor comes to next */
	uint64_t reap_us;    /* when it last began with the first */
	uint64_t del_cookie; /* of SESSION_DEL or SESSION_ORPHAN, answered when reaped */
	uint16_t del_op;
	uint32_t uid;
	int32_t pid;
	struct session_dseg dseg[SESSION_DSEGS_MAX];
	uint16_t seg[ETA_SEGS_MAX + 1];
	uint16_t ring[SESSION_RINGS_MAX];
};

/* KA's number -> record, NULL = unknown. Context: cold. */
struct session *session_find(struct dti *d, uint32_t number);

/* Apply the command of that name. Context: cold, core. Return: status for DONE. */
enum eta_status session_add(struct dti *d, const struct eta_admin_msg *msg);
enum eta_status session_seg_add(struct dti *d, const struct eta_admin_msg *msg);
enum eta_status session_ring_add(struct dti *d, const struct eta_admin_msg *msg);

/**
 * session_end() - Begin SESSION_DEL or SESSION_ORPHAN.
 *
 * Rings are drained once more, then closed; subscriptions by them end. The visitor (session_reap) does the rest.
 */
enum eta_status session_end(struct dti *d, const struct eta_admin_msg *msg);

/**
 * session_reap() - A slice of the work that ending sessions need.
 * @slice: contexts to visit.
 *
 * Return: the session that needs no more, which the caller reports and hands to session_forget(); NULL = none yet.
 */
struct session *session_reap(struct dti *d, uint32_t slice);
/* The core stops: whatever ending sessions still have is reset now. */
void session_hurry(struct dti *d);
/* Microseconds until session_reap() has something to do; UINT64_MAX = nothing ends. */
uint64_t session_reap_in_us(const struct dti *d);
/* DYING: give everything back. ORPHAN: nothing; it stays until SESSION_DEL. */
void session_forget(struct dti *d, struct session *s);

/* The DTI @index of @s. Return: false = no such DTI. Context: hot. */
static inline bool session_dti(const struct session *s, uint32_t index,
		const struct eta_dti_al **al, struct eta_dti_en **en)
{
	for (uint32_t i = 0; i < s->dseg_n; i++) {
		uint32_t k = index - s->dseg[i].first;

		if (k < s->dseg[i].n) {
			*al = &s->dseg[i].al[k];
			*en = &s->dseg[i].en[k];
			return true;
		}
	}
	return false;
}

/* Memory of receive pages. Chunk numbers; ETA_CHUNK_NONE = none free in the quota. Context: hot. */
uint32_t session_page_alloc(struct dti *d, struct session *s, uint32_t order);
void session_page_free(struct dti *d, struct session *s, uint32_t chunk, uint32_t order);
/* SEG_WANT is owed to KA: at the end of this turn, or a while after it was last told. */
void session_want_seg(struct dti *d, struct session *s);
/* May it be told now? */
bool session_seg_is_due(const struct dti *d, const struct session *s);
/* It was. */
void session_seg_asked(const struct dti *d, struct session *s);
/* Bytes of receive memory that could still be had. */
uint64_t session_rcv_free_bytes(const struct session *s);

#endif
