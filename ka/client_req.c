/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the messages of a control connection ask: judged, carried out, answered.
 *
 * A request that needs the engine posts commands to it and is answered when the last of them is (client_finish).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ka/client_msg.h"
#include "ka/etad.h"
#include "ka/knob.h"
#include "ka/show.h"

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
	reply.flags = (ka->conf.loopback ? ETA_POLICY_LOOPBACK : 0) |
		      (ka->conf.sysctl == CONF_SYSCTL_MIRROR ? ETA_POLICY_PING : 0);
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

	if (lock_id == 0 && client->session && client->ka->conf.sysctl == CONF_SYSCTL_MIRROR) {
		sysctl_sync(client);
		client_begin_wait(client);
		return;
	}
	client_answer(client, lock_id == 0 || res_session_lock_is_live(&client->ka->res, lock_id)
					      ? ETA_STATUS_OK
					      : ETA_STATUS_NOT_FOUND);
}

static void client_on_admin(struct client *client, struct client_msg *msg)
{
	msg->bytes[msg->len_bytes] = '\0';
	client->is_busy = true;
	client_want_events(client);
	if (!knob_command(client, msg->text.text))
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

void client_serve(struct client *client, struct client_msg *msg)
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
