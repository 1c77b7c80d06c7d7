/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of al/core share: the process's one root object, sessions and their segments, threads and their rings, conns.
 *
 * Slots. A process knows several sessions: its own and those it inherited by fork. Each has a slot here that never changes while the
 * process lives; the owner number that messages carry (0 = own) is looked up in the session, because a fork renumbers.
 * Lists. A conn is on at most one list at a time: free (ready for reuse, first in first out), zombie (closed, engine not done), sweep (open,
 * holds send chunks), posted (child waiting on its master). All are guarded by al_root.dti_lock and linked by index, not by pointer.
 * Locks, in the order they may nest: conn.snd_busy, dti_lock, ring.lock; map_lock and ctl_lock are leaves of all of them.
 *
 * Life: al_root is zero until attach; its arenas are reserved by mmap and touched as they are used; a forked child keeps sessions and conns
 * and makes the rest anew.
 */
#ifndef AL_CORE_AL_H
#define AL_CORE_AL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eta/ctl.h>
#include <eta/dti.h>
#include <eta/ring.h>

#include "al/core/core.h"
#include "al/core/lock.h"

#define AL_SLOTS_MAX 32u /* own session, inherited ones, and some that died since */
#define AL_SLOT_NONE 0xffu
#define AL_RINGS_MAX 64u
#define AL_THREADS_MAX 4096u
#define AL_FDS_MAX 1024u
#define AL_CACHE_N 16u /* free chunks of one order that a thread keeps */
#define AL_ORDERS_N 3u
#define AL_IDX_NONE 0xffffffffu
#define AL_CHILDREN_MAX 1024u /* posted on one master by this process */

/* ---- segments and sessions ---- */

struct al_seg {
	uint8_t *base; /* NULL = not mapped; stored last, with release */
	struct eta_chunk_meta *meta;
	uint8_t *chunks;
	uint64_t *map; /* AL's: bit = page in use */
	uint32_t chunk_pages;
	uint32_t dti_first, dti_n, dti_off;
	uint64_t bytes;
	uint8_t kind, core;
};

struct al_session {
	struct al_conn *conns; /* [conns_n] arena, by DTI index */
	uint32_t conns_n;
	uint32_t number; /* KA's; messages of the control socket name it */
	uint8_t owner;   /* as in ETA_DTI_OWNER; ETA_INHERIT_MAX + 1 = gone */
	bool used;
	uint64_t grow_refused_tsc; /* when KA said no to more send memory; 0 = it did not */
	uint32_t map_lock;
	uint32_t segs_n;           /* highest mapped number + 1 */
	uint32_t alloc_seg;        /* where the last chunk was found */
	uint32_t fresh, fresh_end; /* DTIs never handed out */
	struct al_seg seg[ETA_SEGS_MAX + 1];
};

/* ---- conns ---- */

/* Where a stream is being read or written: one chunk and its fixed range. */
struct al_cursor {
	uint8_t *bytes; /* of the chunk; NULL = no cursor, and len_bytes 0 */
	struct eta_chunk_meta *meta;
	uint32_t chunk;
	uint32_t off; /* stream offset of bytes[0] */
	uint32_t order;
	uint32_t len_bytes; /* of the chunk */
};

enum al_list {
	AL_LIST_NONE = 0,
	AL_LIST_FREE,
	AL_LIST_ZOMBIE,
	AL_LIST_SWEEP,
	AL_LIST_POSTED,
};

#define AL_CONN_HELD 0x0001u   /* the layer above has it */
#define AL_CONN_RUNG 0x0002u   /* the engine has heard of this use of the DTI */
#define AL_CONN_SHARED 0x0004u /* other processes hold it: lock, re-read, detach */
#define AL_CONN_MASTER 0x0008u
#define AL_CONN_SHUT_WR 0x0010u
#define AL_CONN_SHUT_RD 0x0020u
#define AL_CONN_WANT_WRITE 0x0040u /* asked for ETA_EV_WRITE, not answered yet */
#define AL_CONN_ERR_TAKEN 0x0080u
#define AL_CONN_BROKEN 0x0100u    /* shared memory contradicted itself; as if reset */
#define AL_CONN_URG_READ 0x0200u  /* urgent byte at urg was read */
#define AL_CONN_EXCLUSIVE 0x0400u /* subscribed with ETA_SUB_EXCLUSIVE */
#define AL_CONN_OPENING 0x0800u   /* native interface: its completion of connect is owed */
#define AL_CONN_EOF_TOLD 0x1000u  /* native interface: said already */
#define AL_CONN_CLOSED_TOLD 0x2000u
#define AL_CONN_ROOM_CHOSEN \
	0x4000u /* TCP_NOTSENT_LOWAT is set, or SO_SNDBUF and the engine may not know: see the record */
