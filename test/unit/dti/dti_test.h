/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the DTI room share: one or two engines with applications, and short words for common steps.
 */
#ifndef TEST_UNIT_DTI_DTI_TEST_H
#define TEST_UNIT_DTI_DTI_TEST_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/pair.h"

#define PORT 80

/* An application that listens on side 1 and one that connects from side 0. */
struct two {
	struct pair *pair;
	struct model *client, *server;
	struct model_conn *master, *a, *b; /* a connected to b */
};

static inline void turn(struct two *t)
{
	pair_pass(t->pair, 60000); /* the delayed ACK is through, too */
}

static inline void two_begin(struct two *t, const struct pair_conf *pc,
		const struct model_conf *client, const struct model_conf *server, uint32_t children)
{
	memset(t, 0, sizeof(*t));
	t->pair = pair_create(pc);
	t->client = pair_attach(t->pair, 0, client);
	t->server = pair_attach(t->pair, 1, server);
	t->master = model_listen(t->server, "10.0.0.2", PORT, 64, children);
	turn(t);
	ck_assert_int_eq(model_state(t->master), ETA_DTI_LISTENING);
}

/* Both ends of one connection, established and accepted. */
static inline void two_connect(struct two *t)
{
	t->a = model_connect(t->client, "10.0.0.2", PORT);
	turn(t);
	t->b = model_accept(t->master);
	turn(t);
	ck_assert_ptr_nonnull(t->b);
	ck_assert_int_eq(model_state(t->a), ETA_DTI_OPEN);
}

static inline void two_open(struct two *t)
{
	two_begin(t, NULL, NULL, NULL, 8);
	two_connect(t);
}

static inline void two_end(struct two *t)
{
	ck_assert_ptr_null(pair_wrong(t->pair));
	pair_destroy(t->pair);
}

static inline void check_delivers(struct two *t, const char *text)
{
	char got[64] = "";
	size_t n = strlen(text);

	ck_assert_uint_eq(model_send(t->a, text, n), n);
	turn(t);
	ck_assert_uint_eq(model_recv(t->b, got, sizeof(got)), n);
	ck_assert_str_eq(got, text);
}

static inline struct eta_doorbell db_of(struct model_conn *c, uint8_t op)
{
	return (struct eta_doorbell){
			.dti = model_dti(c),
			.gen = model_gen(c),
			.op = op,
			.snd_tail = model_al(c)->snd_tail,
			.rcv_head = model_al(c)->rcv_head,
	};
}

static inline int run_suite(Suite *suite)
{
	SRunner *sr = srunner_create(suite);
	int failed;

	pair_eal_init();
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
