/* SPDX-License-Identifier: BSD-3-Clause */
/* The native interface end to end over the fake etad: handles, completions, streams. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <eta/eta.h>

#include "al/core/al.h"
#include "test/unit/al/fake_etad.h"

static struct fake *f;
static eta_conn_t listener;
static uint8_t pattern[1 << 20];

static void start(void)
{
	f = fake_start(512);
	ck_assert_int_eq(eta_attach(f->path), 0);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 2654435761u >> 11);
}

static void end(void)
{
	fake_engine_start(f); /* closing rings a doorbell for each connection, and waits for room */
	eta_detach();
	fake_engine_stop(f);
	fake_free(f);
}

static void listen_up(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	ck_assert_int_eq(eta_listen((const struct sockaddr *)&any, sizeof(any), 16, 7, &listener),
			0);
	fake_turn(f);
}

static int dial(eta_conn_t *conn, uint64_t cookie)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
			.sin_addr.s_addr = htonl(0x0a000001),
			.sin_port = htons(80)};

	return eta_connect((const struct sockaddr *)&to, sizeof(to), NULL, 0, cookie, conn);
}

/* A connected pair. */
static void pair_up(eta_conn_t *client, eta_conn_t *server)
{
	struct eta_completion done[8];
	int n, seen = 0;

	ck_assert_int_eq(dial(client, 9), 0);
	fake_turn(f);
	n = eta_poll(done, 8);
	for (int i = 0; i < n; i++) {
		if (done[i].what & ETA_CONNECTED) {
			ck_assert_uint_eq(done[i].conn, *client);
			ck_assert_uint_eq(done[i].cookie, 9);
			seen |= 1;
		} else if (done[i].what & ETA_ACCEPTED) {
			ck_assert_uint_eq(done[i].listener, listener);
			ck_assert_uint_eq(done[i].cookie, 7);
			*server = done[i].conn;
			seen |= 2;
		}
	}
	ck_assert_int_eq(seen, 3);
	fake_turn(f);
}

START_TEST(eta_connect__completes_and_accepts)
{
	eta_conn_t c, s;

	listen_up();
	pair_up(&c, &s);
	ck_assert_uint_ne(c, s);
}
END_TEST

START_TEST(eta_connect__refused_is_a_completion)
{
	struct eta_completion done[4];
	eta_conn_t c;

	ck_assert_int_eq(dial(&c, 1), 0);
	fake_turn(f);
	ck_assert_int_eq(eta_poll(done, 4), 1);
	ck_assert_uint_eq(done[0].what, ETA_CLOSED);
	ck_assert_int_eq(done[0].status, -ECONNREFUSED);
	ck_assert_int_eq(eta_close(c), 0);
}
END_TEST

START_TEST(eta_send__small_message_arrives)
{
	eta_conn_t c, s;
	char buf[64];

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), -EAGAIN);
	ck_assert_int_eq(eta_send(c, "hello", 5, 0), 5);
	fake_turn(f);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), ETA_PEEK), 5);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), -EAGAIN);
}
END_TEST

/* Megabytes through every chunk order, with reads of odd sizes and the buffer full again and again. */
START_TEST(eta_send__stream_is_exact)
{
	const size_t steps[] = {1, 63, 4096, 4097, 20000, 70000, 200000};
	size_t sent = 0, got = 0, k = 0;
	struct eta_completion done[16];
	static uint8_t buf[100000];
	eta_conn_t c, s;

	listen_up();
	pair_up(&c, &s);
	while (got < 8 * sizeof(pattern)) {
		size_t at = sent % sizeof(pattern), n = steps[k++ % 7];
		ssize_t ret;

		if (n > sizeof(pattern) - at)
			n = sizeof(pattern) - at;
		ret = eta_send(c, pattern + at, n, 0);
		ck_assert(ret > 0 || ret == -EAGAIN);
		sent += ret > 0 ? (size_t)ret : 0;
		fake_turn(f);
		(void)eta_poll(done, 16);
		n = 1 + steps[(k * 5) % 7] % sizeof(buf);
		ret = eta_recv(s, buf, n, 0);
		ck_assert(ret > 0 || ret == -EAGAIN);
		for (ssize_t i = 0; i < ret; i++, got++)
			if (buf[i] != pattern[got % sizeof(pattern)])
				ck_abort_msg("byte %zu differs", got);
	}
	/* All the memory comes back. */
	while (eta_recv(s, buf, sizeof(buf), 0) > 0)
		fake_turn(f);
	fake_turn(f);
	al_sweep();
	ck_assert_uint_eq(f->dti_al[1].chunk, ETA_CHUNK_NONE);
}
END_TEST

