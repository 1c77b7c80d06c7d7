/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AL against a hostile engine or sibling: any events, any words in the memory it shares, while the process uses its connections.
 *
 * A thread plays the kernel agent just far enough to let this process attach: one session, one AL segment, one EN segment, one ring. Then
 * every input is a sequence of calls of the process, of honest moves of an engine (open, data, acknowledgements) and of dishonest ones: words
 * of records, chunk metas and events with noise or almost right values. Doorbells are consumed all the while.
 *
 * Holds when AL reads and writes nothing outside its segments (a sanitizer, or the guard pages around them, tells), hands no
 * more bytes to the process than it asked for, and every call returns.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <eta/ctl.h>

#include "al/core/al.h"
#include "test/fuzz/fuzz.h"

#define DTIS 32u
#define CONNS 8u
#define CHUNK_PAGES 64u
#define RING_N 256u
#define OPS_MAX 300u

/* Layout of both segments; what does not belong to a kind is unused in it. */
#define OFF_DTI 0u
#define OFF_SLOTS 8192u
#define OFF_CREDIT 16384u
#define OFF_META 20480u
#define OFF_MAP 24576u
#define OFF_CHUNKS 28672u
#define SEG_BYTES (OFF_CHUNKS + CHUNK_PAGES * ETA_PAGE_BYTES)

static struct {
	int listener;
	int al_fd, en_fd, page_fd, kick_fd, wake[2];
	uint8_t *al, *en; /* the engine's mappings, both writable */
	struct eta_ring_consumer db;
	struct eta_ring_producer ev;
	struct al_conn *conn[CONNS];
	struct eta_ctl_attach_reply reply;
} k;

