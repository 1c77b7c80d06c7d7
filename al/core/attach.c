/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Becoming a session of etad, and what fork makes of it.
 *
 * Attach is lazy and happens once: connect, ask, map what comes back, make the first ring. After it AL allocates by mmap only. A fork
 * announces what the child will hold and fetches the socket on which the child may attach; the child does so at its first use, so that a
 * child which only closes and executes costs nothing. Its own session takes a new slot here; the parent's slots stay, with new owner numbers by
 * what KA says, so that conns keep their addresses.
 */
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/un.h>

#include "al/core/al.h"

struct al_root al_root;

#define OWNER_GONE (ETA_INHERIT_MAX + 1u)

/* ---- set-up of the root ---- */

static void lists_init(void)
{
	const struct al_list_head empty = {.first = AL_IDX_NONE, .last = AL_IDX_NONE};

	al_root.free_list = al_root.zombies = al_root.sweep_list = empty;
}

/* Of the machine, not of our affinity: a program that is pinned is pinned away from the engine. */
static void cpus_count(void)
{
	int n = get_nprocs();

	al_root.cpus_n = n > 0 ? (uint32_t)n : 1;
}

static void *arena(size_t bytes)
{
	void *p = sys_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	return sys_is_error(p) ? NULL : p;
}

static int root_init(void)
{
	if (!al_root.threads) {
		al_root.threads = arena(AL_THREADS_MAX * sizeof(struct al_thread));
		al_root.ctl_fd = al_root.fork_fd = -1;
		for (uint32_t i = 0; i <= ETA_INHERIT_MAX; i++)
			al_root.slot_of_owner[i] = AL_SLOT_NONE;
		lists_init();
		cpus_count();
	}
	return al_root.threads ? 0 : -ENOMEM;
}

struct al_session *al_session_new(uint32_t number, uint8_t owner, uint32_t dtis_max)
{
	for (uint32_t slot = 0; slot < AL_SLOTS_MAX; slot++) {
		struct al_session *s = &al_root.session[slot];

		if (s->used)
			continue;
		s->conns_n = dtis_max && dtis_max < ETA_SESSION_DTIS_MAX ? dtis_max
									 : ETA_SESSION_DTIS_MAX;
		s->conns = arena(s->conns_n * sizeof(struct al_conn));
		if (!s->conns)
			return NULL;
		s->number = number;
		s->owner = owner;
		s->used = true;
		al_root.slot_of_owner[owner] = (uint8_t)slot;
		return s;
	}
	return NULL;
}

/* ---- the control socket ---- */

static int dial(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len;
	int fd, ret;

	if (!path)
		path = secure_getenv("ETA_SOCKET");
	if (!path || !*path)
		path = ETA_CTL_SOCKET_DEFAULT;
	len = strlen(path);
	if (len >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, len + 1);
	fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	ret = sys_connect(fd, (const struct sockaddr *)&un, sizeof(un));
	if (ret) {
		sys_close(fd);
		return ret;
	}
	return al_fd_keep(fd, &al_root.ctl_fd);
}

static bool reply_is_sane(const struct eta_ctl_attach_reply *r)
{
	return ETA_ABI_MAJOR(r->abi) == ETA_ABI_MAJOR(ETA_ABI_VERSION) &&
	       r->inherited_n <= ETA_INHERIT_MAX && r->cores_n >= 1 &&
	       r->cores_n <= ETA_CORES_MAX &&
	       r->page_bytes >= r->cores_n * sizeof(struct eta_core_page) &&
	       r->page_bytes <= 1u << 20 && r->seg[0].kind == ETA_SEG_AL &&
	       r->seg[1].kind == ETA_SEG_EN;
}

static int pages_map(const struct eta_ctl_attach_reply *r, int fd)
{
	uint8_t *pages = sys_mmap(NULL, r->page_bytes, PROT_READ, MAP_SHARED, fd);
	const struct eta_core_page *page = (const struct eta_core_page *)pages;

	if (sys_is_error(pages))
		return (int)(long)pages;
	al_root.pages = pages;
	al_root.pages_bytes = r->page_bytes;
	al_root.pages_stride = r->page_bytes / r->cores_n / ETA_CACHELINE * ETA_CACHELINE;
	al_root.cores_n = r->cores_n;
	al_root.tsc_hz = eta_load_relaxed_u64(&page->tsc_hz);
	if (al_root.tsc_hz < 1000000)
		al_root.tsc_hz = 1000000000; /* only time limits depend on it */
	return 0;
}

