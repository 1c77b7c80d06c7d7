/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client.c, client_dti.c, session.c, res.c, server.c: the control socket, from outside, with an engine that only answers.
 *
 * One etad for all tests, in this process, in a namespace with a veth; tests attach from this process and from children.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <eta/ctl.h>

#include "ka/etad.h"
#include "test/unit/ka/fake_engine.h"
#include "test/unit/ka/ka_ns.h"

#define WAIT_MS 8000

static struct ka ka;
static pthread_t ka_thread;
static char path[64];

/* ---- the client's side ---- */

static int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* also of connect */
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static ssize_t say(int fd, const void *msg, size_t len, const int *fds, size_t n)
{
	char control[CMSG_SPACE(sizeof(int) * 64)] __attribute__((aligned(8))) = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	return sendmsg(fd, &mh, MSG_NOSIGNAL);
}

/* One record; its descriptors to @fds [8], how many to @n. Bytes; 0 = hung up. */
static ssize_t hear(int fd, void *msg, size_t len, int *fds, size_t *n)
{
	char control[CMSG_SPACE(sizeof(int) * 8)] __attribute__((aligned(8)));
	struct iovec iov = {.iov_base = msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&mh) : NULL;

	if (n)
		*n = 0;
	if (c && c->cmsg_type == SCM_RIGHTS && fds) {
		*n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *n * sizeof(int));
	}
	if (got < 0 && (errno == ECONNRESET || errno == EPIPE))
		return 0;
	return got;
}

static bool is_dropped(int fd)
{
	char buf[ETA_CTL_BYTES_MAX];

	for (int i = 0; i < 1000; i++) {
		ssize_t n = hear(fd, buf, sizeof(buf), NULL, NULL);

		if (n == 0)
			return true;
		if (n < 0)
			return false;
	}
	return false;
}

static bool answers_ping(void)
{
	struct eta_ctl_hdr hdr = {.type = ETA_CTL_PING, .seq = 7}, reply;
	int fd = dial();
	bool ok = say(fd, &hdr, sizeof(hdr), NULL, 0) == sizeof(hdr) &&
		  hear(fd, &reply, sizeof(reply), NULL, NULL) == sizeof(reply) && reply.seq == 7 &&
		  reply.status == ETA_STATUS_OK;

	close(fd);
	return ok;
}

struct attached {
	int fd;
	struct eta_ctl_attach_reply reply;
	int fds[8];
	size_t fds_n;
};

static int attach_on(struct attached *a, int fd)
{
	struct eta_ctl_attach msg = {
			.hdr = {.type = ETA_CTL_ATTACH, .seq = 1}, .abi = ETA_ABI_VERSION};

	a->fd = fd;
	if (say(fd, &msg, sizeof(msg), NULL, 0) != sizeof(msg) ||
			hear(fd, &a->reply, sizeof(a->reply), a->fds, &a->fds_n) !=
					sizeof(a->reply))
		return -1;
	return a->reply.hdr.status;
}

static int attach(struct attached *a)
{
	return attach_on(a, dial());
}

static void detach(struct attached *a)
{
	for (size_t i = 0; i < a->fds_n; i++)
		close(a->fds[i]);
	close(a->fd);
}

/* etad's thread owns its tables; a count is one aligned word. */
static bool sessions_become(uint32_t n)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&ka.res.sessions_n, __ATOMIC_ACQUIRE) == n)
			return true;
		(void)poll(NULL, 0, 1);
	}
	return false;
}

/* A child that attaches and then waits to be killed, or ends by itself when a byte comes. */
static pid_t child_attached(int *tell, void (*more)(struct attached *a))
{
	struct pollfd ready = {.events = POLLIN};
	int up[2], down[2];
	char c = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(up), 0);
	ck_assert_int_eq(pipe(down), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct attached a;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(down[1]);
		c = attach(&a) == ETA_STATUS_OK;
		if (more)
			more(&a);
		(void)!write(up[1], &c, 1);
		(void)!read(down[0], &c, 1);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	ready.fd = up[0];
	ck_assert_int_eq(poll(&ready, 1, 2 * WAIT_MS), 1);
	ck_assert_int_eq(read(up[0], &c, 1), 1);
	ck_assert_int_eq(c, 1);
	close(up[0]);
	*tell = down[1];
	return pid;
}

static void setup(void)
{
	fake_engine_reset();
	ck_assert_uint_eq(ka.res.sessions_n, 0);
}

/* This process's session ends when it attaches anew or ends; tests end it by a child's look-alike: attach and fail. */
static void end_own_session(void)
{
	struct attached a;

	fake_engine_answer(ETA_ADMIN_SESSION_ADD, ETA_STATUS_NO_MEMORY);
	(void)attach(&a);
	detach(&a);
	ck_assert(sessions_become(0));
	fake_engine_reset();
}

