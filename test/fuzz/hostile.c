/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile application against a running etad.
 *
 *   hostile [--socket PATH] [--seconds N] [--seed N] [--peer IPV4 PORT]
 *
 * Again and again a child process attaches as a session, maps what it is given, and then, for a moment, does everything but
 * what dti.h asks for: doorbells of any content with a right phase, records, chunk links, credits and arming numbers full of noise or
 * of almost right values, holes punched into its segments, kicks, ordered and disordered requests on the control socket, garbage messages,
 * descriptors of the wrong kind. It ends by exit, by closing its socket, or by SIGKILL, at any moment.
 *
 * With --peer it also opens real connections there first, so that the engine has contexts, chunks and timers to be confused about.
 *
 * Exit: 0 etad still takes a session at the end, and never gave memory it should not; 1 it does not; 2 usage; 3 no etad at the start.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <eta/ctl.h>

#include "test/sim/rnd.h"

#define SESSION_ROUNDS_MAX 4000u
#define CHILD_FAULT 9 /* exit status: etad gave us something it should not */

struct hostile {
	const char *path;
	struct rnd rnd;
	uint8_t peer[16];
	uint16_t peer_port_be;
	bool has_peer;
	int sock;
	uint32_t seq;
	struct eta_ctl_attach_reply at;
	int fd[ETA_CTL_FDS_MAX];
	uint32_t fds_n;
	uint8_t *al, *en;
	struct eta_ring_producer db;
};

/* Counted over all children, in shared memory. */
struct totals {
	uint64_t sessions, doorbells, words, requests, holes, faults;
};

static struct totals *totals;

static int socket_open(const struct hostile *h);
static bool attach(struct hostile *h);
static ssize_t request(struct hostile *h, void *msg, size_t len, const int *fds, uint32_t fds_n,
		void *reply, size_t reply_len);
static ssize_t reply_take(
		struct hostile *h, void *reply, size_t reply_len, int *fds, uint32_t *fds_n);
static void memory_try(struct hostile *h);
static void session_run(struct hostile *h);
static void connections_open(struct hostile *h);
static void doorbell_push(struct hostile *h);
static void words_write(struct hostile *h);
static void record_write(struct hostile *h);
static void meta_write(struct hostile *h);
static void control_abuse(struct hostile *h);
static void hole_punch(struct hostile *h);
static uint32_t odd_u32(struct hostile *h);

int main(int argc, char **argv)
{
	struct hostile h = {.path = getenv("ETA_SOCKET")};
	uint64_t seed = 1;
	long seconds = 5;
	time_t end;
	int i, status;
	pid_t pid;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
			h.path = argv[++i];
		} else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
			seconds = strtol(argv[++i], NULL, 0);
		} else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			seed = strtoull(argv[++i], NULL, 0);
		} else if (strcmp(argv[i], "--peer") == 0 && i + 2 < argc) {
			h.peer[10] = h.peer[11] = 0xff;
			h.has_peer = inet_pton(AF_INET, argv[++i], h.peer + 12) == 1;
			h.peer_port_be = htons((uint16_t)strtoul(argv[++i], NULL, 0));
		} else {
			fprintf(stderr, "usage: %s [--socket PATH] [--seconds N] [--seed N] [--peer IPV4 PORT]\n",
					argv[0]);
			return 2;
		}
	}
	if (h.path == NULL)
		h.path = ETA_CTL_SOCKET_DEFAULT;
	signal(SIGPIPE, SIG_IGN);
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);
	h.sock = socket_open(&h);
	if (totals == MAP_FAILED || h.sock < 0) {
		fprintf(stderr, "hostile: no etad at %s: %s\n", h.path, strerror(errno));
		return 3;
	}
	close(h.sock);
	for (end = time(NULL) + seconds; time(NULL) < end; seed++) {
		pid = fork();
		if (pid == 0) {
			h.rnd.state = rnd_mix(seed);
			alarm(10);
			session_run(&h);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			break;
		if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_FAULT) {
			fprintf(stderr, "hostile: seed %llu\n", (unsigned long long)seed);
			totals->faults++;
		}
	}
	printf("sessions %llu doorbells %llu words %llu requests %llu holes %llu faults %llu, last seed %llu\n",
			(unsigned long long)totals->sessions, (unsigned long long)totals->doorbells,
			(unsigned long long)totals->words, (unsigned long long)totals->requests,
			(unsigned long long)totals->holes, (unsigned long long)totals->faults,
			(unsigned long long)seed - 1);
	if (!attach(&h)) {
		fprintf(stderr, "hostile: etad takes no session any more\n");
		return 1;
	}
	return totals->faults != 0 || totals->sessions == 0;
}

/* ---- the control socket, spoken properly ---- */

