/* SPDX-License-Identifier: BSD-3-Clause */
/* See fake_etad.h: the control thread and the engine. */
#include "test/unit/al/fake_etad.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SEG_BYTES (4u << 20)
#define OFF_RINGS 65536u
#define OFF_CREDITS 98304u
#define OFF_MAP 131072u
#define OFF_META 135168u
#define OFF_CHUNKS 262144u
#define EN_PAGES 512u

static void must(bool ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

static void *segment(const char *name, size_t bytes, int *fd)
{
	void *p;

	*fd = memfd_create(name, MFD_CLOEXEC);
	must(*fd >= 0 && ftruncate(*fd, (off_t)bytes) == 0, "memfd");
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	must(p != MAP_FAILED, "mmap");
	return p;
}

static struct eta_seg_geom geom(const struct fake *f, uint8_t kind)
{
	return (struct eta_seg_geom){.seg = kind == ETA_SEG_AL ? 0 : 1,
			.kind = kind,
			.bytes = SEG_BYTES,
			.dti_n = FAKE_DTIS,
			.meta_off = OFF_META,
			.map_off = kind == ETA_SEG_AL ? OFF_MAP : 0,
			.chunk_off = OFF_CHUNKS,
			.chunk_pages = kind == ETA_SEG_AL ? f->chunk_pages : EN_PAGES};
}

static struct eta_ring_geom ring_geom(uint32_t r)
{
	return (struct eta_ring_geom){.ring = (uint16_t)r,
			.seg_al = 0,
			.seg_en = 1,
			.doorbell_n = FAKE_RING_N,
			.doorbell_off = OFF_RINGS + r * FAKE_RING_N * 32,
			.doorbell_credit_off = OFF_CREDITS +
					       r * (uint32_t)sizeof(struct eta_doorbell_credit),
			.event_n = FAKE_RING_N,
			.event_off = OFF_RINGS + r * FAKE_RING_N * 32,
			.event_credit_off = OFF_CREDITS + r * 64};
}

static void ring_make(struct fake *f)
{
	uint32_t r = f->rings_n;
	struct eta_ring_geom g = ring_geom(r);
	int fds[2];

	must(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0, "pipe");
	f->wake_rd[r] = fds[0];
	f->wake_wr[r] = fds[1];
	f->db[r] = (struct eta_ring_consumer){
			.slots = (struct eta_ring_slot *)(f->al + g.doorbell_off),
			.credit = (struct eta_ring_credit *)(f->en + g.doorbell_credit_off),
			.n = FAKE_RING_N};
	f->ev[r] = (struct eta_ring_producer){
			.slots = (struct eta_ring_slot *)(f->en + g.event_off),
			.credit = (struct eta_ring_credit *)(f->al + g.event_credit_off),
			.n = FAKE_RING_N};
	((struct eta_doorbell_credit *)(f->en + g.doorbell_credit_off))->polled = 1;
	__atomic_store_n(&f->rings_n, r + 1, __ATOMIC_RELEASE);
}

/* ---- KA ---- */

static void answer(int fd, void *msg, size_t len, const int *fds, uint32_t fds_n)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} ctl;
	struct iovec iov = {.iov_base = msg, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&ctl, 0, sizeof(ctl));
	if (fds_n) {
		m.msg_control = &ctl;
		m.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
		ctl.hdr.cmsg_level = SOL_SOCKET;
		ctl.hdr.cmsg_type = SCM_RIGHTS;
		ctl.hdr.cmsg_len = CMSG_LEN(fds_n * sizeof(int));
		memcpy(CMSG_DATA(&ctl.hdr), fds, fds_n * sizeof(int));
	}
	(void)sendmsg(fd, &m, MSG_NOSIGNAL);
}

