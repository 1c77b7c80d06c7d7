/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A double of al/core for tests of the sockets layer: conns without engine, moved by the test.
 *
 * It keeps the core's promises (events per watching thread, readiness from the level, a wake descriptor) and nothing else. One process;
 * a forked child has a copy.
 */
#ifndef TEST_UNIT_AL_FAKE_CORE_H
#define TEST_UNIT_AL_FAKE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "al/core/core.h"

#define FAKE_BYTES 65536u

struct fake {
	int attach_result;  /* of al_attach() */
	int connect_result; /* of al_conn_connect() */
	int listen_result;
	bool dead; /* the engine is gone */
	uint32_t opened_n, closed_n, aborted_n, shared_n;
	struct al_conn *last; /* last opened */
	int own_fd;           /* a descriptor of the core's own, -1 none */
	uint32_t yielded_n;
	const char *at_turn; /* what al_wait_turn() lets come on the last one opened */
	uint16_t syn_bytes;  /* of the opens that ask for fast open */
	uint32_t syn_go_n;
	unsigned int how; /* of the last al_conn_send() that took something */
};

extern struct fake fake;

/* The peer's side. Each tells the watching threads. */
void fake_connected(struct al_conn *conn);
void fake_refused(struct al_conn *conn, uint8_t status);
void fake_data(struct al_conn *conn, const char *text);
void fake_eof(struct al_conn *conn);
void fake_reset_by_peer(struct al_conn *conn);
/* The same, known when its event is taken. */
void fake_reset_unseen(struct al_conn *conn);
/* Room in the send buffer: at most @bytes may lie there. */
void fake_limit(struct al_conn *conn, uint32_t bytes);
/* The peer takes everything that was sent. Return: the bytes, NUL-terminated. */
const char *fake_take(struct al_conn *conn);
/* A connection arrives on @master. Return: its conn. */
struct al_conn *fake_incoming(struct al_conn *master);
uint32_t fake_watchers(struct al_conn *conn);

#endif