static int socket_open(const struct hostile *h)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 5};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", h->path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0) {
		close(fd);
		return -1;
	}
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Retries: the sessions of those just killed may still be going away. */
static bool attach(struct hostile *h)
{
	struct eta_ctl_attach msg = {.hdr = {.type = ETA_CTL_ATTACH}, .abi = ETA_ABI_VERSION};
	const struct eta_ring_geom *ring = &h->at.ring0;
	int tries;

	for (tries = 0; tries < 50; tries++) {
		struct timespec t = {.tv_nsec = 100000000};

		h->sock = socket_open(h);
		if (h->sock >= 0 &&
				request(h, &msg, sizeof(msg), NULL, 0, &h->at, sizeof(h->at)) ==
						(ssize_t)sizeof(h->at) &&
				h->at.hdr.status == ETA_STATUS_OK && h->fds_n >= 3)
			break;
		if (h->sock >= 0)
			close(h->sock);
		nanosleep(&t, NULL);
	}
	if (tries == 50)
		return false;
	h->al = mmap(NULL, h->at.seg[0].bytes, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd[0], 0);
	h->en = mmap(NULL, h->at.seg[1].bytes, PROT_READ, MAP_SHARED, h->fd[1], 0);
	if (h->al == MAP_FAILED || h->en == MAP_FAILED)
		return false;
	h->db = (struct eta_ring_producer){
			.slots = (struct eta_ring_slot *)(void *)(h->al + ring->doorbell_off),
			.credit = (const struct eta_ring_credit *)(const void
							*)(h->en + ring->doorbell_credit_off),
			.n = ring->doorbell_n};
	return true;
}

static ssize_t request(struct hostile *h, void *msg, size_t len, const int *fds, uint32_t fds_n,
		void *reply, size_t reply_len)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * ETA_CTL_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct eta_ctl_hdr hdr;
	ssize_t n;

	if (len >= sizeof(hdr)) {
		memcpy(&hdr, msg, sizeof(hdr));
		hdr.seq = ++h->seq;
		memcpy(msg, &hdr, sizeof(hdr));
	}
	if (fds_n != 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * fds_n);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fds_n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fds_n);
	}
	totals->requests++;
	if (sendmsg(h->sock, &mh, MSG_NOSIGNAL) < 0)
		return -1;
	if (reply == NULL)
		return 0;
	do {
		n = reply_take(h, reply, reply_len, h->fd, &h->fds_n);
		if (n >= (ssize_t)sizeof(hdr))
			memcpy(&hdr, reply, sizeof(hdr));
	} while (n >= (ssize_t)sizeof(hdr) && hdr.type >= ETA_CTL_NOTIFY_SEG);
	return n;
}

static ssize_t reply_take(
		struct hostile *h, void *reply, size_t reply_len, int *fds, uint32_t *fds_n)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * ETA_CTL_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = reply, .iov_len = reply_len};
	struct msghdr mh = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.buf,
			.msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c;
	ssize_t n = recvmsg(h->sock, &mh, MSG_CMSG_CLOEXEC);

	*fds_n = 0;
	for (c = n > 0 ? CMSG_FIRSTHDR(&mh) : NULL; c != NULL; c = CMSG_NXTHDR(&mh, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			*fds_n = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(c), *fds_n * sizeof(int));
		}
	return n;
}

/* ---- one hostile session ---- */

static void session_run(struct hostile *h)
{
	uint32_t round, rounds = 1 + rnd_log(&h->rnd, SESSION_ROUNDS_MAX);

	if (!attach(h))
		return;
	totals->sessions++;
	memory_try(h);
	if (h->has_peer)
		connections_open(h);
	for (round = 0; round < rounds; round++) {
		switch (rnd_below(&h->rnd, 16)) {
		case 0: words_write(h); break;
		case 1:
		case 2: record_write(h); break;
		case 3: meta_write(h); break;
		case 4:
			if (h->fds_n > 3) {
				uint64_t one = rnd_u64(&h->rnd) >> rnd_below(&h->rnd, 64);

				if (write(h->fd[3], &one, sizeof(one)) < 0)
					errno = 0; /* a full counter is fine */
			}
			break;
		case 5:
			if (rnd_below(&h->rnd, 20) == 0)
				control_abuse(h);
			break;
		case 6:
			if (rnd_below(&h->rnd, 100) == 0)
				hole_punch(h);
			break;
		default: doorbell_push(h); break;
		}
	}
	switch (rnd_below(&h->rnd, 4)) {
	case 0: kill(getpid(), SIGKILL); break;
	case 1: close(h->sock); break;
	default: break;
	}
}