static void on_attach(struct fake *f, int fd, const struct eta_ctl_hdr *hdr)
{
	struct eta_ctl_attach_reply r = {
			.hdr = *hdr, .abi = ETA_ABI_VERSION, .cores_n = 1, .page_bytes = 4096};
	int fds[5] = {f->al_fd, f->en_fd, f->page_fd, f->kick_fd, 0};

	/* A second session (a forked child's) shares the segments here: it is judged by messages and owner numbers alone. */
	r.session = ++f->session_next;
	r.inherited_n = (uint16_t)(r.session > 1);
	r.inherited[0] = r.session - 1;
	r.dtis_max = FAKE_DTIS;
	r.lock_id = ++f->next_lock_id;
	r.seg[0] = geom(f, ETA_SEG_AL);
	r.seg[1] = geom(f, ETA_SEG_EN);
	ring_make(f);
	r.ring0 = ring_geom(f->rings_n - 1);
	fds[4] = f->wake_rd[f->rings_n - 1];
	answer(fd, &r, sizeof(r), fds, 5);
}

static void on_ring_add(struct fake *f, int fd, const struct eta_ctl_hdr *hdr)
{
	struct eta_ctl_ring_reply r = {.hdr = *hdr};
	int fds[2];

	if (f->rings_n >= f->rings_max) {
		r.hdr.status = ETA_STATUS_QUOTA;
		answer(fd, &r, sizeof(r.hdr), NULL, 0);
		return;
	}
	ring_make(f);
	r.ring = ring_geom(f->rings_n - 1);
	fds[0] = f->wake_rd[f->rings_n - 1];
	fds[1] = f->kick_fd;
	answer(fd, &r, sizeof(r), fds, 2);
}

static void on_listen(struct fake *f, int fd, const struct eta_ctl_dti *req)
{
	struct eta_ctl_dti_reply r = {.hdr = req->hdr};
	uint32_t dti = ETA_DTI_INDEX(req->dti);

	f->ctx[dti].gen = req->gen;
	f->ctx[dti].state = ETA_DTI_LISTENING;
	__atomic_store_n((uint32_t *)(void *)&f->dti_en[dti].gen,
			ETA_DTI_WORD_MAKE(req->gen, ETA_DTI_LISTENING, 0), __ATOMIC_RELEASE);
	f->master = (int)dti;
	answer(fd, &r, sizeof(r), NULL, 0);
}

static void on_fork(struct fake *f, int fd, const struct eta_ctl_hdr *hdr, struct pollfd *clients)
{
	struct eta_ctl_hdr r = *hdr;
	int pair[2];

	(void)f;
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	for (int i = 0; i < FAKE_CLIENTS; i++) {
		if (clients[i].fd >= 0)
			continue;
		clients[i].fd = pair[0];
		break;
	}
	answer(fd, &r, sizeof(r), &pair[1], 1);
	close(pair[1]);
}

static void refuse(int fd, const struct eta_ctl_hdr *hdr, uint16_t status)
{
	struct eta_ctl_hdr r = *hdr;

	r.status = status;
	answer(fd, &r, sizeof(r), NULL, 0);
}

/* One request. Return: false at the end of the client. */
static bool serve(struct fake *f, int fd, struct pollfd *clients)
{
	uint8_t buf[ETA_CTL_BYTES_MAX] __attribute__((aligned(8)));
	const struct eta_ctl_hdr *hdr = (const struct eta_ctl_hdr *)buf;
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &ctl,
			.msg_controllen = sizeof(ctl)};
	struct cmsghdr *c;
	int passed;

	if (recvmsg(fd, &m, 0) < (ssize_t)sizeof(*hdr))
		return false;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS) {
		memcpy(&passed, CMSG_DATA(c), sizeof(passed));
		close(passed);
	}
	switch (hdr->type) {
	case ETA_CTL_ATTACH: on_attach(f, fd, hdr); break;
	case ETA_CTL_RING_ADD: on_ring_add(f, fd, hdr); break;
	case ETA_CTL_LISTEN: on_listen(f, fd, (const struct eta_ctl_dti *)buf); break;
	case ETA_CTL_FORK: on_fork(f, fd, hdr, clients); break;
	case ETA_CTL_SHARE:
		f->share_n += ((const struct eta_ctl_share *)buf)->n;
		refuse(fd, hdr, ETA_STATUS_OK);
		break;
	case ETA_CTL_PING:
		f->ping_n++;
		refuse(fd, hdr,
				((const struct eta_ctl_ping *)buf)->lock_id == f->dead_lock_id
						? ETA_STATUS_NOT_FOUND
						: ETA_STATUS_OK);
		break;
	case ETA_CTL_SEG_GROW:
		f->grow_asked_n++;
		refuse(fd, hdr, ETA_STATUS_QUOTA);
		break;
	default: refuse(fd, hdr, ETA_STATUS_QUOTA);
	}
	return true;
}

