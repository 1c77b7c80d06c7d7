/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An emulated link between two interfaces: loss, reordering, delay and rate, by seed.
 *
 * Whoever measures a transport under loss needs a path that treats every competitor alike. Frames of one interface are read from a
 * packet socket and written to the other after the link's delay. What happens to a frame depends on the seed, its direction and its number
 * in that direction only, never on time, so that two competitors meet the same dice.
 *
 *     in -> dice: lost, late? -> rate (with a queue that overflows) -> delay -> heap by due time -> out
 *
 * Checksums that the sender's kernel has not filled in travel on as such (PACKET_VNET_HDR), but a superframe is one frame here: senders must
 * segment. One thread; memory and work are bounded, what finds no room is counted as an overflow of the queue. Counters are
 * written on SIGUSR1 and at the end.
 *
 * packet(7), netem's model (delay, loss, reordering, rate).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 16384u     /* frames under way in one direction */
#define SLOT_BYTES 2048u /* one frame and its header */
#define BURST 64u        /* frames per system call */
#define NS_PER_US 1000ull
#define SOCKET_BYTES (32 << 20)

struct frame {
	uint64_t due_ns;
	uint64_t ord; /* frames that are due at once leave in their order */
	uint32_t slot;
	uint32_t bytes; /* with the header */
};

struct dir {
	const char *name;
	int in, out;
	/* settings */
	double loss, reorder; /* probabilities */
	uint64_t delay_ns, hold_ns;
	double ns_per_byte; /* 0 = no limit of rate */
	uint32_t queue_max; /* frames that wait for the rate */
	/* state */
	uint64_t key;        /* seed of this direction */
	uint64_t seen;       /* number of the next frame */
	uint64_t free_at_ns; /* when the rate has served all before */
	uint32_t heap_n, spare_n;
	struct frame heap[SLOTS];
	uint32_t spare[SLOTS];
	uint8_t (*mem)[SLOT_BYTES];
	/* counters */
	uint64_t sent, lost, late, overflow, failed;
};

static struct dir dirs[2] = {{.name = "ab"}, {.name = "ba"}};
static volatile sig_atomic_t is_over, wants_report;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* splitmix64: the same number for the same key. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* The @k-th number in [0, 1) of frame @n. */
static double dice(const struct dir *d, uint64_t n, uint64_t k)
{
	return (double)(mix(mix(d->key + n) + k) >> 11) / 9007199254740992.0;
}

/* ---- frames under way ---- */

static bool is_before(const struct frame *a, const struct frame *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->ord < b->ord);
}

static void heap_put(struct dir *d, struct frame f)
{
	uint32_t i = d->heap_n++;

	for (; i && is_before(&f, &d->heap[(i - 1) / 2]); i = (i - 1) / 2)
		d->heap[i] = d->heap[(i - 1) / 2];
	d->heap[i] = f;
}

static struct frame heap_take(struct dir *d)
{
	struct frame first = d->heap[0], last = d->heap[--d->heap_n];
	uint32_t i = 0;

	for (uint32_t c = 1; c < d->heap_n; c = 2 * i + 1) {
		if (c + 1 < d->heap_n && is_before(&d->heap[c + 1], &d->heap[c]))
			c++;
		if (!is_before(&d->heap[c], &last))
			break;
		d->heap[i] = d->heap[c];
		i = c;
	}
	d->heap[i] = last;
	return first;
}

static void slot_free(struct dir *d, uint32_t slot)
{
	d->spare[d->spare_n++] = slot;
}