/* What is the engine's must not become writable by any door, and sizes must be sealed. */
static void memory_try(struct hostile *h)
{
	struct {
		const char *what;
		int ok;
	} door[] = {
			{"EN segment mapped writable",
					mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
							h->fd[1], 0) != MAP_FAILED},
			{"EN segment made writable",
					mprotect(h->en, 4096, PROT_READ | PROT_WRITE) == 0},
			{"core page mapped writable",
					mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
							h->fd[2], 0) != MAP_FAILED},
			{"EN segment written", pwrite(h->fd[1], "x", 1, 0) > 0},
			{"AL segment shrunk", ftruncate(h->fd[0], 0) == 0},
			{"AL segment grown",
					ftruncate(h->fd[0], (off_t)h->at.seg[0].bytes * 2) == 0},
			{"EN segment punched",
					fallocate(h->fd[1],
							FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
							0, 4096) == 0},
	};
	uint32_t i;
	char name[64];
	int fd;

	for (i = 0; i < sizeof(door) / sizeof(door[0]); i++)
		if (door[i].ok) {
			fprintf(stderr, "hostile: %s\n", door[i].what);
			_exit(CHILD_FAULT);
		}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", h->fd[1]);
	fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && geteuid() != 0) {
		fprintf(stderr, "hostile: EN segment opened again for writing\n");
		_exit(CHILD_FAULT);
	}
	if (fd >= 0)
		close(fd); /* root may: his own descriptor of a file he owns */
}

/* Real active opens, as AL would do them. */
static void connections_open(struct hostile *h)
{
	const struct eta_seg_geom *g = &h->at.seg[0];
	struct eta_dti_al *al = (struct eta_dti_al *)(void *)(h->al + g->dti_off);
	uint32_t i, n = rnd_below(&h->rnd, 8);

	for (i = 0; i < n && i < g->dti_n; i++) {
		struct eta_doorbell db = {.dti = g->dti_first + i,
				.gen = 1,
				.op = ETA_DB_CONNECT,
				.arg0 = 0,
				.arg1 = 0xff};
		uint64_t w[4];

		memcpy(al[i].raddr, h->peer, 16);
		al[i].rport_be = h->peer_port_be;
		al[i].chunk = al[i].sq_chunk = al[i].rq_chunk = ETA_CHUNK_NONE;
		eta_store_release_u32((uint32_t *)(void *)&al[i].gen, 1);
		memcpy(w, &db, sizeof(w));
		if (eta_ring_push(&h->db, w))
			totals->doorbells++;
	}
	if (n != 0 && h->fds_n > 3) {
		uint64_t one = 1;
		struct timespec t = {.tv_nsec = 2000000};

		if (write(h->fd[3], &one, sizeof(one)) == sizeof(one))
			nanosleep(&t, NULL);
	}
}

/* Noise, or a number near a limit. */
static uint32_t odd_u32(struct hostile *h)
{
	static const uint32_t edges[] = {0, 1, ETA_CHUNK_NONE, ETA_STREAM_BYTES_MAX, 0x7fffffff,
			0x80000000, 4096, 0xfffffffe};

	switch (rnd_below(&h->rnd, 4)) {
	case 0: return (uint32_t)rnd_u64(&h->rnd);
	case 1: return edges[rnd_below(&h->rnd, 8)] + rnd_below(&h->rnd, 3) - 1;
	case 2: return rnd_below(&h->rnd, 64);
	default: return rnd_log(&h->rnd, 0x7fffffff);
	}
}

static void doorbell_push(struct hostile *h)
{
	const struct eta_seg_geom *g = &h->at.seg[0];
	struct eta_doorbell db;
	uint64_t w[4];

	db = (struct eta_doorbell){.dti = g->dti_first + rnd_below(&h->rnd, 8),
			.gen = (uint16_t)rnd_below(&h->rnd, 3),
			.op = (uint8_t)(rnd_below(&h->rnd, ETA_DB_OP_N) |
					(rnd_below(&h->rnd, 4) << 6)),
			.snd_tail = odd_u32(h),
			.rcv_head = odd_u32(h),
			.arg0 = odd_u32(h),
			.arg1 = odd_u32(h),
			.sq_tail = odd_u32(h),
			.rq_tail = odd_u32(h)};
	memcpy(w, &db, sizeof(w));
	if (rnd_below(&h->rnd, 4) == 0)
		w[rnd_below(&h->rnd, 4)] = rnd_u64(&h->rnd);
	if (rnd_below(&h->rnd, 64) == 0)
		h->db.head_seen = h->db.tail; /* as if there were room: run over the consumer */
	if (eta_ring_push(&h->db, w))
		totals->doorbells++;
}

static void words_write(struct hostile *h)
{
	uint64_t bytes = h->at.seg[0].bytes, at;
	uint32_t n = 1 + rnd_log(&h->rnd, 4096), i, v = odd_u32(h);

	at = rnd_u64(&h->rnd) % bytes & ~3ull;
	for (i = 0; i < n && at + 4 <= bytes; i++, at += 4)
		eta_store_relaxed_u32((uint32_t *)(void *)(h->al + at),
				rnd_below(&h->rnd, 2) ? v : odd_u32(h));
	totals->words += i;
}