START_TEST(eta_recv_loan__ranges_then_return)
{
	eta_conn_t c, s;
	struct iovec iov[4];
	int n;

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(eta_recv_loan(s, iov, 4), 0);
	ck_assert_int_eq(eta_send(c, pattern, 10000, 0), 10000);
	fake_turn(f);
	n = eta_recv_loan(s, iov, 4);
	ck_assert_int_eq(n, 3);
	ck_assert_mem_eq(iov[0].iov_base, pattern, iov[0].iov_len);
	ck_assert_mem_eq(iov[1].iov_base, pattern + 4096, iov[1].iov_len);
	ck_assert_uint_eq(iov[0].iov_len + iov[1].iov_len + iov[2].iov_len, 10000);
	ck_assert_int_eq(eta_recv_return(s, 9999), 0);
	n = eta_recv_loan(s, iov, 4);
	ck_assert_int_eq(n, 1);
	ck_assert_uint_eq(iov[0].iov_len, 1);
	ck_assert_mem_eq(iov[0].iov_base, pattern + 9999, 1);
	ck_assert_int_eq(eta_recv_return(s, 1), 0);
	ck_assert_int_eq(eta_shutdown(c), 0);
	fake_turn(f);
	ck_assert_int_eq(eta_recv_loan(s, iov, 4), -ENODATA);
}
END_TEST

START_TEST(eta_shutdown__peer_reads_end_of_stream)
{
	struct eta_completion done[4];
	eta_conn_t c, s;
	char buf[8];

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(eta_send(c, "bye", 3, 0), 3);
	ck_assert_int_eq(eta_shutdown(c), 0);
	ck_assert_int_eq(eta_send(c, "x", 1, 0), -EPIPE);
	fake_turn(f);
	ck_assert_int_eq(eta_poll(done, 4), 2);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), 3);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), 0);
	ck_assert_int_eq(eta_send(s, "still", 5, 0), 5);
	fake_turn(f);
	ck_assert_int_eq(eta_recv(c, buf, sizeof(buf), 0), 5);
}
END_TEST

START_TEST(eta_abort__peer_gets_its_error_once)
{
	eta_conn_t c, s;
	char buf[8];

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(eta_abort(c), 0);
	fake_turn(f);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), -ECONNRESET);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), 0);
	ck_assert_int_eq(eta_send(s, buf, 1, 0), -EPIPE);
}
END_TEST

START_TEST(eta_close__handle_is_void)
{
	eta_conn_t c, s;
	char buf[8];

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(eta_close(c), 0);
	ck_assert_int_eq(eta_close(c), -EBADF);
	ck_assert_int_eq(eta_send(c, buf, 1, 0), -EBADF);
	ck_assert_int_eq(eta_recv(c, buf, 1, 0), -EBADF);
	ck_assert_int_eq(eta_send(ETA_CONN_NONE, buf, 1, 0), -EBADF);
	ck_assert_int_eq(eta_send(~0ull, buf, 1, 0), -EBADF);
}
END_TEST

