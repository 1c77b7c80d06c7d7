/* SPDX-License-Identifier: BSD-3-Clause */
/* Connect and accept over the double of the core. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "test/unit/al/sock_help.h"

#define MS 1000000ll

/* ---- connect ---- */

START_TEST(connect__nonblocking_sequence)
{
	int fd = help_connecting();

	ck_assert_int_eq(help_connect(fd), -EALREADY);
	ck_assert_int_eq(help_poll_one(fd, POLLIN | POLLOUT, 0), 0);
	ck_assert_int_eq(al_sys_read(fd, &fd, 0), 0);
	fake_connected(fake.last);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 1000 * MS), POLLOUT);
	ck_assert_int_eq(help_so_error(fd), 0);
	ck_assert_int_eq(help_connect(fd), 0); /* once, as the kernel */
	ck_assert_int_eq(help_connect(fd), -EISCONN);
}
END_TEST

START_TEST(connect__refusal_by_so_error_then_again)
{
	int fd = help_connecting();

	fake_refused(fake.last, ETA_STATUS_REFUSED);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 1000 * MS), POLLOUT | POLLERR | POLLHUP);
	ck_assert_int_eq(help_so_error(fd), ECONNREFUSED);
	ck_assert_int_eq(help_so_error(fd), 0);
	ck_assert_int_eq(help_connect(fd), -ECONNABORTED);
	ck_assert_int_eq(help_connect(fd), -EINPROGRESS);
	fake_connected(fake.last);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 1000 * MS), POLLOUT);
}
END_TEST

static ssize_t send_fastopen(int fd, size_t n, int flags)
{
	static char bytes[4000];

	return al_sys_sendto(fd, bytes, n, MSG_FASTOPEN | MSG_NOSIGNAL | flags,
			(const struct sockaddr *)&help_peer, sizeof(help_peer));
}

static int fresh(int flags)
{
	return al_sys_socket(AF_INET, SOCK_STREAM | flags, 0);
}

START_TEST(fastopen__without_a_cookie_nothing_is_taken)
{
	int fd = fresh(SOCK_NONBLOCK);

	fake.syn_bytes = 0;
	ck_assert_int_eq(send_fastopen(fd, 1000, 0), -EINPROGRESS);
	ck_assert_uint_eq(al_conn_param(fake.last)->opt & ETA_OPT_FASTOPEN, ETA_OPT_FASTOPEN);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 0), 0);
	ck_assert_int_eq(send_fastopen(fd, 1000, 0), -EALREADY);
	ck_assert_int_eq(al_sys_write(fd, "x", 1), -EAGAIN);
	fake_connected(fake.last);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 1000 * MS), POLLOUT);
	/* the first call after it tells of the connection, and sends; as the kernel */
	ck_assert_int_eq(send_fastopen(fd, 10, 0), 10);
	ck_assert_int_eq(send_fastopen(fd, 10, 0), -EISCONN);
	ck_assert_uint_eq(strlen(fake_take(fake.last)), 0); /* ten bytes of zero */
}
END_TEST

START_TEST(fastopen__the_syn_takes_what_fits)
{
	int fd = fresh(SOCK_NONBLOCK);
	struct sockaddr_in unspec = {.sin_family = AF_UNSPEC};

	fake.syn_bytes = 1420;
	ck_assert_int_eq(al_sys_sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&unspec,
					 sizeof(unspec)),
			-EOPNOTSUPP);
	ck_assert_int_eq(send_fastopen(fd, 2000, 0), 1420);
	ck_assert_int_eq(send_fastopen(fd, 580, 0), -EALREADY);
	ck_assert_int_eq(al_sys_write(fd, "x", 1), -EAGAIN);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 0), 0);
	fake_refused(fake.last, ETA_STATUS_REFUSED);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 1000 * MS), POLLOUT | POLLERR | POLLHUP);
	ck_assert_int_eq(al_sys_write(fd, "x", 1), -ECONNREFUSED);
	/* nothing: the SYN goes alone */
	fd = fresh(SOCK_NONBLOCK);
	ck_assert_int_eq(send_fastopen(fd, 0, 0), -EINPROGRESS);
	ck_assert_uint_eq(fake.syn_go_n, 1);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 0), 0);
}
END_TEST