/* A frame has come in @slot. */
static void take(struct dir *d, uint32_t slot, uint32_t bytes, uint64_t at_ns)
{
	struct frame f = {.due_ns = at_ns, .ord = d->seen++, .slot = slot, .bytes = bytes};

	if (bytes > SLOT_BYTES) {
		d->overflow++;
		slot_free(d, slot);
		return;
	}
	if (dice(d, f.ord, 1) < d->loss) {
		d->lost++;
		slot_free(d, slot);
		return;
	}
	if (d->ns_per_byte > 0) {
		uint64_t took_ns = (uint64_t)(bytes * d->ns_per_byte);

		if (d->free_at_ns < at_ns)
			d->free_at_ns = at_ns;
		if (d->free_at_ns - at_ns >
				d->queue_max * (uint64_t)(ETH_FRAME_LEN * d->ns_per_byte)) {
			d->overflow++;
			slot_free(d, slot);
			return;
		}
		d->free_at_ns += took_ns;
		f.due_ns = d->free_at_ns;
	}
	f.due_ns += d->delay_ns;
	if (dice(d, f.ord, 2) < d->reorder) {
		d->late++;
		f.due_ns += (uint64_t)(dice(d, f.ord, 3) * (double)d->hold_ns);
	}
	heap_put(d, f);
}

static void receive(struct dir *d)
{
	struct mmsghdr msgs[BURST] = {0};
	struct iovec iov[BURST];
	uint32_t slots[BURST];
	uint32_t n = 0;
	uint64_t at_ns;
	int got;

	for (; n < BURST && d->spare_n; n++) {
		slots[n] = d->spare[--d->spare_n];
		iov[n] = (struct iovec){.iov_base = d->mem[slots[n]], .iov_len = SLOT_BYTES};
		msgs[n].msg_hdr.msg_iov = &iov[n];
		msgs[n].msg_hdr.msg_iovlen = 1;
	}
	got = n ? recvmmsg(d->in, msgs, n, MSG_DONTWAIT | MSG_TRUNC, NULL) : 0;
	at_ns = now_ns();
	for (uint32_t i = 0; i < n; i++) {
		if ((int)i < got)
			take(d, slots[i], msgs[i].msg_len, at_ns);
		else
			slot_free(d, slots[i]);
	}
}

/* Send what is due. Return: when the next is, UINT64_MAX = none. */
static uint64_t release(struct dir *d, uint64_t at_ns)
{
	struct mmsghdr msgs[BURST] = {0};
	struct iovec iov[BURST];
	struct frame f[BURST];

	while (d->heap_n && d->heap[0].due_ns <= at_ns) {
		uint32_t n = 0, done = 0;

		for (; n < BURST && d->heap_n && d->heap[0].due_ns <= at_ns; n++) {
			f[n] = heap_take(d);
			iov[n] = (struct iovec){
					.iov_base = d->mem[f[n].slot], .iov_len = f[n].bytes};
			msgs[n].msg_hdr.msg_iov = &iov[n];
			msgs[n].msg_hdr.msg_iovlen = 1;
		}
		while (done < n) {
			int sent = sendmmsg(d->out, msgs + done, n - done, MSG_DONTWAIT);

			d->failed += sent <= 0;
			d->sent += sent > 0 ? (uint32_t)sent : 0;
			done += sent > 0 ? (uint32_t)sent : 1;
		}
		for (uint32_t i = 0; i < n; i++)
			slot_free(d, f[i].slot);
	}
	return d->heap_n ? d->heap[0].due_ns : UINT64_MAX;
}

static void report(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		const struct dir *d = &dirs[i];
		struct tpacket_stats st = {0};
		socklen_t len = sizeof(st);

		/* What the socket dropped was lost by this program's slowness, not by the dice. */
		(void)getsockopt(d->in, SOL_PACKET, PACKET_STATISTICS, &st, &len);
		printf("link %s seen=%lu sent=%lu lost=%lu late=%lu overflow=%lu failed=%lu socket_drops=%u\n",
				d->name, d->seen, d->sent, d->lost, d->late, d->overflow, d->failed,
				st.tp_drops);
	}
	fflush(stdout);
}

static void run(void)
{
	struct pollfd fds[2] = {
			{.fd = dirs[0].in, .events = POLLIN}, {.fd = dirs[1].in, .events = POLLIN}};

	while (!is_over) {
		uint64_t now = now_ns(), next = now + 100000 * NS_PER_US;
		struct timespec wait;

		for (uint32_t i = 0; i < 2; i++) {
			uint64_t due = release(&dirs[i], now);

			next = due < next ? due : next;
		}
		now = now_ns();
		wait = (struct timespec){.tv_nsec = next > now ? (long)(next - now) : 0};
		if (ppoll(fds, 2, &wait, NULL) > 0) {
			for (uint32_t i = 0; i < 2; i++) {
				if (fds[i].revents)
					receive(&dirs[i]);
			}
		}
		if (wants_report) {
			wants_report = 0;
			report();
		}
	}
}