/* A DTI used again: the old handle stays void, old events are ignored, and the generation rose by one per use. */
START_TEST(eta_close__generation_reuse)
{
	struct eta_completion done[16];
	struct eta_event stale;
	eta_conn_t c, s, old = 0;
	uint32_t idx = 0;
	char buf[8];

	listen_up();
	for (int i = 0; i < 300; i++) {
		pair_up(&c, &s);
		if (i == 0) {
			old = c;
			idx = (uint32_t)(c & 0xffffffu) - 1;
			stale = (struct eta_event){.dti = idx,
					.gen = f->ctx[idx].gen,
					.flags = ETA_EV_READ | ETA_EV_CLOSED,
					.rcv_tail = 100,
					.state = ETA_DTI_CLOSED,
					.status = ETA_STATUS_RESET};
		}
		ck_assert_int_eq(eta_send(c, "12345678", 8, 0), 8);
		fake_turn(f);
		ck_assert_int_eq(eta_recv(s, buf, 8, 0), 8);
		ck_assert_int_eq(eta_close(c), 0);
		ck_assert_int_eq(eta_close(s), 0);
		fake_turn(f);
		fake_turn(f);
		while (eta_poll(done, 16) > 0)
			;
	}
	ck_assert_uint_gt(f->ctx[idx].gen, 1);
	ck_assert_int_eq(eta_send(old, buf, 1, 0), -EBADF);
	/* The same DTI in use again: neither the old handle nor an old event reaches it. */
	for (int i = 0; i < 60; i++) {
		pair_up(&c, &s);
		if ((uint32_t)(c & 0xffffffu) - 1 == idx)
			break;
		c = s;
		if ((uint32_t)(c & 0xffffffu) - 1 == idx)
			break;
	}
	ck_assert_uint_eq((uint32_t)(c & 0xffffffu) - 1, idx);
	ck_assert_int_eq(eta_send(old, buf, 1, 0), -EBADF);
	while (eta_poll(done, 16) > 0)
		;
	ck_assert(fake_push(f, 0, &stale));
	stale.dti = 0x00fffff0;
	ck_assert(fake_push(f, 0, &stale));
	stale.dti = 0xff000000;
	ck_assert(fake_push(f, 0, &stale));
	ck_assert_int_eq(eta_poll(done, 16), 0);
	ck_assert_int_eq(eta_send(c, buf, 1, 0), 1);
}
END_TEST

/* What an event says beyond the window is not believed: the record is. */
START_TEST(event__counters_outside_the_window)
{
	struct eta_completion done[4];
	struct eta_event lie;
	eta_conn_t c, s;
	uint8_t buf[16];
	uint32_t idx;

	listen_up();
	pair_up(&c, &s);
	idx = (uint32_t)(s & 0xffffffu) - 1;
	ck_assert_int_eq(eta_send(c, "abc", 3, 0), 3);
	fake_turn(f);
	lie = (struct eta_event){.dti = idx,
			.gen = f->ctx[idx].gen,
			.flags = ETA_EV_READ,
			.rcv_tail = 0x40000000,
			.snd_una = 0x40000000,
			.ring_at = 1u << 20,
			.state = ETA_DTI_OPEN,
			.snd_limit = UINT32_MAX};
	ck_assert(fake_push(f, 0, &lie));
	(void)eta_poll(done, 4);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), 3);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), -EAGAIN);
	ck_assert_int_eq(eta_send(s, buf, 3, 0), 3);
	ck_assert_uint_eq(fake_turn(f), 1);
	ck_assert_uint_eq(f->ctx[idx].snd_tail, 3);
	ck_assert_uint_eq(f->ctx[idx].snd_una, 3);
	ck_assert_int_eq(eta_recv(c, buf, sizeof(buf), 0), 3);
}
END_TEST

