/* SPDX-License-Identifier: BSD-3-Clause */
/* The double of al/core (see fake_core.h). One lock around everything. */
#include "test/unit/al/fake_core.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS 16
#define QUEUE 1024
#define CONNS 1024
#define BACKLOG 64

struct al_waiter {
	struct al_conn *queue[QUEUE];
	uint32_t head, tail;
	int fd;
	bool armed;
};

struct al_conn {
	struct eta_dti_en en;
	struct eta_dti_al al;
	bool used, eof, shut_wr, shut_rd, shared, err_taken, is_master;
	bool unseen;    /* closed, as an event that nobody has taken says */
	uint32_t watch; /* threads */
	uint32_t limit;
	uint32_t rcv_n, rcv_at, snd_n;
	uint8_t rcv[FAKE_BYTES];
	char snd[FAKE_BYTES + 1];
	struct al_conn *pending[BACKLOG];
	uint32_t pending_n;
	void *user;
};

struct fake fake = {.own_fd = -1};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct al_waiter waiter[THREADS];
static uint32_t waiters_n;
static __thread int self = -1;
static struct al_conn conns[CONNS];
static void (*on_ready)(struct al_conn *conn, void *user, uint32_t flags);
static bool attached;

static struct al_waiter *me(void)
{
	if (self < 0) {
		self = (int)__atomic_fetch_add(&waiters_n, 1, __ATOMIC_RELAXED) % THREADS;
		if (waiter[self].fd <= 0)
			waiter[self].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	return &waiter[self];
}

static void tell(struct al_conn *conn)
{
	const uint64_t one = 1;

	for (int i = 0; i < THREADS; i++) {
		struct al_waiter *w = &waiter[i];

		if (!(conn->watch >> i & 1))
			continue;
		w->queue[w->tail++ % QUEUE] = conn;
		if (w->armed && write(w->fd, &one, sizeof(one)) != sizeof(one))
			continue;
	}
}

int al_attach(const char *path)
{
	(void)path;
	if (fake.attach_result == 0)
		attached = true;
	return fake.attach_result;
}

bool al_is_attached(void)
{
	return attached;
}

bool al_engine_alive(void)
{
	return !fake.dead;
}

bool al_policy_loopback(void)
{
	return true;
}

void al_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

void al_after_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

void al_after_fork_child(void)
{
	pthread_mutex_unlock(&lock);
}

bool al_fd_is_own(int fd)
{
	return fd >= 0 && fd == fake.own_fd;
}

int al_fd_yield(int fd)
{
	if (al_fd_is_own(fd)) {
		fake.own_fd = dup(fd);
		fake.yielded_n++;
	}
	return 0;
}

void al_at_exit(void)
{
}

struct al_conn *al_conn_open(void)
{
	struct al_conn *conn = NULL;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < CONNS && !conn; i++)
		if (!conns[i].used)
			conn = &conns[i];
	if (conn) {
		memset(conn, 0, sizeof(*conn));
		conn->used = true;
		conn->limit = conn->en.snd_limit = FAKE_BYTES;
		fake.opened_n++;
		fake.last = conn;
	} else {
		errno = ENOBUFS;
	}
	pthread_mutex_unlock(&lock);
	return conn;
}

int al_conn_connect(
		struct al_conn *conn, const struct sockaddr *remote, socklen_t len, int bound_fd)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)remote;

	(void)bound_fd;
	(void)len;
	if (fake.connect_result)
		return fake.connect_result;
	conn->en.laddr[10] = conn->en.laddr[11] = conn->en.raddr[10] = conn->en.raddr[11] = 0xff;
	memcpy(conn->en.raddr + 12, &in->sin_addr, 4);
	conn->en.rport_be = in->sin_port;
	conn->en.laddr[12] = 10;
	conn->en.lport_be = htons(40000);
	conn->en.state = ETA_DTI_CONNECTING;
	conn->en.syn_bytes = conn->al.opt & ETA_OPT_FASTOPEN ? fake.syn_bytes : 0;
	al_conn_watch(conn, 0xff, false);
	return 0;
}

int al_conn_listen(struct al_conn *conn, int shadow_fd, uint32_t backlog, bool v6only)
{
	(void)shadow_fd;
	(void)backlog;
	(void)v6only;
	if (fake.listen_result)
		return fake.listen_result;
	conn->is_master = true;
	conn->en.state = ETA_DTI_LISTENING;
	al_conn_watch(conn, 0xff, false);
	return 0;
}