static void record_write(struct hostile *h)
{
	const struct eta_seg_geom *g = &h->at.seg[0];
	uint32_t *w = (uint32_t *)(void *)(h->al + g->dti_off);
	uint32_t at = rnd_below(&h->rnd, 8 * (uint32_t)sizeof(struct eta_dti_al) / 4);

	if (g->dti_n < 8)
		return;
	eta_store_relaxed_u32(&w[at], odd_u32(h));
	totals->words++;
}

/* A chain of chunks that is almost right: loops, wrong owners, wrong sizes. */
static void meta_write(struct hostile *h)
{
	const struct eta_seg_geom *g = &h->at.seg[0];
	struct eta_chunk_meta *meta = (struct eta_chunk_meta *)(void *)(h->al + g->meta_off);
	struct eta_dti_al *al = (struct eta_dti_al *)(void *)(h->al + g->dti_off);
	uint32_t page, d = rnd_below(&h->rnd, 8);

	if (g->chunk_pages == 0 || g->dti_n < 8)
		return;
	page = rnd_below(&h->rnd,
			rnd_below(&h->rnd, 2) && g->chunk_pages > 16 ? 16 : g->chunk_pages);
	meta[page] = (struct eta_chunk_meta){
			.next = rnd_below(&h->rnd, 3)
						? ETA_CHUNK_MAKE(g->seg, rnd_below(&h->rnd, 16))
						: odd_u32(h),
			.off = rnd_below(&h->rnd, 4) * 4096,
			.dti = g->dti_first + d,
			.gen = 1,
			.order = (uint8_t)(rnd_below(&h->rnd, 4) ? 0 : rnd_below(&h->rnd, 256))};
	if (rnd_below(&h->rnd, 2)) {
		al[d].chunk = ETA_CHUNK_MAKE(g->seg, page);
		al[d].snd_tail += rnd_below(&h->rnd, 8192);
	}
	totals->words += 5;
}

/* Well-formed requests with wrong contents, malformed ones, and descriptors of any kind. */
static void control_abuse(struct hostile *h)
{
	static const int kinds[] = {SOCK_STREAM, SOCK_DGRAM};
	uint8_t msg[ETA_CTL_BYTES_MAX];
	struct eta_ctl_hdr *hdr = (struct eta_ctl_hdr *)(void *)msg;
	int fds[ETA_CTL_FDS_MAX], n = (int)rnd_below(&h->rnd, 3), i;
	uint32_t got;
	static const uint16_t sizes[] = {0, sizeof(struct eta_ctl_attach),
			sizeof(struct eta_ctl_seg), sizeof(struct eta_ctl_seg),
			sizeof(struct eta_ctl_ring), sizeof(struct eta_ctl_dti),
			sizeof(struct eta_ctl_dti), sizeof(struct eta_ctl_hdr),
			offsetof(struct eta_ctl_share, item), sizeof(struct eta_ctl_hdr),
			sizeof(struct eta_ctl_ping), 40};
	uint32_t type = 1 + rnd_below(&h->rnd, 11), len = sizes[type];

	for (i = 0; i < (int)sizeof(msg); i += 4) {
		uint32_t v = rnd_below(&h->rnd, 2) ? 0 : odd_u32(h);

		memcpy(msg + i, &v, 4);
	}
	hdr->type = (uint16_t)(rnd_below(&h->rnd, 10) == 0 ? rnd_below(&h->rnd, 65536) : type);
	hdr->status = 0;
	if (rnd_below(&h->rnd, 10) == 0)
		len = rnd_below(&h->rnd, sizeof(msg));
	for (i = 0; i < n; i++)
		fds[i] = rnd_below(&h->rnd, 2) ? socket(AF_INET,
								 kinds[rnd_below(&h->rnd, 2)] |
										 SOCK_CLOEXEC,
								 0)
					       : open("/dev/null", O_RDONLY | O_CLOEXEC);
	request(h, msg, len, fds, (uint32_t)n, NULL, 0);
	for (i = 0; i < n; i++)
		close(fds[i]);
	if (rnd_below(&h->rnd, 4) != 0) { /* else leave replies unread */
		fcntl(h->sock, F_SETFL, O_NONBLOCK);
		while (reply_take(h, msg, sizeof(msg), fds, &got) > 0)
			for (i = 0; i < (int)got; i++)
				close(fds[i]);
	}
}

static void hole_punch(struct hostile *h)
{
	off_t at = (off_t)(rnd_u64(&h->rnd) % h->at.seg[0].bytes) & ~4095;

	if (fallocate(h->fd[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			    4096 << rnd_below(&h->rnd, 10)) == 0)
		totals->holes++;
}
