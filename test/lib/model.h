/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A model application, and a model of the kernel agent, for tests that drive an engine core by its contract alone.
 *
 * struct model_ka answers for KA on one core: gives it addresses, routes and neighbours, builds sessions with plain memory, resolves
 * neighbours when asked, grants more receive memory when asked, and answers punted segments by RST as a kernel without sockets. struct model is an attached application: it does what AL does on
 * eta/dti.h and nothing more, and checks while it does it that the engine keeps the contract (counters never move back, chunks are
 * linked before they are announced, credits never run backwards, events carry known generations). What is found wrong stays in
 * model_error() as a sentence.
 *
 * Functions never block; the test turns the core (core_poll_once) and calls model_poll().   Threads: one.
 */
#ifndef TEST_LIB_MODEL_H
#define TEST_LIB_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eta/admin.h>
#include <eta/dti.h>
#include <eta/ring.h>

#include "engine/core/engine.h"
#include "engine/net/addr.h"

struct model;
struct model_conn;
struct model_ka;

/* ---- the kernel agent ---- */

struct model_ka *model_ka_create(struct core *core);
void model_ka_destroy(struct model_ka *ka);
/* Address of our own on @port with its on-link route; "10.0.0.1", "fd00::1". */
void model_ka_addr(struct model_ka *ka, const char *addr, uint8_t prefix_len, uint8_t port);
/* NEIGH_WANT for @addr is answered with @mac; told at once if @now. */
void model_ka_neigh(struct model_ka *ka, const char *addr, const uint8_t mac[6], uint8_t port,
		bool now);
/* Send any command; returns its cookie. The answer is found by model_ka_status() after turns of the core: -1 = not yet. */
uint64_t model_ka_command(struct model_ka *ka, struct eta_admin_msg *msg);
int model_ka_status(struct model_ka *ka, uint64_t cookie);
/* Read the answer ring and punted frames, react. Return: messages and frames read. */
uint32_t model_ka_poll(struct model_ka *ka);
uint32_t model_ka_notices(
		const struct model_ka *ka, uint16_t op); /* how many notices of @op came */

/* ---- the application ---- */

struct model_conf {
	uint32_t dtis_n;        /* 0 = 256 */
	uint32_t snd_pages;     /* 0 = 1024 */
	uint32_t rcv_pages;     /* 0 = 1024; of each EN segment */
	uint32_t rcv_segs_max;  /* SEG_WANT is answered up to this many EN segments; 0 = 4 */
	uint32_t doorbell_n;    /* 0 = 256 */
	uint32_t event_n;       /* 0 = 256 */
	uint32_t chunk_order;   /* of send chunks: 0, 2 or 4 */
	uint64_t rcv_bytes_max; /* quota, 0 = no limit */
	bool has_kick; /* give the engine a kick descriptor: idle rings may leave its polled list */
	const struct model *parent; /* forked from it: inherits it as owner 1 (and its ancestors) */
};

/* Attach; the core must be turned until model_is_attached(). */
struct model *model_attach(struct model_ka *ka, const struct model_conf *conf);
bool model_is_attached(struct model *m);
/* From now on SEG_WANT is answered up to @rcv_segs_max EN segments. */
void model_grant(struct model *m, uint32_t rcv_segs_max);
/* The process dies: SESSION_DEL. Memory is freed when KA's DONE came (model_ka_poll), or by model_ka_destroy(). */
void model_die(struct model *m, bool orderly);
/* Has the engine let go of the dead one? */
bool model_is_gone(struct model *m);
/* Drain the event queue and react. Return: events. */
uint32_t model_poll(struct model *m);
/* First broken promise of the engine, or NULL. */
const char *model_error(const struct model *m);
uint32_t model_number(const struct model *m); /* session number */

struct model_conn *model_connect(struct model *m, const char *raddr, uint16_t rport);
/* Active open from what KA authorises: BIND is sent first. */
struct model_conn *model_connect_from(struct model *m, const char *laddr, uint16_t lport,
		const char *raddr, uint16_t rport);
/* Subscribe, LISTEN through KA, post @children. */
struct model_conn *model_listen(struct model *m, const char *laddr, uint16_t lport,
		uint32_t backlog, uint32_t children);
/* Another session (fork) waits on the same master: subscribes and posts children of its own. */
struct model_conn *model_listen_share(
		struct model *m, struct model_conn *master, uint32_t children);
void model_post_children(struct model_conn *master, uint32_t n);
/* Next accepted connection of the master for this model, NULL = none. Rings TAKE when the record says that some wait. */
struct model_conn *model_accept(struct model_conn *master);
/* Bytes queued, from the front; fewer = buffer full (asks for a WRITE event). */
size_t model_send(struct model_conn *c, const void *data, size_t len);
/* Bytes taken; 0 = none now. */
size_t model_recv(struct model_conn *c, void *data, size_t len);
size_t model_readable(const struct model_conn *c);
bool model_is_eof(const struct model_conn *c);    /* all read and the peer has closed */
bool model_is_acked(const struct model_conn *c);  /* everything sent is acknowledged */
bool model_is_free(const struct model_conn *c);   /* the engine says FREE */
uint8_t model_state(const struct model_conn *c);  /* enum eta_dti_state */
uint8_t model_status(const struct model_conn *c); /* enum eta_status */
uint32_t model_events(const struct model_conn *c, uint8_t flag); /* events seen with @flag */
void model_shut_wr(struct model_conn *c);
/* The handle is gone once model_is_free(); model_release() gives its DTI to others. */
void model_close(struct model_conn *c);
void model_abort(struct model_conn *c);
void model_release(struct model_conn *c);

/* ---- for hostile tests: the raw contract ---- */

const struct eta_dti_en *model_en(const struct model_conn *c);
struct eta_dti_al *model_al(struct model_conn *c);
uint32_t model_dti(const struct model_conn *c);
uint16_t model_gen(const struct model_conn *c);
struct eta_chunk_meta *model_snd_meta(struct model *m, uint32_t chunk);
/* Push an entry as it is. Return: false = ring full. */
bool model_ring(struct model *m, const struct eta_doorbell *db);
void model_arm(struct model *m);    /* next arming number */
void model_disarm(struct model *m); /* and drain the wake pipe */
int model_wake_fd(const struct model *m);
int model_kick_fd(const struct model *m);
void model_hold_events(struct model *m, bool hold); /* stop draining: the queue fills up */

#endif
