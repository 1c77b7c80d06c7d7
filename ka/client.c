/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading, judging and answering the messages of one control connection.
 */
#include "ka/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ka/etad.h"
#include "ka/show.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/* One message as it came. Descriptors not taken are closed by client_msg_close(). */
struct client_msg {
	union {
		struct eta_ctl_hdr hdr;
		struct eta_ctl_attach attach;
		struct eta_ctl_seg seg;
		struct eta_ctl_ring ring;
		struct eta_ctl_dti dti;
		struct eta_ctl_share share;
		struct eta_ctl_ping ping;
		struct eta_ctl_text text;
		uint8_t bytes[ETA_CTL_BYTES_MAX + 1];
	};
	size_t len_bytes;
	int fd[ETA_CTL_FDS_MAX];
	size_t fds_n;
	int pidfd;
	struct ucred cred;
	bool has_cred, is_truncated;
};

static void client_on_ready(void *arg, uint32_t events);

/* ---- life ---- */

static int client_who(struct client *client)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int pidfd = -1;

	if (getsockopt(client->watch.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	len = sizeof(pidfd);
	if (getsockopt(client->watch.fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0)
		pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
	if (pidfd < 0)
		return -errno;
	client->pidfd = pidfd;
	client->pid = cred.pid;
	client->uid = cred.uid;
	client->gid = cred.gid;
	return 0;
}

struct client *client_create(struct ka *ka, int fd, struct session *parent)
{
	struct client *client = calloc(1, sizeof(*client));
	const int one = 1;
	int rc = 0;

	if (!client) {
		(void)close(fd);
		return NULL;
	}
	*client = (struct client){.ka = ka, .pidfd = -1, .wake_fd = -1, .out_tail = &client->out};
	client->watch = (struct loop_watch){
			.fd = fd, .events = EPOLLIN, .on_ready = client_on_ready, .arg = client};
	if (parent) {
		/* Whoever attaches here is named by the kernel with its message. */
		(void)setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &one, sizeof(one));
		rc = setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ? -errno : 0;
	} else {
		rc = client_who(client);
	}
	if (rc == 0)
		rc = loop_add(&ka->loop, &client->watch);
	if (rc < 0) {
		if (client->pidfd >= 0)
			(void)close(client->pidfd);
		(void)close(fd);
		free(client);
		return NULL;
	}
	if (parent) {
		client->fork_parent = parent;
		parent->heirs_n++;
		parent->forks_n++;
	}
	client->next = ka->clients;
	if (ka->clients)
		ka->clients->prev = client;
	ka->clients = client;
	ka->server.clients_n++;
	return client;
}

/* Gone once it is dropped, no answer will name it and nobody on the stack uses it. */
static void client_maybe_free(struct client *client)
{
	if (!client->is_dropped || client->pending > 0 || client->held > 0)
		return;
	free(client->text);
	free(client);
}

void client_hold(struct client *client)
{
	client->held++;
}

void client_release(struct client *client)
{
	client->held--;
	client_maybe_free(client);
}

static void client_reply_free(struct client_reply *reply)
{
	for (uint8_t i = 0; i < reply->fds_n; i++)
		(void)close(reply->fd[i]);
	free(reply);
}

void client_drop(struct client *client)
{
	struct ka *ka = client->ka;

	if (client->is_dropped)
		return;
	client->is_dropped = true;
	loop_del(&ka->loop, &client->watch);
	(void)close(client->watch.fd);
	if (client->pidfd >= 0)
		(void)close(client->pidfd);
	if (client->wake_fd >= 0)
		(void)close(client->wake_fd);
	client->wake_fd = -1;
	while (client->out) {
		struct client_reply *reply = client->out;

		client->out = reply->next;
		client_reply_free(reply);
	}
	if (client->fork_parent) {
		client->fork_parent->forks_n--;
		res_session_unref(client->fork_parent);
	}
	if (client->prev)
		client->prev->next = client->next;
	else
		ka->clients = client->next;
	if (client->next)
		client->next->prev = client->prev;
	ka->server.clients_n--;
	client_maybe_free(client);
}

/* It broke the protocol, or does not read: it and its session end. */
static void client_kill(struct client *client, const char *why)
{
	struct ka *ka = client->ka;

	ka->stats.clients_dropped++;
	if (log_limit_pass(&ka->limit_client, loop_now_ms()))
		log_warn("drop client pid=%d uid=%u reason=\"%s\"", client->pid, client->uid, why);
	if (client->session)
		res_session_end(client->session, false, why);
	else
		client_drop(client);
}

/* ---- sending ---- */

static ssize_t client_send_now(const struct client *client, const void *msg, size_t len_bytes,
		const int *fds, size_t fds_n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * ETA_CTL_FDS_MAX)];
	} control;
	struct iovec iov = {.iov_len = len_bytes};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(&iov.iov_base, &msg, sizeof(msg)); /* sendmsg does not write there */
	if (fds_n > 0) {
		struct cmsghdr *cmsg = &control.align;

		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * fds_n);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fds_n);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fds_n);
	}
	return sendmsg(client->watch.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void client_want_events(struct client *client)
{
	uint32_t events = (client->is_busy ? 0 : EPOLLIN) |
			  (client->out || client->text ? EPOLLOUT : 0);

	(void)loop_change(&client->ka->loop, &client->watch, events);
}

/* Keep a message that the socket did not take. */
static int client_queue(struct client *client, const void *msg, size_t len_bytes, const int *fds,
		size_t fds_n)
{
	struct client_reply *reply;

	if (client->out_n >= ETA_CTL_UNREAD_MAX)
		return -EPIPE;
	reply = calloc(1, sizeof(*reply) + len_bytes);
	if (!reply)
		return -EPIPE;
	for (size_t i = 0; i < fds_n; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			client_reply_free(reply);
			return -EPIPE;
		}
		reply->fd[reply->fds_n++] = fd;
	}
	reply->len_bytes = (uint32_t)len_bytes;
	memcpy(reply->bytes, msg, len_bytes);
	*client->out_tail = reply;
	client->out_tail = &reply->next;
	client->out_n++;
	client_want_events(client);
	return 0;
}