static void *ka_thread(void *arg)
{
	struct fake *f = arg;
	struct pollfd fds[1 + FAKE_CLIENTS];

	for (int i = 0; i <= FAKE_CLIENTS; i++)
		fds[i] = (struct pollfd){.fd = i ? -1 : f->listen_fd, .events = POLLIN};
	while (f->ka_on) {
		if (poll(fds, 1 + FAKE_CLIENTS, 20) <= 0)
			continue;
		for (int i = 1; i <= FAKE_CLIENTS; i++) {
			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			if (serve(f, fds[i].fd, fds + 1))
				continue;
			close(fds[i].fd);
			fds[i].fd = -1;
		}
		for (int i = 1; i <= FAKE_CLIENTS && fds[0].revents; i++) {
			if (fds[i].fd >= 0)
				continue;
			fds[i].fd = accept(f->listen_fd, NULL, NULL);
			break;
		}
	}
	for (int i = 1; i <= FAKE_CLIENTS; i++)
		if (fds[i].fd >= 0)
			close(fds[i].fd);
	return NULL;
}

/* ---- the engine ---- */

bool fake_push(struct fake *f, int ring, const struct eta_event *ev)
{
	union {
		struct eta_event ev;
		uint64_t w[4];
	} u = {.ev = *ev};
	const struct eta_ring_credit *credit = f->ev[ring].credit;
	uint32_t armed;

	if (!eta_ring_push(&f->ev[ring], u.w))
		return false;
	f->events_n++;
	eta_fence_store_load();
	armed = eta_load_relaxed_u32(&credit->armed);
	if (armed && armed != f->woken[ring]) {
		f->woken[ring] = armed;
		f->wakes_n++;
		must(write(f->wake_wr[ring], "", 1) == 1, "wake");
	}
	return true;
}

void fake_event(struct fake *f, uint32_t dti, uint32_t flags)
{
	struct fake_ctx *c = &f->ctx[dti];
	const struct eta_dti_en *en = &f->dti_en[dti];
	struct eta_event ev = {.dti = dti,
			.gen = c->gen,
			.flags = (uint8_t)(flags | c->owed_flags),
			.rcv_tail = c->rcv_tail,
			.snd_una = c->snd_una,
			.ring_at = en->ring_at,
			.state = c->state,
			.status = en->status,
			.snd_limit = en->snd_limit,
			.arg = c->accept_child};

	if (c->ring < 0)
		return;
	c->is_owed = !fake_push(f, c->ring, &ev);
	c->owed_flags = c->is_owed ? ev.flags : 0;
}

static void record_write(struct fake *f, uint32_t dti, uint8_t status)
{
	struct fake_ctx *c = &f->ctx[dti];
	struct eta_dti_en *en = &f->dti_en[dti];

	en->snd_limit = FAKE_WINDOW;
	eta_store_release_u32(&en->rcv_tail, c->rcv_tail);
	eta_store_release_u32(&en->snd_una, c->snd_una);
	eta_store_release_u32(
			(uint32_t *)(void *)&en->gen, ETA_DTI_WORD_MAKE(c->gen, c->state, status));
}

