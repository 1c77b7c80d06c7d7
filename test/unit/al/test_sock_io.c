/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes, options, poll and signals over the double of the core. */
#include <check.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "al/sock/fork.h"
#include "al/sock/signal.h"
#include "test/unit/al/sock_help.h"

#define MS 1000000ll

/* ---- bytes ---- */

START_TEST(recv__flags)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	char buf[16] = "";
	int n = -1;

	ck_assert_int_eq(al_sys_recvfrom(fd, buf, 16, 0, NULL, NULL), -EAGAIN);
	fake_data(conn, "abcdef");
	ck_assert_int_eq(al_sys_ioctl(fd, FIONREAD, (long)&n), 0);
	ck_assert_int_eq(n, 6);
	ck_assert_int_eq(al_sys_recvfrom(fd, buf, 3, MSG_PEEK, NULL, NULL), 3);
	ck_assert_int_eq(al_sys_recvfrom(fd, buf, 2, MSG_TRUNC, NULL, NULL), 2);
	ck_assert_int_eq(al_sys_recvfrom(fd, buf, 16, MSG_WAITALL, NULL, NULL), 4);
	ck_assert_int_eq(memcmp(buf, "cdef", 4), 0);
	fake_eof(conn);
	ck_assert_int_eq(al_sys_recvfrom(fd, buf, 16, 0, NULL, NULL), 0);
	ck_assert_int_eq(al_sys_recvfrom(fd, buf, 16, MSG_ERRQUEUE, NULL, NULL), -EAGAIN);
}
END_TEST

/* What has come to the port counts; what is known already does not wait for more. */
START_TEST(fionread__looks_again_before_it_says_nothing)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	char buf[16];
	int n = -1;

	fake.at_turn = "abc";
	ck_assert_int_eq(al_sys_ioctl(fd, FIONREAD, (long)&n), 0);
	ck_assert_int_eq(n, 3);
	ck_assert_int_eq(al_sys_ioctl(fd, FIONREAD, (long)&n), 0);
	ck_assert_int_eq(n, 3);
	ck_assert_int_eq(al_sys_read(fd, buf, 16), 3);
	fake_eof(conn);
	ck_assert_int_eq(al_sys_ioctl(fd, FIONREAD, (long)&n), 0);
	ck_assert_int_eq(n, 0);
}
END_TEST

static void *waitall_thread(void *arg)
{
	static char buf[8];

	return (void *)(intptr_t)al_sys_recvfrom(
			(int)(intptr_t)arg, buf, 6, MSG_WAITALL, NULL, NULL);
}

START_TEST(recv__waitall_waits_for_all)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	pthread_t thread;
	void *ret;

	help_block(fd);
	pthread_create(&thread, NULL, waitall_thread, (void *)(intptr_t)fd);
	fake_data(conn, "abc");
	while (fake_watchers(conn) < 2)
		sched_yield();
	fake_data(conn, "def");
	pthread_join(thread, &ret);
	ck_assert_int_eq((int)(intptr_t)ret, 6);
}
END_TEST

START_TEST(recv__rcvtimeo_elapses)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	struct timeval tv = {.tv_usec = 20000};
	int64_t start = al_now_ns();
	char c;

	help_block(fd);
	al_sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	ck_assert_int_eq(al_sys_read(fd, &c, 1), -EAGAIN);
	ck_assert_int_ge(al_now_ns() - start, 19 * MS);
}
END_TEST

static void *shutdown_thread(void *arg)
{
	while (__atomic_load_n(&al_sockets.sleepers_n, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	al_sys_shutdown((int)(intptr_t)arg, SHUT_RD);
	return NULL;
}

START_TEST(recv__ended_by_shutdown_in_another_thread)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	pthread_t thread;
	char c;

	help_block(fd);
	pthread_create(&thread, NULL, shutdown_thread, (void *)(intptr_t)fd);
	ck_assert_int_eq(al_sys_read(fd, &c, 1), 0);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(send__partial_when_nonblocking)
{
	struct al_conn *conn;
	int fd = help_open(&conn);

	fake_limit(conn, 4);
	ck_assert_int_eq(al_sys_write(fd, "abcdef", 6), 4);
	ck_assert_int_eq(al_sys_write(fd, "ef", 2), -EAGAIN);
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 0), 0);
	ck_assert_str_eq(fake_take(conn), "abcd");
	ck_assert_int_eq(help_poll_one(fd, POLLOUT, 1000 * MS), POLLOUT);
}
END_TEST