/* ---- attach ---- */

START_TEST(attach__gives_memory_rings_and_pages)
{
	struct eta_admin_msg ring;
	struct attached a;
	void *al, *en, *page;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	ck_assert_uint_eq(a.fds_n, 5);
	ck_assert_uint_gt(a.reply.session, 0);
	ck_assert_uint_gt(a.reply.lock_id, 0);
	ck_assert_uint_eq(a.reply.inherited_n, 0);
	ck_assert_uint_eq(a.reply.port_lo, 61000);
	ck_assert_uint_eq(a.reply.seg[0].kind, ETA_SEG_AL);
	ck_assert_uint_eq(a.reply.seg[1].kind, ETA_SEG_EN);
	ck_assert_uint_eq(a.reply.seg[1].seg, 1);
	al = mmap(NULL, a.reply.seg[0].bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a.fds[0], 0);
	en = mmap(NULL, a.reply.seg[1].bytes, PROT_READ, MAP_SHARED, a.fds[1], 0);
	page = mmap(NULL, a.reply.page_bytes, PROT_READ, MAP_SHARED, a.fds[2], 0);
	ck_assert_ptr_ne(al, MAP_FAILED);
	ck_assert_ptr_ne(en, MAP_FAILED);
	ck_assert_ptr_ne(page, MAP_FAILED);
	ck_assert_ptr_eq(mmap(NULL, a.reply.seg[1].bytes, PROT_WRITE, MAP_SHARED, a.fds[1], 0),
			MAP_FAILED);
	ck_assert_uint_eq(((struct eta_core_page *)page)->abi, ETA_ABI_VERSION);
	ck_assert_uint_eq(((struct eta_core_page *)page)->epoch, a.reply.epoch);
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_SEG_ADD), 2);
	ck_assert(fake_engine_last(ETA_ADMIN_RING_ADD, &ring));
	/* Our pipe end reads what the engine's end writes. */
	ck_assert_int_eq(write(ring.ring.wake_fd, "x", 1), 1);
	ck_assert_int_eq(read(a.fds[4], &ring, 1), 1);
	munmap(al, a.reply.seg[0].bytes);
	munmap(en, a.reply.seg[1].bytes);
	munmap(page, a.reply.page_bytes);
	detach(&a);
	end_own_session();
}
END_TEST

START_TEST(attach__other_abi_is_told_ours)
{
	struct eta_ctl_attach msg = {.hdr = {.type = ETA_CTL_ATTACH, .seq = 3},
			.abi = ETA_ABI_VERSION + 0x10000};
	struct eta_ctl_attach_reply reply;
	int fd = dial();

	ck_assert_int_eq(say(fd, &msg, sizeof(msg), NULL, 0), sizeof(msg));
	ck_assert_int_eq(hear(fd, &reply, sizeof(reply), NULL, NULL), sizeof(reply));
	ck_assert_uint_eq(reply.hdr.status, ETA_STATUS_ABI_MISMATCH);
	ck_assert_uint_eq(reply.hdr.seq, 3);
	ck_assert_uint_eq(reply.abi, ETA_ABI_VERSION);
	close(fd);
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_SESSION_ADD), 0);
}
END_TEST

START_TEST(attach__engine_refuses_leaves_nothing)
{
	struct attached a;

	fake_engine_answer(ETA_ADMIN_RING_ADD, ETA_STATUS_NO_MEMORY);
	ck_assert_int_eq(attach(&a), ETA_STATUS_NO_MEMORY);
	ck_assert(sessions_become(0));
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_SESSION_DEL), 1);
	ck_assert_uint_eq(ka.mem.segs_n, 0);
	detach(&a);
}
END_TEST

START_TEST(attach__again_after_exec_ends_the_old)
{
	struct attached a, b;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	ck_assert_int_eq(attach(&b), ETA_STATUS_OK);
	ck_assert_uint_ne(a.reply.lock_id, b.reply.lock_id);
	ck_assert(fake_engine_wait(ETA_ADMIN_SESSION_DEL, 1, WAIT_MS));
	ck_assert(sessions_become(1));
	detach(&a);
	detach(&b);
	end_own_session();
}
END_TEST

/* ---- hostile messages ---- */

static void expect_drop(const void *msg, size_t len, const int *fds, size_t n)
{
	int fd = dial();

	ck_assert_int_eq(say(fd, msg, len, fds, n), (ssize_t)len);
	ck_assert(is_dropped(fd));
	close(fd);
	ck_assert(answers_ping());
}

