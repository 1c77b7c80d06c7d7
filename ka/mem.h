/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared memory: segments, where things lie in them, and what happens when an application spoils one.
 *
 * A segment is a memfd that KA creates, fills with pages at once, seals against resizing and maps: AL segments read-only in etad, EN segments read-write.
 * AL gets the writable descriptor of an AL segment, and of an EN segment one that was opened for reading, of an inode of mode 0444, so
 * that a program which is not root cannot open it again for writing. (F_SEAL_FUTURE_WRITE would stop root as well, but also an etad that takes over.)
 *
 * Seals do not prevent holes: an application may punch its AL segment, and when no page is left a later touch by the engine is SIGBUS.
 * The handler installed here maps zero pages over the whole segment, marks it spoiled, wakes KA by an eventfd, and the faulting instruction
 * goes on; KA then ends the session. A SIGBUS elsewhere is a bug and keeps its default effect.
 *
 * Layout. Initial segments hold DTI records, MEM_RINGS_FIRST rings, metadata and chunk pages; later ones are only chunks, DTIs with chunks, or rings.
 *
 * Life: mem_init -> mem_seg_create/destroy -> mem_fini. Thread: KA; the handler runs in any thread.
 */
#ifndef KA_MEM_H
#define KA_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eta/ctl.h>

#define MEM_HUGE_BYTES (2u << 20)
#define MEM_RING_ENTRIES 1024u
#define MEM_RINGS_FIRST 4u  /* room for this many rings in the first pair of segments */
#define MEM_RINGS_LATER 32u /* in a pair made for rings */
#define MEM_DTIS_FIRST 256u
#define MEM_DTIS_LATER 1024u
#define MEM_SEGS_MAX 8192u /* segments of all sessions */

struct mem_seg {
	struct eta_seg_geom geom;
	int fd;        /* writable */
	int fd_share;  /* what AL gets: @fd for AL segments, a read-only one for EN */
	uint8_t *base; /* etad's mapping */
	uint64_t bytes;
	uint32_t ring_off; /* rings: start of the area, n slots of MEM_RING_ENTRIES */
	uint32_t rings_n, rings_max;
	uint32_t spoiled; /* set by the SIGBUS handler */
	uint32_t session; /* owner, for the log */
	uint32_t slot;    /* in the handler's table */
};

struct mem {
	bool has_huge;  /* segments come from hugepages while there are any */
	int numa_node;  /* -1 = anywhere */
	int spoiled_fd; /* eventfd: a segment was spoiled */
	uint64_t bytes; /* in segments now */
	uint64_t segs_n;
	uint64_t small_n;  /* segments that had to take ordinary pages */
	uint64_t sigbus_n; /* repaired faults */
};

/* What a segment is to hold; mem_seg_create() lays it out. */
struct mem_plan {
	uint8_t kind; /* ETA_SEG_AL, ETA_SEG_EN */
	uint8_t seg;
	uint8_t core;
	uint32_t session;
	uint32_t dti_first, dti_n;
	uint32_t rings_max;
	uint64_t bytes; /* whole segment, rounded up to its page size; chunk pages fill what is left */
	bool no_chunks;
};

/* Install the SIGBUS handler. One mem per process. 0 or -errno. */
int mem_init(struct mem *mem, bool want_huge, int numa_node);
void mem_fini(struct mem *mem);
/* Can a hugepage be had now? */
bool mem_huge_works(void);

/**
 * mem_layout() - Decide where things lie.
 * @geom: filled but for .huge. @ring_off: start of the ring area.
 *
 * Return: 0; -EINVAL the parts do not fit in @plan->bytes.
 */
int mem_layout(const struct mem_plan *plan, struct eta_seg_geom *geom, uint32_t *ring_off);

/* NULL with errno: ENOMEM, EINVAL, EMFILE, ENOSPC (MEM_SEGS_MAX). All bytes zero; chunk metas of EN free (dti = NONE). */
struct mem_seg *mem_seg_create(struct mem *mem, const struct mem_plan *plan);
/* Only after the engine let go. NULL is allowed. */
void mem_seg_destroy(struct mem *mem, struct mem_seg *seg);

/* Place ring @ring in the next free slots of @al and @en. 0; -ENOSPC one of them is full. */
int mem_ring_place(
		struct mem_seg *al, struct mem_seg *en, uint16_t ring, struct eta_ring_geom *geom);

/* A memfd of @bytes that others may only read: for the core pages. @share_fd: read-only descriptor. NULL with errno. */
void *mem_page_create(size_t bytes, int *share_fd);

#endif
