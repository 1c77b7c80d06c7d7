/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's side of the control socket, and the one etad that answers it. See the header.
 */
#include "test/unit/ka/ka_client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/unit/ka/fake_engine.h"
#include "test/unit/ka/ka_ns.h"

struct ka ka;
char ka_path[64];
static pthread_t ka_thread;

int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", ka_path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* also of connect */
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

ssize_t say(int fd, const void *msg, size_t len, const int *fds, size_t n)
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

ssize_t hear(int fd, void *msg, size_t len, int *fds, size_t *n)
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

bool is_dropped(int fd)
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

bool answers_ping(void)
{
	struct eta_ctl_hdr hdr = {.type = ETA_CTL_PING, .seq = 7}, reply;
	int fd = dial();
	bool ok = say(fd, &hdr, sizeof(hdr), NULL, 0) == sizeof(hdr) &&
		  hear(fd, &reply, sizeof(reply), NULL, NULL) == sizeof(reply) && reply.seq == 7 &&
		  reply.status == ETA_STATUS_OK;

	close(fd);
	return ok;
}

int attach_on(struct attached *a, int fd)
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

int attach(struct attached *a)
{
	return attach_on(a, dial());
}

void detach(struct attached *a)
{
	for (size_t i = 0; i < a->fds_n; i++)
		close(a->fds[i]);
	close(a->fd);
}

bool sessions_become(uint32_t n)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&ka.res.sessions_n, __ATOMIC_ACQUIRE) == n)
			return true;
		(void)poll(NULL, 0, 1);
	}
	return false;
}

pid_t child_attached(int *tell, void (*more)(struct attached *a))
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

void ka_client_setup(void)
{
	fake_engine_reset();
	ck_assert_uint_eq(ka.res.sessions_n, 0);
}

void end_own_session(void)
{
	struct attached a;

	fake_engine_answer(ETA_ADMIN_SESSION_ADD, ETA_STATUS_NO_MEMORY);
	(void)attach(&a);
	detach(&a);
	ck_assert(sessions_become(0));
	fake_engine_reset();
}

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
	struct etad_args args = {.config = conf_path, .socket = ka_path, .log_level = "error"};
	int fd = mkstemp(conf_path);

	(void)snprintf(ka_path, sizeof(ka_path), "/tmp/eta-test-%d/sock", getpid());
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

/* More than a core's ring holds: etad ends all the same. */
static void leave_commands_unanswered(void)
{
	const struct eta_admin_msg msg = {.op = ETA_ADMIN_DUMP};

	fake_engine_hold(ETA_ADMIN_DUMP, 1);
	for (uint32_t i = 0; i < 2 * ETA_ADMIN_RING; i++)
		irq_post_all(&ka.irq, &msg);
}

int ka_client_run(Suite *suite)
{
	SRunner *runner;
	int failed;

	if (!ka_ns_enter()) {
		(void)printf("not root: skipped\n");
		return 77;
	}
	begin();
	runner = srunner_create(suite);
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
	if (access(ka_path, F_OK) == 0)
		failed++;
	return failed != 0;
}