static void *connect_later(void *arg)
{
	(void)arg;
	while (__atomic_load_n(&al_sockets.sleepers_n, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	fake_connected(fake.last);
	return NULL;
}

START_TEST(fastopen__blocking_sends_all)
{
	pthread_t thread;
	int fd;

	for (fake.syn_bytes = 0; fake.syn_bytes <= 1420; fake.syn_bytes += 1420) {
		fd = fresh(0);
		pthread_create(&thread, NULL, connect_later, NULL);
		ck_assert_int_eq(send_fastopen(fd, 2000, 0), 2000);
		pthread_join(thread, NULL);
	}
}
END_TEST

START_TEST(fastopen_connect__returns_while_the_syn_waits)
{
	int fd = fresh(SOCK_NONBLOCK), on = 1;
	char c;

	fake.syn_bytes = 1420;
	ck_assert_int_eq(al_sys_setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)),
			0);
	ck_assert_int_eq(help_connect(fd), 0);
	ck_assert_int_eq(help_connect(fd), -EISCONN);
	ck_assert_int_eq(al_sys_setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)),
			-EINVAL);
	ck_assert_int_eq(help_poll_one(fd, POLLIN | POLLOUT, 0), POLLOUT);
	ck_assert_int_eq(al_sys_read(fd, &c, 1), -EAGAIN);
	ck_assert_int_eq(al_sys_write(fd, "hello", 5), 5);
	ck_assert_int_eq(help_poll_one(fd, POLLIN | POLLOUT, 0), 0);
	ck_assert_str_eq(fake_take(fake.last), "hello");
	fake_connected(fake.last);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 1000 * MS), POLLOUT);
	/* without a cookie it is a connect like any other */
	fake.syn_bytes = 0;
	fd = fresh(SOCK_NONBLOCK);
	al_sys_setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on));
	ck_assert_int_eq(help_connect(fd), -EINPROGRESS);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 0), 0);
}
END_TEST

static void *refuse_later(void *arg)
{
	(void)arg;
	while (__atomic_load_n(&al_sockets.sleepers_n, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	fake_refused(fake.last, ETA_STATUS_REFUSED);
	return NULL;
}

START_TEST(connect__blocking_returns_the_refusal)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	pthread_create(&thread, NULL, refuse_later, NULL);
	ck_assert_int_eq(help_connect(fd), -ECONNREFUSED);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(connect__times_out_by_sndtimeo)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	struct timeval tv = {.tv_usec = 20000};

	al_sys_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	ck_assert_int_eq(help_connect(fd), -EINPROGRESS);
}
END_TEST

START_TEST(connect__not_carried_is_the_kernels)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int server = socket(AF_INET, SOCK_STREAM, 0);
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(to);

	ck_assert_int_eq(bind(server, (struct sockaddr *)&to, len), 0);
	ck_assert_int_eq(listen(server, 1), 0);
	getsockname(server, (struct sockaddr *)&to, &len);
	fake.connect_result = -EAFNOSUPPORT;
	ck_assert_int_eq(al_sys_connect(fd, (struct sockaddr *)&to, len), 0);
	ck_assert_int_eq(al_sys_write(fd, "x", 1), 1);
	ck_assert_ptr_null(help_sock(fd));
	ck_assert_uint_eq(al_sockets.counts.n[AL_COUNT_FALLBACK_CONNECT], 1);
	ck_assert_uint_eq(fake.opened_n, fake.closed_n);
}
END_TEST

START_TEST(connect__not_port_by_policy)
{
	int fd;

	al_policy_parse(&al_sockets.policy, "connect=80", true);
	fd = al_sys_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)help_connect(fd);
	ck_assert_uint_eq(fake.opened_n, 0);
	ck_assert_uint_eq(al_sockets.counts.n[AL_COUNT_FALLBACK_POLICY], 1);
}
END_TEST

START_TEST(connect__bad_arguments_fail_as_the_kernel)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = 1};

	ck_assert_int_eq(al_sys_connect(fd, (const struct sockaddr *)&help_peer, 3), -EINVAL);
	ck_assert_int_eq(al_sys_connect(fd, (struct sockaddr *)&six, sizeof(six)), -EAFNOSUPPORT);
	ck_assert_int_eq(help_connect(-1), -EBADF);
	ck_assert_uint_eq(fake.opened_n, 0);
	ck_assert_ptr_nonnull(help_sock(fd));
}
END_TEST