START_TEST(message__short_long_unknown_are_dropped)
{
	static char big[65536];
	struct eta_ctl_hdr hdr = {.type = ETA_CTL_PING};
	struct eta_ctl_attach attach_msg = {.hdr.type = ETA_CTL_ATTACH, .abi = ETA_ABI_VERSION};

	expect_drop("abc", 3, NULL, 0);
	hdr.type = 0;
	expect_drop(&hdr, sizeof(hdr), NULL, 0);
	hdr.type = 999;
	expect_drop(&hdr, sizeof(hdr), NULL, 0);
	hdr.type = ETA_CTL_NOTIFY_END;
	expect_drop(&hdr, sizeof(hdr), NULL, 0);
	expect_drop(&attach_msg, sizeof(attach_msg) - 1, NULL, 0);
	memcpy(big, &attach_msg, sizeof(attach_msg));
	expect_drop(big, sizeof(attach_msg) + 1, NULL, 0);
	expect_drop(big, sizeof(big), NULL, 0);
	hdr.type = ETA_CTL_ADMIN;
	expect_drop(&hdr, sizeof(hdr), NULL, 0);
}
END_TEST

START_TEST(message__descriptors_nobody_asked_for_are_dropped_and_closed)
{
	struct eta_ctl_hdr hdr = {.type = ETA_CTL_PING};
	int fds[64], p[2];
	char c;

	ck_assert_int_eq(pipe(p), 0);
	for (int i = 0; i < 64; i++)
		fds[i] = p[1];
	expect_drop(&hdr, sizeof(hdr), fds, 1);
	expect_drop(&hdr, sizeof(hdr), fds, 8);
	expect_drop(&hdr, sizeof(hdr), fds, 64);
	/* If etad kept one, the pipe would not end. */
	close(p[1]);
	struct pollfd end = {.fd = p[0], .events = POLLIN};
	ck_assert_int_eq(poll(&end, 1, WAIT_MS), 1);
	ck_assert_int_eq(read(p[0], &c, 1), 0);
	close(p[0]);
}
END_TEST

START_TEST(message__needs_a_session)
{
	static const uint16_t types[] = {
			ETA_CTL_SEG_MAP, ETA_CTL_SEG_GROW, ETA_CTL_RING_ADD, ETA_CTL_FORK};
	static const size_t bytes[] = {sizeof(struct eta_ctl_seg), sizeof(struct eta_ctl_seg),
			sizeof(struct eta_ctl_ring), sizeof(struct eta_ctl_hdr)};
	char msg[64] = {0};

	memcpy(msg, &types[_i], sizeof(types[_i]));
	expect_drop(msg, bytes[_i], NULL, 0);
}
END_TEST

START_TEST(message__garbage_is_survived)
{
	unsigned int seed = 12345;
	char msg[512];

	for (int i = 0; i < 300; i++) {
		int fd = dial();
		size_t len = (size_t)(rand_r(&seed) % (int)sizeof(msg)) + 1;

		for (size_t k = 0; k < len; k++)
			msg[k] = (char)rand_r(&seed);
		msg[0] = (char)(rand_r(&seed) % 14);
		msg[1] = 0;
		/* Not "stop", which is a command like any other. */
		if (len > 8)
			msg[8] = 'x';
		(void)say(fd, msg, len, NULL, 0);
		close(fd);
	}
	ck_assert(answers_ping());
	end_own_session();
}
END_TEST

START_TEST(message__flood_without_reading_is_dropped)
{
	struct eta_ctl_hdr hdr = {.type = ETA_CTL_PING};
	struct attached a;
	bool was_dropped = false;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	for (int i = 0; i < 100000 && !was_dropped; i++)
		was_dropped = say(a.fd, &hdr, sizeof(hdr), NULL, 0) < 0;
	ck_assert(was_dropped);
	/* Its session went with it; others did not notice. */
	ck_assert(sessions_become(0));
	ck_assert(answers_ping());
	detach(&a);
}
END_TEST

START_TEST(message__truncated_share_is_dropped)
{
	struct eta_ctl_share msg = {.hdr.type = ETA_CTL_SHARE, .n = 5};
	struct attached a;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	ck_assert_int_gt(say(a.fd, &msg,
					 offsetof(struct eta_ctl_share, item) +
							 2 * sizeof(msg.item[0]),
					 NULL, 0),
			0);
	ck_assert(is_dropped(a.fd));
	ck_assert(sessions_become(0));
	detach(&a);
}
END_TEST

/* ---- death ---- */

START_TEST(death__kill_resets_exit_is_orderly)
{
	struct eta_admin_msg del;
	int tell;
	pid_t pid = child_attached(&tell, NULL);

	kill(pid, SIGKILL);
	ck_assert(fake_engine_wait(ETA_ADMIN_SESSION_DEL, 1, WAIT_MS));
	ck_assert(fake_engine_last(ETA_ADMIN_SESSION_DEL, &del));
	ck_assert_uint_eq(del.session_add.orderly, 0);
	waitpid(pid, NULL, 0);
	close(tell);
	pid = child_attached(&tell, NULL);
	ck_assert_int_eq(write(tell, "x", 1), 1);
	ck_assert(fake_engine_wait(ETA_ADMIN_SESSION_DEL, 2, WAIT_MS));
	ck_assert(fake_engine_last(ETA_ADMIN_SESSION_DEL, &del));
	ck_assert_uint_eq(del.session_add.orderly, 1);
	waitpid(pid, NULL, 0);
	close(tell);
	ck_assert(sessions_become(0));
	ck_assert_uint_eq(ka.mem.segs_n, 0);
}
END_TEST