/* Hostile metas: each of these must end in an error of that connection, never in a fault or a hang. */
START_TEST(eta_recv__hostile_chunks)
{
	eta_conn_t c, s, c2, s2;
	struct eta_chunk_meta *m;
	struct eta_chunk_meta good;
	struct eta_dti_en *en;
	uint8_t buf[16384];
	uint32_t idx, chunk;
	ssize_t ret;

	listen_up();
	pair_up(&c, &s);
	pair_up(&c2, &s2);
	idx = (uint32_t)(s & 0xffffffu) - 1;
	en = &f->dti_en[idx];
	ck_assert_int_eq(eta_send(c, pattern, 9000, 0), 9000);
	ck_assert_int_eq(eta_send(c2, pattern, 100, 0), 100);
	fake_turn(f);
	chunk = en->chunk;
	m = &f->en_meta[ETA_CHUNK_PAGE(chunk)];
	good = *m;
	switch (_i) {
	case 0: en->chunk = ETA_CHUNK_NONE; break;
	case 1: en->chunk = ETA_CHUNK_MAKE(9, 0); break;       /* no such segment */
	case 2: en->chunk = ETA_CHUNK_MAKE(1, 0xfffff); break; /* no such page */
	case 3: en->chunk = ETA_CHUNK_MAKE(0, 0); break;       /* the other kind of segment */
	case 4: m->order = 77; break;
	case 5:
		m->order = ETA_CHUNK_ORDER_LARGE;
		m->next = m->next | 1;
		break;
	case 6: m->next = en->chunk; break; /* a loop */
	case 7: m->dti ^= 1; break;
	case 8: m->gen ^= 1; break;
	case 9: m->off = 5000; break;
	case 10: m->next = ETA_CHUNK_NONE; break;
	case 11: m->next = 0xfffffffe; break;
	}
	ret = eta_recv(s, buf, sizeof(buf), 0);
	/* Case 5 describes what lies there by accident; a page is a page. */
	ck_assert_msg(ret == (_i == 5 ? 9000 : -ECONNRESET), "case %d: %zd", _i, ret);
	if (ret < 0)
		ck_assert_int_le(eta_recv(s, buf, sizeof(buf), 0), 0);
	/* The neighbour does not notice. */
	ck_assert_int_eq(eta_recv(s2, buf, sizeof(buf), 0), 100);
	ck_assert_mem_eq(buf, pattern, 100);
	*m = good; /* the fake reads it too */
	en->chunk = chunk;
}
END_TEST

/* The engine drops the drained chunk of an idle connection; the cursor that AL remembers is then another's, and is noticed. */
START_TEST(eta_recv__idle_chunk_was_reused)
{
	eta_conn_t c, s, c2, s2;
	uint8_t buf[64];

	listen_up();
	pair_up(&c, &s);
	pair_up(&c2, &s2);
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(eta_send(c, pattern + i, 10, 0), 10);
		fake_turn(f);
		ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), 10);
		ck_assert_mem_eq(buf, pattern + i, 10);
		/* the same offset in the same page, and the same generation: only the DTI differs */
		ck_assert_int_eq(eta_send(c2, pattern + 5000 + i, 10, 0), 10);
		fake_turn(f);
		ck_assert_int_eq(eta_recv(s2, buf, sizeof(buf), 0), 10);
		ck_assert_mem_eq(buf, pattern + 5000 + i, 10);
	}
}
END_TEST

START_TEST(eta_send__full_then_writable)
{
	struct eta_completion done[8];
	static uint8_t buf[FAKE_WINDOW];
	eta_conn_t c, s;
	uint32_t what = 0;
	int n;

	listen_up();
	pair_up(&c, &s);
	f->ctx[(uint32_t)(s & 0xffffffu) - 1].stall = true;
	ck_assert_int_eq(eta_send(c, pattern, sizeof(pattern), 0), FAKE_WINDOW);
	ck_assert_int_eq(eta_send(c, pattern, 1, 0), -EAGAIN);
	fake_turn(f);
	ck_assert_int_eq(eta_poll(done, 8), 0);
	f->ctx[(uint32_t)(s & 0xffffffu) - 1].stall = false;
	fake_turn(f);
	n = eta_poll(done, 8);
	for (int i = 0; i < n; i++)
		if (done[i].conn == c)
			what |= done[i].what;
	ck_assert_uint_eq(what & ETA_WRITABLE, ETA_WRITABLE);
	ck_assert_int_eq(eta_send(c, pattern, 1, 0), 1);
	ck_assert_int_eq(eta_recv(s, buf, sizeof(buf), 0), FAKE_WINDOW);
	ck_assert_mem_eq(buf, pattern, FAKE_WINDOW);
}
END_TEST

/* More events than the queue holds, none of them lost: the engine owes the rest. */
START_TEST(eta_poll__queue_full_loses_nothing)
{
	struct eta_completion done[8];
	static eta_conn_t c[60], s[60];
	uint32_t readable = 0;
	uint8_t buf[8];

	listen_up();
	for (int i = 0; i < 60; i++)
		pair_up(&c[i], &s[i]);
	for (int i = 0; i < 60; i++) {
		ck_assert_int_eq(eta_send(c[i], pattern, 4, 0), 4);
		ck_assert_int_eq(eta_send(s[i], pattern, 4, 0), 4);
		fake_turn(f);
	}
	for (int i = 0; i < 60; i++) {
		int n = eta_poll(done, 8);

		for (int k = 0; k < n; k++)
			readable += done[k].what & ETA_READABLE ? 1 : 0;
		fake_turn(f);
	}
	ck_assert_uint_eq(readable, 120);
	for (int i = 0; i < 60; i++) {
		ck_assert_int_eq(eta_recv(c[i], buf, 8, 0), 4);
		ck_assert_int_eq(eta_recv(s[i], buf, 8, 0), 4);
	}
}
END_TEST

