/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Passive opens: from the SYN to the process that accepts.
 *
 * A master has, per session, a queue of child DTIs that this session has posted. A finished handshake is bound to the first child of
 * a session that subscribes to the master: one whose thread waits (armed) before one that is busy, and in rotation. Bytes that
 * follow go to the child's session at once. Where several sessions subscribe and none is armed, nobody knows who will call accept()
 * first: the connection waits unbound, early bytes staged, and the first to ring TAKE gets it.
 *
 * Until the application has it (ACCEPTED, or any counter above 0) the connection is the listener's: if its session dies or
 * withdraws, it goes to another, bytes and all. One that the peer ends before is handed out all the same, dead, with what it has
 * brought, be it bound or waiting: so it is with Linux, and nobody waits in accept() for what poll() has announced.
 *
 * Source: eta/dti.h ACCEPT; patent paragraphs 43-48.
 */
#ifndef ENGINE_DTI_ACCEPT_H
#define ENGINE_DTI_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/admin.h>
#include <eta/status.h>

struct dti;
struct ip_tuple;
struct session;

#define ACCEPT_CHILDREN_MAX 256u /* of one CHILD doorbell */
#define ACCEPT_RETRY_US 10000u   /* memory comes from KA, or from readers, who tell nobody here */

/* A listener. Pool; index 0 is never used. */
struct dti_master {
	uint32_t ctx;  /* 0 = unused */
	uint32_t next; /* free: next free; else next listener of the same port bucket */
	uint32_t backlog;
	uint32_t embryo_n; /* in SYN-RECEIVED */
	uint32_t wait_n;   /* established, bound to no child */
	uint32_t wait_head, wait_tail;
	uint32_t unaccepted_n;  /* bound, not yet accepted */
	uint16_t post;          /* list of struct dti_post */
	uint16_t turn;          /* ring that got the last connection */
	uint16_t fastopen_qlen; /* where its user says nothing: as tcp_param's */
	bool is_v6only;
	bool is_closing;
	bool is_short;   /* connections wait on although TAKE was rung: no memory for their bytes */
	bool is_visited; /* on the list of accept_visit() */
	uint32_t visit_at;   /* context it comes to next */
	uint32_t visit_next; /* list */
};

/**
 * accept_listen() - Make a DTI a master (ETA_ADMIN_LISTEN).
 *
 * Return: status for DONE.   Context: cold, core.
 */
enum eta_status accept_listen(struct dti *d, const struct eta_admin_msg *msg);
/* Stop listening: embryos and connections nobody has accepted are reset, children become FREE. */
void accept_unlisten(struct dti *d, uint32_t master_idx);

/* Post children [@first, @first + @n) of session @s on the master. */
void accept_post(struct dti *d, uint32_t master_idx, struct session *s, uint32_t first, uint32_t n);
/* Has @session a child to give? */
bool accept_has_child(const struct dti *d, uint32_t master_idx, uint16_t session);
/* Bind up to @n waiting connections to children of @s, told on @ring. Those whose bytes @s has no memory for wait on. */
void accept_take(struct dti *d, uint32_t master_idx, struct session *s, uint16_t ring, uint32_t n);
/* Waiting connections that TAKE may give now: accept_n of the EN half. @master: index of the struct dti_master. */
uint32_t accept_takeable_n(const struct dti *d, uint32_t master);
/* Some masters are short of memory (dti.is_take_short): after ACCEPT_RETRY_US their subscribers are told to TAKE again. Call each turn. */
void accept_retry(struct dti *d);
/* The application has child @idx. */
void accept_done(struct dti *d, uint32_t idx);
/* @s no longer subscribes to the master: free its children; what it has not accepted goes to others (accept_visit). */
void accept_withdraw(struct dti *d, uint32_t master_idx, struct session *s);
/* Child @idx is bound to a session that is going: find it another place, or let it wait, or reset it. */
void accept_rebind(struct dti *d, uint32_t idx);
/* The counter of embryos that the source of @tuple has at listener @master_idx (accept_room.c). */
uint32_t *accept_source_n(struct dti *d, uint32_t master_idx, const struct ip_tuple *tuple);
/* TCP has let go of @idx, which a master counts: embryo, waiting or unaccepted; or which is a master. */
void accept_forget(struct dti *d, uint32_t idx);
/* TCP ended @idx because of @why: if it waits to be accepted it waits on, dead (Linux leaves it in the accept queue, too). */
void accept_died(struct dti *d, uint32_t idx, enum eta_status why);
/* Masters that close or were withdrawn from: look at @slice more contexts. Return: contexts visited. */
uint32_t accept_visit(struct dti *d, uint32_t slice);

#endif
