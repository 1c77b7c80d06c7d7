/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The 32-byte entry ring: how doorbells travel to the engine and events travel back.
 *
 *        producer's memory, read-only to the consumer                consumer's memory, read-only to the producer
 *        +--------+--------+--------+-- .. --+--------+              +----------------+
 *        | slot 0 | slot 1 | slot 2 |        | slot n |              | credit (head)  |
 *        +--------+--------+--------+-- .. --+--------+              +----------------+
 *
 * A slot is four 64-bit words; the top byte of word 0 is the *phase*: 1 on even laps, 2 on odd ones, never 0, so zeroed
 * memory is an empty ring. The producer stores words 1..3, then word 0 with release; the consumer loads word 0 with
 * acquire and takes the slot when the phase is that of its lap. So handing over one message moves one half cache line and
 * needs no flag, no index and no fence. Two entries share a line: a burst of messages moves half a line each.
 *
 * Credits. The consumer publishes how far it has come once per quarter lap; the producer refuses to overrun it and looks at
 * the credit only when its cached copy says "full". Each side keeps its own index privately: what the other side writes can
 * only make it wait (a credit outside the last lap) or take garbage messages (checked by whoever acts on them).
 *
 * Life: the memory is zeroed once by KA, before both sides learn of it; rings never resize.
 * Threads: one producer and one consumer at a time; AL serialises its threads before they get here.
 */
#ifndef ETA_RING_H
#define ETA_RING_H

#include <eta/abi.h>

#define ETA_RING_ENTRIES_MIN 64u
#define ETA_RING_ENTRIES_MAX 65536u

#define ETA_RING_AHEAD 8 /* slots that a producer asks for before it fills them */
#define ETA_RING_PHASE_SHIFT 56
#define ETA_RING_PHASE_MASK (0xffull << ETA_RING_PHASE_SHIFT)

struct eta_ring_slot {
	uint64_t w[4]; /* w[0] bits 56..63: phase. The rest: see struct eta_doorbell and struct eta_event. */
};
ETA_ASSERT_SIZE(struct eta_ring_slot, 32);

/* The consumer's line of a ring. */
struct eta_ring_credit {
	uint32_t head; /* Entries taken so far, modulo 2^32. Published at least once per quarter lap. */
	uint32_t armed; /* Events only: 0 = awake, else the number of this arming, never the same twice running (dti.h, SLEEPING). */
	uint32_t pad[14];
};
ETA_ASSERT_SIZE(struct eta_ring_credit, ETA_CACHELINE);

/* Private handle of the producing side. */
struct eta_ring_producer {
	struct eta_ring_slot *slots;          /* [n] in our memory */
	const struct eta_ring_credit *credit; /* in the consumer's memory */
	uint32_t n;                           /* power of two */
	uint32_t tail;                        /* entries produced, modulo 2^32 */
	uint32_t head_seen;                   /* last credit accepted */
};

/* Private handle of the consuming side. */
struct eta_ring_consumer {
	const struct eta_ring_slot *slots; /* [n] in the producer's memory */
	struct eta_ring_credit *credit;    /* in our memory */
	uint32_t n;                        /* power of two */
	uint32_t head;                     /* entries taken, modulo 2^32 */
	uint32_t head_published;
};

static inline uint64_t eta_ring_phase(uint32_t index, uint32_t n)
{
	return (uint64_t)((index & n) ? 2 : 1) << ETA_RING_PHASE_SHIFT;
}

/**
 * eta_ring_room() - Free slots as far as the producer can tell.
 *
 * Reads the consumer's credit only when the cached one says fewer than @want. A credit that is not within the last lap is
 * ignored: a hostile consumer only stops itself.
 *
 * Return: 0 .. n.   Thread: the producer.
 */
static inline uint32_t eta_ring_room(struct eta_ring_producer *p, uint32_t want)
{
	uint32_t used = p->tail - p->head_seen;

	if (ETA_UNLIKELY(p->n - used < want)) {
		uint32_t head = eta_load_acquire_u32(&p->credit->head);

		if (p->tail - head <= used) {
			p->head_seen = head;
			used = p->tail - head;
		}
	}
	return p->n - used;
}

/**
 * eta_ring_push() - Publish one entry.
 * @w: four words; the phase byte of @w[0] is overwritten.
 *
 * Return: 1 published; 0 ring full, nothing written (the caller keeps the message: it is never dropped).
 * Thread: the producer.
 */
static inline ETA_MUST_CHECK int eta_ring_push(struct eta_ring_producer *p, const uint64_t w[4])
{
	struct eta_ring_slot *slot = &p->slots[p->tail & (p->n - 1)];

	if (ETA_UNLIKELY(eta_ring_room(p, 1) == 0))
		return 0;
	/* The reader's CPU holds the lines of the last lap: ask for them back in time. Only a hint: past the end it names nothing of ours. */
	__builtin_prefetch(slot + ETA_RING_AHEAD, 1);
	eta_store_relaxed_u64(&slot->w[1], w[1]);
	eta_store_relaxed_u64(&slot->w[2], w[2]);
	eta_store_relaxed_u64(&slot->w[3], w[3]);
	eta_store_release_u64(
			&slot->w[0], (w[0] & ~ETA_RING_PHASE_MASK) | eta_ring_phase(p->tail, p->n));
	p->tail++;
	return 1;
}

/* Is there an entry to take? One load. */
static inline int eta_ring_ready(const struct eta_ring_consumer *c)
{
	const struct eta_ring_slot *slot = &c->slots[c->head & (c->n - 1)];

	return (eta_load_acquire_u64(&slot->w[0]) & ETA_RING_PHASE_MASK) ==
	       eta_ring_phase(c->head, c->n);
}

/* Make everything taken so far available to the producer again. */
static inline void eta_ring_publish_credit(struct eta_ring_consumer *c)
{
	if (c->head != c->head_published) {
		eta_store_release_u32(&c->credit->head, c->head);
		c->head_published = c->head;
	}
}

/**
 * eta_ring_pop() - Take one entry.
 * @w: receives a private copy of the four words, phase removed: each is read exactly once.
 *
 * Return: 1 taken, 0 empty.   Thread: the consumer.
 */
static inline ETA_MUST_CHECK int eta_ring_pop(struct eta_ring_consumer *c, uint64_t w[4])
{
	const struct eta_ring_slot *slot = &c->slots[c->head & (c->n - 1)];
	uint64_t w0 = eta_load_acquire_u64(&slot->w[0]);

	if ((w0 & ETA_RING_PHASE_MASK) != eta_ring_phase(c->head, c->n))
		return 0;
	w[0] = w0 & ~ETA_RING_PHASE_MASK;
	w[1] = eta_load_relaxed_u64(&slot->w[1]);
	w[2] = eta_load_relaxed_u64(&slot->w[2]);
	w[3] = eta_load_relaxed_u64(&slot->w[3]);
	c->head++;
	if (c->head - c->head_published >= c->n / 4)
		eta_ring_publish_credit(c);
	return 1;
}

#endif
