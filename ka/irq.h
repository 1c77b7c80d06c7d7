/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KA's side of the rings to the engine cores: commands and their answers, notices, punted and injected frames.
 *
 * A command is queued without bound here and enters a core's ring as room comes: at most ETA_ADMIN_RING - 2 are outstanding, so an answer always finds
 * room. The answer finds its caller by the cookie. Commands to one core are carried out in order.
 * The interrupt proxy is the pair of descriptors: a core's notify fd wakes KA; KA's write to the kick fd wakes a core. Wakes of applications do
 * not pass here: the engine writes their wake pipes itself, which saves a hop of 16-38 us.
 *
 * Life: irq_init after engine_create; irq_fini when the cores have left core_run(). Thread: KA.
 */
#ifndef KA_IRQ_H
#define KA_IRQ_H

#include <rte_mbuf.h>

#include <eta/admin.h>

#include "engine/core/engine.h"
#include "ka/loop.h"

#define IRQ_BURST 64

struct irq;
struct irq_call;

typedef void irq_done_fn(void *arg, const struct eta_admin_msg *answer);

struct irq_ops {
	void (*on_notice)(void *arg, uint32_t core,
			const struct eta_admin_msg *msg);                /* everything but DONE */
	void (*on_punt)(void *arg, struct rte_mbuf **burst, uint32_t n); /* consumes the mbufs */
};

struct irq_core {
	struct irq *irq;
	struct loop_watch watch;
	struct rte_ring *commands, *answers, *punted, *injected;
	struct irq_call *head, *tail; /* waiting for room */
	uint32_t outstanding_n;
	int kick_fd;
	uint8_t idx;
};

struct irq {
	struct loop *loop;
	const struct irq_ops *ops;
	void *arg;
	struct irq_core core[ETA_CORES_MAX];
	uint32_t cores_n;
	struct irq_call **call; /* [calls_max] by cookie's low 32 bits */
	uint32_t calls_max;
	uint32_t call_free; /* head of the free list through call_next, UINT32_MAX = none */
	uint32_t *call_next;
	uint32_t calls_n;
};

int irq_init(struct irq *irq, struct loop *loop, struct engine *engine, uint32_t cores_n,
		const struct irq_ops *ops, void *arg);
void irq_fini(struct irq *irq);

/**
 * irq_post() - Send a command to one core.
 * @done: called once with the answer, NULL = nobody cares.
 *
 * The message is copied. Return: 0; -ENOMEM.
 */
int irq_post(struct irq *irq, uint32_t core, const struct eta_admin_msg *msg, irq_done_fn *done,
		void *arg);
/* The same to every core, nobody waits. */
void irq_post_all(struct irq *irq, const struct eta_admin_msg *msg);
/* ETA_ADMIN_STOP, ahead of what still waits here, with room kept for it: nobody waits for more answers. Once, before the thread is joined. */
void irq_stop(struct irq *irq, uint32_t core);
/* Hand frames to core 0's injected ring. Consumes all; what finds no room is freed and counted in the return value. */
uint32_t irq_inject(struct irq *irq, struct rte_mbuf **burst, uint32_t n);
/* Commands not answered yet. */
uint32_t irq_pending(const struct irq *irq);

#endif
