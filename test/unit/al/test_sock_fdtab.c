/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers: the table, dup, close and AL's own descriptors. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <unistd.h>

#include "al/sock/api.h"
#include "al/sock/sock.h"
#include "test/unit/al/fake_core.h"

static struct al_file *file_of(int fd)
{
	return al_fdtab_peek(&al_sockets.fdtab, fd);
}

START_TEST(al_fdtab_peek__out_of_range_is_the_kernels)
{
	ck_assert_ptr_null(file_of(-1));
	ck_assert_ptr_null(file_of(0x7fffffff));
	ck_assert_ptr_null(file_of(1 << 29));
}
END_TEST

START_TEST(al_fdtab_set__high_number_is_found_again)
{
	struct al_sock *sock = al_sock_make((1 << 30) - 1, AF_INET, false);

	ck_assert_ptr_nonnull(sock);
	ck_assert_ptr_eq(file_of((1 << 30) - 1), &sock->file);
	ck_assert_ptr_null(file_of((1 << 30) - 2));
	ck_assert_int_eq(al_fdtab_next(&al_sockets.fdtab, 0, NULL), (1 << 30) - 1);
}
END_TEST

START_TEST(al_fdtab_get__holds_while_it_lives)
{
	struct al_sock *sock = al_sock_make(100, AF_INET, false);
	struct al_file *file = al_fdtab_get(&al_sockets.fdtab, 100);

	ck_assert_ptr_eq(file, &sock->file);
	ck_assert_uint_eq(file->refs, 2);
	al_file_put(al_fdtab_take(&al_sockets.fdtab, 100));
	ck_assert_uint_eq(file->refs, 1);
	ck_assert_ptr_null(al_fdtab_get(&al_sockets.fdtab, 100));
	al_file_put(file);
	ck_assert(!al_file_hold(file));
}
END_TEST

START_TEST(al_sys_socket__tcp_is_entered_udp_is_not)
{
	int tcp = al_sys_socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int udp = al_sys_socket(AF_INET, SOCK_DGRAM, 0);
	int local = al_sys_socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_ptr_nonnull(file_of(tcp));

	ck_assert_ptr_null(file_of(udp));
	ck_assert_ptr_null(file_of(local));
}
END_TEST

START_TEST(al_sys_socket__no_etad_is_the_kernels)
{
	int fd;

	fake.attach_result = -ENOENT;
	fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_null(file_of(fd));
	ck_assert_uint_eq(al_sockets.counts.n[AL_COUNT_FALLBACK_NO_ETAD], 1);
}
END_TEST

START_TEST(al_sys_dup__shares_the_file_until_the_last_close)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	int second = al_sys_dup(fd);
	int third = al_sys_fcntl(fd, F_DUPFD_CLOEXEC, 200);
	struct al_file *file = file_of(fd);

	ck_assert_int_ge(third, 200);
	ck_assert_ptr_eq(file_of(second), file);
	ck_assert_ptr_eq(file_of(third), file);
	ck_assert_uint_eq(file->refs, 3);
	ck_assert_int_eq(al_sys_close(fd), 0);
	ck_assert_int_eq(al_sys_close(second), 0);
	ck_assert_uint_eq(file->refs, 1);
	ck_assert_int_eq(al_sys_close(third), 0);
	ck_assert_uint_eq(file->refs, 0);
	ck_assert_int_eq(al_sys_close(third), -EBADF);
}
END_TEST

START_TEST(al_sys_dup2__onto_a_socket_frees_that_socket)
{
	int a = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	int b = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	struct al_file *old = file_of(b);

	ck_assert_int_eq(al_sys_dup2(a, b), b);
	ck_assert_ptr_eq(file_of(b), file_of(a));
	ck_assert_uint_eq(old->refs, 0);
	ck_assert_int_eq(al_sys_dup2(a, a), a);
	ck_assert_uint_eq(file_of(a)->refs, 2);
	ck_assert_int_eq(al_sys_dup3(a, a, 0), -EINVAL);
}
END_TEST

START_TEST(al_sys_dup2__of_a_bad_number_leaves_the_target)
{
	int a = al_sys_socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(al_sys_dup2(9999, a), -EBADF);
	ck_assert_ptr_nonnull(file_of(a));
}
END_TEST

START_TEST(al_sys_dup2__kernel_file_onto_a_socket_is_the_kernels)
{
	int a = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	int null = open("/dev/null", O_RDWR);

	ck_assert_int_eq(al_sys_dup2(null, a), a);
	ck_assert_ptr_null(file_of(a));
	ck_assert_int_eq(al_sys_write(a, "x", 1), 1);
}
END_TEST

START_TEST(al_sys_close__own_descriptor_is_not_there)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);

	fake.own_fd = open("/dev/null", O_RDWR);
	ck_assert_int_eq(al_sys_close(fake.own_fd), -EBADF);
	ck_assert_int_eq(al_sys_dup(fake.own_fd), -EBADF);
	ck_assert_int_eq(fcntl(fake.own_fd, F_GETFD), 0);
	al_sys_close(fd);
}
END_TEST

START_TEST(al_sys_dup2__own_descriptor_moves_away)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	int own = open("/dev/null", O_RDWR);

	fake.own_fd = own;
	ck_assert_int_eq(al_sys_dup2(fd, own), own);
	ck_assert_uint_eq(fake.yielded_n, 1);
	ck_assert_int_ne(fake.own_fd, own);
	ck_assert_int_eq(fcntl(fake.own_fd, F_GETFD), 0);
	ck_assert_ptr_eq(file_of(own), file_of(fd));
}
END_TEST

START_TEST(al_sys_close_range__steps_over_own)
{
	int a = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	int b;

	fake.own_fd = fcntl(a, F_DUPFD, 600);
	b = fcntl(a, F_DUPFD, 601);
	ck_assert_int_eq(al_sys_close_range((unsigned int)a, ~0u, 0), 0);
	ck_assert_ptr_null(file_of(a));
	ck_assert_int_eq(fcntl(a, F_GETFD), -1);
	ck_assert_int_eq(fcntl(b, F_GETFD), -1);
	ck_assert_int_ne(fcntl(fake.own_fd, F_GETFD), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sock_fdtab");
	TCase *tc = tcase_create("fdtab");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, al_fdtab_peek__out_of_range_is_the_kernels);
	tcase_add_test(tc, al_fdtab_set__high_number_is_found_again);
	tcase_add_test(tc, al_fdtab_get__holds_while_it_lives);
	tcase_add_test(tc, al_sys_socket__tcp_is_entered_udp_is_not);
	tcase_add_test(tc, al_sys_socket__no_etad_is_the_kernels);
	tcase_add_test(tc, al_sys_dup__shares_the_file_until_the_last_close);
	tcase_add_test(tc, al_sys_dup2__onto_a_socket_frees_that_socket);
	tcase_add_test(tc, al_sys_dup2__of_a_bad_number_leaves_the_target);
	tcase_add_test(tc, al_sys_dup2__kernel_file_onto_a_socket_is_the_kernels);
	tcase_add_test(tc, al_sys_close__own_descriptor_is_not_there);
	tcase_add_test(tc, al_sys_dup2__own_descriptor_moves_away);
	tcase_add_test(tc, al_sys_close_range__steps_over_own);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
