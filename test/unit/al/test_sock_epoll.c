/* SPDX-License-Identifier: BSD-3-Clause */
/* Epoll sets over the double of the core: level, edge, one-shot, both sides, nesting, threads, fork. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/al/sock_help.h"

#define MS 1000000ll

static int epfd;
static struct epoll_event got[64];

static void setup(void)
{
	epfd = al_sys_epoll_create1(0);
}

static int add(int fd, uint32_t events)
{
	struct epoll_event ev = {
			.events = events, .data.u64 = 0xabc0000000000000ull + (uint32_t)fd};

	return al_sys_epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

static int mod(int fd, uint32_t events)
{
	struct epoll_event ev = {
			.events = events, .data.u64 = 0xabc0000000000000ull + (uint32_t)fd};

	return al_sys_epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev);
}

static int wait_now(void)
{
	return al_sys_epoll_pwait(epfd, got, 64, 0, NULL);
}

/* What was reported for @fd among the first @n. */
static uint32_t events_of(int n, int fd)
{
	for (int i = 0; i < n; i++)
		if (got[i].data.u64 == 0xabc0000000000000ull + (uint32_t)fd)
			return got[i].events;
	return 0;
}

START_TEST(epoll_wait__level_stays_until_read)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	char buf[16];

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(wait_now(), 0);
	fake_data(conn, "hello");
	ck_assert_int_eq(wait_now(), 1);
	ck_assert_uint_eq(events_of(1, fd), EPOLLIN);
	ck_assert_int_eq(wait_now(), 1);
	ck_assert_int_eq(al_sys_read(fd, buf, 3), 3);
	ck_assert_int_eq(wait_now(), 1);
	ck_assert_int_eq(al_sys_read(fd, buf, 16), 2);
	ck_assert_int_eq(wait_now(), 0);
}
END_TEST

START_TEST(epoll_wait__edge_once_per_arrival)
{
	struct al_conn *conn;
	int fd = help_open(&conn);

	ck_assert_int_eq(add(fd, EPOLLIN | EPOLLET), 0);
	fake_data(conn, "a");
	ck_assert_int_eq(wait_now(), 1);
	ck_assert_int_eq(wait_now(), 0);
	fake_data(conn, "b");
	ck_assert_int_eq(wait_now(), 1);
	ck_assert_int_eq(wait_now(), 0);
}
END_TEST

START_TEST(epoll_ctl__add_of_a_ready_socket_reports)
{
	struct al_conn *conn;
	int fd = help_open(&conn);

	fake_data(conn, "early");
	al_poll_events();
	ck_assert_int_eq(add(fd, EPOLLIN | EPOLLET), 0);
	ck_assert_int_eq(wait_now(), 1);
}
END_TEST

START_TEST(epoll_wait__no_event_for_data_read_meanwhile)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	char buf[16];

	ck_assert_int_eq(add(fd, EPOLLIN | EPOLLET), 0);
	ck_assert_int_eq(wait_now(), 0);
	fake_data(conn, "x");
	ck_assert_int_eq(al_sys_read(fd, buf, sizeof(buf)), 1);
	ck_assert_int_eq(wait_now(), 0); /* EPOLLIN and then EAGAIN would be a lie */
}
END_TEST

START_TEST(epoll_ctl__mod_rearms_oneshot)
{
	struct al_conn *conn;
	int fd = help_open(&conn);

	ck_assert_int_eq(add(fd, EPOLLIN | EPOLLONESHOT), 0);
	fake_data(conn, "a");
	ck_assert_int_eq(wait_now(), 1);
	fake_data(conn, "b");
	ck_assert_int_eq(wait_now(), 0);
	ck_assert_int_eq(mod(fd, EPOLLIN | EPOLLONESHOT), 0);
	ck_assert_int_eq(wait_now(), 1); /* the level counts at MOD */
	ck_assert_int_eq(wait_now(), 0);
}
END_TEST

START_TEST(epoll_ctl__mod_from_in_to_out)
{
	struct al_conn *conn;
	int fd = help_open(&conn);

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(wait_now(), 0);
	ck_assert_int_eq(mod(fd, EPOLLOUT), 0);
	ck_assert_int_eq(wait_now(), 1);
	ck_assert_uint_eq(events_of(1, fd), EPOLLOUT);
	ck_assert_int_eq(mod(fd, 0), 0);
	ck_assert_int_eq(wait_now(), 0);
	fake_reset_by_peer(conn);
	ck_assert_int_eq(wait_now(), 1); /* errors come unasked */
	ck_assert_uint_eq(events_of(1, fd) & (EPOLLERR | EPOLLHUP), EPOLLERR | EPOLLHUP);
}
END_TEST