struct al_conn *al_conn_accept(struct al_conn *master)
{
	struct al_conn *conn = NULL;

	pthread_mutex_lock(&lock);
	if (master->pending_n > 0) {
		conn = master->pending[0];
		memmove(master->pending, master->pending + 1, --master->pending_n * sizeof(conn));
	}
	pthread_mutex_unlock(&lock);
	if (conn)
		al_conn_watch(conn, 0xff, false);
	return conn;
}

int al_conn_shut_wr(struct al_conn *conn)
{
	conn->shut_wr = true;
	return 0;
}

void al_conn_shut_rd(struct al_conn *conn)
{
	conn->shut_rd = true;
}

void al_conn_close(struct al_conn *conn, bool abort)
{
	pthread_mutex_lock(&lock);
	fake.closed_n++;
	fake.aborted_n += abort;
	conn->used = false;
	conn->user = NULL;
	pthread_mutex_unlock(&lock);
}

int al_conn_share(struct al_conn *conn, uint64_t cookie)
{
	fake.shared_n += cookie != 0;
	conn->shared = true;
	return 0;
}

int al_conn_share_at_fork(struct al_conn *conn, uint64_t cookie)
{
	return al_conn_share(conn, cookie);
}

bool al_conn_is_shared(const struct al_conn *conn)
{
	return conn->shared;
}

ssize_t al_conn_recv(struct al_conn *conn, const struct iovec *iov, int iov_n, bool peek)
{
	uint32_t at;
	size_t done = 0;
	int err;

	pthread_mutex_lock(&lock);
	at = conn->rcv_at;
	for (int i = 0; i < iov_n; i++) {
		size_t n = conn->rcv_n - at;

		if (n > iov[i].iov_len)
			n = iov[i].iov_len;
		memcpy(iov[i].iov_base, conn->rcv + at, n);
		at += (uint32_t)n;
		done += n;
	}
	if (!peek)
		conn->rcv_at = at;
	pthread_mutex_unlock(&lock);
	if (done)
		return (ssize_t)done;
	err = al_conn_take_error(conn);
	if (err)
		return -err;
	return conn->eof || conn->shut_rd || fake.dead || conn->en.state == ETA_DTI_CLOSED
			       ? 0
			       : -EAGAIN;
}

ssize_t al_conn_send(struct al_conn *conn, const struct iovec *iov, int iov_n, unsigned int how)
{
	size_t done = 0;
	int err = al_conn_take_error(conn);

	if (err)
		return -err;
	if (conn->shut_wr || conn->en.state == ETA_DTI_CLOSED || fake.dead)
		return -EPIPE;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < iov_n; i++) {
		size_t n = conn->limit > conn->snd_n ? conn->limit - conn->snd_n : 0;

		if (n > iov[i].iov_len)
			n = iov[i].iov_len;
		if (n)
			memcpy(conn->snd + conn->snd_n, iov[i].iov_base, n);
		conn->snd_n += (uint32_t)n;
		done += n;
	}
	pthread_mutex_unlock(&lock);
	if (done) {
		fake.how = how;
		return (ssize_t)done;
	}
	for (int i = 0; i < iov_n; i++)
		if (iov[i].iov_len)
			return -EAGAIN;
	return 0;
}

uint32_t al_conn_syn_bytes(struct al_conn *conn)
{
	return conn->en.state == ETA_DTI_CONNECTING && conn->snd_n == 0 ? conn->en.syn_bytes : 0;
}

ssize_t al_conn_send_syn(struct al_conn *conn, const struct iovec *iov, int iov_n)
{
	return al_conn_send(conn, iov, iov_n, 0);
}

void al_conn_syn_go(struct al_conn *conn)
{
	conn->en.syn_bytes = 0;
	fake.syn_go_n++;
}

ssize_t al_conn_send_urgent(
		struct al_conn *conn, const struct iovec *iov, int iov_n, unsigned int how)
{
	return al_conn_send(conn, iov, iov_n, how);
}

ssize_t al_conn_recv_urgent(struct al_conn *conn, uint8_t *byte, bool peek)
{
	(void)conn;
	(void)byte;
	(void)peek;
	return -EINVAL;
}

bool al_conn_at_mark(struct al_conn *conn)
{
	(void)conn;
	return false;
}