START_TEST(death__memory_stays_until_the_engine_lets_go)
{
	int tell;
	pid_t pid = child_attached(&tell, NULL);

	fake_engine_hold(ETA_ADMIN_SESSION_DEL, 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(tell);
	ck_assert(fake_engine_wait(ETA_ADMIN_SESSION_DEL, 1, WAIT_MS));
	ck_assert(answers_ping());
	ck_assert_uint_eq(ka.mem.segs_n, 2);
	fake_engine_hold(ETA_ADMIN_SESSION_DEL, 0);
	ck_assert(sessions_become(0));
	ck_assert_uint_eq(ka.mem.segs_n, 0);
}
END_TEST

START_TEST(death__hang_up_alone_is_none)
{
	struct attached a;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	close(a.fd);
	ck_assert(answers_ping());
	ck_assert(answers_ping());
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_SESSION_DEL), 0);
	ck_assert_uint_eq(ka.res.sessions_n, 1);
	end_own_session();
}
END_TEST

START_TEST(death__two_hundred_leave_nothing)
{
	for (int i = 0; i < 200; i++) {
		int tell;
		pid_t pid = child_attached(&tell, NULL);

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(tell);
	}
	ck_assert(sessions_become(0));
	ck_assert_uint_eq(ka.mem.segs_n, 0);
	ck_assert_uint_eq(ka.mem.bytes, 0);
	ck_assert_uint_eq(irq_pending(&ka.irq), 0);
}
END_TEST

/* ---- fork, share ---- */

static int fork_socket(int fd)
{
	struct eta_ctl_hdr hdr = {.type = ETA_CTL_FORK, .seq = 9}, reply;
	int fds[8];
	size_t n;

	ck_assert_int_eq(say(fd, &hdr, sizeof(hdr), NULL, 0), sizeof(hdr));
	ck_assert_int_eq(hear(fd, &reply, sizeof(reply), fds, &n), sizeof(reply));
	ck_assert_uint_eq(reply.status, ETA_STATUS_OK);
	ck_assert_uint_eq(n, 1);
	return fds[0];
}

START_TEST(fork__child_inherits_and_maps_the_parents_memory)
{
	struct attached a;
	struct eta_admin_msg add;
	int status, sock;
	pid_t pid;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	sock = fork_socket(a.fd);
	pid = fork();
	if (pid == 0) {
		struct eta_ctl_seg map = {.hdr = {.type = ETA_CTL_SEG_MAP},
				.session = a.reply.session,
				.seg = 0};
		struct eta_ctl_seg_reply reply;
		struct attached b;
		int fds[8];
		size_t n;

		if (attach_on(&b, sock) != ETA_STATUS_OK || b.reply.inherited_n != 1 ||
				b.reply.inherited[0] != a.reply.session)
			_exit(1);
		if (say(sock, &map, sizeof(map), NULL, 0) != sizeof(map) ||
				hear(sock, &reply, sizeof(reply), fds, &n) != sizeof(reply))
			_exit(2);
		if (reply.hdr.status != ETA_STATUS_OK || n != 1 ||
				reply.seg.bytes != a.reply.seg[0].bytes)
			_exit(3);
		/* Somebody else's it may not. */
		map.session = 4711;
		if (say(sock, &map, sizeof(map), NULL, 0) != sizeof(map) ||
				hear(sock, &reply, sizeof(reply), fds, &n) < 8)
			_exit(4);
		_exit(reply.hdr.status == ETA_STATUS_NOT_FOUND ? 0 : 5);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(sock);
	ck_assert(fake_engine_last(ETA_ADMIN_SESSION_ADD, &add));
	ck_assert_int_eq(add.session_add.pid, pid);
	ck_assert_uint_eq(add.session_add.inherited_n, 1);
	ck_assert(sessions_become(1));
	detach(&a);
	end_own_session();
}
END_TEST

static int shared_fd = -1;

static void share_it(struct attached *a)
{
	struct eta_ctl_share msg = {
			.hdr = {.type = ETA_CTL_SHARE}, .n = 1, .item[0] = {.dti = 3, .gen = 8}};
	struct eta_ctl_hdr reply;
	socklen_t len = sizeof(msg.item[0].cookie);

	getsockopt(shared_fd, SOL_SOCKET, SO_COOKIE, &msg.item[0].cookie, &len);
	(void)say(a->fd, &msg, offsetof(struct eta_ctl_share, item) + sizeof(msg.item[0]), NULL, 0);
	if (hear(a->fd, &reply, sizeof(reply), NULL, NULL) != sizeof(reply) ||
			reply.status != ETA_STATUS_OK)
		_exit(1);
}

START_TEST(share__outlives_its_process_until_the_last_close)
{
	struct eta_admin_msg msg;
	int tell;
	pid_t pid;

	shared_fd = socket(AF_INET, SOCK_STREAM, 0);
	pid = child_attached(&tell, share_it);
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_SHARE), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(tell);
	ck_assert(fake_engine_wait(ETA_ADMIN_SESSION_ORPHAN, 1, WAIT_MS));
	ck_assert(answers_ping());
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_SESSION_DEL), 0);
	ck_assert_uint_eq(ka.mem.segs_n, 2);
	close(shared_fd);
	ck_assert(fake_engine_wait(ETA_ADMIN_SESSION_DEL, 1, WAIT_MS));
	ck_assert(fake_engine_last(ETA_ADMIN_CLOSE, &msg));
	ck_assert_uint_eq(msg.dti.dti, 3);
	ck_assert_uint_eq(msg.dti.gen, 8);
	ck_assert(sessions_become(0));
}
END_TEST