/* ---- start ---- */

static int device(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
			.sll_protocol = htons(ETH_P_ALL),
			.sll_ifindex = (int)if_nametoindex(name)};
	struct packet_mreq promisc = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
	int one = 1, bytes = SOCKET_BYTES;
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
			setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
			setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
			setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
			setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) ||
			bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
			setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc,
					sizeof(promisc))) {
		fprintf(stderr, "link_emu: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	return fd;
}

static bool set(struct dir *d, const char *key, double value)
{
	if (!strcmp(key, "loss"))
		d->loss = value / 100;
	else if (!strcmp(key, "reorder"))
		d->reorder = value / 100;
	else if (!strcmp(key, "delay_us"))
		d->delay_ns = (uint64_t)value * NS_PER_US;
	else if (!strcmp(key, "hold_us"))
		d->hold_ns = (uint64_t)value * NS_PER_US;
	else if (!strcmp(key, "rate_mbit") && value > 0)
		d->ns_per_byte = 8000 / value;
	else if (!strcmp(key, "queue"))
		d->queue_max = (uint32_t)value;
	else
		return false;
	return true;
}

/* "[a:|b:]KEY=VALUE": what comes from A, from B, or either. */
static bool parse(const char *text)
{
	uint32_t lo = text[0] == 'b' && text[1] == ':',
		 hi = text[0] == 'a' && text[1] == ':' ? 0 : 1;
	char key[16] = "";
	double value;
	int used = 0;

	if (text[0] && text[1] == ':')
		text += 2;
	if (sscanf(text, "%15[a-z_]=%lf%n", key, &value, &used) != 2 || text[used] || value < 0 ||
			value > 1e9)
		return false;
	for (uint32_t i = lo; i <= hi; i++) {
		if (!set(&dirs[i], key, value))
			return false;
	}
	return true;
}

static void on_signal(int signum)
{
	if (signum == SIGUSR1)
		wants_report = 1;
	else
		is_over = 1;
}

static int usage(const char *what)
{
	fprintf(stderr,
			"link_emu: %s\nusage: link_emu SEED DEV_A DEV_B [[a:|b:]KEY=VALUE]...\n"
			"  loss=PERCENT reorder=PERCENT hold_us=N (a picked frame is late by up to N) delay_us=N (one way)\n"
			"  rate_mbit=N queue=FRAMES (default 1000)\n",
			what);
	return 2;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};

	if (argc < 4)
		return usage("too few arguments");
	for (uint32_t i = 0; i < 2; i++) {
		struct dir *d = &dirs[i];

		d->key = mix(strtoull(argv[1], NULL, 0) * 2 + i);
		d->queue_max = 1000;
		d->mem = calloc(SLOTS, SLOT_BYTES);
		if (d->mem == NULL)
			return 1;
		for (uint32_t s = 0; s < SLOTS; s++)
			slot_free(d, s);
	}
	for (int i = 4; i < argc; i++) {
		if (!parse(argv[i]))
			return usage(argv[i]);
	}
	dirs[0].in = dirs[1].out = device(argv[2]);
	dirs[1].in = dirs[0].out = device(argv[3]);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	/* A link does not wait for its turn on a CPU; an RTT would tell who else was busy. */
	if (sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 2}))
		fprintf(stderr, "link_emu: no real-time scheduling: %s\n", strerror(errno));
	/* Timers to the microsecond, or a delay of half a millisecond grows by a tenth. */
	prctl(PR_SET_TIMERSLACK, 1);
	printf("link up\n");
	fflush(stdout);
	run();
	report();
	close(dirs[0].in);
	close(dirs[1].in);
	free(dirs[0].mem);
	free(dirs[1].mem);
	return 0;
}