START_TEST(send__flags_that_concern_segments_reach_the_core)
{
	struct iovec iov[70];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 70};
	struct al_conn *conn;
	int fd = help_open(&conn);

	ck_assert_int_eq(al_sys_sendto(fd, "ab", 2, MSG_EOR, NULL, 0), 2);
	ck_assert_uint_eq(fake.how, ETA_DB_EOR);
	ck_assert_int_eq(al_sys_sendto(fd, "ab", 2, MSG_EOR | MSG_MORE, NULL, 0), 2);
	ck_assert_uint_eq(fake.how, ETA_DB_EOR | ETA_DB_MORE);
	ck_assert_int_eq(al_sys_write(fd, "ab", 2), 2);
	ck_assert_uint_eq(fake.how, 0);
	/* more ranges than go at a time: the record ends with the last of them */
	for (int i = 0; i < 70; i++)
		iov[i] = (struct iovec){(char[]){"x"}, 1};
	ck_assert_int_eq(al_sys_sendmsg(fd, &msg, MSG_EOR), 70);
	ck_assert_uint_eq(fake.how, ETA_DB_EOR);
	fake_take(conn);
	fake_limit(conn, 64);
	ck_assert_int_eq(al_sys_sendmsg(fd, &msg, MSG_EOR), 64);
	ck_assert_uint_eq(fake.how, ETA_DB_MORE);
	ck_assert_int_eq(al_sys_sendto(fd, "", 0, MSG_EOR, NULL, 0), 0);
}
END_TEST

START_TEST(send__nothing_is_zero)
{
	struct iovec iov[4] = {{0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 4};
	struct al_conn *conn;
	int fd = help_open(&conn);

	ck_assert_int_eq(al_sys_sendmsg(fd, &msg, 0), 0);
	ck_assert_int_eq(al_sys_sendmsg(fd, &msg, MSG_ZEROCOPY | MSG_EOR | MSG_MORE), 0);
	msg.msg_iovlen = 0;
	ck_assert_int_eq(al_sys_sendmsg(fd, &msg, 0), 0);
	ck_assert_int_eq(al_sys_writev(fd, iov, 0), 0);
	ck_assert_int_eq(al_sys_write(fd, NULL, 0), 0);
	ck_assert_str_eq(fake_take(conn), "");
	fake_reset_by_peer(conn);
	ck_assert_int_eq(al_sys_write(fd, NULL, 0), -ECONNRESET);
	ck_assert_int_eq(al_sys_sendto(fd, NULL, 0, MSG_NOSIGNAL, NULL, 0), -EPIPE);
	fd = help_connecting();
	ck_assert_int_eq(al_sys_write(fd, NULL, 0), -EAGAIN);
}
END_TEST

static void *take_thread(void *arg)
{
	size_t taken = 0;

	while (taken < 6)
		taken += strlen(fake_take(arg));
	return NULL;
}

START_TEST(send__blocking_sends_all)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	char text[] = "abcdef";
	struct iovec iov[2] = {{text, 3}, {text + 3, 3}};
	pthread_t thread;

	help_block(fd);
	fake_limit(conn, 2);
	pthread_create(&thread, NULL, take_thread, conn);
	ck_assert_int_eq(al_sys_writev(fd, iov, 2), 6);
	pthread_join(thread, NULL);
}
END_TEST

static volatile sig_atomic_t signals_n;

static void on_signal(int sig)
{
	(void)sig;
	signals_n++;
}

START_TEST(send__after_shutdown_is_epipe_and_sigpipe)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	struct sigaction act = {.sa_handler = on_signal};

	al_sys_sigaction(SIGPIPE, &act, NULL);
	ck_assert_int_eq(al_sys_shutdown(fd, SHUT_WR), 0);
	ck_assert_int_eq(al_sys_write(fd, "x", 1), -EPIPE);
	ck_assert_int_eq(signals_n, 1);
	ck_assert_int_eq(al_sys_sendto(fd, "x", 1, MSG_NOSIGNAL, NULL, 0), -EPIPE);
	ck_assert_int_eq(signals_n, 1);
}
END_TEST

START_TEST(recv__reset_is_said_once)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	char c;

	fake_reset_by_peer(conn);
	ck_assert_int_eq(al_sys_read(fd, &c, 1), -ECONNRESET);
	ck_assert_int_eq(al_sys_read(fd, &c, 1), 0);
	ck_assert_int_eq(al_sys_sendto(fd, "x", 1, MSG_NOSIGNAL, NULL, 0), -EPIPE);
}
END_TEST