static int memory_make(const char *name, size_t bytes);
static void *agent_run(void *arg);
static void agent_answer(int fd, const uint8_t *msg, ssize_t n);
static void record_send(int fd, const void *msg, size_t len, const int *fds, uint32_t fds_n);
static void doorbells_take(void);
static void op_run(struct fuzz_in *in);
static void engine_honest(struct fuzz_in *in, struct al_conn *c);
static void engine_lies(struct fuzz_in *in, struct al_conn *c);
static void event_push(const struct eta_event *ev);
static void bytes_offer(struct fuzz_in *in, struct al_conn *c, struct eta_dti_en *en);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct eta_seg_geom seg = {.bytes = SEG_BYTES,
			.dti_off = OFF_DTI,
			.dti_n = DTIS,
			.meta_off = OFF_META,
			.map_off = OFF_MAP,
			.chunk_off = OFF_CHUNKS,
			.chunk_pages = CHUNK_PAGES};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct eta_core_page *page;
	pthread_t thread;

	(void)argc;
	(void)argv;
	k.al_fd = memory_make("al", SEG_BYTES);
	k.en_fd = memory_make("en", SEG_BYTES);
	k.page_fd = memory_make("page", ETA_PAGE_BYTES);
	k.al = mmap(NULL, SEG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, k.al_fd, 0);
	k.en = mmap(NULL, SEG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, k.en_fd, 0);
	page = mmap(NULL, ETA_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, k.page_fd, 0);
	page->abi = ETA_ABI_VERSION;
	page->tsc_hz = 1000000000;
	page->heartbeat_tsc = UINT64_MAX / 2; /* never stale */
	k.kick_fd = eventfd(0, EFD_CLOEXEC);
	fuzz_require(pipe(k.wake) == 0, "pipe");
	k.db = (struct eta_ring_consumer){
			.slots = (struct eta_ring_slot *)(void *)(k.al + OFF_SLOTS),
			.credit = (struct eta_ring_credit *)(void *)(k.en + OFF_CREDIT),
			.n = RING_N};
	k.ev = (struct eta_ring_producer){
			.slots = (struct eta_ring_slot *)(void *)(k.en + OFF_SLOTS),
			.credit = (struct eta_ring_credit *)(void *)(k.al + OFF_CREDIT),
			.n = RING_N};
	((struct eta_doorbell_credit *)(void *)(k.en + OFF_CREDIT))->polled = 1;
	k.reply = (struct eta_ctl_attach_reply){.hdr = {.type = ETA_CTL_ATTACH},
			.abi = ETA_ABI_VERSION,
			.session = 1,
			.dtis_max = DTIS,
			.cores_n = 1,
			.page_bytes = ETA_PAGE_BYTES,
			.port_lo = 32768,
			.port_hi = 60999,
			.epoch = 1,
			.lock_id = 77,
			.seg = {seg, seg},
			.ring0 = {.seg_al = 0,
					.seg_en = 1,
					.doorbell_n = RING_N,
					.doorbell_off = OFF_SLOTS,
					.doorbell_credit_off = OFF_CREDIT,
					.event_n = RING_N,
					.event_off = OFF_SLOTS,
					.event_credit_off = OFF_CREDIT}};
	k.reply.seg[0].kind = ETA_SEG_AL;
	k.reply.seg[1].kind = ETA_SEG_EN;
	k.reply.seg[1].seg = 1;
	k.reply.seg[1].map_off = 0;
	k.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/fuzz-al-%d.sock", getpid());
	unlink(un.sun_path);
	fuzz_require(bind(k.listener, (struct sockaddr *)&un, sizeof(un)) == 0 &&
					listen(k.listener, 1) == 0,
			"listen");
	fuzz_require(pthread_create(&thread, NULL, agent_run, NULL) == 0, "thread");
	fuzz_require(al_attach(un.sun_path) == 0, "attach");
	unlink(un.sun_path);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	uint32_t i;

	for (i = 0; i < OPS_MAX && in.left != 0; i++) {
		op_run(&in);
		doorbells_take();
	}
	/* Back to an honest engine: everything closes, so that the next input finds free DTIs. */
	for (i = 0; i < CONNS; i++) {
		if (k.conn[i] != NULL)
			al_conn_close(k.conn[i], true);
		k.conn[i] = NULL;
	}
	doorbells_take();
	for (i = 0; i < DTIS; i++) {
		struct eta_dti_en *en = (struct eta_dti_en *)(void *)(k.en + OFF_DTI) + i;
		const struct eta_dti_al *al =
				(const struct eta_dti_al *)(const void *)(k.al + OFF_DTI) + i;

		memset(en, 0, sizeof(*en));
		en->chunk = ETA_CHUNK_NONE;
		__atomic_store_n((uint32_t *)(void *)&en->gen,
				ETA_DTI_WORD_MAKE(al->gen, ETA_DTI_FREE, 0), __ATOMIC_RELEASE);
		event_push(&(struct eta_event){.dti = i, .gen = al->gen, .flags = ETA_EV_FREE});
	}
	al_poll_events();
	doorbells_take();
	return 0;
}

static int memory_make(const char *name, size_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	fuzz_require(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "memfd");
	return fd;
}

/* ---- the agent ---- */

static void *agent_run(void *arg)
{
	uint8_t msg[ETA_CTL_BYTES_MAX];
	int fd = accept(k.listener, NULL, NULL);
	ssize_t n;

	(void)arg;
	while ((n = recv(fd, msg, sizeof(msg), 0)) > 0)
		agent_answer(fd, msg, n);
	return NULL;
}

/* Attach once; everything else is over quota, but for what has no substance. */
static void agent_answer(int fd, const uint8_t *msg, ssize_t n)
{
	int fds[] = {k.al_fd, k.en_fd, k.page_fd, k.kick_fd, k.wake[0]};
	struct eta_ctl_hdr hdr;

	if (n < (ssize_t)sizeof(hdr))
		return;
	memcpy(&hdr, msg, sizeof(hdr));
	if (hdr.type == ETA_CTL_ATTACH) {
		k.reply.hdr.seq = hdr.seq;
		record_send(fd, &k.reply, sizeof(k.reply), fds, 5);
		return;
	}
	hdr.status = hdr.type == ETA_CTL_PING ? ETA_STATUS_OK : ETA_STATUS_QUOTA;
	record_send(fd, &hdr, sizeof(hdr), NULL, 0);
}

