/* SPDX-License-Identifier: BSD-3-Clause */
/* eta/ring.h: the protocol by which doorbells and events travel, also against a hostile other side. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <eta/ring.h>

#define N 64u

static struct eta_ring_slot slots[N];
static struct eta_ring_credit credit;
static struct eta_ring_producer p;
static struct eta_ring_consumer c;

static void start(void)
{
	memset(slots, 0, sizeof(slots));
	memset(&credit, 0, sizeof(credit));
	p = (struct eta_ring_producer){.slots = slots, .credit = &credit, .n = N};
	c = (struct eta_ring_consumer){.slots = slots, .credit = &credit, .n = N};
}

static void push(uint64_t v)
{
	const uint64_t w[4] = {v, v + 1, v + 2, v + 3};

	ck_assert_int_eq(eta_ring_push(&p, w), 1);
}

static void pop(uint64_t v)
{
	uint64_t w[4];

	ck_assert_int_eq(eta_ring_pop(&c, w), 1);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_uint_eq(w[i], v + i);
}

START_TEST(eta_ring_pop__zeroed_memory_is_empty)
{
	uint64_t w[4];

	ck_assert_int_eq(eta_ring_ready(&c), 0);
	ck_assert_int_eq(eta_ring_pop(&c, w), 0);
}
END_TEST

START_TEST(eta_ring_push__phase_is_not_the_messages_business)
{
	const uint64_t w[4] = {~0ull, 1, 2, 3};
	uint64_t got[4];

	ck_assert_int_eq(eta_ring_push(&p, w), 1);
	ck_assert_uint_eq(slots[0].w[0] >> ETA_RING_PHASE_SHIFT, 1);
	ck_assert_int_eq(eta_ring_pop(&c, got), 1);
	ck_assert_uint_eq(got[0], ~ETA_RING_PHASE_MASK);
}
END_TEST

START_TEST(eta_ring_push__order_over_many_laps)
{
	for (uint64_t i = 0; i < 10 * N; i += 7) {
		for (uint64_t k = i; k < i + 7; k++)
			push(k);
		for (uint64_t k = i; k < i + 7; k++)
			pop(k);
	}
}
END_TEST

/* Indices run through 2^32: phases and room stay right. */
START_TEST(eta_ring_push__index_wraps)
{
	uint32_t at = 0u - 3 * N / 2;

	p.tail = p.head_seen = c.head = c.head_published = credit.head = at;
	for (uint64_t i = 0; i < 4 * N; i++) {
		push(i);
		pop(i);
	}
	ck_assert_uint_eq(p.tail, at + 4 * N);
}
END_TEST

START_TEST(eta_ring_push__full_writes_nothing)
{
	const uint64_t w[4] = {77};
	struct eta_ring_slot before;

	for (uint64_t i = 0; i < N; i++)
		push(i);
	before = slots[0];
	ck_assert_int_eq(eta_ring_push(&p, w), 0);
	ck_assert_mem_eq(&before, &slots[0], sizeof(before));
	ck_assert_uint_eq(eta_ring_room(&p, 1), 0);
}
END_TEST

/* Credit comes back once per quarter lap, or when asked. */
START_TEST(eta_ring_pop__credit_per_quarter)
{
	for (uint64_t i = 0; i < N; i++)
		push(i);
	for (uint64_t i = 0; i < N / 4 - 1; i++)
		pop(i);
	ck_assert_uint_eq(credit.head, 0);
	pop(N / 4 - 1);
	ck_assert_uint_eq(credit.head, N / 4);
	ck_assert_uint_eq(eta_ring_room(&p, N / 4), N / 4);
	pop(N / 4);
	eta_ring_publish_credit(&c);
	ck_assert_uint_eq(credit.head, N / 4 + 1);
}
END_TEST

/* A consumer that lies about what it took only stops itself. */
START_TEST(eta_ring_room__impossible_credit_is_ignored)
{
	static const uint32_t lie[] = {1, N, 0x80000000u, 0xffffff00u, N + 100};
	const uint64_t w[4] = {0};

	for (uint64_t i = 0; i < N; i++)
		push(i);
	credit.head = lie[_i] + N; /* beyond the tail, or far behind */
	ck_assert_uint_eq(eta_ring_room(&p, 1), 0);
	ck_assert_int_eq(eta_ring_push(&p, w), 0);
	credit.head = 5;
	ck_assert_uint_eq(eta_ring_room(&p, 1), 5);
}
END_TEST

/* An entry of an earlier lap, or with a phase that is none, is not there. */
START_TEST(eta_ring_ready__stale_phase)
{
	static const uint64_t phase[] = {0, 2, 3, 0xff};

	slots[0].w[0] = phase[_i] << ETA_RING_PHASE_SHIFT;
	ck_assert_int_eq(eta_ring_ready(&c), 0);
}
END_TEST

#define TRANSFERS 200000u

static void *producer(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < TRANSFERS; i++) {
		const uint64_t w[4] = {i, ~i & 0xffffffff, i * 3, i ^ 0x5555};

		while (!eta_ring_push(&p, w))
			sched_yield();
	}
	return NULL;
}

START_TEST(eta_ring__two_threads_lose_nothing)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, producer, NULL), 0);
	for (uint64_t i = 0; i < TRANSFERS;) {
		uint64_t w[4];

		if (!eta_ring_pop(&c, w)) {
			sched_yield();
			continue;
		}
		if (w[0] != i || w[1] != (~i & 0xffffffff) || w[2] != i * 3 || w[3] != (i ^ 0x5555))
			ck_abort_msg("message %u is torn", (unsigned int)i);
		i++;
	}
	pthread_join(thread, NULL);
	ck_assert_int_eq(eta_ring_ready(&c), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("abi ring");
	TCase *tc = tcase_create("ring");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, start, NULL);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, eta_ring_pop__zeroed_memory_is_empty);
	tcase_add_test(tc, eta_ring_push__phase_is_not_the_messages_business);
	tcase_add_test(tc, eta_ring_push__order_over_many_laps);
	tcase_add_test(tc, eta_ring_push__index_wraps);
	tcase_add_test(tc, eta_ring_push__full_writes_nothing);
	tcase_add_test(tc, eta_ring_pop__credit_per_quarter);
	tcase_add_loop_test(tc, eta_ring_room__impossible_credit_is_ignored, 0, 5);
	tcase_add_loop_test(tc, eta_ring_ready__stale_phase, 0, 4);
	tcase_add_test(tc, eta_ring__two_threads_lose_nothing);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