static void ctx_open(struct fake *f, uint32_t dti, uint16_t gen, uint8_t state, int ring)
{
	f->ctx[dti] = (struct fake_ctx){.gen = gen,
			.state = state,
			.peer = -1,
			.ring = ring,
			.rcv_last = ETA_CHUNK_NONE};
	memset(&f->dti_en[dti], 0, offsetof(struct eta_dti_en, gen));
	f->dti_en[dti].flags = 0;
	f->dti_en[dti].chunk = ETA_CHUNK_NONE;
	f->dti_en[dti].ring_at = FAKE_WINDOW / 2;
	record_write(f, dti, 0);
}

static void on_connect(struct fake *f, uint32_t dti, const struct eta_doorbell *db)
{
	uint32_t child;

	ctx_open(f, dti, db->gen, ETA_DTI_CONNECTING, (int)db->arg0);
	if (f->master < 0 || !f->children_n) {
		f->ctx[dti].state = ETA_DTI_CLOSED;
		f->dti_en[dti].flags = ETA_EV_CLOSED;
		record_write(f, dti, ETA_STATUS_REFUSED);
		fake_event(f, dti, ETA_EV_CLOSED);
		return;
	}
	child = (uint32_t)f->children[0];
	memmove(f->children, f->children + 1, (size_t)--f->children_n * sizeof(f->children[0]));
	f->ctx[child].peer = (int)dti;
	f->ctx[dti].peer = (int)child;
	f->ctx[child].state = f->ctx[dti].state = ETA_DTI_OPEN;
	record_write(f, child, 0);
	record_write(f, dti, 0);
	fake_event(f, dti, ETA_EV_WRITE);
	f->ctx[f->master].accept_child = child;
	fake_event(f, (uint32_t)f->master, ETA_EV_ACCEPT);
}

static void on_child(struct fake *f, const struct eta_doorbell *db)
{
	for (uint32_t i = db->arg0; i < db->arg0 + db->arg1 && i < FAKE_DTIS; i++) {
		ctx_open(f, i, f->dti_al[i].gen, ETA_DTI_CHILD, -1);
		f->children[f->children_n++] = (int)i;
	}
}

static void close_end(struct fake *f, uint32_t dti, uint8_t status)
{
	struct fake_ctx *c = &f->ctx[dti];

	c->state = ETA_DTI_CLOSED;
	f->dti_en[dti].flags |= ETA_EV_CLOSED;
	record_write(f, dti, status);
	fake_event(f, dti, ETA_EV_CLOSED);
}

static void on_close(struct fake *f, uint32_t dti, bool abort)
{
	struct fake_ctx *c = &f->ctx[dti];

	c->is_shut = c->is_closing = true;
	if (abort && c->peer >= 0)
		close_end(f, (uint32_t)c->peer, ETA_STATUS_RESET);
	if (abort || c->peer < 0)
		c->snd_una = c->snd_tail; /* nothing more to deliver */
}

/* What the fake knows of a connection is little; that it answers the question that was asked is the point. */
static void on_info(struct fake *f, int ring, const struct eta_doorbell *db)
{
	struct eta_doorbell_credit *credit =
			(struct eta_doorbell_credit *)(void *)f->db[ring].credit;
	const struct fake_ctx *c = &f->ctx[ETA_DTI_INDEX(db->dti)];
	struct eta_conn_info info = {.ticket = credit->info.ticket,
			.dti = db->dti,
			.gen = db->gen,
			.status = c->gen == db->gen ? ETA_STATUS_OK : ETA_STATUS_NOT_FOUND,
			.notsent_bytes = c->snd_tail - c->snd_una};

	f->infos++;
	credit->info = info;
	eta_store_release_u32(&credit->info.ticket, db->arg0);
}

