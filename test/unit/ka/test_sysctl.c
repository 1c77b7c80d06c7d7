/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sysctl.c: what the cores are told of the configuration and of the kernel's settings, and when.
 *
 * One etad after the other, in this process, in a namespace whose sysctls the tests write.
 */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <eta/ctl.h>

#include "engine/tcp/tcp.h"
#include "ka/etad.h"
#include "test/unit/ka/fake_engine.h"
#include "test/unit/ka/ka_ns.h"

#define WAIT_MS 8000

static struct ka ka;
static pthread_t ka_thread;
static char path[64];

static void set(const char *name, const char *value)
{
	char file[96];
	int fd;

	(void)snprintf(file, sizeof(file), "/proc/sys/net/ipv4/%s", name);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, value, strlen(value)), (ssize_t)strlen(value));
	close(fd);
}

static uint32_t knob(enum eta_knob id)
{
	uint32_t value;

	ck_assert_msg(fake_engine_knob(id, &value), "knob %d was never said", id);
	return value;
}

static void *ka_main(void *arg)
{
	(void)arg;
	etad_run(&ka);
	return NULL;
}

static void begin(const char *tcp)
{
	char conf_path[] = "/tmp/eta-test-XXXXXX", err[512] = "";
	struct etad_args args = {.config = conf_path, .socket = path, .log_level = "error"};
	int fd = mkstemp(conf_path);

	fake_engine_reset();
	dprintf(fd,
			"ports = ( { name = \"packet:va,big=128,small=128\"; } );\n"
			"memory = { hugepages = \"no\"; eal_mib = 256; };\ntcp = { %s };\n",
			tcp);
	close(fd);
	ck_assert_msg(etad_start(&ka, &args, err, sizeof(err)) == 0, "%s", err);
	unlink(conf_path);
	pthread_create(&ka_thread, NULL, ka_main, NULL);
}