START_TEST(unconnected__calls_fail_as_the_kernel)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	char c;

	ck_assert_int_eq(al_sys_recvfrom(fd, &c, 1, 0, NULL, NULL), -ENOTCONN);
	ck_assert_int_eq(al_sys_sendto(fd, &c, 1, MSG_NOSIGNAL, NULL, 0), -EPIPE);
	ck_assert_int_eq(al_sys_getpeername(fd, (struct sockaddr *)&name, &len), -ENOTCONN);
	ck_assert_int_eq(al_sys_shutdown(fd, SHUT_WR), -ENOTCONN);
	ck_assert_int_eq(al_sys_accept4(fd, NULL, NULL, 0), -EINVAL);
	ck_assert_int_eq(help_poll_one(fd, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
}
END_TEST

/* ---- accept ---- */

START_TEST(accept__eta_first_then_kernel)
{
	struct al_conn *master;
	int fd = help_listening(&master);
	int client = help_kernel_client(fd);
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int a;

	fake_incoming(master);
	a = al_sys_accept4(fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
	ck_assert_ptr_nonnull(help_sock(a));
	ck_assert_int_eq(len, sizeof(from));
	ck_assert_int_eq(from.sin_port, htons(5555));
	ck_assert_int_eq(fcntl(a, F_GETFD), FD_CLOEXEC);
	a = al_sys_accept4(fd, NULL, NULL, 0); /* blocking: finds the kernel's */
	ck_assert_int_ge(a, 0);
	ck_assert_ptr_null(help_sock(a));
	close(client);
}
END_TEST

START_TEST(accept__listener_keeps_its_blocking_mode_to_the_eye)
{
	struct al_conn *master;
	int fd = help_listening(&master);

	ck_assert_int_eq(al_sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK, 0);
	ck_assert_int_eq(al_sys_fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	ck_assert_int_eq(al_sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
	ck_assert_int_eq(al_sys_accept4(fd, NULL, NULL, 0), -EAGAIN);
	ck_assert_int_eq(al_sys_accept4(fd, NULL, NULL, 0x40), -EINVAL);
}
END_TEST

static void *accept_thread(void *arg)
{
	return (void *)(intptr_t)al_sys_accept4((int)(intptr_t)arg, NULL, NULL, 0);
}

START_TEST(accept__in_another_thread_than_listen)
{
	struct al_conn *master;
	int fd = help_listening(&master);
	pthread_t thread;
	void *ret;

	pthread_create(&thread, NULL, accept_thread, (void *)(intptr_t)fd);
	while (fake_watchers(master) < 2)
		sched_yield();
	fake_incoming(master);
	pthread_join(thread, &ret);
	ck_assert_ptr_nonnull(help_sock((int)(intptr_t)ret));
}
END_TEST

START_TEST(accept__wakes_for_a_kernel_connection)
{
	struct al_conn *master;
	int fd = help_listening(&master);
	pthread_t thread;
	void *ret;
	int client;

	pthread_create(&thread, NULL, accept_thread, (void *)(intptr_t)fd);
	while (__atomic_load_n(&al_sockets.sleepers_n, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	client = help_kernel_client(fd);
	pthread_join(thread, &ret);
	ck_assert_int_ge((int)(intptr_t)ret, 0);
	ck_assert_ptr_null(help_sock((int)(intptr_t)ret));
	close(client);
}
END_TEST

START_TEST(accept__child_inherits_options)
{
	struct al_conn *master;
	int fd = help_listening(&master);
	struct timeval tv = {.tv_sec = 3};
	int on = 1;
	socklen_t len = sizeof(on);
	struct al_conn *conn;
	int a;

	al_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	al_sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	conn = fake_incoming(master);
	a = al_sys_accept4(fd, NULL, NULL, 0);
	on = 0;
	ck_assert_int_eq(al_sys_getsockopt(a, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	ck_assert_int_eq(on, 1);
	ck_assert_uint_eq(al_conn_param(conn)->opt & ETA_OPT_NODELAY, ETA_OPT_NODELAY);
	ck_assert_int_eq(help_sock(a)->rcv_timeo_ns, 3000 * MS);
}
END_TEST

START_TEST(listen__not_carried_is_the_kernels)
{
	struct al_conn *master;
	int fd;

	fake.listen_result = -EAFNOSUPPORT;
	fd = help_listening(&master);
	ck_assert(!al_sock_is_eta(help_sock(fd)));
	ck_assert_uint_eq(al_sockets.counts.n[AL_COUNT_FALLBACK_LISTEN], 1);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, connect__nonblocking_sequence);
	tcase_add_test(tc, connect__refusal_by_so_error_then_again);
	tcase_add_test(tc, fastopen__without_a_cookie_nothing_is_taken);
	tcase_add_test(tc, fastopen__the_syn_takes_what_fits);
	tcase_add_test(tc, fastopen__blocking_sends_all);
	tcase_add_test(tc, fastopen_connect__returns_while_the_syn_waits);
	tcase_add_test(tc, connect__blocking_returns_the_refusal);
	tcase_add_test(tc, connect__times_out_by_sndtimeo);
	tcase_add_test(tc, connect__not_carried_is_the_kernels);
	tcase_add_test(tc, connect__not_port_by_policy);
	tcase_add_test(tc, connect__bad_arguments_fail_as_the_kernel);
	tcase_add_test(tc, unconnected__calls_fail_as_the_kernel);
	tcase_add_test(tc, accept__eta_first_then_kernel);
	tcase_add_test(tc, accept__listener_keeps_its_blocking_mode_to_the_eye);
	tcase_add_test(tc, accept__in_another_thread_than_listen);
	tcase_add_test(tc, accept__wakes_for_a_kernel_connection);
	tcase_add_test(tc, accept__child_inherits_options);
	tcase_add_test(tc, listen__not_carried_is_the_kernels);
}

int main(void)
{
	Suite *suite = suite_create("sock_conn");
	TCase *tc = tcase_create("conn");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 10);
	add_tests(tc);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