#define AL_EV_ALL 0xffu /* what we subscribe to */

struct al_conn {
	/* line 0: every call. Words that events of any thread write are accessed by al_get and al_put */
	struct eta_dti_al *al; /* NULL = record not mapped yet */
	const struct eta_dti_en *en;
	uint32_t dti_idx;
	uint16_t gen;
	uint8_t slot; /* session */
	uint8_t core;
	uint32_t snd_tail, snd_una, snd_limit;
	uint32_t rcv_head, rcv_tail, ring_at;
	uint32_t flags; /* AL_CONN_* */
	uint8_t state;  /* enum eta_dti_state, only ever forward */
	uint8_t status;
	uint8_t level;      /* ETA_EV_RD_CLOSED, ETA_EV_CLOSED, ETA_EV_URGENT */
	uint8_t list;       /* enum al_list */
	uint32_t snd_busy;  /* the send side is in use by a thread of ours, or by the sweep */
	uint32_t told_head; /* rcv_head of the last doorbell */

	/* line 1: the streams; or what a master keeps */
	union {
		struct {
			struct al_cursor snd, rcv;
		};
		struct {
			uint32_t posted_first, posted_last,
					posted_n; /* children, in the order posted */
			uint32_t posted_max;
			uint32_t due_n; /* ACCEPT events not yet answered by an accept */
			int shadow_fd;  /* native interface: the listening socket */
		} master;
	};

	/* line 2 */
	void *user;
	uint64_t rings;      /* bit = subscribed ring (slot in al_root.ring) */
	uint32_t prev, next; /* list */
	uint32_t serial;     /* use count of this handle, 32 bits */
	uint32_t master_idx; /* child: its master's DTI, in the same slot's process view */
	uint64_t cookie;     /* native interface */
	uint32_t urg;        /* stream offset after the urgent byte */
	uint32_t soft_taken; /* eta_dti_en.soft_status that was reported */
	uint32_t pad[4];
};
ETA_ASSERT_LINE(struct al_conn, snd, 1);
ETA_ASSERT_LINE(struct al_conn, user, 2);
ETA_ASSERT_SIZE(struct al_conn, 3 * ETA_CACHELINE);