static void record_send(int fd, const void *msg, size_t len, const int *fds, uint32_t fds_n)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * ETA_CTL_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fds_n != 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * fds_n);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fds_n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fds_n);
	}
	fuzz_require(sendmsg(fd, &mh, MSG_NOSIGNAL) == (ssize_t)len, "reply");
}

/* ---- the engine ---- */

static void doorbells_take(void)
{
	uint64_t w[4];

	while (eta_ring_pop(&k.db, w))
		;
	eta_ring_publish_credit(&k.db);
}

static void event_push(const struct eta_event *ev)
{
	uint64_t w[4];

	memcpy(w, ev, sizeof(w));
	if (!eta_ring_push(&k.ev, w)) {
		al_poll_events();
		fuzz_require(eta_ring_push(&k.ev, w), "AL takes its events");
	}
}

static void op_run(struct fuzz_in *in)
{
	static uint8_t buf[65536];
	uint8_t op = fuzz_u8(in);
	struct al_conn **slot = &k.conn[(op >> 4) % CONNS];
	struct sockaddr_in to = {.sin_family = AF_INET,
			.sin_port = htons(80),
			.sin_addr = {htonl(0x0a000001)}};
	struct iovec iov[2] = {{buf, 1}, {buf + 32768, fuzz_u16(in) % 32768}};
	ssize_t n;

	if (*slot == NULL) {
		*slot = al_conn_open();
		if (*slot == NULL)
			return;
		if (op & 8)
			al_conn_connect_start(*slot, (struct sockaddr *)&to, sizeof(to), -1);
		if (op & 4)
			engine_honest(in, *slot);
		return;
	}
	switch (op & 15) {
	case 0: al_poll_events(); break;
	case 1:
		memset(buf, 0x5a, sizeof(buf));
		n = al_conn_recv(*slot, iov, 2, (fuzz_u8(in) & 1) != 0);
		fuzz_require(n <= (ssize_t)(1 + iov[1].iov_len), "no more bytes than asked for");
		fuzz_require(buf[1] == 0x5a && buf[32768 + iov[1].iov_len] == 0x5a,
				"nothing beside the buffers");
		break;
	case 2: al_conn_send(*slot, iov, 2, 0); break;
	case 3: al_conn_shut_wr(*slot); break;
	case 4:
		al_conn_close(*slot, (fuzz_u8(in) & 1) != 0);
		*slot = NULL;
		break;
	case 5:
		(void)al_conn_ready(*slot);
		(void)al_conn_rcv_bytes(*slot);
		(void)al_conn_snd_bytes(*slot);
		(void)al_conn_take_error(*slot);
		(void)al_conn_state(*slot);
		break;
	case 6:
	case 7:
	case 8:
	case 9: engine_honest(in, *slot); break;
	default: engine_lies(in, *slot); break;
	}
}

static struct eta_dti_en *record_of(const struct al_conn *c)
{
	return (struct eta_dti_en *)(void *)(k.en + OFF_DTI) + c->dti_idx % DTIS;
}

static void record_event(struct al_conn *c, const struct eta_dti_en *en, uint8_t flags)
{
	event_push(&(struct eta_event){.dti = c->dti_idx,
			.gen = c->gen,
			.flags = flags,
			.rcv_tail = en->rcv_tail,
			.snd_una = en->snd_una,
			.ring_at = en->ring_at,
			.state = en->state,
			.status = en->status,
			.snd_limit = en->snd_limit});
}