uint32_t al_conn_ready(struct al_conn *conn)
{
	uint32_t bits = 0;

	if (conn->is_master)
		return conn->pending_n ? POLLIN : 0;
	if (conn->rcv_at < conn->rcv_n)
		bits |= POLLIN;
	if (conn->eof)
		bits |= POLLIN | POLLRDHUP;
	if (conn->en.state == ETA_DTI_OPEN && conn->snd_n < conn->limit)
		bits |= POLLOUT;
	if (conn->en.state == ETA_DTI_CLOSED || fake.dead)
		bits |= POLLIN | POLLOUT | POLLHUP | POLLRDHUP | (conn->err_taken ? 0 : POLLERR);
	return bits;
}

uint32_t al_conn_rcv_bytes(struct al_conn *conn)
{
	return conn->rcv_n - conn->rcv_at;
}

uint32_t al_conn_snd_bytes(struct al_conn *conn)
{
	return conn->snd_n;
}

int al_conn_take_error(struct al_conn *conn)
{
	if (conn->err_taken || (conn->en.state != ETA_DTI_CLOSED && !fake.dead))
		return 0;
	conn->err_taken = true;
	return fake.dead ? ECONNRESET : eta_status_errno(conn->en.status);
}

int al_conn_take_soft_error(struct al_conn *conn)
{
	uint32_t word = conn->en.soft_status;

	conn->en.soft_status = 0;
	return eta_status_errno(word & 0xff);
}

enum eta_dti_state al_conn_state(struct al_conn *conn)
{
	return fake.dead ? ETA_DTI_CLOSED : (enum eta_dti_state)conn->en.state;
}

static void addr_fill(struct sockaddr_storage *to, const uint8_t *addr, uint16_t port, int family)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = (sa_family_t)family;
	in->sin_port = port;
	if (family == AF_INET)
		memcpy(&in->sin_addr, addr + 12, 4);
	else
		memcpy(&in6->sin6_addr, addr, 16);
}

void al_conn_addrs(struct al_conn *conn, struct sockaddr_storage *local,
		struct sockaddr_storage *remote, int family)
{
	addr_fill(local, conn->en.laddr, conn->en.lport_be, family);
	addr_fill(remote, conn->en.raddr, conn->en.rport_be, family);
}

const struct eta_dti_en *al_conn_record(struct al_conn *conn)
{
	return &conn->en;
}

int al_conn_info(struct al_conn *conn, struct eta_conn_info *info)
{
	*info = (struct eta_conn_info){.tcp_state = conn->en.state == ETA_DTI_OPEN ? 1 : 7};
	return 0;
}

const struct eta_core_page *al_page(void)
{
	static const struct eta_core_page page = {.features = ETA_FEATURE_FASTOPEN,
			.cc_default = 2,
			.cc_name = {[1] = "reno", [2] = "cubic"}};

	return &page;
}

uint32_t al_conn_notsent_bytes(struct al_conn *conn)
{
	(void)conn;
	return 0;
}

struct eta_dti_al *al_conn_param(struct al_conn *conn)
{
	return &conn->al;
}

void al_conn_param_commit(struct al_conn *conn)
{
	conn->al.param_seq++;
}

void al_conn_set_user(struct al_conn *conn, void *user)
{
	conn->user = user;
}

void *al_conn_user(struct al_conn *conn)
{
	return conn->user;
}

void al_set_on_ready(void (*fn)(struct al_conn *conn, void *user, uint32_t flags))
{
	on_ready = fn;
}

uint32_t al_poll_events(void)
{
	struct al_waiter *w = me();
	uint32_t taken = 0;

	for (;;) {
		struct al_conn *conn = NULL;

		pthread_mutex_lock(&lock);
		if (w->head != w->tail)
			conn = w->queue[w->head++ % QUEUE];
		pthread_mutex_unlock(&lock);
		if (!conn)
			return taken;
		taken++;
		if (conn->unseen)
			conn->en.state = ETA_DTI_CLOSED;
		if (conn->used)
			on_ready(conn, conn->user, 0);
	}
}

bool al_events_pending(void)
{
	struct al_waiter *w = me();
	bool pending;

	pthread_mutex_lock(&lock);
	pending = w->head != w->tail;
	pthread_mutex_unlock(&lock);
	return pending;
}