int client_send(struct client *client, const void *msg, size_t len_bytes, const int *fds,
		size_t fds_n)
{
	int rc = 0;

	if (client->is_dropped)
		return -EPIPE;
	if (client->out) {
		rc = client_queue(client, msg, len_bytes, fds, fds_n);
	} else if (client_send_now(client, msg, len_bytes, fds, fds_n) < 0) {
		/* A process that hung up but lives keeps its session; it just gets no answers. */
		rc = errno == EAGAIN ? client_queue(client, msg, len_bytes, fds, fds_n) : 0;
	}
	if (rc < 0)
		client_kill(client, "does not read its replies");
	return rc;
}

void client_answer(struct client *client, enum eta_status status)
{
	struct eta_ctl_hdr hdr = {.type = client->req.type,
			.status = (uint16_t)status,
			.seq = client->req.seq};

	client->is_busy = false;
	if (client_send(client, &hdr, sizeof(hdr), NULL, 0) == 0)
		client_want_events(client);
}

/* Chunks of text as far as the socket takes them, then the empty one. 0 = all gone, -EAGAIN. */
static int client_send_text(struct client *client)
{
	struct eta_ctl_text msg = {.hdr = {.type = ETA_CTL_ADMIN, .seq = client->req.seq}};

	while (client->text) {
		size_t len = client->text_len - client->text_at;

		len = len > sizeof(msg.text) ? sizeof(msg.text) : len;
		memcpy(msg.text, client->text + client->text_at, len);
		if (client_send_now(client, &msg, sizeof(msg.hdr) + len, NULL, 0) < 0 &&
				errno == EAGAIN)
			return -EAGAIN;
		client->text_at += len;
		if (len == 0) {
			free(client->text);
			client->text = NULL;
		}
	}
	return 0;
}

void client_answer_text(struct client *client, char *text, size_t len_bytes)
{
	client->text = text;
	client->text_len = len_bytes;
	client->text_at = 0;
	if (client_send_text(client) == 0)
		client->is_busy = false;
	client_want_events(client);
}

static void client_flush(struct client *client)
{
	while (client->out) {
		struct client_reply *reply = client->out;

		if (client_send_now(client, reply->bytes, reply->len_bytes, reply->fd,
				    reply->fds_n) < 0 &&
				errno == EAGAIN)
			break;
		client->out = reply->next;
		if (!client->out)
			client->out_tail = &client->out;
		client->out_n--;
		client_reply_free(reply);
	}
	if (!client->out && client->text && client_send_text(client) == 0)
		client->is_busy = false;
	client_want_events(client);
}