static int attach(uint32_t *flags)
{
	struct eta_ctl_attach msg = {
			.hdr = {.type = ETA_CTL_ATTACH, .seq = 1}, .abi = ETA_ABI_VERSION};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	struct eta_ctl_attach_reply reply;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(send(fd, &msg, sizeof(msg), 0), sizeof(msg));
	/* the descriptors are not wanted: the kernel closes what finds no room */
	ck_assert_int_eq(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
	ck_assert_int_eq(reply.hdr.status, ETA_STATUS_OK);
	*flags = reply.flags;
	return fd;
}

static void ping(int fd)
{
	struct eta_ctl_hdr msg = {.type = ETA_CTL_PING, .seq = 2}, reply;

	ck_assert_int_eq(send(fd, &msg, sizeof(msg), 0), sizeof(msg));
	ck_assert_int_eq(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
	ck_assert_int_eq(reply.status, ETA_STATUS_OK);
}

START_TEST(conf__defaults_are_the_engines)
{
	struct tcp_conf dflt;
	struct conf conf;

	tcp_conf_default(&dflt);
	conf_default(&conf);
	ck_assert_int_eq(conf.sysctl, CONF_SYSCTL_OFF);
	ck_assert_int_eq(conf.knob[ETA_KNOB_TIMESTAMPS], dflt.timestamps);
	ck_assert_int_eq(conf.knob[ETA_KNOB_SACK], dflt.sack);
	ck_assert_int_eq(conf.knob[ETA_KNOB_RCV_WSCALE], dflt.rcv_wscale);
	ck_assert_int_eq(conf.knob[ETA_KNOB_SYN_RETRIES], dflt.syn_retries);
	ck_assert_int_eq(conf.knob[ETA_KNOB_SYNACK_RETRIES], dflt.synack_retries);
	ck_assert_int_eq(conf.knob[ETA_KNOB_DATA_RETRIES], dflt.data_retries);
	ck_assert_int_eq(conf.knob[ETA_KNOB_ORPHAN_RETRIES], dflt.orphan_retries);
	ck_assert_int_eq(conf.knob[ETA_KNOB_KEEP_IDLE_MS], dflt.keep_idle_ms);
	ck_assert_int_eq(conf.knob[ETA_KNOB_KEEP_INTVL_MS], dflt.keep_intvl_ms);
	ck_assert_int_eq(conf.knob[ETA_KNOB_KEEP_PROBES], dflt.keep_probes);
	ck_assert_int_eq(conf.knob[ETA_KNOB_FIN_WAIT2_MS], dflt.fin_wait2_ms);
	ck_assert_int_eq(conf.knob[ETA_KNOB_MTU_PROBING], dflt.mtu_probing);
}
END_TEST

START_TEST(conf__congestion_counts_as_the_engine)
{
	char conf_path[] = "/tmp/eta-test-XXXXXX", err[512] = "";
	struct conf conf;
	int fd = mkstemp(conf_path);

	dprintf(fd, "tcp = { congestion_control = \"cubic\"; };\n");
	close(fd);
	conf_default(&conf);
	ck_assert_int_eq(conf_load(&conf, conf_path, err, sizeof(err)), 0);
	ck_assert_int_eq(conf.congestion, TCP_CC_CUBIC);
	unlink(conf_path);
}
END_TEST

/* All of it in one: DPDK starts but once in a process. */
START_TEST(sysctl__mirror)
{
	uint32_t flags, n;
	int fd;

	set("tcp_timestamps", "0");
	set("tcp_rmem", "4096 540000 15728640");
	set("tcp_fastopen", "0x70407");
	set("tcp_fastopen_key", "00000001-00000000-c3c3c3c3-d4d4d4d4");
	set("tcp_keepalive_time", "77");
	set("tcp_orphan_retries", "0");
	set("tcp_mtu_probing", "1");
	set("tcp_min_tso_segs", "10");
	begin("sysctl = \"mirror\"; timestamps = true; rcv_wscale = 3; syn_retries = 4;");
	ck_assert(fake_engine_wait(ETA_ADMIN_KNOB_SET, ETA_KNOB_N, WAIT_MS));
	fd = attach(&flags);
	ck_assert_uint_eq(flags & ETA_POLICY_PING, ETA_POLICY_PING);
	/* the kernel's word counts, in the engine's terms */
	ck_assert_uint_eq(knob(ETA_KNOB_TIMESTAMPS), 0);
	ck_assert_uint_eq(knob(ETA_KNOB_RCV_WSCALE), 8);
	ck_assert_uint_eq(knob(ETA_KNOB_FASTOPEN), 0x47);
	ck_assert_uint_eq(knob(ETA_KNOB_FASTOPEN_KEY0), 1);
	ck_assert_uint_eq(knob(ETA_KNOB_FASTOPEN_KEY1), 0);
	ck_assert_uint_eq(knob(ETA_KNOB_FASTOPEN_KEY3), 0xd4d4d4d4);
	ck_assert_uint_eq(knob(ETA_KNOB_KEEP_IDLE_MS), 77000);
	ck_assert_uint_eq(knob(ETA_KNOB_ORPHAN_RETRIES), 8);
	ck_assert_uint_eq(knob(ETA_KNOB_SYN_RETRIES), 6);
	ck_assert_uint_eq(knob(ETA_KNOB_MTU_PROBING), 1);
	ck_assert_uint_eq(knob(ETA_KNOB_MIN_TSO_SEGS), 10);
	/* a PING is answered when the cores have what is new, and only that is said again */
	n = fake_engine_count(ETA_ADMIN_KNOB_SET);
	set("tcp_timestamps", "1");
	set("tcp_sack", "0");
	ping(fd);
	ck_assert_uint_eq(knob(ETA_KNOB_TIMESTAMPS), 1);
	ck_assert_uint_eq(knob(ETA_KNOB_SACK), 0);
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_KNOB_SET), n + 3);
	ping(fd);
	ck_assert_uint_eq(fake_engine_count(ETA_ADMIN_KNOB_SET), n + 4);
	/* nobody asks: it is seen all the same */
	set("tcp_sack", "1");
	for (int i = 0; i < WAIT_MS && knob(ETA_KNOB_SACK) == 0; i++)
		(void)usleep(1000);
	ck_assert_uint_eq(knob(ETA_KNOB_SACK), 1);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ka sysctl");
	TCase *tc = tcase_create("sysctl");
	SRunner *runner;
	int failed;

	if (!ka_ns_enter()) {
		(void)printf("not root: skipped\n");
		return 77;
	}
	(void)snprintf(path, sizeof(path), "/tmp/eta-test-%d/sock", getpid());
	ka_ns_run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up && ip addr add 10.1.1.1/24 dev va");
	tcase_add_test(tc, conf__defaults_are_the_engines);
	tcase_add_test(tc, conf__congestion_counts_as_the_engine);
	tcase_add_test(tc, sysctl__mirror);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	kill(getpid(), SIGTERM);
	pthread_join(ka_thread, NULL);
	etad_stop(&ka);
	return failed != 0;
}
