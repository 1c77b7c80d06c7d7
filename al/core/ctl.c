/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket as AL uses it: one request at a time, replies awaited, notices swallowed.
 *
 * Rare by design (attach, memory, rings, listen, fork), so one lock and a blocking wait of at most some seconds will do. KA's answer is
 * checked like any message from outside: type, sequence, length, number of descriptors. Segments announced by notice are mapped when they are
 * met, so a notice needs no more than to be taken.
 */
#include <poll.h>
#include <string.h>

#include "al/core/al.h"

#define CTL_WAIT_S 5

void al_gone(void)
{
	eta_store_release_u32(&al_root.is_gone, 1);
}

/* Receive one record into ctl_buf. Return: bytes, or -errno; descriptors in @fds, count in *@fds_n. */
static long receive(int flags, int *fds, uint32_t *fds_n)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(ETA_CTL_FDS_MAX * sizeof(int))];
	} ctl;
	struct iovec iov = {.iov_base = al_root.ctl_buf, .iov_len = sizeof(al_root.ctl_buf)};
	struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &ctl,
			.msg_controllen = sizeof(ctl)};
	long got;

	*fds_n = 0;
	do
		got = sys_recvmsg(al_root.ctl_fd, &msg, flags | MSG_CMSG_CLOEXEC);
	while (got == -EINTR);
	if (got <= 0)
		return got < 0 ? got : -ECONNRESET;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		*fds_n = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *fds_n * sizeof(int));
	}
	return msg.msg_flags & MSG_TRUNC ? -EPROTO : got;
}

static void close_all(const int *fds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sys_close(fds[i]);
}

static void notice(const struct eta_ctl_hdr *hdr)
{
	if (hdr->type == ETA_CTL_NOTIFY_END)
		al_put(&al_root.is_ending, 1);
}

static int send_request(void *req, size_t len, int fd)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = {.iov_base = req, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	long sent;

	if (fd >= 0) {
		memset(&ctl, 0, sizeof(ctl));
		msg.msg_control = &ctl;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
		ctl.hdr.cmsg_level = SOL_SOCKET;
		ctl.hdr.cmsg_type = SCM_RIGHTS;
		ctl.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&ctl.hdr), &fd, sizeof(int));
	}
	do
		sent = sys_sendmsg(al_root.ctl_fd, &msg, MSG_NOSIGNAL);
	while (sent == -EINTR);
	return sent == (long)len ? 0 : sent < 0 ? (int)sent : -EPROTO;
}

/* Wait for the reply to (type, seq); it is in ctl_buf then. Return: bytes or -errno. */
static long await_reply(uint16_t type, uint32_t seq, int *fds, uint32_t *fds_n)
{
	struct pollfd pfd = {.fd = al_root.ctl_fd, .events = POLLIN};
	const struct timespec wait = {.tv_sec = CTL_WAIT_S};
	const struct eta_ctl_hdr *hdr = (const struct eta_ctl_hdr *)al_root.ctl_buf;

	for (;;) {
		int ready = sys_ppoll(&pfd, 1, &wait);
		long got;

		if (ready == -EINTR)
			continue;
		if (ready <= 0)
			return ready ? ready : -ETIMEDOUT;
		got = receive(MSG_DONTWAIT, fds, fds_n);
		if (got == -EAGAIN)
			continue;
		if (got < 0)
			return got;
		if ((size_t)got >= sizeof(*hdr) && hdr->type == type && hdr->seq == seq)
			return got;
		close_all(fds, *fds_n);
		if ((size_t)got >= sizeof(*hdr))
			notice(hdr);
	}
}

static int call_locked(struct eta_ctl_hdr *hdr, size_t req_len, int req_fd, void *rep,
		size_t rep_len, int *fds, uint32_t fds_n)
{
	const struct eta_ctl_hdr *answer = (const struct eta_ctl_hdr *)al_root.ctl_buf;
	int got_fds[ETA_CTL_FDS_MAX];
	uint32_t got_n = 0;
	long got;
	int ret;

	if (al_root.ctl_fd < 0 || al_is_gone())
		return -ECONNRESET;
	hdr->seq = ++al_root.ctl_seq;
	hdr->status = 0;
	ret = send_request(hdr, req_len, req_fd);
	got = ret ? ret : await_reply(hdr->type, hdr->seq, got_fds, &got_n);
	if (got < 0) {
		close_all(got_fds, got_n);
		al_gone();
		return -ECONNRESET;
	}
	/* The attach reply tells its ABI even when it refuses. */
	if ((size_t)got >= rep_len)
		memcpy(rep, al_root.ctl_buf, rep_len);
	if (answer->status != ETA_STATUS_OK)
		ret = -eta_status_errno(answer->status);
	else if ((size_t)got != rep_len || got_n != fds_n)
		ret = -EPROTO;
	if (ret) {
		close_all(got_fds, got_n);
		return ret;
	}
	for (uint32_t i = 0; i < fds_n; i++)
		fds[i] = got_fds[i];
	return 0;
}

int al_ctl_call(void *req, size_t req_len, int req_fd, void *rep, size_t rep_len, int *fds,
		uint32_t fds_n)
{
	int ret;

	al_lock_take(&al_root.ctl_lock);
	ret = call_locked(req, req_len, req_fd, rep, rep_len, fds, fds_n);
	al_lock_drop(&al_root.ctl_lock);
	return ret;
}

void al_ctl_notices(void)
{
	int fds[ETA_CTL_FDS_MAX];
	uint32_t fds_n;
	long got;

	if (al_is_gone() || !al_lock_try(&al_root.ctl_lock))
		return; /* whoever holds it takes them */
	if (al_root.ctl_fd >= 0) {
		while ((got = receive(MSG_DONTWAIT, fds, &fds_n)) > 0) {
			close_all(fds, fds_n);
			if ((size_t)got >= sizeof(struct eta_ctl_hdr))
				notice((const struct eta_ctl_hdr *)al_root.ctl_buf);
		}
		if (got != -EAGAIN && got != -EPROTO)
			al_gone();
	}
	al_lock_drop(&al_root.ctl_lock);
}