/* ---- commands on behalf of a request ---- */

static void client_finish(struct client *client);

static void client_on_answer(void *arg, const struct eta_admin_msg *answer)
{
	struct client *client = arg;

	client->pending--;
	if (client->worst == ETA_STATUS_OK && answer->status != ETA_STATUS_OK)
		client->worst = (uint8_t)answer->status;
	if (client->pending > 0)
		return;
	client_hold(client);
	if (!client->is_dropped)
		client_finish(client);
	client_release(client);
}

void client_post(struct client *client, uint32_t core, const struct eta_admin_msg *msg)
{
	client->pending++;
	if (irq_post(&client->ka->irq, core, msg, client_on_answer, client) == 0)
		return;
	client->pending--;
	client->worst = ETA_STATUS_NO_MEMORY;
}

/* The request's commands are posted; if none went out nobody will call back. */
static void client_begin_wait(struct client *client)
{
	client->is_busy = true;
	client_want_events(client);
	if (client->pending == 0)
		client_finish(client);
}

/* ---- requests ---- */

static void client_attach_reply(struct client *client, enum eta_status status)
{
	struct ka *ka = client->ka;
	struct session *s = client->session;
	struct eta_ctl_attach_reply reply = {.hdr = {.type = ETA_CTL_ATTACH,
							     .status = (uint16_t)status,
							     .seq = client->req.seq},
			.abi = ETA_ABI_VERSION};

	client->is_busy = false;
	if (status != ETA_STATUS_OK) {
		(void)client_send(client, &reply, sizeof(reply), NULL, 0);
		return;
	}
	reply.session = s->number;
	reply.dtis_max = (uint32_t)ka->conf.dtis_per_session_max;
	reply.inherited_n = (uint16_t)s->inherited_n;
	memcpy(reply.inherited, s->inherited, sizeof(reply.inherited));
	reply.cores_n = (uint16_t)ka->irq.cores_n;
	reply.flags = ka->conf.loopback ? ETA_POLICY_LOOPBACK : 0;
	reply.page_bytes = ka->irq.cores_n * ETA_PAGE_BYTES;
	reply.port_lo = ka->ports.lo;
	reply.port_hi = ka->ports.hi;
	reply.epoch = ka->epoch;
	reply.lock_id = s->lock_id;
	reply.seg[0] = s->seg[0]->geom;
	reply.seg[1] = s->seg[1]->geom;
	reply.ring0 = client->ring;
	s->state = SESSION_LIVE;
	ka->stats.attached++;
	log_info("attach session=%u pid=%d uid=%u inherited=%u mem_bytes=%llu", s->number, s->pid,
			s->uid, s->inherited_n, (unsigned long long)s->bytes);
	const int fds[] = {s->seg[0]->fd_share, s->seg[1]->fd_share, ka->core_pages_fd,
			s->kick_fd[0], client->wake_fd};
	(void)client_send(client, &reply, sizeof(reply), fds, 5);
}

static void client_seg_reply(struct client *client, const struct mem_seg *seg)
{
	struct eta_ctl_seg_reply reply = {.hdr = {.type = client->req.type, .seq = client->req.seq},
			.seg = seg->geom};

	client->is_busy = false;
	(void)client_send(client, &reply, sizeof(reply), &seg->fd_share, 1);
}

static void client_ring_reply(struct client *client)
{
	struct eta_ctl_ring_reply reply = {
			.hdr = {.type = ETA_CTL_RING_ADD, .seq = client->req.seq},
			.ring = client->ring};
	const int fds[] = {client->wake_fd, client->session->kick_fd[client->ring.core]};

	client->is_busy = false;
	(void)client_send(client, &reply, sizeof(reply), fds, 2);
}

/* The engine has answered all commands of the request. */
static void client_finish(struct client *client)
{
	struct session *session = client->session;

	if (client->req.type == ETA_CTL_ATTACH && client->worst != ETA_STATUS_OK) {
		/* Answer before the session takes the connection with it. */
		client_attach_reply(client, client->worst);
		if (session && client->session == session)
			res_session_end(session, false, "attach failed");
	} else if (client->req.type == ETA_CTL_LISTEN || client->req.type == ETA_CTL_BIND) {
		client_end_bind(client);
	} else if (client->worst != ETA_STATUS_OK) {
		client_answer(client, client->worst);
	} else {
		switch (client->req.type) {
		case ETA_CTL_ATTACH: client_attach_reply(client, ETA_STATUS_OK); break;
		case ETA_CTL_SEG_GROW: client_seg_reply(client, client->seg); break;
		case ETA_CTL_RING_ADD: client_ring_reply(client); break;
		default: client_answer(client, ETA_STATUS_OK); break;
		}
	}
	if (client->wake_fd >= 0)
		(void)close(client->wake_fd);
	client->wake_fd = -1;
	if (!client->is_dropped)
		client_want_events(client);
}