void al_wait_turn(const struct al_conn *conn)
{
	(void)conn;
	if (fake.at_turn)
		fake_data(fake.last, fake.at_turn);
}

void al_conn_watch(struct al_conn *conn, uint32_t mask, bool exclusive)
{
	(void)mask;
	(void)exclusive;
	me();
	pthread_mutex_lock(&lock);
	conn->watch |= 1u << self;
	pthread_mutex_unlock(&lock);
}

void al_conn_unwatch(struct al_conn *conn)
{
	pthread_mutex_lock(&lock);
	conn->watch &= ~(1u << self);
	pthread_mutex_unlock(&lock);
}

int al_wait_arm(void)
{
	struct al_waiter *w = me();

	if (fake.dead)
		return -ECONNRESET;
	pthread_mutex_lock(&lock);
	w->armed = true;
	pthread_mutex_unlock(&lock);
	return w->fd;
}

void al_wait_disarm(void)
{
	struct al_waiter *w = me();
	uint64_t n;

	pthread_mutex_lock(&lock);
	w->armed = false;
	pthread_mutex_unlock(&lock);
	if (read(w->fd, &n, sizeof(n)) != sizeof(n))
		return;
}

int al_wait_timeout_ms(void)
{
	return -1;
}

bool al_wait_spin(void)
{
	return al_poll_events() != 0;
}

void al_wake_thread(struct al_waiter *w)
{
	const uint64_t one = 1;

	if (w && write(w->fd, &one, sizeof(one)) != sizeof(one))
		return;
}

struct al_waiter *al_this_waiter(void)
{
	return me();
}

/* ---- the test's side ---- */

void fake_connected(struct al_conn *conn)
{
	pthread_mutex_lock(&lock);
	conn->en.state = ETA_DTI_OPEN;
	tell(conn);
	pthread_mutex_unlock(&lock);
}

void fake_refused(struct al_conn *conn, uint8_t status)
{
	pthread_mutex_lock(&lock);
	conn->en.status = status;
	conn->en.state = ETA_DTI_CLOSED;
	tell(conn);
	pthread_mutex_unlock(&lock);
}

void fake_data(struct al_conn *conn, const char *text)
{
	pthread_mutex_lock(&lock);
	memcpy(conn->rcv + conn->rcv_n, text, strlen(text));
	conn->rcv_n += (uint32_t)strlen(text);
	tell(conn);
	pthread_mutex_unlock(&lock);
}

void fake_eof(struct al_conn *conn)
{
	pthread_mutex_lock(&lock);
	conn->eof = true;
	tell(conn);
	pthread_mutex_unlock(&lock);
}

void fake_reset_by_peer(struct al_conn *conn)
{
	fake_refused(conn, ETA_STATUS_RESET);
}

void fake_reset_unseen(struct al_conn *conn)
{
	pthread_mutex_lock(&lock);
	conn->en.status = ETA_STATUS_RESET;
	conn->unseen = true;
	tell(conn);
	pthread_mutex_unlock(&lock);
}

void fake_limit(struct al_conn *conn, uint32_t bytes)
{
	conn->limit = conn->en.snd_limit = bytes;
}

const char *fake_take(struct al_conn *conn)
{
	static char taken[FAKE_BYTES + 1];

	pthread_mutex_lock(&lock);
	memcpy(taken, conn->snd, conn->snd_n);
	taken[conn->snd_n] = '\0';
	/* Nothing taken is no news: who asks in a loop would keep the other thread taking events for ever. */
	if (conn->snd_n != 0)
		tell(conn);
	conn->snd_n = 0;
	pthread_mutex_unlock(&lock);
	return taken;
}

struct al_conn *fake_incoming(struct al_conn *master)
{
	struct al_conn *conn = al_conn_open();

	conn->en.state = ETA_DTI_OPEN;
	conn->en.laddr[10] = conn->en.laddr[11] = conn->en.raddr[10] = conn->en.raddr[11] = 0xff;
	conn->en.raddr[12] = 10;
	conn->en.raddr[15] = 2;
	conn->en.rport_be = htons(5555);
	pthread_mutex_lock(&lock);
	master->pending[master->pending_n++] = conn;
	tell(master);
	pthread_mutex_unlock(&lock);
	return conn;
}

uint32_t fake_watchers(struct al_conn *conn)
{
	return (uint32_t)__builtin_popcount(conn->watch);
}
