/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A SYN flood over an interface: SYNs of sources that do not exist, at a rate, for a time.
 *
 * Frames (test/lib/flood.h) leave by a packet socket, past the queueing discipline, in batches that are due: what could not be sent in time is
 * not made up for, so a slow machine is flooded at a lower rate, and the rate that was reached is printed. The same seed makes the same
 * frames. Bounded in time and in number, and by its standard input: when that ends, so does the flood.
 *
 * Prints "flooding" with the first batch and one line of JSON at the end. For namespaces of a lab: the sources are from 198.18.0.0/15 and
 * 2001:2::/48, addresses that are nobody's (RFC 2544, RFC 5180), and the destination must be on the link of the interface.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "test/lib/flood.h"

#define BATCH 32u
#define BEHIND_US 2000u /* what is later than this is not sent any more */
#define PER_S_MAX 2000000.0
#define SECONDS_MAX 600.0
#define COUNT_MAX 100000000ull
#define NAP_NS 100000L

struct options {
	struct flood flood;
	const char *dev;
	double per_s, seconds;
	uint64_t count;
};

struct batch {
	uint8_t frame[BATCH][FLOOD_FRAME_MAX];
	struct iovec iov[BATCH];
	struct mmsghdr msg[BATCH];
};

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int open_device(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
			.sll_ifindex = (int)if_nametoindex(
					name)}; /* protocol 0: receives nothing */
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	int one = 1;

	if (fd < 0 || at.sll_ifindex == 0 ||
			setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
			bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		fprintf(stderr, "syn_flood: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	return fd;
}

/* Send @n frames. Return: how many the interface took. */
static uint32_t send_batch(int fd, struct batch *b, struct flood *f, uint32_t n)
{
	int sent;

	for (uint32_t i = 0; i < n; i++) {
		b->iov[i] = (struct iovec){
				.iov_base = b->frame[i], .iov_len = flood_syn(f, b->frame[i])};
		b->msg[i].msg_hdr.msg_iov = &b->iov[i];
		b->msg[i].msg_hdr.msg_iovlen = 1;
	}
	sent = sendmmsg(fd, b->msg, n, MSG_DONTWAIT);
	return sent > 0 ? (uint32_t)sent : 0;
}

/* The input's end is the order to stop. */
static bool is_stopped(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&input, 1, 0) != 0;
}

static void run(struct options *o)
{
	static struct batch batch;
	const struct timespec nap = {.tv_nsec = NAP_NS};
	int fd = open_device(o->dev);
	double start = now_s(), now = start;
	uint64_t due, done = 0, sent = 0; /* due and done count what was let go too */
	uint64_t behind = (uint64_t)(o->per_s * BEHIND_US * 1e-6) + BATCH;

	printf("flooding\n");
	fflush(stdout);
	for (; now - start < o->seconds && sent < o->count; now = now_s()) {
		uint32_t n;

		due = (uint64_t)((now - start) * o->per_s);
		if (due - done > behind)
			done = due - behind;
		n = due - done < BATCH ? (uint32_t)(due - done) : BATCH;
		n = o->count - sent < n ? (uint32_t)(o->count - sent) : n;
		if (n == 0) {
			if (is_stopped())
				break;
			(void)nanosleep(&nap, NULL);
			continue;
		}
		sent += send_batch(fd, &batch, &o->flood, n);
		done += n;
	}
	printf("{\"sent\": %llu, \"seconds\": %.3f, \"per_s\": %.0f}\n", (unsigned long long)sent,
			now - start, (double)sent / (now - start));
	close(fd);
}

static int usage(const char *what)
{
	fprintf(stderr,
			"syn_flood: %s\n"
			"usage: syn_flood --dev NAME --mac DESTINATION --addr DESTINATION --port N\n"
			"  [--per-s N] [--seconds S] [--count N] [--seed N]   (100000, 10, none, 1)\n",
			what);
	return 2;
}

static bool mac_parse(uint8_t *mac, const char *text)
{
	char rest;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
			       &mac[3], &mac[4], &mac[5], &rest) == 6;
}

static bool addr_parse(struct flood *f, const char *text)
{
	f->is_v6 = inet_pton(AF_INET6, text, f->dst6) == 1;
	return f->is_v6 || inet_pton(AF_INET, text, &f->dst_be) == 1;
}

/* Return: false, no such option, or no such value. */
static bool option(struct options *o, const char *name, const char *val)
{
	char *end;
	double number;

	if (!strcmp(name, "--mac"))
		return mac_parse(o->flood.dmac, val);
	if (!strcmp(name, "--addr"))
		return addr_parse(&o->flood, val);
	if (!strcmp(name, "--dev")) {
		o->dev = val;
		return true;
	}
	number = strtod(val, &end);
	if (*end || end == val || number < 1)
		return false;
	if (!strcmp(name, "--port") && number <= UINT16_MAX)
		o->flood.port_be = htons((uint16_t)number);
	else if (!strcmp(name, "--per-s") && number <= PER_S_MAX)
		o->per_s = number;
	else if (!strcmp(name, "--seconds") && number <= SECONDS_MAX)
		o->seconds = number;
	else if (!strcmp(name, "--count") && number <= (double)COUNT_MAX)
		o->count = (uint64_t)number;
	else if (!strcmp(name, "--seed") && number <= 1e15)
		o->flood.random = (uint64_t)number;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct options o = {
			.flood = {.random = 1}, .per_s = 100000, .seconds = 10, .count = COUNT_MAX};

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc || !option(&o, argv[i], argv[i + 1]))
			return usage(argv[i]);
	}
	if (!o.dev || !o.flood.port_be || (!o.flood.is_v6 && !o.flood.dst_be))
		return usage("--dev, --mac, --addr and --port are needed");
	/* a MAC address of the locally administered kind: nobody's */
	memcpy(o.flood.smac, "\x02\x00\x00\x00\x0f\x1d", 6);
	prctl(PR_SET_TIMERSLACK, 1);
	run(&o);
	return 0;
}