/* The reset has come, though no call has looked at it yet. */
START_TEST(send__reset_that_has_come_is_said_at_once)
{
	struct al_conn *conn;
	int fd = help_open(&conn);

	fake_reset_unseen(conn);
	ck_assert_int_eq(al_sys_sendto(fd, "x", 1, MSG_NOSIGNAL, NULL, 0), -ECONNRESET);
	ck_assert_str_eq(fake_take(conn), "");
	ck_assert_int_eq(al_sys_sendto(fd, "x", 1, MSG_NOSIGNAL, NULL, 0), -EPIPE);
}
END_TEST

START_TEST(sendfile__by_offset_and_by_position)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	char path[] = "/tmp/eta-test-sock-XXXXXX";
	int file = mkstemp(path);
	int64_t off = 2;

	unlink(path);
	ck_assert_int_eq(write(file, "abcdef", 6), 6);
	ck_assert_int_eq(al_sys_sendfile(fd, file, &off, 100), 4);
	ck_assert_int_eq(off, 6);
	ck_assert_str_eq(fake_take(conn), "cdef");
	lseek(file, 0, SEEK_SET);
	fake_limit(conn, 3);
	ck_assert_int_eq(al_sys_sendfile(fd, file, NULL, 6), 3);
	ck_assert_int_eq(lseek(file, 0, SEEK_CUR), 3);
	ck_assert_int_eq(al_sys_sendfile(fd, file, NULL, 6), -EAGAIN);
}
END_TEST

START_TEST(splice__both_ways_lose_nothing)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int ends[2];
	char buf[16];

	ck_assert_int_eq(pipe(ends), 0);
	fake_data(conn, "hello");
	ck_assert_int_eq(al_sys_splice(fd, NULL, ends[1], NULL, 100, 0), 5);
	ck_assert_int_eq(al_sys_splice(ends[0], NULL, fd, NULL, 100, 0), 5);
	ck_assert_str_eq(fake_take(conn), "hello");
	ck_assert_int_eq(al_sys_splice(fd, NULL, ends[1], NULL, 100, SPLICE_F_NONBLOCK), -EAGAIN);
	ck_assert_int_eq(al_sys_recvfrom(fd, buf, 1, 0, NULL, NULL), -EAGAIN);
}
END_TEST

/* ---- options ---- */

START_TEST(setsockopt__known_ones_reach_the_conn)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	struct eta_dti_al *param = al_conn_param(conn);
	int value = 1;

	ck_assert_int_eq(al_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)), 0);
	ck_assert_int_eq(al_sys_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)), 0);
	value = 77;
	ck_assert_int_eq(
			al_sys_setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof(value)), 0);
	ck_assert_uint_eq(param->opt, ETA_OPT_NODELAY | ETA_OPT_KEEPALIVE);
	ck_assert_uint_eq(param->keep_idle_s, 77);
	ck_assert_int_eq(al_sys_setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, 1), -EINVAL);
	value = 0;
	ck_assert_int_eq(al_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)), 0);
	ck_assert_uint_eq(param->opt, ETA_OPT_KEEPALIVE);
}
END_TEST

START_TEST(setsockopt__before_connect_is_applied_at_connect)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int value = 1;

	al_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value));
	help_connect(fd);
	ck_assert_uint_eq(al_conn_param(fake.last)->opt & ETA_OPT_NODELAY, ETA_OPT_NODELAY);
}
END_TEST

START_TEST(setsockopt__what_eta_cannot_is_never_pretended)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int fresh = al_sys_socket(AF_INET, SOCK_STREAM, 0);
	int value = 1;

	ck_assert_int_eq(al_sys_setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &value, sizeof(value)),
			-EOPNOTSUPP);
	ck_assert_int_eq(
			al_sys_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8), -ENOENT);
	ck_assert_int_eq(al_sys_setsockopt(fresh, IPPROTO_IP, IP_MINTTL, &value, sizeof(value)), 0);
	ck_assert(!al_sock_is_eta(help_sock(fresh)));
	ck_assert_int_eq(help_sock(fresh)->state, AL_SOCK_KERNEL);
	ck_assert_uint_eq(al_sockets.counts.n[AL_COUNT_FALLBACK_OPTION], 1);
}
END_TEST

START_TEST(getsockopt__tcp_info_is_cut_to_size)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	uint8_t info[16];
	socklen_t len = sizeof(info);

	memset(info, 0xee, sizeof(info));
	ck_assert_int_eq(al_sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
	ck_assert_int_eq(len, 16);
}
END_TEST

START_TEST(close__linger_zero_aborts)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	struct linger linger = {1, 0};

	al_sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	al_sys_close(fd);
	ck_assert_uint_eq(fake.aborted_n, 1);
}
END_TEST

/* ---- poll, select ---- */