/* On a FORK socket the kernel's words with the message say who came. */
static bool client_take_who(struct client *client, struct client_msg *msg)
{
	if (client->pidfd >= 0)
		return true;
	if (!msg->has_cred || msg->cred.pid <= 0)
		return false;
	client->pid = msg->cred.pid;
	client->uid = msg->cred.uid;
	client->gid = msg->cred.gid;
	client->pidfd = msg->pidfd >= 0 ? msg->pidfd
					: (int)syscall(SYS_pidfd_open, msg->cred.pid, 0);
	msg->pidfd = -1;
	return client->pidfd >= 0;
}

static void client_on_attach(struct client *client, struct client_msg *msg)
{
	struct ka *ka = client->ka;
	enum eta_status status = ETA_STATUS_OK;
	struct session *before;

	if (ETA_ABI_MAJOR(msg->attach.abi) != ETA_ABI_MAJOR(ETA_ABI_VERSION)) {
		ka->stats.abi_refused++;
		if (log_limit_pass(&ka->limit_client, loop_now_ms()))
			log_warn("attach refused pid=%d abi=%#x ours=%#x; install matching etad and libeta_al",
					client->pid, msg->attach.abi, ETA_ABI_VERSION);
		client_attach_reply(client, ETA_STATUS_ABI_MISMATCH);
		return;
	}
	if (!client_take_who(client, msg)) {
		client_attach_reply(client, ETA_STATUS_DENIED);
		return;
	}
	if (ka->is_ending) {
		client_attach_reply(client, ETA_STATUS_ENGINE_GONE);
		return;
	}
	before = res_session_of_pid(&ka->res, client->pid);
	if (before)
		res_session_end(before, true, "exec");
	if (!res_session_create(&ka->res, client, &client->ring, &client->wake_fd, &status)) {
		if (client->worst == ETA_STATUS_OK)
			client->worst = (uint8_t)status;
	}
	client_begin_wait(client);
}

static void client_on_seg_map(struct client *client, const struct eta_ctl_seg *msg)
{
	struct session *s = res_session_reachable(&client->ka->res, client->session, msg->session);

	if (!s || msg->seg >= s->segs_n || s->state == SESSION_ENDING)
		client_answer(client, ETA_STATUS_NOT_FOUND);
	else
		client_seg_reply(client, s->seg[msg->seg]);
}

static void client_on_seg_grow(struct client *client, const struct eta_ctl_seg *msg)
{
	struct session *s = res_session_reachable(&client->ka->res, client->session, msg->session);
	enum eta_status status = ETA_STATUS_INVALID;

	if (!s || s->state == SESSION_ENDING || s->state == SESSION_DEAD) {
		client_answer(client, ETA_STATUS_NOT_FOUND);
		return;
	}
	if (msg->core < client->ka->irq.cores_n && msg->grow == ETA_GROW_SEND)
		client->seg = res_session_grow_send(s, client, msg->core, &status);
	else if (msg->core < client->ka->irq.cores_n && msg->grow == ETA_GROW_DTIS)
		client->seg = res_session_grow_dtis(s, client, msg->core, &status);
	if (status != ETA_STATUS_OK && client->worst == ETA_STATUS_OK)
		client->worst = (uint8_t)status;
	client_begin_wait(client);
}

static void client_on_ring_add(struct client *client, const struct eta_ctl_ring *msg)
{
	enum eta_status status = ETA_STATUS_INVALID;

	if (msg->core < client->ka->irq.cores_n)
		status = res_session_ring_add(client->session, client, msg->core, &client->ring,
				&client->wake_fd);
	if (status != ETA_STATUS_OK && client->worst == ETA_STATUS_OK)
		client->worst = (uint8_t)status;
	client_begin_wait(client);
}