/* ---- listen, bind ---- */

static int shadow(const char *ip, uint16_t port, bool listening)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (listening)
		ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

static unsigned int ask_dti(int fd, uint16_t type, uint32_t dti, int shadow_fd)
{
	struct eta_ctl_dti msg = {.hdr = {.type = type}, .dti = dti, .gen = 1, .backlog = 5};
	struct eta_ctl_dti_reply reply = {0};

	ck_assert_int_eq(say(fd, &msg, sizeof(msg), &shadow_fd, 1), sizeof(msg));
	ck_assert_int_ge(hear(fd, &reply, sizeof(reply), NULL, NULL), (ssize_t)sizeof(reply.hdr));
	return reply.hdr.status;
}

START_TEST(listen__is_read_from_the_shadow_and_ends_with_it)
{
	struct eta_admin_msg msg;
	struct attached a;
	int fd = shadow("10.1.1.1", 8080, true);

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, 2, fd), ETA_STATUS_OK);
	ck_assert(fake_engine_last(ETA_ADMIN_LISTEN, &msg));
	ck_assert_uint_eq(msg.dti.dti, 2);
	ck_assert_uint_eq(msg.dti.lport_be, htons(8080));
	ck_assert_uint_eq(msg.dti.laddr[15], 1);
	ck_assert_uint_eq(msg.dti.backlog, 5);
	/* the cores know what the filter hides, before there is a listener and until the filter forgets */
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_HIDDEN_SET), 1);
	ck_assert(fake_engine_last(ETA_ADMIN_HIDDEN_SET, &msg));
	ck_assert_uint_eq(msg.hidden.port_be, htons(8080));
	ck_assert_uint_eq(msg.hidden.is_del, 0);
	close(fd);
	ck_assert(fake_engine_wait(ETA_ADMIN_CLOSE, 1, WAIT_MS));
	ck_assert(fake_engine_last(ETA_ADMIN_CLOSE, &msg));
	ck_assert_uint_eq(msg.dti.dti, 2);
	ck_assert(fake_engine_wait(ETA_ADMIN_HIDDEN_SET, 2, WAIT_MS));
	ck_assert(fake_engine_last(ETA_ADMIN_HIDDEN_SET, &msg));
	ck_assert_uint_eq(msg.hidden.is_del, 1);
	detach(&a);
	end_own_session();
}
END_TEST

START_TEST(listen__refuses_what_is_not_its)
{
	struct attached a;
	int plain = shadow("10.1.1.1", 8081, false), udp = socket(AF_INET, SOCK_DGRAM, 0),
	    lo = shadow("127.0.0.1", 8082, true), file = memfd_create("x", 0);

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, 2, plain), ETA_STATUS_INVALID);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, 2, udp), ETA_STATUS_NOT_CARRIED);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, 2, lo), ETA_STATUS_NOT_CARRIED);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, 2, file), ETA_STATUS_NOT_CARRIED);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, 99999, plain), ETA_STATUS_NOT_FOUND);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, ETA_DTI_MAKE(1, 2), plain),
			ETA_STATUS_NOT_FOUND);
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_LISTEN), 0);
	close(plain);
	close(udp);
	close(lo);
	close(file);
	detach(&a);
	end_own_session();
}
END_TEST

static void *foreign_shadow(void *arg)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(22)};
	int *fd = arg;

	if (unshare(CLONE_NEWNET) < 0)
		return NULL;
	*fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(*fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(*fd, 1) < 0)
		abort();
	return NULL;
}