static void take(struct fake *f, int ring, const struct eta_doorbell *db)
{
	uint32_t dti = ETA_DTI_INDEX(db->dti), op = db->op & ETA_DB_OP_MASK;
	struct fake_ctx *c;

	if (dti >= FAKE_DTIS) {
		f->db_bad++;
		return;
	}
	c = &f->ctx[dti];
	f->last_op = db->op;
	if (op == ETA_DB_INFO) {
		on_info(f, ring, db);
		return;
	}
	if (op == ETA_DB_CONNECT) {
		on_connect(f, dti, db);
		return;
	}
	if (op == ETA_DB_SUBSCRIBE || op == ETA_DB_ACCEPTED)
		c->ring = (int)db->arg0;
	if (c->gen != db->gen) {
		f->db_bad += op != ETA_DB_SUBSCRIBE;
		return;
	}
	if (op == ETA_DB_CHILD) {
		on_child(f, db);
		return;
	}
	if (db->snd_tail - c->snd_tail <= ETA_STREAM_BYTES_MAX)
		c->snd_tail = db->snd_tail;
	if (db->op & ETA_DB_WANT_WRITE)
		c->want_write = true;
	if (op == ETA_DB_SHUT_WR)
		c->is_shut = true;
	if (op == ETA_DB_CLOSE || op == ETA_DB_ABORT)
		on_close(f, dti, op == ETA_DB_ABORT);
}

/* Where the byte at @off of @dti's send stream lies; *n: bytes from there in one piece. */
static const uint8_t *send_bytes(struct fake *f, uint32_t dti, uint32_t off, uint32_t *n)
{
	uint32_t chunk = eta_load_acquire_u32(&f->dti_al[dti].chunk);

	while (chunk != ETA_CHUNK_NONE) {
		const struct eta_chunk_meta *m = &f->al_meta[ETA_CHUNK_PAGE(chunk)];
		uint32_t at = off - m->off;

		must(m->dti == dti && m->gen == f->ctx[dti].gen, "send meta");
		if (at < ETA_CHUNK_BYTES(m->order)) {
			*n = ETA_CHUNK_BYTES(m->order) - at;
			return f->al_chunks + (size_t)ETA_CHUNK_PAGE(chunk) * ETA_PAGE_BYTES + at;
		}
		chunk = eta_load_acquire_u32(&m->next);
	}
	must(false, "announced bytes are in no chunk");
	return NULL;
}

/* Room for the next received byte of @dti; *n: bytes in one piece, 0 = no memory. */
static uint8_t *place(struct fake *f, uint32_t dti, uint32_t *n)
{
	struct fake_ctx *c = &f->ctx[dti];
	struct eta_dti_en *en = &f->dti_en[dti];
	uint32_t page;

	if (c->rcv_last == ETA_CHUNK_NONE || c->rcv_tail - c->rcv_last_off == ETA_PAGE_BYTES) {
		if (!f->free_n) {
			*n = 0;
			return NULL;
		}
		page = f->free_pages[--f->free_n];
		f->en_meta[page] = (struct eta_chunk_meta){.next = ETA_CHUNK_NONE,
				.off = c->rcv_tail,
				.dti = dti,
				.gen = c->gen};
		if (c->rcv_last == ETA_CHUNK_NONE)
			eta_store_release_u32(&en->chunk, ETA_CHUNK_MAKE(1, page));
		else
			eta_store_release_u32(&f->en_meta[ETA_CHUNK_PAGE(c->rcv_last)].next,
					ETA_CHUNK_MAKE(1, page));
		c->rcv_last = ETA_CHUNK_MAKE(1, page);
		c->rcv_last_off = c->rcv_tail;
	}
	*n = ETA_PAGE_BYTES - (c->rcv_tail - c->rcv_last_off);
	return f->en_chunks + (size_t)ETA_CHUNK_PAGE(c->rcv_last) * ETA_PAGE_BYTES +
	       (c->rcv_tail - c->rcv_last_off);
}

