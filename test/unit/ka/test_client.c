/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client.c, client_req.c, server.c, and the ends of sessions: the control socket, from outside.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <eta/ctl.h>

#include "ka/etad.h"
#include "test/unit/ka/fake_engine.h"
#include "test/unit/ka/ka_client.h"

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

/* ---- the rest ---- */

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

/* The answer to a command line of etactl: all its text. */
static const char *admin(const char *line, uint16_t *status)
{
	struct eta_ctl_text msg = {.hdr = {.type = ETA_CTL_ADMIN, .seq = 7}};
	static char text[4096];
	size_t len = 0, n_fds;
	int fd = dial(), fds[8];
	ssize_t n;

	(void)snprintf(msg.text, sizeof(msg.text), "%s", line);
	ck_assert_int_gt(say(fd, &msg, sizeof(msg.hdr) + strlen(line) + 1, NULL, 0), 0);
	do {
		n = hear(fd, &msg, sizeof(msg), fds, &n_fds);
		ck_assert_int_ge(n, (ssize_t)sizeof(msg.hdr));
		*status = msg.hdr.status;
		n -= (ssize_t)sizeof(msg.hdr);
		ck_assert_uint_lt(len + (size_t)n, sizeof(text));
		memcpy(text + len, msg.text, (size_t)n);
		len += (size_t)n;
	} while (n > 0 && *status == ETA_STATUS_OK);
	text[len] = '\0';
	close(fd);
	return text;
}

START_TEST(admin__set_reaches_the_engine_and_tells_what_it_has)
{
	struct eta_admin_msg said;
	uint16_t status;

	ck_assert_str_eq(admin("set tcp.ecn on", &status), "tcp.ecn on\n");
	ck_assert(fake_engine_last(ETA_ADMIN_KNOB_SET, &said));
	ck_assert_uint_eq(said.knob.id, ETA_KNOB_ECN);
	ck_assert_uint_eq(said.knob.value, 1);
	ck_assert_str_eq(admin("get tcp.ecn", &status), "tcp.ecn on\n");
	ck_assert_str_eq(admin("set tcp.notsent_lowat 16384", &status),
			"tcp.notsent_lowat 16384 bytes\n");
	ck_assert_str_eq(admin("set tcp.congestion_control reno", &status),
			"tcp.congestion_control reno\n");
	ck_assert(fake_engine_last(ETA_ADMIN_KNOB_SET, &said));
	ck_assert_uint_eq(said.knob.value, 1);
	ck_assert_ptr_nonnull(strstr(admin("get", &status), "tcp.ecn on\n"));
	ck_assert_ptr_nonnull(strstr(admin("get", &status), "tcp.fin_wait2_ms "));
	ck_assert_ptr_nonnull(strstr(admin("get", &status), "tcp.mtu_probing off\n"));
	ck_assert_ptr_null(strstr(admin("get", &status), "key"));
}
END_TEST

START_TEST(admin__what_cannot_be_set_says_why)
{
	static const struct {
		const char *line, *text;
	} no[] = {{"set tcp.ecn perhaps", "tcp.ecn takes one of: off on accept, not 'perhaps'\n"},
			{"set tcp.ecn", "tcp.ecn takes one of: off on accept, not ''\n"},
			{"set tcp.ecn on off",
					"tcp.ecn takes one of: off on accept, not 'on off'\n"},
			{"set tcp.retries 4294967297",
					"tcp.retries takes 1 to 127, not '4294967297'\n"},
			{"set tcp.retries 99999999999999999999999",
					"tcp.retries takes 1 to 127, not '99999999999999999999999'\n"},
			{"set  1", "no setting '1': `etactl get` lists them\n"},
			{"set tcp.congestion_control -",
					"tcp.congestion_control takes one of: reno cubic dctcp bbr, not '-'\n"},
			{"set tcp.retries 0", "tcp.retries takes 1 to 127, not '0'\n"},
			{"set tcp.retries 12x", "tcp.retries takes 1 to 127, not '12x'\n"},
			{"set tcp.rto_us_min -1",
					"tcp.rto_us_min takes 1000 to 10000000 us, not '-1'\n"},
			{"set tcp.nothing 1",
					"no setting 'tcp.nothing': `etactl get` lists them\n"},
			{"get tcp.nothing", "no setting 'tcp.nothing': `etactl get` lists them\n"}};
	uint32_t before = (uint32_t)fake_engine_count(ETA_ADMIN_KNOB_SET);
	uint16_t status;

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		ck_assert_str_eq(admin(no[i].line, &status), no[i].text);
		ck_assert_uint_eq(status, strncmp(no[i].text, "no", 2) == 0 ? ETA_STATUS_NOT_FOUND
									    : ETA_STATUS_INVALID);
	}
	ck_assert_uint_eq((uint32_t)fake_engine_count(ETA_ADMIN_KNOB_SET), before);
	ck_assert(answers_ping());
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
	ck_assert_int_eq(server_open(&second, &other, ka_path, 0600, "", err, sizeof(err)),
			-EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err, "another etad"));
	ck_assert(answers_ping());
	(void)snprintf(stale, sizeof(stale), "%s.stale", ka_path);
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

int main(void)
{
	Suite *s = suite_create("ka client");
	TCase *tc = tcase_create("client");

	tcase_add_checked_fixture(tc, ka_client_setup, NULL);
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
	tcase_add_test(tc, ping__knows_whose_lock_it_is);
	tcase_add_test(tc, admin__set_reaches_the_engine_and_tells_what_it_has);
	tcase_add_test(tc, admin__what_cannot_be_set_says_why);
	tcase_add_test(tc, server__second_etad_is_refused_stale_file_is_replaced);
	suite_add_tcase(s, tc);
	return ka_client_run(s);
}