START_TEST(poll__mixes_kernel_and_eta)
{
	struct al_conn *conn;
	struct pollfd pfd[4];
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	pfd[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
	pfd[1] = (struct pollfd){.fd = help_open(&conn), .events = POLLIN};
	pfd[2] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 99};
	pfd[3] = (struct pollfd){.fd = 9999, .events = POLLIN};
	ck_assert_int_eq(al_sys_ppoll(pfd, 3, 10 * MS, NULL), 0);
	ck_assert_int_eq(pfd[2].revents, 0);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert_int_eq(al_sys_ppoll(pfd, 3, 1000 * MS, NULL), 1);
	ck_assert_int_eq(pfd[0].revents, POLLIN);
	fake_data(conn, "y");
	ck_assert_int_eq(al_sys_ppoll(pfd, 3, 1000 * MS, NULL), 2);
	ck_assert_int_eq(pfd[1].revents, POLLIN);
	ck_assert_int_eq(al_sys_ppoll(pfd, 4, 1000 * MS, NULL), 3);
	ck_assert_int_eq(pfd[3].revents, POLLNVAL);
}
END_TEST

START_TEST(poll__listener_by_the_kernel_side)
{
	struct al_conn *master;
	int fd = help_listening(&master);
	int client = help_kernel_client(fd);

	ck_assert_int_eq(help_poll_one(fd, POLLIN, 1000 * MS), POLLIN);
	close(al_sys_accept4(fd, NULL, NULL, 0));
	close(client);
	ck_assert_int_eq(help_poll_one(fd, POLLIN, 0), 0);
}
END_TEST

START_TEST(select__counts_bits_and_keeps_time)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	fd_set rd;
	fd_set wr;
	int64_t left = 0;

	fake_data(conn, "x");
	FD_ZERO(&rd);
	FD_ZERO(&wr);
	FD_SET(fd, &rd);
	FD_SET(fd, &wr);
	ck_assert_int_eq(al_sys_pselect(fd + 1, &rd, &wr, NULL, 5000 * MS, NULL, &left), 2);
	ck_assert(FD_ISSET(fd, &rd) && FD_ISSET(fd, &wr));
	ck_assert_int_gt(left, 4000 * MS);
	fake_limit(conn, 0);
	FD_ZERO(&rd);
	ck_assert_int_eq(al_sys_pselect(fd + 1, NULL, &wr, NULL, 10 * MS, NULL, &left), 0);
	ck_assert(!FD_ISSET(fd, &wr));
	FD_SET(9, &rd);
	FD_SET(fd, &rd);
	close(9);
	ck_assert_int_eq(al_sys_pselect(fd < 9 ? 10 : fd + 1, &rd, NULL, NULL, 0, NULL, NULL),
			-EBADF);
}
END_TEST

/* ---- signals ---- */

