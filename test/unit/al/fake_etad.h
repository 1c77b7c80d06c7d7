/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An etad small enough to be driven step by step: the control socket answered by a thread, the engine a function.
 *
 * Its "TCP" joins a CONNECT to the one master there is and copies bytes from one DTI's send chunks to the other's receive chunks; what it
 * keeps of the contract it keeps exactly (chunks, counters, generations, phases, arming), so AL can be judged by it. Everything AL can see is also
 * open to the test, which may play a hostile engine or sibling.
 */
#ifndef TEST_UNIT_AL_FAKE_ETAD_H
#define TEST_UNIT_AL_FAKE_ETAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <eta/ctl.h>
#include <eta/dti.h>
#include <eta/ring.h>

#define FAKE_DTIS 256u
#define FAKE_RINGS 4u
#define FAKE_RING_N 64u
#define FAKE_WINDOW 65536u
#define FAKE_CLIENTS 4

struct fake_ctx {
	uint16_t gen;
	uint8_t state;
	bool is_shut, fin_told, is_closing, want_write, is_owed, stall;
	uint32_t owed_flags;
	int peer; /* DTI, -1 none */
	uint32_t snd_tail, snd_una;
	uint32_t rcv_tail, rcv_last, rcv_last_off;
	int ring;              /* subscriber, -1 none */
	uint32_t accept_child; /* owed ACCEPT */
};

struct fake {
	char dir[64], path[100];
	int listen_fd;
	pthread_t ka;
	bool ka_on;
	int al_fd, en_fd, page_fd, kick_fd;
	uint8_t *al, *en;
	struct eta_core_page *page;
	struct eta_dti_al *dti_al;
	struct eta_dti_en *dti_en;
	struct eta_chunk_meta *al_meta, *en_meta;
	uint8_t *al_chunks, *en_chunks;
	uint32_t chunk_pages;
	uint32_t rings_n, rings_max;
	int wake_rd[FAKE_RINGS], wake_wr[FAKE_RINGS];
	struct eta_ring_consumer db[FAKE_RINGS];
	struct eta_ring_producer ev[FAKE_RINGS];
	uint32_t woken[FAKE_RINGS];
	struct fake_ctx ctx[FAKE_DTIS];
	int master, child_next, child_end, children[FAKE_DTIS], children_n;
	uint32_t free_pages[1024], free_n;
	uint32_t credit_hold; /* doorbells are left in the rings */
	uint32_t infos;       /* questions answered */
	uint8_t last_op;      /* of the last doorbell, with its flags */
	uint32_t db_bad, events_n, wakes_n, share_n, ping_n;
	uint32_t dead_lock_id; /* PING of this one: NOT_FOUND */
	uint32_t session_next;
	uint32_t grow_asked_n; /* SEG_GROW, all refused */
	uint32_t next_lock_id;
	volatile int engine_on;
	pthread_t engine;
};

/* Make one with @chunk_pages pages for sending; its control socket answers. Attach with al_attach(fake->path) or eta_attach(). */
struct fake *fake_start(uint32_t chunk_pages);
/* End KA: clients see the control socket hang up. */
void fake_kill(struct fake *f);
void fake_free(struct fake *f);
/* One turn of the engine: doorbells, bytes, events. Return: doorbells taken. */
uint32_t fake_turn(struct fake *f);
/* The engine in a thread of its own, or no more. */
void fake_engine_start(struct fake *f);
void fake_engine_stop(struct fake *f);
/* Raise an event by hand. */
void fake_event(struct fake *f, uint32_t dti, uint32_t flags);
bool fake_push(struct fake *f, int ring, const struct eta_event *ev);

#endif
