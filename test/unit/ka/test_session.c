/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client_dti.c, session_mem.c, res.c: what a session is given, from outside.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <eta/ctl.h>

#include "ka/etad.h"
#include "test/unit/ka/fake_engine.h"
#include "test/unit/ka/ka_client.h"

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
	/* KA has begun with it ... */
	while (ka.stats.seg_wants == before)
		bytes += ping_for_seg(a);
	/* ... and, when it answers what comes after, asked the engine, if it does; which has answered ... */
	do {
		bytes += ping_for_seg(a);
	} while (session->is_growing);
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
	/* etad may be faster than this thread comes back from its signal: the memory stays as long as the engine has it. */
	fake_engine_hold(ETA_ADMIN_SESSION_DEL, 1);
	ck_assert_int_eq(((volatile char *)seg.seg.base)[4096], 0);
	ck_assert(fake_engine_wait(ETA_ADMIN_SESSION_DEL, 1, WAIT_MS));
	fake_engine_hold(ETA_ADMIN_SESSION_DEL, 0);
	ck_assert(sessions_become(0));
	ck_assert_uint_ge(ka.stats.spoiled, 1);
	close(fd);
	detach(&a);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ka session");
	TCase *tc = tcase_create("session");

	tcase_add_checked_fixture(tc, ka_client_setup, NULL);
	tcase_add_test(tc, listen__is_read_from_the_shadow_and_ends_with_it);
	tcase_add_test(tc, listen__refuses_what_is_not_its);
	tcase_add_test(tc, listen__another_namespace_is_not_carried);
	tcase_add_test(tc, listen__engine_refuses_leaves_no_binding);
	tcase_add_test(tc, bind__keeps_the_port_until_the_session_ends);
	tcase_add_test(tc, grow__send_dtis_rings);
	tcase_add_test(tc, seg_want__grows_and_tells);
	tcase_add_test(tc, seg_want__takes_the_rest_of_the_quota_and_more_when_it_grows);
	tcase_add_test(tc, spoil__ends_the_session);
	suite_add_tcase(s, tc);
	return ka_client_run(s);
}