/* What an engine would do next: connected, bytes came, bytes were acknowledged, the end. */
static void engine_honest(struct fuzz_in *in, struct al_conn *c)
{
	struct eta_dti_en *en = record_of(c);
	const struct eta_dti_al *al = (const struct eta_dti_al *)(const void *)(k.al + OFF_DTI) +
				      c->dti_idx % DTIS;
	uint8_t what = fuzz_u8(in);

	switch (what & 3) {
	case 0:
		en->snd_limit = 65536;
		en->gen = c->gen;
		en->state = ETA_DTI_OPEN;
		record_event(c, en, ETA_EV_WRITE);
		break;
	case 1: bytes_offer(in, c, en); break;
	case 2:
		en->snd_una = al->snd_tail;
		record_event(c, en, ETA_EV_WRITE);
		break;
	default:
		en->flags |= what & 4 ? ETA_EV_RD_CLOSED : ETA_EV_CLOSED;
		if (!(what & 4))
			en->state = ETA_DTI_CLOSED;
		record_event(c, en, (uint8_t)en->flags);
		break;
	}
}

/* A chunk at the end of the stream, filled, linked, announced: or all of it a little wrong. */
static void bytes_offer(struct fuzz_in *in, struct al_conn *c, struct eta_dti_en *en)
{
	struct eta_chunk_meta *meta = (struct eta_chunk_meta *)(void *)(k.en + OFF_META);
	uint32_t page = fuzz_u8(in) % CHUNK_PAGES, size;
	uint8_t how = fuzz_u8(in), order = how & 3;

	if (order == 3)
		order = 4;
	page &= ~((1u << order) - 1);
	size = ETA_CHUNK_BYTES(order);
	meta[page] = (struct eta_chunk_meta){.next = ETA_CHUNK_NONE,
			.off = en->rcv_tail - (how & 4 ? 0 : en->rcv_tail % size),
			.dti = c->dti_idx,
			.gen = c->gen,
			.order = order};
	if (en->chunk == ETA_CHUNK_NONE || how & 8 || en->rcv_tail == 0)
		en->chunk = ETA_CHUNK_MAKE(1, page);
	else
		meta[ETA_CHUNK_PAGE(en->chunk) % CHUNK_PAGES].next = ETA_CHUNK_MAKE(1, page);
	en->rcv_tail += 1 + fuzz_u16(in) % size;
	record_event(c, en, ETA_EV_READ);
}

/* Anything at all, in what the engine may write. The credit of doorbells stays: a dead engine is another test. */
static void engine_lies(struct fuzz_in *in, struct al_conn *c)
{
	uint8_t what = fuzz_u8(in);
	struct eta_event ev;
	uint32_t at;

	switch (what & 3) {
	case 0:
		at = c->dti_idx % DTIS * (uint32_t)sizeof(struct eta_dti_en) +
		     fuzz_u8(in) % (ETA_DTI_HALF_BYTES / 4) * 4;
		__atomic_store_n((uint32_t *)(void *)(k.en + OFF_DTI + at), fuzz_u32(in),
				__ATOMIC_RELAXED);
		break;
	case 1:
		at = fuzz_u8(in) % (CHUNK_PAGES * 4) * 4;
		__atomic_store_n((uint32_t *)(void *)(k.en + OFF_META + at), fuzz_u32(in),
				__ATOMIC_RELAXED);
		break;
	case 2:
		fuzz_bytes(in, &ev, sizeof(ev));
		if (what & 4)
			ev.dti = c->dti_idx;
		if (what & 8)
			ev.gen = c->gen;
		event_push(&ev);
		break;
	default: /* a sibling, in what AL itself may write */
		at = fuzz_u16(in) % (OFF_CHUNKS / 4) * 4;
		if (at < OFF_SLOTS || at >= OFF_META)
			__atomic_store_n((uint32_t *)(void *)(k.al + at), fuzz_u32(in),
					__ATOMIC_RELAXED);
		break;
	}
}
