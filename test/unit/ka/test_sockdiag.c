/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sockdiag.c: the last reference of a socket, wherever it is.
 */
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ka/sockdiag.h"
#include "test/unit/ka/ka_ns.h"

static struct loop loop;
static struct sockdiag sd;
static uint64_t gone[8];
static int gone_n;
static bool held;

static void on_gone(void *arg, uint64_t cookie)
{
	(void)arg;
	if (gone_n < 8)
		gone[gone_n] = cookie;
	gone_n++;
}

static bool is_held(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
	return held;
}

static const struct sockdiag_ops ops = {.on_gone = on_gone, .is_held = is_held};

static void setup(void)
{
	ck_assert(ka_ns_enter());
	ck_assert_int_eq(loop_init(&loop), 0);
	ck_assert_int_eq(sockdiag_init(&sd, &loop, &ops, NULL), 0);
	gone_n = 0;
	held = false;
}

static void teardown(void)
{
	sockdiag_fini(&sd);
	loop_fini(&loop);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static void turn(int times)
{
	for (int i = 0; i < times; i++)
		ck_assert_int_ge(loop_turn(&loop, 20), 0);
}

START_TEST(sockdiag__last_close_is_told)
{
	static const int kinds[][2] = {{AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_STREAM},
			{AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_DGRAM}};
	int fd = socket(kinds[_i][0], kinds[_i][1], 0), copy = dup(fd);
	uint64_t cookie = cookie_of(fd);

	ck_assert_int_eq(sockdiag_watch(&sd, cookie), 0);
	close(fd);
	turn(3);
	ck_assert_int_eq(gone_n, 0);
	close(copy);
	for (int i = 0; i < 50 && gone_n == 0; i++)
		turn(1);
	ck_assert_int_eq(gone_n, 1);
	ck_assert_uint_eq(gone[0], cookie);
	ck_assert_uint_eq(sd.watched_n, 0);
	ck_assert(!sd.is_joined);
}
END_TEST

START_TEST(sockdiag__another_process_counts)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), pipe_fd[2];
	char c;
	pid_t pid;

	ck_assert_int_eq(sockdiag_watch(&sd, cookie_of(fd)), 0);
	ck_assert_int_eq(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		close(pipe_fd[1]);
		_exit(read(pipe_fd[0], &c, 1) < 0);
	}
	close(pipe_fd[0]);
	close(fd);
	turn(3);
	ck_assert_int_eq(gone_n, 0);
	close(pipe_fd[1]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	for (int i = 0; i < 50 && gone_n == 0; i++)
		turn(1);
	ck_assert_int_eq(gone_n, 1);
}
END_TEST

START_TEST(sockdiag_unwatch__counts)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t cookie = cookie_of(fd);

	ck_assert_int_eq(sockdiag_watch(&sd, cookie), 0);
	ck_assert_int_eq(sockdiag_watch(&sd, cookie), 0);
	sockdiag_unwatch(&sd, cookie);
	ck_assert_uint_eq(sd.watched_n, 1);
	sockdiag_unwatch(&sd, cookie);
	ck_assert_uint_eq(sd.watched_n, 0);
	close(fd);
	turn(3);
	ck_assert_int_eq(gone_n, 0);
}
END_TEST

START_TEST(sockdiag_reconcile__finds_what_was_lost)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int bound = socket(AF_INET, SOCK_STREAM, 0);

	/* A listening one is in the dump; a cookie that nothing has is not. */
	ck_assert_int_eq(bind(bound, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(bound, 1), 0);
	ck_assert_int_eq(sockdiag_watch(&sd, cookie_of(bound)), 0);
	ck_assert_int_eq(sockdiag_watch(&sd, 0x7fffffffffull), 0);
	held = true;
	sockdiag_reconcile(&sd);
	ck_assert_int_eq(gone_n, 0);
	held = false;
	sockdiag_reconcile(&sd);
	ck_assert_int_eq(gone_n, 1);
	ck_assert_uint_eq(gone[0], 0x7fffffffffull);
	close(bound);
}
END_TEST

START_TEST(sockdiag_bound_ports__lists_bound)
{
	static uint8_t bitmap[65536 / 8];
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(7070)};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(sockdiag_bound_ports(bitmap), 0);
	ck_assert(bitmap[7070 / 8] & (1u << (7070 % 8)));
	ck_assert(!(bitmap[7071 / 8] & (1u << (7071 % 8))));
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ka sockdiag");
	TCase *tc = tcase_create("sockdiag");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (geteuid() != 0) {
		(void)printf("not root: skipped\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, sockdiag__last_close_is_told, 0, 4);
	tcase_add_test(tc, sockdiag__another_process_counts);
	tcase_add_test(tc, sockdiag_unwatch__counts);
	tcase_add_test(tc, sockdiag_reconcile__finds_what_was_lost);
	tcase_add_test(tc, sockdiag_bound_ports__lists_bound);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