/* Free receive chunks that AL is done with; @idle: the last one too when all was read. */
static void release(struct fake *f, uint32_t dti, bool idle)
{
	struct fake_ctx *c = &f->ctx[dti];
	struct eta_dti_en *en = &f->dti_en[dti];
	uint32_t head = eta_load_acquire_u32(&f->dti_al[dti].rcv_head);

	while (en->chunk != ETA_CHUNK_NONE) {
		uint32_t page = ETA_CHUNK_PAGE(en->chunk), next = f->en_meta[page].next;

		if (eta_counter_after(f->en_meta[page].off + ETA_PAGE_BYTES, head) &&
				!(idle && next == ETA_CHUNK_NONE && head == c->rcv_tail))
			break;
		if (en->chunk == c->rcv_last)
			c->rcv_last = ETA_CHUNK_NONE;
		eta_store_release_u32(&en->chunk, next);
		eta_store_release_u32(&f->en_meta[page].dti, ETA_DTI_NONE);
		f->free_pages[f->free_n++] = page;
	}
	eta_store_relaxed_u32(&en->ring_at, head + FAKE_WINDOW / 2);
}

static void move(struct fake *f, uint32_t dti)
{
	struct fake_ctx *c = &f->ctx[dti], *p = &f->ctx[c->peer];
	uint32_t before = c->snd_una;

	release(f, (uint32_t)c->peer, true);
	while (c->snd_una != c->snd_tail && !p->stall) {
		uint32_t n, room, left = c->snd_tail - c->snd_una;
		uint32_t used = p->rcv_tail - eta_load_acquire_u32(&f->dti_al[c->peer].rcv_head);
		const uint8_t *from = send_bytes(f, dti, c->snd_una, &n);
		uint8_t *to = place(f, (uint32_t)c->peer, &room);

		n = n < left ? n : left;
		n = n < room ? n : room;
		if (used >= FAKE_WINDOW || !n)
			break;
		memcpy(to, from, n);
		c->snd_una += n;
		p->rcv_tail += n;
	}
	if (c->snd_una != before) {
		record_write(f, (uint32_t)c->peer, 0);
		record_write(f, dti, 0);
		fake_event(f, (uint32_t)c->peer, ETA_EV_READ);
	}
	if (c->want_write && c->snd_tail - c->snd_una <= FAKE_WINDOW * 2 / 3) {
		c->want_write = false;
		fake_event(f, dti, ETA_EV_WRITE);
	}
	if (c->is_shut && !c->fin_told && c->snd_una == c->snd_tail) {
		c->fin_told = true;
		f->dti_en[c->peer].flags |= ETA_EV_RD_CLOSED;
		fake_event(f, (uint32_t)c->peer, ETA_EV_RD_CLOSED);
	}
}

static void free_when_done(struct fake *f, uint32_t dti)
{
	struct fake_ctx *c = &f->ctx[dti];

	if (!c->is_closing || c->snd_una != c->snd_tail)
		return;
	if (c->peer >= 0 && !c->fin_told && f->ctx[c->peer].state == ETA_DTI_OPEN)
		return;
	c->is_closing = false;
	if (c->peer >= 0)
		f->ctx[c->peer].peer = -1;
	c->peer = -1;
	c->state = ETA_DTI_FREE;
	f->dti_al[dti].rcv_head = c->rcv_tail; /* only a fake may: lets release() free it all */
	release(f, dti, true);
	record_write(f, dti, 0);
	fake_event(f, dti, ETA_EV_FREE);
}