static void client_on_fork(struct client *client)
{
	struct eta_ctl_hdr hdr = {.type = ETA_CTL_FORK, .seq = client->req.seq};
	int fds[2];

	if (client->session->forks_n >= RES_FORKS_MAX) {
		client_answer(client, ETA_STATUS_QUOTA);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		client_answer(client, ETA_STATUS_NO_MEMORY);
		return;
	}
	/* AL's end blocks as its own sockets do. */
	(void)fcntl(fds[1], F_SETFL, 0);
	if (client_create(client->ka, fds[0], client->session))
		(void)client_send(client, &hdr, sizeof(hdr), &fds[1], 1);
	else
		client_answer(client, ETA_STATUS_NO_MEMORY);
	(void)close(fds[1]);
}

static void client_on_ping(struct client *client, const struct client_msg *msg)
{
	uint32_t lock_id = msg->len_bytes == sizeof(msg->ping) ? msg->ping.lock_id : 0;

	client_answer(client, lock_id == 0 || res_session_lock_is_live(&client->ka->res, lock_id)
					      ? ETA_STATUS_OK
					      : ETA_STATUS_NOT_FOUND);
}

static void client_on_admin(struct client *client, struct client_msg *msg)
{
	msg->bytes[msg->len_bytes] = '\0';
	client->is_busy = true;
	client_want_events(client);
	show_command(client->ka, client, msg->text.text);
}

/* Lengths and descriptors each request must have; a session is needed unless @anyone. */
static const struct client_rule {
	size_t min_bytes, max_bytes;
	uint8_t fds_n;
	bool anyone;
} client_rules[] = {
		[ETA_CTL_ATTACH] = {sizeof(struct eta_ctl_attach), sizeof(struct eta_ctl_attach), 0,
				true},
		[ETA_CTL_SEG_MAP] = {sizeof(struct eta_ctl_seg), sizeof(struct eta_ctl_seg), 0,
				false},
		[ETA_CTL_SEG_GROW] = {sizeof(struct eta_ctl_seg), sizeof(struct eta_ctl_seg), 0,
				false},
		[ETA_CTL_RING_ADD] = {sizeof(struct eta_ctl_ring), sizeof(struct eta_ctl_ring), 0,
				false},
		[ETA_CTL_LISTEN] = {sizeof(struct eta_ctl_dti), sizeof(struct eta_ctl_dti), 1,
				false},
		[ETA_CTL_BIND] = {sizeof(struct eta_ctl_dti), sizeof(struct eta_ctl_dti), 1, false},
		[ETA_CTL_FORK] = {sizeof(struct eta_ctl_hdr), sizeof(struct eta_ctl_hdr), 0, false},
		[ETA_CTL_SHARE] = {offsetof(struct eta_ctl_share, item),
				sizeof(struct eta_ctl_share), 0, false},
		[ETA_CTL_CLAIM] = {sizeof(struct eta_ctl_hdr), sizeof(struct eta_ctl_hdr), 1,
				false},
		[ETA_CTL_PING] = {sizeof(struct eta_ctl_hdr), sizeof(struct eta_ctl_ping), 0, true},
		[ETA_CTL_ADMIN] = {sizeof(struct eta_ctl_hdr) + 1, sizeof(struct eta_ctl_text), 0,
				true},
};

/* NULL: well formed; else why not. */
static const char *client_judge(const struct client *client, const struct client_msg *msg)
{
	const struct client_rule *rule;

	if (msg->is_truncated)
		return "message or descriptors truncated";
	if (msg->len_bytes < sizeof(struct eta_ctl_hdr))
		return "message shorter than its header";
	if (msg->hdr.type >= sizeof(client_rules) / sizeof(client_rules[0]) ||
			client_rules[msg->hdr.type].max_bytes == 0)
		return "unknown message type";
	rule = &client_rules[msg->hdr.type];
	if (msg->len_bytes < rule->min_bytes || msg->len_bytes > rule->max_bytes)
		return "wrong message length";
	if (msg->fds_n != rule->fds_n)
		return "wrong number of descriptors";
	if (!rule->anyone && (!client->session || client->session->state != SESSION_LIVE))
		return "request without a session";
	if (msg->hdr.type == ETA_CTL_ATTACH && client->session)
		return "attached twice";
	if (msg->hdr.type == ETA_CTL_SHARE &&
			(msg->share.n == 0 || msg->share.n > ETA_CTL_SHARE_MAX ||
					msg->len_bytes !=
							offsetof(struct eta_ctl_share, item) +
									msg->share.n * sizeof(struct eta_ctl_share_item)))
		return "wrong message length";
	return NULL;
}