static void *kill_thread(void *arg)
{
	while (__atomic_load_n(&al_sockets.sleepers_n, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

START_TEST(signal__interrupts_a_blocked_read)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct al_conn *conn;
	int fd = help_open(&conn);
	pthread_t self = pthread_self();
	pthread_t thread;
	char c;

	help_block(fd);
	al_sys_sigaction(SIGUSR1, &act, NULL);
	pthread_create(&thread, NULL, kill_thread, &self);
	ck_assert_int_eq(al_sys_read(fd, &c, 1), -EINTR);
	ck_assert_int_eq(signals_n, 1);
	pthread_join(thread, NULL);
}
END_TEST

static struct al_conn *restart_conn;

static void on_restart(int sig)
{
	(void)sig;
	signals_n++;
	fake_data(restart_conn, "r");
}

START_TEST(signal__sa_restart_restarts_read_but_not_poll)
{
	struct sigaction act = {.sa_handler = on_restart, .sa_flags = SA_RESTART};
	struct pollfd pfd;
	int fd = help_open(&restart_conn);
	pthread_t self = pthread_self();
	pthread_t thread;
	char c;

	help_block(fd);
	al_sys_sigaction(SIGUSR1, &act, NULL);
	pthread_create(&thread, NULL, kill_thread, &self);
	ck_assert_int_eq(al_sys_read(fd, &c, 1), 1);
	ck_assert_int_eq(signals_n, 1);
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, kill_thread, &self);
	pfd = (struct pollfd){.fd = fd, .events = POLLPRI};
	ck_assert_int_eq(al_sys_ppoll(&pfd, 1, 2000 * MS, NULL), -EINTR);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(signal__deferred_while_inside)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct sigaction old;

	al_sys_sigaction(SIGUSR2, &act, NULL);
	al_sys_sigaction(SIGUSR2, NULL, &old);
	ck_assert_ptr_eq(old.sa_handler, on_signal);
	al_enter();
	raise(SIGUSR2);
	ck_assert_int_eq(signals_n, 0);
	raise(SIGUSR2); /* held back: one at a time */
	al_leave();
	ck_assert_int_eq(signals_n, 2);
	raise(SIGUSR2);
	ck_assert_int_eq(signals_n, 3);
}
END_TEST

START_TEST(ppoll__mask_lets_a_blocked_signal_in)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct al_conn *conn;
	struct pollfd pfd = {.fd = help_open(&conn), .events = POLLIN};
	sigset_t blocked;
	uint64_t none = 0;

	al_sys_sigaction(SIGUSR1, &act, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	raise(SIGUSR1);
	ck_assert_int_eq(signals_n, 0);
	ck_assert_int_eq(al_sys_ppoll(&pfd, 1, 2000 * MS, &none), -EINTR);
	ck_assert_int_eq(signals_n, 1);
}
END_TEST

/* ---- fork ---- */

START_TEST(fork__child_closing_the_listener_leaves_the_parents)
{
	struct al_conn *master;
	int fd = help_listening(&master);
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(al_sys_close(fd) == 0 && al_fdtab_peek(&al_sockets.fdtab, fd) == NULL ? 0
											    : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	fake_incoming(master);
	ck_assert_ptr_nonnull(help_sock(al_sys_accept4(fd, NULL, NULL, 0)));
	ck_assert_uint_ge(fake.shared_n, 1);
}
END_TEST

START_TEST(vfork__parent_waits_and_keeps_its_table)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int status;
	pid_t pid = al_sys_vfork();

	if (pid == 0) {
		al_sys_close_range(3, ~0u, 0);
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	ck_assert_ptr_eq(help_sock(fd)->conn, conn);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(fake.closed_n, 0);
}
END_TEST

START_TEST(fork__behind_our_back_makes_the_childs_sockets_the_kernels)
{
	struct al_conn *conn;
	int fd = help_open(&conn);
	int status;
	pid_t pid = (pid_t)kern_call6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);

	if (pid == 0) {
		char c;

		kern_call3(SYS_exit_group,
				al_sys_recvfrom(fd, &c, 1, 0, NULL, NULL) == -ENOTCONN ? 0 : 1, 0,
				0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	fake_data(conn, "x");
	ck_assert_int_eq(al_sys_read(fd, &status, 1), 1);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, recv__flags);
	tcase_add_test(tc, fionread__looks_again_before_it_says_nothing);
	tcase_add_test(tc, recv__waitall_waits_for_all);
	tcase_add_test(tc, recv__rcvtimeo_elapses);
	tcase_add_test(tc, recv__ended_by_shutdown_in_another_thread);
	tcase_add_test(tc, send__partial_when_nonblocking);
	tcase_add_test(tc, send__flags_that_concern_segments_reach_the_core);
	tcase_add_test(tc, send__nothing_is_zero);
	tcase_add_test(tc, send__blocking_sends_all);
	tcase_add_test(tc, send__after_shutdown_is_epipe_and_sigpipe);
	tcase_add_test(tc, recv__reset_is_said_once);
	tcase_add_test(tc, send__reset_that_has_come_is_said_at_once);
	tcase_add_test(tc, sendfile__by_offset_and_by_position);
	tcase_add_test(tc, splice__both_ways_lose_nothing);
	tcase_add_test(tc, setsockopt__known_ones_reach_the_conn);
	tcase_add_test(tc, setsockopt__before_connect_is_applied_at_connect);
	tcase_add_test(tc, setsockopt__what_eta_cannot_is_never_pretended);
	tcase_add_test(tc, getsockopt__tcp_info_is_cut_to_size);
	tcase_add_test(tc, close__linger_zero_aborts);
	tcase_add_test(tc, poll__mixes_kernel_and_eta);
	tcase_add_test(tc, poll__listener_by_the_kernel_side);
	tcase_add_test(tc, select__counts_bits_and_keeps_time);
	tcase_add_test(tc, signal__interrupts_a_blocked_read);
	tcase_add_test(tc, signal__sa_restart_restarts_read_but_not_poll);
	tcase_add_test(tc, signal__deferred_while_inside);
	tcase_add_test(tc, ppoll__mask_lets_a_blocked_signal_in);
	tcase_add_test(tc, fork__child_closing_the_listener_leaves_the_parents);
	tcase_add_test(tc, vfork__parent_waits_and_keeps_its_table);
	tcase_add_test(tc, fork__behind_our_back_makes_the_childs_sockets_the_kernels);
}

int main(void)
{
	Suite *suite = suite_create("sock_io");
	TCase *tc = tcase_create("io");
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