START_TEST(epoll_ctl__errors_are_the_kernels)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	ck_assert_int_eq(mod(fd, EPOLLIN), -ENOENT);
	ck_assert_int_eq(al_sys_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), -ENOENT);
	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(add(fd, EPOLLIN), -EEXIST);
	ck_assert_int_eq(al_sys_epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev), -EINVAL);
	ck_assert_int_eq(al_sys_epoll_ctl(epfd, 77, fd, &ev), -EINVAL);
	ck_assert_int_eq(al_sys_epoll_ctl(epfd, EPOLL_CTL_ADD, epfd, &ev), -EINVAL);
	ck_assert_int_eq(al_sys_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
	ck_assert_int_eq(add(fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), -EINVAL);
	ck_assert_int_eq(add(fd, EPOLLIN | EPOLLEXCLUSIVE), 0);
	ck_assert_int_eq(al_sys_epoll_pwait(epfd, got, 0, 0, NULL), -EINVAL);
	ck_assert_int_eq(add(9999, EPOLLIN), -EBADF);
}
END_TEST

START_TEST(epoll_ctl__del_silences)
{
	struct al_conn *conn;
	int fd = help_open(&conn);

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	fake_data(conn, "a");
	ck_assert_int_eq(al_sys_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
	ck_assert_int_eq(wait_now(), 0);
}
END_TEST

START_TEST(close__takes_the_socket_out_of_the_set)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int copy = al_sys_dup(fd);

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	fake_data(conn, "a");
	al_sys_close(fd);
	ck_assert_int_eq(wait_now(), 1); /* the copy keeps it, as in the kernel */
	al_sys_close(copy);
	ck_assert_int_eq(wait_now(), 0);
}
END_TEST

START_TEST(epoll_wait__kernel_and_eta_in_one_call)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int ends[2];
	int n;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(add(ends[0], EPOLLIN), 0);
	ck_assert_int_eq(write(ends[1], "k", 1), 1);
	n = al_sys_epoll_pwait(epfd, got, 64, 1000 * MS, NULL);
	ck_assert_int_eq(n, 1);
	ck_assert_uint_eq(events_of(n, ends[0]), EPOLLIN);
	fake_data(conn, "e");
	n = wait_now();
	for (int i = 0; i < 3 && n < 2; i++)
		n = wait_now();
	ck_assert_uint_eq(events_of(n, fd) | events_of(n, ends[0]), EPOLLIN);
}
END_TEST

START_TEST(epoll_wait__busy_sockets_do_not_starve_the_kernel)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int ends[2];
	int eta = 0;
	int kernel = 0;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(add(ends[0], EPOLLIN), 0);
	fake_data(conn, "never read");
	ck_assert_int_eq(write(ends[1], "never read", 10), 10);
	for (int64_t end = al_now_ns() + 20 * MS; al_now_ns() < end;) {
		ck_assert_int_eq(al_sys_epoll_pwait(epfd, got, 1, -1, NULL), 1);
		eta += events_of(1, fd) != 0;
		kernel += events_of(1, ends[0]) != 0;
	}
	ck_assert_int_gt(eta, 10);
	ck_assert_int_gt(kernel, 10);
}
END_TEST

START_TEST(epoll_wait__many_take_turns)
{
	struct al_conn *conn[5];
	int fd[5];
	int seen[5] = {0};

	for (int i = 0; i < 5; i++) {
		fd[i] = help_open(&conn[i]);
		ck_assert_int_eq(add(fd[i], EPOLLIN), 0);
		fake_data(conn[i], "x");
	}
	for (int round = 0; round < 5; round++) {
		ck_assert_int_eq(al_sys_epoll_pwait(epfd, got, 1, 0, NULL), 1);
		for (int i = 0; i < 5; i++)
			seen[i] += events_of(1, fd[i]) != 0;
	}
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(seen[i], 1);
}
END_TEST