uint32_t fake_turn(struct fake *f)
{
	uint32_t n = 0, rings_n = __atomic_load_n(&f->rings_n, __ATOMIC_ACQUIRE);
	union {
		struct eta_doorbell db;
		uint64_t w[4];
	} u;

	__atomic_store_n(&f->page->heartbeat_tsc, __builtin_ia32_rdtsc(), __ATOMIC_RELAXED);
	__atomic_store_n(&f->page->loops, f->page->loops + 1, __ATOMIC_RELAXED);
	for (uint32_t r = 0; r < rings_n && !f->credit_hold; r++) {
		while (eta_ring_pop(&f->db[r], u.w)) {
			take(f, (int)r, &u.db);
			n++;
		}
		eta_ring_publish_credit(&f->db[r]);
	}
	for (uint32_t i = 0; i < FAKE_DTIS; i++) {
		struct fake_ctx *c = &f->ctx[i];

		if (c->is_owed)
			fake_event(f, i, 0);
		if (c->peer >= 0 && (c->snd_una != c->snd_tail || c->is_shut || c->want_write))
			move(f, i);
		free_when_done(f, i);
	}
	return n;
}

static void *engine_thread(void *arg)
{
	struct fake *f = arg;

	while (f->engine_on)
		if (!fake_turn(f))
			sched_yield();
	return NULL;
}

void fake_engine_start(struct fake *f)
{
	f->engine_on = 1;
	must(pthread_create(&f->engine, NULL, engine_thread, f) == 0, "thread");
}

void fake_engine_stop(struct fake *f)
{
	f->engine_on = 0;
	pthread_join(f->engine, NULL);
}

/* ---- life ---- */

struct fake *fake_start(uint32_t chunk_pages)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	must(f != NULL, "calloc");
	f->chunk_pages = chunk_pages;
	f->rings_max = FAKE_RINGS;
	f->al = segment("fake-al", SEG_BYTES, &f->al_fd);
	f->en = segment("fake-en", SEG_BYTES, &f->en_fd);
	f->page = segment("fake-page", 4096, &f->page_fd);
	f->page->tsc_hz = 2000000000;
	f->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->dti_al = (struct eta_dti_al *)f->al;
	f->dti_en = (struct eta_dti_en *)f->en;
	f->al_meta = (struct eta_chunk_meta *)(f->al + OFF_META);
	f->en_meta = (struct eta_chunk_meta *)(f->en + OFF_META);
	f->al_chunks = f->al + OFF_CHUNKS;
	f->en_chunks = f->en + OFF_CHUNKS;
	f->master = -1;
	for (uint32_t i = 0; i < FAKE_DTIS; i++)
		f->ctx[i].peer = f->ctx[i].ring = -1;
	for (uint32_t i = 0; i < EN_PAGES; i++)
		f->free_pages[f->free_n++] = EN_PAGES - 1 - i;
	snprintf(f->dir, sizeof(f->dir), "/tmp/eta-fake-XXXXXX");
	must(mkdtemp(f->dir) != NULL, "mkdtemp");
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	memcpy(un.sun_path, f->path, strlen(f->path) + 1);
	f->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	must(bind(f->listen_fd, (const struct sockaddr *)&un, sizeof(un)) == 0 &&
					listen(f->listen_fd, 4) == 0,
			"bind");
	f->ka_on = true;
	must(pthread_create(&f->ka, NULL, ka_thread, f) == 0, "thread");
	fake_turn(f);
	return f;
}

void fake_kill(struct fake *f)
{
	if (!f->ka_on)
		return;
	f->ka_on = false;
	pthread_join(f->ka, NULL);
}

void fake_free(struct fake *f)
{
	fake_kill(f);
	close(f->listen_fd);
	unlink(f->path);
	rmdir(f->dir);
	munmap(f->al, SEG_BYTES);
	munmap(f->en, SEG_BYTES);
	munmap(f->page, 4096);
	for (uint32_t r = 0; r < f->rings_n; r++) {
		close(f->wake_rd[r]);
		close(f->wake_wr[r]);
	}
	close(f->al_fd);
	close(f->en_fd);
	close(f->page_fd);
	close(f->kick_fd);
	free(f);
}