/* Who is root in a namespace of his own may bind port 22 there, and only there. */
START_TEST(listen__another_namespace_is_not_carried)
{
	struct attached a;
	pthread_t thread;
	int fd = -1;

	ck_assert_int_eq(pthread_create(&thread, NULL, foreign_shadow, &fd), 0);
	pthread_join(thread, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, 2, fd), ETA_STATUS_NOT_CARRIED);
	ck_assert_uint_ge(ka.stats.foreign_netns, 1);
	close(fd);
	detach(&a);
	end_own_session();
}
END_TEST

START_TEST(listen__engine_refuses_leaves_no_binding)
{
	struct attached a;
	int fd = shadow("10.1.1.1", 8083, true);

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	fake_engine_answer(ETA_ADMIN_LISTEN, ETA_STATUS_ADDR_IN_USE);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_LISTEN, 2, fd), ETA_STATUS_ADDR_IN_USE);
	ck_assert_ptr_null(res_session_find(&ka.res, a.reply.session)->bindings);
	close(fd);
	detach(&a);
	end_own_session();
}
END_TEST

START_TEST(bind__keeps_the_port_until_the_session_ends)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
			.sin_port = htons(8084),
			.sin_addr.s_addr = htonl(0x0a010101)};
	struct attached a;
	int fd = shadow("10.1.1.1", 8084, false), other;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	ck_assert_uint_eq(ask_dti(a.fd, ETA_CTL_BIND, 2, fd), ETA_STATUS_OK);
	/* The record says FREE with generation 0: the sweeper would let go; as the engine would, say that it is in use. */
	close(fd);
	other = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(bind(other, (struct sockaddr *)&addr, sizeof(addr)) < 0 || ka.stats.binds > 0);
	close(other);
	detach(&a);
	end_own_session();
}
END_TEST

/* ---- growth ---- */

START_TEST(grow__send_dtis_rings)
{
	struct eta_ctl_seg msg = {.hdr = {.type = ETA_CTL_SEG_GROW}, .grow = ETA_GROW_SEND};
	struct eta_ctl_ring ring_msg = {.hdr = {.type = ETA_CTL_RING_ADD}};
	struct eta_ctl_seg_reply reply;
	struct eta_ctl_ring_reply ring;
	struct attached a;
	int fds[8];
	size_t n;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	msg.session = a.reply.session;
	ck_assert_int_eq(say(a.fd, &msg, sizeof(msg), NULL, 0), sizeof(msg));
	ck_assert_int_eq(hear(a.fd, &reply, sizeof(reply), fds, &n), sizeof(reply));
	ck_assert_uint_eq(reply.hdr.status, ETA_STATUS_OK);
	ck_assert_uint_eq(reply.seg.seg, 2);
	ck_assert_uint_eq(reply.seg.kind, ETA_SEG_AL);
	ck_assert_uint_gt(reply.seg.chunk_pages, 0);
	close(fds[0]);
	msg.grow = ETA_GROW_DTIS;
	ck_assert_int_eq(say(a.fd, &msg, sizeof(msg), NULL, 0), sizeof(msg));
	ck_assert_int_eq(hear(a.fd, &reply, sizeof(reply), fds, &n), sizeof(reply));
	ck_assert_uint_eq(reply.seg.dti_first, MEM_DTIS_FIRST);
	ck_assert_uint_eq(reply.seg.dti_n, MEM_DTIS_LATER);
	close(fds[0]);
	for (uint16_t i = 1; i < 8; i++) {
		ck_assert_int_eq(say(a.fd, &ring_msg, sizeof(ring_msg), NULL, 0), sizeof(ring_msg));
		ck_assert_int_eq(hear(a.fd, &ring, sizeof(ring), fds, &n), sizeof(ring));
		ck_assert_uint_eq(ring.hdr.status, ETA_STATUS_OK);
		ck_assert_uint_eq(n, 2);
		ck_assert_uint_eq(ring.ring.ring, i);
		/* The first segments hold four. */
		ck_assert_uint_eq(ring.ring.seg_al, i < MEM_RINGS_FIRST ? 0 : 5);
		close(fds[0]);
		close(fds[1]);
	}
	msg.grow = 77;
	ck_assert_int_eq(say(a.fd, &msg, sizeof(msg), NULL, 0), sizeof(msg));
	ck_assert_int_ge(hear(a.fd, &reply, sizeof(reply), fds, &n), 8);
	ck_assert_uint_eq(reply.hdr.status, ETA_STATUS_INVALID);
	detach(&a);
	end_own_session();
}
END_TEST

