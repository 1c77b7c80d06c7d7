/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One control connection: its life, sending, receiving. What its messages ask is done in client_req.c.
 */
#include "ka/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ka/client_msg.h"
#include "ka/etad.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

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

void client_kill(struct client *client, const char *why)
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

void client_want_events(struct client *client)
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