/* Owner numbers are those of the reply; sessions that it does not name are gone. */
static void owners_renumber(const struct eta_ctl_attach_reply *r)
{
	for (uint32_t i = 0; i <= ETA_INHERIT_MAX; i++)
		al_root.slot_of_owner[i] = AL_SLOT_NONE;
	for (uint32_t slot = 0; slot < AL_SLOTS_MAX; slot++) {
		struct al_session *s = &al_root.session[slot];

		if (!s->used)
			continue;
		s->owner = OWNER_GONE;
		for (uint32_t k = 0; k < r->inherited_n; k++) {
			if (r->inherited[k] != s->number)
				continue;
			s->owner = (uint8_t)(k + 1);
			al_root.slot_of_owner[k + 1] = (uint8_t)slot;
		}
	}
}

static int accept_reply(const struct eta_ctl_attach_reply *r, int fds[5])
{
	struct al_session *s;
	int ret;

	owners_renumber(r);
	s = al_session_new(r->session, 0, r->dtis_max);
	ret = s ? 0 : -ENOMEM;
	if (!ret)
		ret = pages_map(r, fds[2]);
	sys_close(fds[2]);
	if (ret) {
		sys_close(fds[0]);
		sys_close(fds[1]);
	} else {
		al_root.own_slot = (uint8_t)(s - al_root.session);
		ret = al_seg_install(s, &r->seg[0], fds[0]);
		if (ret)
			sys_close(fds[1]);
		else
			ret = al_seg_install(s, &r->seg[1], fds[1]);
	}
	if (!ret && (r->seg[0].dti_first || r->seg[0].dti_n > s->conns_n))
		ret = -EPROTO;
	if (ret) {
		sys_close(fds[3]);
		sys_close(fds[4]);
		return ret;
	}
	s->fresh = 0;
	s->fresh_end = r->seg[0].dti_n;
	al_root.own_conns = s->conns;
	al_root.own_conns_n = s->conns_n;
	al_root.lock_id = r->lock_id;
	al_root.policy = r->flags;
	al_root.epoch = r->epoch;
	al_root.port_lo = r->port_lo;
	al_root.port_hi = r->port_hi;
	return al_ring_install(&r->ring0, fds[4], fds[3]) ? 0 : -EPROTO;
}

static void hang_up(void)
{
	al_fd_drop(&al_root.ctl_fd);
}

static int attach_locked(const char *path)
{
	struct eta_ctl_attach req = {.hdr.type = ETA_CTL_ATTACH, .abi = ETA_ABI_VERSION};
	struct eta_ctl_attach_reply rep;
	int fds[5], ret = root_init();

	if (ret)
		return ret;
	if (al_root.fork_fd >= 0) {
		/* The kept entry moves along: its home becomes ctl_fd. */
		ret = al_fd_keep(sys_fcntl(al_root.fork_fd, F_DUPFD_CLOEXEC, 0), &al_root.ctl_fd);
		al_fd_drop(&al_root.fork_fd);
	} else {
		ret = dial(path);
	}
	if (ret < 0)
		return ret;
	al_root.membarrier = sys_membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
	req.flags = al_root.membarrier ? ETA_ATTACH_MEMBARRIER : 0;
	al_put(&al_root.is_gone, 0);
	ret = al_ctl_call(&req, sizeof(req), -1, &rep, sizeof(rep), fds, 5);
	if (!ret && !reply_is_sane(&rep)) {
		for (int i = 0; i < 5; i++)
			sys_close(fds[i]);
		ret = -EPROTONOSUPPORT;
	} else if (!ret) {
		ret = accept_reply(&rep, fds);
	}
	if (ret)
		hang_up();
	return ret;
}

int al_attach(const char *path)
{
	int ret = 0;

	if (ETA_LIKELY(eta_load_acquire_u32(&al_root.state) == AL_ATTACHED))
		return 0;
	al_lock_take(&al_root.attach_lock);
	if (al_root.state != AL_ATTACHED) {
		ret = attach_locked(path);
		if (!ret)
			eta_store_release_u32(&al_root.state, AL_ATTACHED);
		else if (al_root.state == AL_FORKED)
			al_gone(); /* what it inherited is out of reach for good */
	}
	al_lock_drop(&al_root.attach_lock);
	return ret;
}

static void session_unmap(struct al_session *s)
{
	for (uint32_t n = 0; n < s->segs_n; n++)
		if (s->seg[n].base)
			sys_munmap(s->seg[n].base, s->seg[n].bytes);
	sys_munmap(s->conns, s->conns_n * sizeof(struct al_conn));
	memset(s, 0, sizeof(*s));
}