START_TEST(seg_want__grows_and_tells)
{
	struct eta_admin_msg want = {.op = ETA_ADMIN_SEG_WANT};
	struct eta_ctl_notify_seg notify;
	struct attached a;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	want.session = a.reply.session;
	fake_engine_notice(&want);
	ck_assert_int_eq(hear(a.fd, &notify, sizeof(notify), NULL, NULL), sizeof(notify));
	ck_assert_uint_eq(notify.hdr.type, ETA_CTL_NOTIFY_SEG);
	ck_assert_uint_eq(notify.seg.kind, ETA_SEG_EN);
	ck_assert_uint_eq(notify.session, a.reply.session);
	detach(&a);
	end_own_session();
}
END_TEST

/* Ask for a PING. Return: bytes of a segment that was notified before the answer, 0 = none. */
static uint64_t ping_for_seg(const struct attached *a)
{
	struct eta_ctl_hdr ping = {.type = ETA_CTL_PING};
	union {
		struct eta_ctl_hdr hdr;
		struct eta_ctl_notify_seg notify;
	} got;
	uint64_t bytes = 0;

	ck_assert_int_eq(say(a->fd, &ping, sizeof(ping), NULL, 0), sizeof(ping));
	while (hear(a->fd, &got, sizeof(got), NULL, NULL) > 0 && got.hdr.type != ETA_CTL_PING)
		bytes = got.notify.seg.bytes;
	return bytes;
}

/* One SEG_WANT. Return: bytes of the new segment, 0 = refused. */
static uint64_t want_receive(const struct attached *a)
{
	struct eta_admin_msg want = {.op = ETA_ADMIN_SEG_WANT, .session = a->reply.session};
	const struct session *session = res_session_find(&ka.res, want.session);
	const uint64_t before = ka.stats.seg_wants;
	uint64_t bytes = 0;

	fake_engine_notice(&want);
	/* KA has begun with it, and the engine has answered ... */
	while (ka.stats.seg_wants == before || session->is_growing)
		bytes += ping_for_seg(a);
	/* ... and KA is done with it when it answers what comes after. */
	return bytes + ping_for_seg(a);
}

START_TEST(seg_want__takes_the_rest_of_the_quota_and_more_when_it_grows)
{
	const int64_t quota = ka.conf.session_mib_max;
	uint64_t first;
	struct attached a;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	first = a.reply.seg[1].bytes;
	ka.conf.session_mib_max = (int64_t)(3 * first >> 20);
	ck_assert_uint_eq(want_receive(&a), first); /* the second would be twice as large */
	ck_assert_uint_eq(want_receive(&a), 0);
	ck_assert_uint_eq(want_receive(&a), 0);
	ka.conf.session_mib_max = quota;
	ck_assert_uint_eq(want_receive(&a), 4 * first);
	detach(&a);
	end_own_session();
}
END_TEST

START_TEST(spoil__ends_the_session)
{
	struct eta_admin_msg seg;
	struct attached a;
	int fd = memfd_create("empty", 0);

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	ck_assert(fake_engine_last(ETA_ADMIN_SEG_ADD, &seg));
	/* etad's own mapping, as a hole without a page to fill it would make it. */
	ck_assert_ptr_ne(mmap(seg.seg.base, seg.seg.bytes, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_FIXED, fd, 0),
			MAP_FAILED);
	ck_assert_int_eq(((volatile char *)seg.seg.base)[4096], 0);
	ck_assert(fake_engine_wait(ETA_ADMIN_SESSION_DEL, 1, WAIT_MS));
	ck_assert(sessions_become(0));
	ck_assert_uint_ge(ka.stats.spoiled, 1);
	close(fd);
	detach(&a);
}
END_TEST

START_TEST(ping__knows_whose_lock_it_is)
{
	struct eta_ctl_ping msg = {.hdr.type = ETA_CTL_PING};
	struct eta_ctl_hdr reply;
	struct attached a;

	ck_assert_int_eq(attach(&a), ETA_STATUS_OK);
	msg.lock_id = a.reply.lock_id;
	ck_assert_int_eq(say(a.fd, &msg, sizeof(msg), NULL, 0), sizeof(msg));
	ck_assert_int_eq(hear(a.fd, &reply, sizeof(reply), NULL, NULL), sizeof(reply));
	ck_assert_uint_eq(reply.status, ETA_STATUS_OK);
	msg.lock_id += 1;
	ck_assert_int_eq(say(a.fd, &msg, sizeof(msg), NULL, 0), sizeof(msg));
	ck_assert_int_eq(hear(a.fd, &reply, sizeof(reply), NULL, NULL), sizeof(reply));
	ck_assert_uint_eq(reply.status, ETA_STATUS_NOT_FOUND);
	detach(&a);
	end_own_session();
}
END_TEST

