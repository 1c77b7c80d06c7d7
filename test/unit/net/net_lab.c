/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/unit/net/net_test.h"

#define CONNS_MAX 8

uint8_t nt_lab_mac_a[6] = {2, 0, 0, 0, 0xaa, 1};
uint8_t nt_lab_mac_b[6] = {2, 0, 0, 0, 0xbb, 2};

static bool run(const char *cmd)
{
	if (system(cmd) == 0)
		return true;
	fprintf(stderr, "failed: %s\n", cmd);
	return false;
}

static int listener(int type)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), off = 0, on = 1;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
			(type == SOCK_STREAM && listen(fd, 8) != 0)) {
		perror("peer: bind");
		exit(1);
	}
	return fd;
}

/* A frame with the tag in the bytes: the receiver's kernel takes it out. */
static void send_tagged(void)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET,
			.sll_ifindex = (int)if_nametoindex("vb"),
			.sll_halen = 6};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	uint8_t f[64] = {0};

	memcpy(f, nt_lab_mac_a, 6);
	memcpy(f + 6, nt_lab_mac_b, 6);
	memcpy(f + 12, (const uint8_t[]){0x81, 0, 0, 5, 0x08, 0}, 6);
	f[18] = 0x45;
	if (sendto(fd, f, sizeof(f), 0, (struct sockaddr *)&sll, sizeof(sll)) < 0)
		perror("peer: tagged frame");
	close(fd);
}

static void echo_udp(int fd)
{
	static uint8_t buf[65536];
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

	if (n == 3 && memcmp(buf, "tag", 3) == 0)
		send_tagged();
	else if (n >= 0)
		(void)!sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
}

static bool echo_tcp(int fd)
{
	static uint8_t buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf)), done = 0;

	while (done < n) {
		ssize_t w = write(fd, buf + done, (size_t)(n - done));

		if (w <= 0)
			return false;
		done += w;
	}
	return n > 0;
}

static void serve(void)
{
	struct pollfd p[2 + CONNS_MAX] = {{.fd = listener(SOCK_DGRAM), .events = POLLIN},
			{.fd = listener(SOCK_STREAM), .events = POLLIN}};
	int i;

	for (i = 2; i < 2 + CONNS_MAX; i++)
		p[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	while (poll(p, 2 + CONNS_MAX, -1) >= 0) {
		if (p[0].revents)
			echo_udp(p[0].fd);
		for (i = 2; i < 2 + CONNS_MAX; i++) {
			if (p[i].fd < 0 && p[1].revents) {
				p[i].fd = accept(p[1].fd, NULL, NULL);
				p[1].revents = 0;
			} else if (p[i].fd >= 0 && p[i].revents && !echo_tcp(p[i].fd)) {
				close(p[i].fd);
				p[i].fd = -1;
			}
		}
	}
}

/* The child: waits until vb has arrived, sets it up, says so, serves. */
static void peer(int ready_rd, int done_wr)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) != 0 || write(done_wr, "u", 1) != 1 || read(ready_rd, &c, 1) != 1)
		exit(1);
	if (!run("ip link set lo up && ip addr add 10.99.0.2/24 dev vb && "
		 "ip -6 addr add fd99::2/64 dev vb nodad && ip link set vb up && "
		 "ip neigh replace 10.99.0.1 lladdr 02:00:00:00:aa:01 dev vb && "
		 "ip -6 neigh replace fd99::1 lladdr 02:00:00:00:aa:01 dev vb"))
		exit(1);
	signal(SIGPIPE, SIG_IGN);
	if (write(done_wr, "r", 1) != 1)
		exit(1);
	serve();
	exit(0);
}

struct rte_mbuf *nt_udp(uint32_t len, const char *text)
{
	struct rte_mbuf *m = nt_alloc(42 + len);
	uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t i;

	memcpy(f, nt_lab_mac_b, 6);
	memcpy(f + 6, nt_lab_mac_a, 6);
	memcpy(f + 12,
			(const uint8_t[]){8, 0, 0x45, 0, (uint8_t)((28 + len) >> 8),
					(uint8_t)(28 + len), 0, 0, 0x40, 0, 64, 17},
			12);
	memcpy(f + 26, (const uint8_t[]){10, 99, 0, 1, 10, 99, 0, 2}, 8);
	memcpy(f + 34,
			(const uint8_t[]){NT_UDP_PORT >> 8, NT_UDP_PORT & 255, 0, 7,
					(uint8_t)((8 + len) >> 8), (uint8_t)(8 + len)},
			6);
	for (i = 0; i < len; i++)
		f[42 + i] = text ? (uint8_t)text[i] : nt_byte(i);
	nt_fix_ip(m);
	return m;
}

bool nt_lab(void)
{
	int to_child[2], to_us[2];
	char cmd[256], c;
	pid_t pid;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0)
		return false;
	if (pipe(to_child) != 0 || pipe(to_us) != 0)
		exit(1);
	pid = fork();
	if (pid == 0)
		peer(to_child[0], to_us[1]);
	if (pid < 0 || read(to_us[0], &c, 1) != 1)
		exit(1);
	snprintf(cmd, sizeof(cmd),
			"ip link add va address 02:00:00:00:aa:01 type veth "
			"peer name vb address 02:00:00:00:bb:02 && "
			"sysctl -qw net.ipv6.conf.va.disable_ipv6=1 && ip link set va up && "
			"ip link set vb netns %d",
			pid);
	if (!run(cmd) || write(to_child[1], "g", 1) != 1 || read(to_us[0], &c, 1) != 1) {
		fprintf(stderr, "the test network cannot be built\n");
		exit(1);
	}
	return true;
}