START_TEST(epoll_wait__undecided_socket_then_connect)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ck_assert_int_eq(add(fd, EPOLLOUT), 0);
	ck_assert_int_eq(wait_now(), 1);
	ck_assert_uint_eq(events_of(1, fd),
			EPOLLOUT | EPOLLHUP); /* as the kernel says of a fresh socket */
	ck_assert_int_eq(al_sys_connect(fd, (const struct sockaddr *)&help_peer, sizeof(help_peer)),
			-EINPROGRESS);
	ck_assert_int_eq(wait_now(), 0);
	fake_connected(fake.last);
	ck_assert_int_eq(wait_now(), 1);
	ck_assert_uint_eq(events_of(1, fd), EPOLLOUT);
}
END_TEST

START_TEST(epoll_wait__listener_from_both_sides)
{
	struct al_conn *master;
	int fd = help_listening(&master);
	int client;
	int a;

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(wait_now(), 0);
	fake_incoming(master);
	ck_assert_int_eq(wait_now(), 1);
	a = al_sys_accept4(fd, NULL, NULL, 0);
	ck_assert_ptr_nonnull(help_sock(a));
	ck_assert_int_eq(wait_now(), 0);
	client = help_kernel_client(fd);
	ck_assert_int_eq(al_sys_epoll_pwait(epfd, got, 64, 1000 * MS, NULL), 1);
	ck_assert_uint_eq(events_of(1, fd), EPOLLIN);
	a = al_sys_accept4(fd, NULL, NULL, 0);
	ck_assert_int_ge(a, 0);
	ck_assert_ptr_null(help_sock(a));
	ck_assert_int_eq(wait_now(), 0);
	close(client);
}
END_TEST

START_TEST(epoll_wait__timeout_elapses)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int64_t start = al_now_ns();

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(al_sys_epoll_pwait(epfd, got, 64, 30 * MS, NULL), 0);
	ck_assert_int_ge(al_now_ns() - start, 29 * MS);
}
END_TEST

START_TEST(epoll_wait__nested_set_of_eta_sockets)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int outer = al_sys_epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 7};

	ck_assert_int_eq(al_sys_epoll_ctl(outer, EPOLL_CTL_ADD, epfd, &ev), 0);
	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(al_sys_epoll_pwait(outer, got, 64, 0, NULL), 0);
	fake_data(conn, "x");
	ck_assert_int_eq(al_sys_epoll_pwait(outer, got, 64, 1000 * MS, NULL), 1);
	ck_assert_uint_eq(got[0].data.u64, 7);
	ck_assert_int_eq(wait_now(), 1); /* and is still there inside */
}
END_TEST

START_TEST(epoll_wait__nested_set_of_kernel_descriptors)
{
	int outer = al_sys_epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 7};
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(al_sys_epoll_ctl(outer, EPOLL_CTL_ADD, epfd, &ev), 0);
	ck_assert_int_eq(add(ends[0], EPOLLIN), 0);
	ck_assert_int_eq(write(ends[1], "k", 1), 1);
	ck_assert_int_eq(al_sys_epoll_pwait(outer, got, 64, 1000 * MS, NULL), 1);
	ck_assert_uint_eq(got[0].data.u64, 7);
}
END_TEST

static void *wait_thread(void *arg)
{
	struct epoll_event ev[4];

	(void)arg;
	return (void *)(intptr_t)al_sys_epoll_pwait(epfd, ev, 4, 5000 * MS, NULL);
}

START_TEST(epoll_wait__thread_that_did_not_add_is_woken)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	pthread_t thread;
	void *ret;

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_thread, NULL), 0);
	while (fake_watchers(conn) < 2)
		sched_yield();
	fake_data(conn, "x");
	ck_assert_int_eq(pthread_join(thread, &ret), 0);
	ck_assert_int_eq((int)(intptr_t)ret, 1);
}
END_TEST