static void client_serve(struct client *client, struct client_msg *msg)
{
	const char *why = client_judge(client, msg);

	if (why) {
		client_kill(client, why);
		return;
	}
	client->ka->stats.requests++;
	client->req = msg->hdr;
	client->worst = ETA_STATUS_OK;
	switch ((enum eta_ctl_type)msg->hdr.type) {
	case ETA_CTL_ATTACH: client_on_attach(client, msg); break;
	case ETA_CTL_SEG_MAP: client_on_seg_map(client, &msg->seg); break;
	case ETA_CTL_SEG_GROW: client_on_seg_grow(client, &msg->seg); break;
	case ETA_CTL_RING_ADD: client_on_ring_add(client, &msg->ring); break;
	case ETA_CTL_LISTEN:
	case ETA_CTL_BIND:
		client_on_bind(client, &msg->dti, msg->fd[0], msg->hdr.type == ETA_CTL_LISTEN);
		if (client->is_busy)
			client_begin_wait(client);
		break;
	case ETA_CTL_FORK: client_on_fork(client); break;
	case ETA_CTL_SHARE:
		client_on_share(client, &msg->share);
		client_begin_wait(client);
		break;
	case ETA_CTL_CLAIM: client_on_claim(client, msg->fd[0]); break;
	case ETA_CTL_PING: client_on_ping(client, msg); break;
	case ETA_CTL_ADMIN: client_on_admin(client, msg); break;
	case ETA_CTL_NOTIFY_SEG:
	case ETA_CTL_NOTIFY_END: break; /* refused by client_judge() */
	}
}

/* ---- receiving ---- */

static void client_msg_control(struct client_msg *msg, struct msghdr *mh)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			size_t n = len / sizeof(int);

			/* The buffer has room for credentials too, which more descriptors may fill. */
			for (size_t i = 0; i < n; i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
				if (msg->fds_n < ETA_CTL_FDS_MAX) {
					msg->fd[msg->fds_n++] = fd;
				} else {
					(void)close(fd);
					msg->is_truncated = true;
				}
			}
		} else if (c->cmsg_type == SCM_CREDENTIALS && len == sizeof(msg->cred)) {
			memcpy(&msg->cred, CMSG_DATA(c), sizeof(msg->cred));
			msg->has_cred = true;
		} else if (c->cmsg_type == SCM_PIDFD && len == sizeof(int)) {
			memcpy(&msg->pidfd, CMSG_DATA(c), sizeof(int));
		}
	}
}

static void client_msg_close(const struct client_msg *msg)
{
	for (size_t i = 0; i < msg->fds_n; i++)
		(void)close(msg->fd[i]);
	if (msg->pidfd >= 0)
		(void)close(msg->pidfd);
}

/* 1 = a message; 0 = end of file; -errno. */
static int client_receive(const struct client *client, struct client_msg *msg)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * ETA_CTL_FDS_MAX) +
				CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = msg->bytes, .iov_len = ETA_CTL_BYTES_MAX};
	struct msghdr mh = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control)};
	ssize_t n;

	msg->fds_n = 0;
	msg->pidfd = -1;
	msg->has_cred = false;
	n = recvmsg(client->watch.fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	msg->is_truncated = (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	client_msg_control(msg, &mh);
	msg->len_bytes = (size_t)n;
	return n > 0;
}

/* Nobody will ask here any more. A session goes on until its process ends. */
static void client_hung_up(struct client *client)
{
	if (client->session)
		loop_del(&client->ka->loop, &client->watch);
	else
		client_drop(client);
}

static void client_on_ready(void *arg, uint32_t events)
{
	struct client *client = arg;
	struct client_msg msg;

	if (events & EPOLLOUT)
		client_flush(client);
	if (client->is_busy && (events & (EPOLLHUP | EPOLLERR))) {
		client_hung_up(client);
		return;
	}
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	client_hold(client);
	for (int i = 0; i < CLIENT_READ_BURST && !client->is_busy; i++) {
		int rc = client_receive(client, &msg);

		if (rc == -EAGAIN || rc == -EINTR)
			break;
		if (rc <= 0) {
			client_msg_close(&msg);
			client_hung_up(client);
			break;
		}
		client_serve(client, &msg);
		client_msg_close(&msg);
		if (client->is_dropped)
			break;
	}
	client_release(client);
}