START_TEST(server__second_etad_is_refused_stale_file_is_replaced)
{
	struct server second;
	struct ka other = {0};
	char err[256], stale[80];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	ck_assert_int_eq(loop_init(&other.loop), 0);
	ck_assert_int_eq(server_open(&second, &other, path, 0600, "", err, sizeof(err)),
			-EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err, "another etad"));
	ck_assert(answers_ping());
	(void)snprintf(stale, sizeof(stale), "%s.stale", path);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", stale);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	ck_assert_int_eq(server_open(&second, &other, stale, 0600, "", err, sizeof(err)), 0);
	server_close(&second);
	ck_assert_int_eq(access(stale, F_OK), -1);
	loop_fini(&other.loop);
}
END_TEST

/* ---- the one etad ---- */

static void *ka_main(void *arg)
{
	(void)arg;
	etad_run(&ka);
	return NULL;
}

static void begin(void)
{
	char conf_path[] = "/tmp/eta-test-XXXXXX", err[512] = "";
	struct etad_args args = {.config = conf_path, .socket = path, .log_level = "error"};
	int fd = mkstemp(conf_path);

	(void)snprintf(path, sizeof(path), "/tmp/eta-test-%d/sock", getpid());
	ka_ns_run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up && ip addr add 10.1.1.1/24 dev va");
	dprintf(fd, "ports = ( { name = \"packet:va,big=128,small=128\"; } );\nmemory = { hugepages = \"no\"; eal_mib = 256; };\n");
	close(fd);
	if (etad_start(&ka, &args, err, sizeof(err)) < 0) {
		(void)fprintf(stderr, "etad_start: %s\n", err);
		exit(1);
	}
	unlink(conf_path);
	pthread_create(&ka_thread, NULL, ka_main, NULL);
}

static Suite *suite(void)
{
	Suite *s = suite_create("ka client");
	TCase *tc = tcase_create("client");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, attach__gives_memory_rings_and_pages);
	tcase_add_test(tc, attach__other_abi_is_told_ours);
	tcase_add_test(tc, attach__engine_refuses_leaves_nothing);
	tcase_add_test(tc, attach__again_after_exec_ends_the_old);
	tcase_add_test(tc, message__short_long_unknown_are_dropped);
	tcase_add_test(tc, message__descriptors_nobody_asked_for_are_dropped_and_closed);
	tcase_add_loop_test(tc, message__needs_a_session, 0, 4);
	tcase_add_test(tc, message__garbage_is_survived);
	tcase_add_test(tc, message__flood_without_reading_is_dropped);
	tcase_add_test(tc, message__truncated_share_is_dropped);
	tcase_add_test(tc, death__kill_resets_exit_is_orderly);
	tcase_add_test(tc, death__memory_stays_until_the_engine_lets_go);
	tcase_add_test(tc, death__hang_up_alone_is_none);
	tcase_add_test(tc, death__two_hundred_leave_nothing);
	tcase_add_test(tc, fork__child_inherits_and_maps_the_parents_memory);
	tcase_add_test(tc, share__outlives_its_process_until_the_last_close);
	tcase_add_test(tc, listen__is_read_from_the_shadow_and_ends_with_it);
	tcase_add_test(tc, listen__refuses_what_is_not_its);
	tcase_add_test(tc, listen__another_namespace_is_not_carried);
	tcase_add_test(tc, listen__engine_refuses_leaves_no_binding);
	tcase_add_test(tc, bind__keeps_the_port_until_the_session_ends);
	tcase_add_test(tc, grow__send_dtis_rings);
	tcase_add_test(tc, seg_want__grows_and_tells);
	tcase_add_test(tc, seg_want__takes_the_rest_of_the_quota_and_more_when_it_grows);
	tcase_add_test(tc, spoil__ends_the_session);
	tcase_add_test(tc, ping__knows_whose_lock_it_is);
	tcase_add_test(tc, server__second_etad_is_refused_stale_file_is_replaced);
	suite_add_tcase(s, tc);
	return s;
}

/* More than a core's ring holds: etad ends all the same. */
static void leave_commands_unanswered(void)
{
	const struct eta_admin_msg msg = {.op = ETA_ADMIN_DUMP};

	fake_engine_hold(ETA_ADMIN_DUMP, 1);
	for (uint32_t i = 0; i < 2 * ETA_ADMIN_RING; i++)
		irq_post_all(&ka.irq, &msg);
}

int main(void)
{
	SRunner *runner;
	int failed;

	if (!ka_ns_enter()) {
		(void)printf("not root: skipped\n");
		return 77;
	}
	begin();
	runner = srunner_create(suite());
	/* One process: etad's threads do not survive a fork. */
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	kill(getpid(), SIGTERM);
	pthread_join(ka_thread, NULL);
	leave_commands_unanswered();
	(void)alarm(30); /* a hang here shall not be silent */
	etad_stop(&ka);
	if (access(path, F_OK) == 0)
		failed++;
	return failed != 0;
}