START_TEST(epoll_ctl__add_wakes_a_thread_asleep_in_a_kernel_only_set)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	struct al_set *set = (struct al_set *)al_fdtab_peek(&al_sockets.fdtab, epfd);
	pthread_t thread;
	void *ret;

	ck_assert_int_eq(pthread_create(&thread, NULL, wait_thread, NULL), 0);
	while (__atomic_load_n(&set->kernel_sleepers_n, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	fake_data(conn, "x");
	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(pthread_join(thread, &ret), 0);
	ck_assert_int_eq((int)(intptr_t)ret, 1);
}
END_TEST

START_TEST(epoll_ctl__add_wakes_a_thread_asleep_in_a_mixed_set)
{
	struct al_conn *first;
	struct al_conn *conn;
	int a = help_open(&first);
	int fd = help_open(&conn);
	pthread_t thread;
	void *ret;

	ck_assert_int_eq(add(a, EPOLLIN), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_thread, NULL), 0);
	while (__atomic_load_n(&al_sockets.sleepers_n, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	while (fake_watchers(conn) < 2)
		sched_yield();
	fake_data(conn, "x");
	ck_assert_int_eq(pthread_join(thread, &ret), 0);
	ck_assert_int_eq((int)(intptr_t)ret, 1);
}
END_TEST

START_TEST(fork__child_waits_on_an_inherited_set)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int status;
	pid_t pid;

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(wait_now(), 0);
	pid = fork();
	if (pid == 0) {
		fake_data(conn, "x"); /* in the child's copy of the double */
		_exit(wait_now() == 1 && events_of(1, fd) == EPOLLIN ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(fake.shared_n, 1);
	ck_assert_int_eq(wait_now(), 0);
}
END_TEST

START_TEST(epoll_wait__ten_thousand_adds_and_closes_leave_nothing)
{
	struct al_set *set = (struct al_set *)al_fdtab_peek(&al_sockets.fdtab, epfd);

	for (int i = 0; i < 10000; i++) {
		int fd = help_connecting();

		ck_assert_int_eq(add(fd, EPOLLIN), 0);
		if (i % 3 == 0)
			ck_assert_int_eq(al_sys_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
		ck_assert_int_eq(al_sys_close(fd), 0);
	}
	ck_assert_uint_eq(set->items_n, 0);
	ck_assert_uint_eq(set->live_n, 0);
	ck_assert_uint_eq(set->ready_n, 0);
	ck_assert_uint_eq(fake.opened_n, fake.closed_n);
	ck_assert_uint_le(al_sockets.items.slabs_n, 1);
	ck_assert_uint_le(al_sockets.socks.slabs_n, 1);
}
END_TEST

START_TEST(engine_gone__is_reported_to_a_waiter)
{
	struct al_conn *conn;
	int fd = help_open(&conn);

	ck_assert_int_eq(add(fd, EPOLLIN), 0);
	ck_assert_int_eq(wait_now(), 0);
	fake.dead = true; /* and no event tells */
	ck_assert_int_eq(al_sys_epoll_pwait(epfd, got, 64, 2000 * MS, NULL), 1);
	ck_assert_uint_eq(events_of(1, fd) & EPOLLHUP, EPOLLHUP);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sock_epoll");
	TCase *tc = tcase_create("epoll");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, epoll_wait__level_stays_until_read);
	tcase_add_test(tc, epoll_wait__edge_once_per_arrival);
	tcase_add_test(tc, epoll_ctl__add_of_a_ready_socket_reports);
	tcase_add_test(tc, epoll_wait__no_event_for_data_read_meanwhile);
	tcase_add_test(tc, epoll_ctl__mod_rearms_oneshot);
	tcase_add_test(tc, epoll_ctl__mod_from_in_to_out);
	tcase_add_test(tc, epoll_ctl__errors_are_the_kernels);
	tcase_add_test(tc, epoll_ctl__del_silences);
	tcase_add_test(tc, close__takes_the_socket_out_of_the_set);
	tcase_add_test(tc, epoll_wait__kernel_and_eta_in_one_call);
	tcase_add_test(tc, epoll_wait__busy_sockets_do_not_starve_the_kernel);
	tcase_add_test(tc, epoll_wait__many_take_turns);
	tcase_add_test(tc, epoll_wait__undecided_socket_then_connect);
	tcase_add_test(tc, epoll_wait__listener_from_both_sides);
	tcase_add_test(tc, epoll_wait__timeout_elapses);
	tcase_add_test(tc, epoll_wait__nested_set_of_eta_sockets);
	tcase_add_test(tc, epoll_wait__nested_set_of_kernel_descriptors);
	tcase_add_test(tc, epoll_wait__thread_that_did_not_add_is_woken);
	tcase_add_test(tc, epoll_ctl__add_wakes_a_thread_asleep_in_a_kernel_only_set);
	tcase_add_test(tc, epoll_ctl__add_wakes_a_thread_asleep_in_a_mixed_set);
	tcase_add_test(tc, fork__child_waits_on_an_inherited_set);
	tcase_add_test(tc, epoll_wait__ten_thousand_adds_and_closes_leave_nothing);
	tcase_add_test(tc, engine_gone__is_reported_to_a_waiter);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