static inline uint32_t al_get(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void al_put(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline uint8_t al_get8(const uint8_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void al_flag_set(struct al_conn *conn, uint32_t flag)
{
	if (!(al_get(&conn->flags) & flag))
		__atomic_or_fetch(&conn->flags, flag, __ATOMIC_RELAXED);
}

static inline void al_flag_clear(struct al_conn *conn, uint32_t flag)
{
	if (al_get(&conn->flags) & flag)
		__atomic_and_fetch(&conn->flags, ~flag, __ATOMIC_RELAXED);
}

static inline bool al_flag(const struct al_conn *conn, uint32_t flag)
{
	return (al_get(&conn->flags) & flag) != 0;
}

/* Flags that take a call off its short way. */
#define AL_CONN_SND_SLOW (AL_CONN_SHARED | AL_CONN_SHUT_WR | AL_CONN_BROKEN | AL_CONN_ROOM_CHOSEN)
#define AL_CONN_RCV_SLOW (AL_CONN_SHARED | AL_CONN_BROKEN)

/* ---- threads and rings ---- */

struct al_ring {
	struct eta_ring_producer db;
	struct eta_ring_consumer ev;
	const struct eta_doorbell_credit *credit;
	const struct eta_core_page *page;
	uint32_t lock;  /* taken where is_shared */
	bool is_shared; /* several threads may use it; fixed when the ring is made */
	bool used;
	uint8_t core;
	uint8_t idx;     /* in al_root.ring */
	uint16_t number; /* KA's: the event queue in SUBSCRIBE */
	int kick_fd, wake_fd;
	uint32_t kicked_asleep, kicked_nap; /* what we have kicked for */
	uint32_t threads_n;
	uint32_t sleepers_n; /* threads armed on it */
	uint32_t arm_seq;
	uint64_t events_n;    /* taken, for statistics */
	uint32_t info_lock;   /* one question (ETA_DB_INFO) at a time */
	uint32_t info_ticket; /* of the last question */
};

struct al_waiter {
	uint32_t asleep; /* armed: al_wake_thread() must write event_fd */
	uint32_t poked;  /* somebody woke us */
	int event_fd;
	int epoll_fd;
};

struct al_thread {
	struct al_waiter waiter;
	struct al_ring *ring[ETA_CORES_MAX]; /* NULL = none yet */
	uint32_t rings_n;                    /* cores that have one */
	uint8_t used;
	bool is_armed;
	uint32_t ctl_watched; /* epoll has the control socket */
	uint64_t epoll_rings; /* bit = its wake pipe is in epoll */
	uint32_t spin_ns, spin_missed_n;
	uint32_t cache_n[AL_ORDERS_N];
	uint32_t cache[AL_ORDERS_N]
		      [AL_CACHE_N]; /* free chunks of our own session, last in first out */
};

/* ---- the process ---- */

enum al_state {
	AL_DETACHED = 0,
	AL_ATTACHED,
	AL_FORKED, /* child: attach by fork_fd at the first use */
};

struct al_list_head {
	uint32_t first, last; /* slot << 24 | DTI index, AL_IDX_NONE */
	uint32_t n;
};

struct al_kept_fd {
	int *home; /* where its number is kept, NULL = free entry */
};

struct al_root {
	uint32_t state;   /* enum al_state, release */
	uint32_t is_gone; /* etad died or dropped us; sticky */
	uint32_t is_ending;
	bool membarrier;
	struct al_conn *own_conns; /* of the own session, for look-ups */
	uint32_t own_conns_n;
	uint8_t own_slot;
	uint8_t slot_of_owner[ETA_INHERIT_MAX + 1];
	uint32_t attach_lock, ctl_lock, dti_lock, thread_lock, fd_lock;
	int ctl_fd, fork_fd;
	uint32_t ctl_seq;
	uint32_t lock_id;
	uint32_t policy;
	uint32_t cores_n;
	uint32_t epoch;
	uint16_t port_lo, port_hi;
	const uint8_t *pages; /* core pages */
	uint32_t pages_stride, pages_bytes;
	int kick_fd[ETA_CORES_MAX];
	uint64_t tsc_hz;
	uint64_t swept_tsc;
	uint32_t rings_n;
	uint32_t rings_refused;
	uint32_t cpus_n;
	bool has_thread_key;
	unsigned int thread_key;
	struct al_list_head free_list, zombies, sweep_list;
	void (*on_ready)(struct al_conn *conn, void *user, uint32_t event_flags);
	uint32_t share_n;
	struct eta_ctl_share share;
	struct al_kept_fd fd[AL_FDS_MAX];
	uint32_t fds_n;
	int fd_floor;
	uint8_t ctl_buf[ETA_CTL_BYTES_MAX] __attribute__((aligned(8)));
	struct al_ring ring[AL_RINGS_MAX];
	struct al_thread *threads; /* [AL_THREADS_MAX] arena */
	struct al_session session[AL_SLOTS_MAX];
};

extern struct al_root al_root;
extern __thread struct al_thread *al_self __attribute__((tls_model("initial-exec")));

static inline uint64_t al_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static inline bool al_is_gone(void)
{
	return al_get(&al_root.is_gone) != 0;
}

/* ---- ctl.c ---- */

/**
 * al_ctl_call() - One request, its reply.
 * @req: [@req_len] begins with eta_ctl_hdr; seq is filled in here.
 * @req_fd: descriptor to pass, or -1.
 * @rep: [@rep_len] receives the reply if its length is right and its status OK.
 * @fds: [@fds_n] descriptors that must come with it; all are closed on failure.
 *
 * Return: 0; -errno of the status KA gave; -ECONNRESET etad is gone; -EPROTO a malformed reply.   Thread: any.
 */
int al_ctl_call(void *req, size_t req_len, int req_fd, void *rep, size_t rep_len, int *fds,
		uint32_t fds_n);
/* Take what KA sent unasked; notices that etad died. */
void al_ctl_notices(void);
void al_gone(void);

/* ---- fds.c ---- */

/* Move @fd high and remember that it is ours; its number lives in *@home from now on. Return: it, or -errno (closed then). */
int al_fd_keep(int fd, int *home);
void al_fd_drop(int *home);
void al_fds_forget_all(void);

/* ---- attach.c ---- */

struct al_session *al_session_new(uint32_t number, uint8_t owner, uint32_t dtis_max);

/* End the session: no thread may be inside AL, none may use a conn afterwards. */
void al_detach(void);

/* ---- seg.c ---- */

/* Map a segment by descriptor (consumed). Return 0 or -errno. */
int al_seg_install(struct al_session *s, const struct eta_seg_geom *geom, int fd);
/* Segment @n of @s, mapped on first meeting. NULL: KA does not give it. */
struct al_seg *al_seg_find(struct al_session *s, uint32_t n);
/* The two halves of DTI @idx. Return 0 or -errno. */
int al_seg_record(struct al_session *s, uint32_t idx, struct eta_dti_al **al,
		const struct eta_dti_en **en, uint8_t *core);
int al_seg_grow(struct al_session *s, uint8_t what);

static inline struct al_seg *al_seg(struct al_session *s, uint32_t n)
{
	struct al_seg *seg = &s->seg[n & 0xffu];

	if (ETA_LIKELY(__atomic_load_n(&seg->base, __ATOMIC_ACQUIRE) != NULL))
		return seg;
	return al_seg_find(s, n);
}

/* ---- mem.c ---- */

/* A free chunk of at most @order (a valid one); *order says which. ETA_CHUNK_NONE: no memory. */
uint32_t al_chunk_take(struct al_session *s, uint32_t *order);
void al_chunk_give(struct al_session *s, uint32_t chunk, uint32_t order);
void al_cache_flush(struct al_thread *t);
/* Free what the engine has acknowledged, of all conns that nobody is sending on; partly filled last chunks too. */
void al_sweep(void);

/* Chunk @chunk of @order as hostile memory names it: its place, or NULL if there is no such chunk. @kind: ETA_SEG_AL or ETA_SEG_EN. */
static inline uint8_t *al_chunk_at(struct al_session *s, uint32_t chunk, uint32_t order,
		uint8_t kind, struct eta_chunk_meta **meta)
{
	uint32_t page = ETA_CHUNK_PAGE(chunk);
	struct al_seg *seg;

	if (ETA_UNLIKELY(chunk >> 28 || ETA_CHUNK_SEG(chunk) >= ETA_SEGS_MAX))
		return NULL;
	seg = al_seg(s, ETA_CHUNK_SEG(chunk));
	if (ETA_UNLIKELY(!seg || seg->kind != kind || page >= seg->chunk_pages))
		return NULL;
	if (ETA_UNLIKELY(order != ETA_CHUNK_ORDER_SMALL && order != ETA_CHUNK_ORDER_MEDIUM &&
			    order != ETA_CHUNK_ORDER_LARGE))
		return NULL;
	if (ETA_UNLIKELY((page & ((1u << order) - 1)) || (1u << order) > seg->chunk_pages - page))
		return NULL;
	*meta = &seg->meta[page];
	return seg->chunks + (size_t)page * ETA_PAGE_BYTES;
}

/* Only its meta: the order is read from there. */
static inline struct eta_chunk_meta *al_chunk_meta(
		struct al_session *s, uint32_t chunk, uint8_t kind)
{
	struct eta_chunk_meta *meta = NULL;

	return al_chunk_at(s, chunk, 0, kind, &meta) ? meta : NULL;
}

/* ---- snd.c, rcv.c ---- */

void al_snd_free(struct al_conn *conn, bool drop_idle); /* snd_busy held */
void al_snd_release_all(struct al_conn *conn);          /* the engine is done with the DTI */
bool al_snd_has_room(struct al_conn *conn); /* a quarter of what may be kept, or nothing kept */
void al_snd_want_room(struct al_conn *conn);
bool al_rcv_is_ready(const struct al_conn *conn);
/* Shared conns: the lock in the record. Return 0 or -errno. */
int al_record_lock(struct al_conn *conn, uint32_t *word);
void al_record_unlock(uint32_t *word);

int al_share_flush(void);

/* ---- submit.c ---- */

void al_ring_push(struct al_ring *ring, const uint64_t w[4]);
/* Ring @op for @conn with its current counters. Return 0; -ECONNRESET no session any more. */
int al_ring_op(struct al_conn *conn, uint32_t op, uint32_t arg0, uint32_t arg1);
/* The same for operations that name the calling thread's event queue: CONNECT, ACCEPTED, SUBSCRIBE, UNSUBSCRIBE. */
int al_ring_queue_op(struct al_conn *conn, uint32_t op, uint32_t mask);

static inline uint64_t al_pair(uint32_t lo, uint32_t hi)
{
	return lo | (uint64_t)hi << 32;
}

/* Must this ring's lock be taken? Other threads come into being while none is inside. */
static inline bool al_ring_is_locked(const struct al_ring *ring)
{
	return ring->is_shared && !al_is_single_threaded();
}

/* After a push: is anybody looking? If not, kick, once per sleep. */
void al_ring_rouse(struct al_ring *ring);

static inline void al_ring_look(struct al_ring *ring)
{
	if (ETA_LIKELY(al_root.membarrier))
		__asm__ volatile("" ::: "memory");
	else
		eta_fence_store_load();
	if (ETA_UNLIKELY(eta_load_relaxed_u32(&ring->page->asleep) ||
			    !eta_load_acquire_u32(&ring->credit->polled)))
		al_ring_rouse(ring);
}

static inline struct al_session *al_session_of(const struct al_conn *conn)
{
	return &al_root.session[conn->slot];
}

static inline uint32_t al_dti_number(const struct al_conn *conn)
{
	if (ETA_LIKELY(conn->slot == al_root.own_slot))
		return conn->dti_idx;
	return ETA_DTI_MAKE(al_session_of(conn)->owner, conn->dti_idx);
}

/* ---- thread.c ---- */

struct al_thread *al_thread_make(void);
struct al_ring *al_ring_install(const struct eta_ring_geom *g, int wake_fd, int kick_fd);
struct al_ring *al_ring_make(struct al_thread *t, uint8_t core);

/* NULL: no session any more, or no thread slot. */
static inline struct al_thread *al_thread_get(void)
{
	struct al_thread *t = al_self;

	return ETA_LIKELY(t != NULL) ? t : al_thread_make();
}

static inline struct al_ring *al_ring_of(struct al_thread *t, uint8_t core)
{
	struct al_ring *ring = t->ring[core];

	return ETA_LIKELY(ring != NULL) ? ring : al_ring_make(t, core);
}

/* Counters only, by the calling thread's ring: al_ring_op(conn, op, 0, 0) without a call on the usual way. @op: DATA with its flags. */
static inline int al_ring_data(struct al_conn *conn, uint32_t op)
{
	struct al_thread *t = al_self;
	struct al_ring *ring = ETA_LIKELY(t != NULL) ? t->ring[conn->core] : NULL;
	uint32_t rcv_head = al_get(&conn->rcv_head);
	const uint64_t w[4] = {
			al_dti_number(conn) | (uint64_t)conn->gen << 32 | (uint64_t)op << 48,
			al_pair(conn->snd_tail, rcv_head),
	};

	if (ETA_UNLIKELY(!ring || al_ring_is_locked(ring) || !eta_ring_push(&ring->db, w)))
		return al_ring_op(conn, op, 0, 0);
	al_put(&conn->told_head, rcv_head);
	al_ring_look(ring);
	return 0;
}

/* ---- event.c ---- */

uint32_t al_ring_drain(struct al_ring *ring, uint32_t max);
/* As al_poll_events(), at most @max. */
uint32_t al_poll_events_max(uint32_t max);
/* A doorbell that is rung now is taken after the engine has looked at what has come to its port until now. Microseconds. */
void al_wait_turn_begun(const struct al_ring *ring);
/* Spin as al_wait_spin(), looking by @look. */
bool al_wait_spin_by(bool (*look)(void));
/* Read the EN half and believe what is plausible. Return: something changed. */
bool al_conn_refresh(struct al_conn *conn);

/* ---- list.c ---- */

struct al_conn *al_conn_at(uint32_t ref); /* slot << 24 | index; NULL for AL_IDX_NONE */
void al_list_add(struct al_conn *conn, enum al_list list);
void al_list_remove(struct al_conn *conn);
void al_sweep_watch(struct al_conn *conn); /* it holds send chunks from now on */

static inline uint32_t al_conn_ref(const struct al_conn *conn)
{
	return (uint32_t)conn->slot << 24 | conn->dti_idx;
}

/* ---- conn.c ---- */

/* A DTI of our own session, initialised for a new use, gen raised, not rung. */
struct al_conn *al_conn_take(void);
/* Give it back; never opened. */
void al_conn_untake(struct al_conn *conn);
void al_conn_reap(struct al_conn *conn);
int al_conn_connect_start(
		struct al_conn *conn, const struct sockaddr *remote, socklen_t len, int bound_fd);

/* ---- accept.c ---- */

void al_accept_event(struct al_conn *master, uint32_t arg, uint16_t arg_gen);
void al_master_post(struct al_conn *master);
void al_master_close(struct al_conn *master);
bool al_master_ready(struct al_conn *master);
/* In a forked child: what the parent posted is the parent's. */
void al_master_forget(struct al_conn *master);

#endif
