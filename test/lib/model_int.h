/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the models: what their files share.
 */
#ifndef TEST_LIB_MODEL_INT_H
#define TEST_LIB_MODEL_INT_H

#include "test/lib/model.h"

#define MODEL_SEGS_MAX 32u
#define MODEL_NEIGHS_MAX 64u
#define MODEL_MASK                                                                       \
	(ETA_EV_READ | ETA_EV_WRITE | ETA_EV_ACCEPT | ETA_EV_RD_CLOSED | ETA_EV_CLOSED | \
			ETA_EV_URGENT | ETA_EV_FREE)

/* A segment as both sides see it. */
struct model_seg {
	uint8_t *base;
	uint64_t bytes;
	uint8_t kind;
	uint32_t dti_off, dti_n, meta_off, chunk_off, chunk_pages;
	uint32_t doorbell_off, credit_off, event_off; /* by kind */
};

struct model_neigh {
	struct ip_addr addr;
	uint8_t mac[6];
	uint8_t port;
};

struct model_ka {
	struct core *core;
	struct model *models; /* all ever attached */
	uint64_t cookie;      /* last given */
	int16_t *status;      /* [cookie], -1 = no answer yet */
	uint64_t status_room;
	uint32_t session; /* last number given */
	uint32_t notices[256];
	struct model_neigh neigh[MODEL_NEIGHS_MAX];
	uint32_t neigh_n;
};

/* A chunk of the send stream. */
struct model_chunk {
	uint32_t chunk, off, order;
	struct model_chunk *next;
};

struct model_conn {
	struct model *m;     /* that rings it */
	struct model *owner; /* whose DTI it is */
	uint32_t dti;        /* index */
	uint32_t number;     /* as m rings it */
	uint16_t gen;
	struct eta_dti_al *al;
	const struct eta_dti_en *en;
	struct model_conn *next; /* of m */

	bool is_master, is_closed, is_accepted, is_queued, is_released;
	uint64_t cookie;         /* BIND or LISTEN */
	bool is_connect_pending; /* CONNECT waits for BIND */
	uint8_t db_owed;         /* op and flags of a doorbell that found the ring full */
	bool is_db_owed, is_child;
	uint32_t owed_arg[2];

	/* sending */
	struct model_chunk *first, *last;
	uint32_t snd_tail, snd_una;
	bool is_want_write;
	bool is_shut;

	/* receiving */
	uint32_t cur_chunk, cur_off, cur_order; /* cursor; ETA_CHUNK_NONE = none */
	uint32_t rcv_head, rcv_tail;

	uint32_t seen[8];       /* events by flag */
	uint32_t children_owed; /* to be posted */
	struct model_conn *accept_first, *accept_last, *accept_next;
};

struct model {
	struct model_ka *ka;
	struct model *next;
	struct model_conf conf;
	uint32_t number;
	uint64_t cookie; /* of the last attach command */
	uint64_t die_cookie;
	bool is_dead;
	struct model_seg seg[MODEL_SEGS_MAX];
	uint32_t seg_n;
	uint32_t rcv_segs_n;
	const struct model *inherited[15];
	uint32_t inherited_n;
	struct eta_ring_producer db;
	struct eta_ring_consumer ev;
	struct eta_ring_credit *ev_credit;
	const struct eta_doorbell_credit *db_credit;
	uint32_t db_head_seen;
	uint32_t arming;
	int wake[2];
	int kick_fd;
	bool is_held;
	bool has_orphans;   /* a master was closed: its children may come back */
	uint8_t *page_used; /* [snd_pages] */
	uint32_t *free_dti; /* FIFO */
	uint32_t free_head, free_n;
	struct model_conn **by_dti; /* [dtis_n] own DTIs in use */
	struct model_conn *conns;
	char error[160];
};

/* Note the first broken promise. */
void model_wrong(struct model *m, const char *what, uint32_t a, uint32_t b);
void *model_must(void *p);
/* Another EN segment, of chunks only. */
void model_seg_grow(struct model *m);
struct model_conn *model_conn_new(struct model *m, struct model *owner, uint32_t dti);
/* Ring @op (with flags) for @c; if the ring is full, at the next poll. */
void model_ring_op(struct model_conn *c, uint8_t op, uint32_t arg0, uint32_t arg1);
void model_drop_chunks(struct model_conn *c);
uint32_t model_en_word(const struct model_conn *c);

#endif