void al_detach(void)
{
	void (*on_ready)(struct al_conn * conn, void *user, uint32_t event_flags) =
			al_root.on_ready;
	bool has_key = al_root.has_thread_key;
	unsigned int key = al_root.thread_key;

	if (!al_is_attached())
		return;
	al_at_exit();
	al_fds_forget_all();
	for (uint32_t slot = 0; slot < AL_SLOTS_MAX; slot++)
		if (al_root.session[slot].used)
			session_unmap(&al_root.session[slot]);
	sys_munmap((void *)(uintptr_t)al_root.pages, al_root.pages_bytes);
	sys_munmap(al_root.threads, AL_THREADS_MAX * sizeof(struct al_thread));
	memset(&al_root, 0, offsetof(struct al_root, session));
	al_root.on_ready = on_ready;
	al_root.has_thread_key = has_key;
	al_root.thread_key = key;
	al_self = NULL;
}

bool al_is_attached(void)
{
	return eta_load_acquire_u32(&al_root.state) == AL_ATTACHED;
}

bool al_policy_loopback(void)
{
	return (al_root.policy & ETA_POLICY_LOOPBACK) != 0;
}

/* ---- fork ---- */

static uint32_t *const fork_locks[] = {&al_root.attach_lock, &al_root.thread_lock,
		&al_root.dti_lock, &al_root.fd_lock, &al_root.ctl_lock};

void al_before_fork(void)
{
	struct eta_ctl_hdr req = {.type = ETA_CTL_FORK}, rep;
	int fd;

	if (!al_is_attached())
		return;
	al_share_flush();
	if (!al_is_gone() && al_ctl_call(&req, sizeof(req), -1, &rep, sizeof(rep), &fd, 1) == 0)
		al_fd_keep(fd, &al_root.fork_fd);
	for (size_t i = 0; i < sizeof(fork_locks) / sizeof(fork_locks[0]); i++)
		al_lock_take(fork_locks[i]);
}

void al_after_fork_parent(void)
{
	if (!al_is_attached())
		return;
	for (size_t i = sizeof(fork_locks) / sizeof(fork_locks[0]); i-- > 0;)
		al_lock_drop(fork_locks[i]);
	al_fd_drop(&al_root.fork_fd);
}

/* Conns the child may go on using: those announced. The others die with a reset for it. */
static void conns_inherit(struct al_session *s)
{
	for (uint32_t i = 0; i < s->conns_n && i < s->fresh_end; i++) {
		struct al_conn *conn = &s->conns[i];

		if (!al_flag(conn, AL_CONN_HELD))
			continue; /* and do not copy its page by writing */
		conn->snd_busy = 0;
		conn->rings = 0;
		conn->list = AL_LIST_NONE;
		conn->prev = conn->next = AL_IDX_NONE;
		if (!al_flag(conn, AL_CONN_SHARED)) {
			conn->flags |= AL_CONN_BROKEN;
			conn->flags &= ~AL_CONN_RUNG;
		}
		if (al_flag(conn, AL_CONN_MASTER))
			al_master_forget(conn);
	}
}

void al_after_fork_child(void)
{
	if (!al_is_attached())
		return;
	for (size_t i = 0; i < sizeof(fork_locks) / sizeof(fork_locks[0]); i++)
		*fork_locks[i] = 0;
	al_fds_forget_all();
	al_self = NULL;
	sys_munmap(al_root.threads, AL_THREADS_MAX * sizeof(struct al_thread));
	al_root.threads = arena(AL_THREADS_MAX * sizeof(struct al_thread));
	memset(al_root.ring, 0, sizeof(al_root.ring));
	al_root.rings_n = al_root.rings_refused = al_root.share_n = 0;
	lists_init();
	for (uint32_t slot = 0; slot < AL_SLOTS_MAX; slot++) {
		al_root.session[slot].map_lock = 0;
		if (al_root.session[slot].used)
			conns_inherit(&al_root.session[slot]);
	}
	al_root.own_conns_n = 0;
	al_root.state = AL_FORKED;
	if (al_root.fork_fd < 0 || !al_root.threads)
		al_gone();
}

void al_at_exit(void)
{
	struct al_session *s = &al_root.session[al_root.own_slot];

	if (!al_is_attached() || al_is_gone())
		return;
	for (uint32_t i = 0; i < s->conns_n && i < s->fresh_end; i++) {
		struct al_conn *conn = &s->conns[i];

		if (al_flag(conn, AL_CONN_HELD) && !al_flag(conn, AL_CONN_SHARED))
			al_conn_close(conn, false);
	}
}