/* Send memory for a handful of connections only: all make progress, nobody is corrupted. */
START_TEST(eta_send__memory_short)
{
	static eta_conn_t c[8], s[8];
	uint32_t off[8] = {0}, got[8] = {0};
	static uint8_t buf[FAKE_WINDOW];

	listen_up();
	for (int i = 0; i < 8; i++)
		pair_up(&c[i], &s[i]);
	for (int round = 0; round < 400; round++) {
		int i = round % 8;
		ssize_t n = eta_send(c[i], pattern + off[i], 30000, 0);

		ck_assert(n > 0 || n == -EAGAIN);
		off[i] += n > 0 ? (uint32_t)n : 0;
		if (round % 3)
			fake_turn(f);
		n = eta_recv(s[(i * 3) % 8], buf, 20000, 0);
		if (n > 0) {
			ck_assert_mem_eq(buf, pattern + got[(i * 3) % 8], n);
			got[(i * 3) % 8] += (uint32_t)n;
		}
		if (off[i] > sizeof(pattern) - 40000)
			break;
	}
	ck_assert_uint_gt(got[0], 30000);
}
END_TEST

START_TEST(eta_info__queues_and_state)
{
	struct eta_info info = {.size = sizeof(info)};
	eta_conn_t c, s;

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(eta_send(c, pattern, 500, 0), 500);
	fake_turn(f);
	ck_assert_int_eq(eta_info(s, &info), 0);
	ck_assert_int_eq(info.state, ETA_STATE_OPEN);
	ck_assert_uint_eq(info.rcv_queue_bytes, 500);
	ck_assert_int_eq(eta_info(listener, &info), 0);
	ck_assert_int_eq(info.state, ETA_STATE_LISTENING);
	ck_assert_uint_ne(((struct sockaddr_in *)&info.local)->sin_port, 0);
	info.size = 4;
	ck_assert_int_eq(eta_info(s, &info), -EINVAL);
}
END_TEST

START_TEST(eta_wait__etad_dies)
{
	eta_conn_t c, s;
	char buf[4];

	listen_up();
	pair_up(&c, &s);
	fake_kill(f);
	f->page->heartbeat_tsc = 0;
	ck_assert_int_eq(eta_wait(2000), -ECONNRESET);
	ck_assert_int_eq(eta_send(c, "x", 1, 0), -ECONNRESET);
	ck_assert_int_eq(eta_recv(s, buf, 4, 0), -ECONNRESET);
	ck_assert_int_eq(eta_alive(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("al native");
	TCase *tc = tcase_create("native");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, start, end);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, eta_connect__completes_and_accepts);
	tcase_add_test(tc, eta_connect__refused_is_a_completion);
	tcase_add_test(tc, eta_send__small_message_arrives);
	tcase_add_test(tc, eta_send__stream_is_exact);
	tcase_add_test(tc, eta_recv_loan__ranges_then_return);
	tcase_add_test(tc, eta_shutdown__peer_reads_end_of_stream);
	tcase_add_test(tc, eta_abort__peer_gets_its_error_once);
	tcase_add_test(tc, eta_close__handle_is_void);
	tcase_add_test(tc, eta_close__generation_reuse);
	tcase_add_test(tc, event__counters_outside_the_window);
	tcase_add_loop_test(tc, eta_recv__hostile_chunks, 0, 12);
	tcase_add_test(tc, eta_recv__idle_chunk_was_reused);
	tcase_add_test(tc, eta_send__full_then_writable);
	tcase_add_test(tc, eta_poll__queue_full_loses_nothing);
	tcase_add_test(tc, eta_send__memory_short);
	tcase_add_test(tc, eta_info__queues_and_state);
	tcase_add_test(tc, eta_wait__etad_dies);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
