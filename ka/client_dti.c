/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about one DTI and the kernel socket that stands for it.
 *
 * What a shadow is bound to is read from the descriptor itself, never from the message; a shadow of another network namespace, protocol or device is the
 * kernel's. CLAIM finds the DTI of a shadow that came by exec or SCM_RIGHTS; moving it to segments of its own is the engine's part, which it
 * does not have yet, so the answer is NOT_CARRIED and the claimer goes on with the kernel socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ka/client.h"
#include "ka/etad.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* What the kernel says of a shadow. */
struct client_shadow {
	struct ip_addr addr;
	uint16_t port_be;
	bool is_v6only;
	bool is_listening;
	uint64_t cookie;
};

static int client_opt(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) < 0 ? -1 : v;
}

static bool client_opt_u64(int fd, int name, uint64_t *v)
{
	socklen_t len = sizeof(*v);

	return getsockopt(fd, SOL_SOCKET, name, v, &len) == 0;
}

static bool client_shadow_addr(int fd, struct client_shadow *shadow)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) < 0)
		return false;
	if (a.sa.sa_family == AF_INET) {
		shadow->addr = ip_addr_from_v4(a.in.sin_addr.s_addr);
		shadow->port_be = a.in.sin_port;
	} else if (a.sa.sa_family == AF_INET6) {
		memcpy(shadow->addr.b, &a.in6.sin6_addr, sizeof(shadow->addr.b));
		shadow->port_be = a.in6.sin6_port;
		shadow->is_v6only = client_opt(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
	} else {
		return false;
	}
	return shadow->port_be != 0;
}

static bool client_is_port_device(const struct ka *ka, int ifindex)
{
	for (uint32_t i = 0; i < ka->ports_n; i++)
		if (ka->port[i].ifindex == ifindex)
			return true;
	return false;
}

/* OK: ETA may carry it. */
static enum eta_status client_shadow_read(struct ka *ka, int fd, struct client_shadow *shadow)
{
	uint64_t netns = 0;
	int device;

	memset(shadow, 0, sizeof(*shadow));
	if (client_opt(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM ||
			client_opt(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP)
		return ETA_STATUS_NOT_CARRIED;
	if (!client_opt_u64(fd, SO_NETNS_COOKIE, &netns) || netns != ka->netns_cookie) {
		ka->stats.foreign_netns++;
		if (log_limit_pass(&ka->limit_netns, loop_now_ms()))
			log_warn("shadow refused reason=\"another network namespace\"");
		return ETA_STATUS_NOT_CARRIED;
	}
	if (!client_opt_u64(fd, SO_COOKIE, &shadow->cookie) || !client_shadow_addr(fd, shadow))
		return ETA_STATUS_INVALID;
	device = client_opt(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
	if (device > 0 && !client_is_port_device(ka, device))
		return ETA_STATUS_NOT_CARRIED;
	if (!ip_addr_is_any(&shadow->addr) && !netlink_is_local(&ka->netlink, &shadow->addr))
		return ETA_STATUS_NOT_CARRIED;
	shadow->is_listening = client_opt(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
	return ETA_STATUS_OK;
}

static void client_post_bind(struct client *client, struct session *owner,
		const struct eta_ctl_dti *ask, const struct res_binding *b)
{
	struct eta_admin_msg msg = {.op = b->is_listen ? ETA_ADMIN_LISTEN : ETA_ADMIN_BIND,
			.session = owner->number};
	uint8_t core = 0;

	(void)res_session_dti_en(owner, b->dti, &core);
	msg.dti.dti = b->dti;
	msg.dti.gen = b->gen;
	msg.dti.lport_be = b->port_be;
	memcpy(msg.dti.laddr, b->addr.b, sizeof(msg.dti.laddr));
	msg.dti.backlog = ask->backlog;
	msg.dti.flags = b->is_v6only ? ETA_BIND_V6ONLY : 0;
	client_post(client, core, &msg);
}

/* A new binding, watched (master) or held (bound connection). */
static enum eta_status client_bind_new(struct session *owner, struct res_binding *want, int fd)
{
	struct res_binding *b;
	enum eta_status status;

	/* A shared shadow's last close must show: no copy of that. */
	if (!want->is_listen && !res_share_find(&owner->ka->res, want->cookie)) {
		want->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (want->fd < 0)
			return ETA_STATUS_NO_MEMORY;
	}
	b = res_bind(owner, want);
	if (!b) {
		if (want->fd >= 0)
			(void)close(want->fd);
		return ETA_STATUS_NO_MEMORY;
	}
	status = want->is_listen ? res_share(owner, want->cookie, want->dti, want->gen, false)
				 : ETA_STATUS_OK;
	if (status != ETA_STATUS_OK)
		res_unbind(owner, b);
	return status;
}

void client_on_bind(struct client *client, const struct eta_ctl_dti *msg, int fd, bool is_listen)
{
	struct ka *ka = client->ka;
	struct session *owner = res_session_of_dti(&ka->res, client->session, msg->dti);
	struct client_shadow shadow;
	enum eta_status status = owner ? client_shadow_read(ka, fd, &shadow) : ETA_STATUS_NOT_FOUND;

	if (status == ETA_STATUS_OK && is_listen && !shadow.is_listening)
		status = ETA_STATUS_INVALID;
	if (status != ETA_STATUS_OK) {
		ka->stats.not_carried += status == ETA_STATUS_NOT_CARRIED;
		client_answer(client, status);
		return;
	}
	struct res_binding want = {.dti = ETA_DTI_INDEX(msg->dti),
			.gen = msg->gen,
			.port_be = shadow.port_be,
			.addr = shadow.addr,
			.cookie = shadow.cookie,
			.fd = -1,
			.is_listen = is_listen,
			.is_v6only = shadow.is_v6only};
	struct res_binding *b = res_binding_find(owner, want.dti, want.gen);

	/* listen() again on the same socket only changes the backlog. */
	if (b && (b->cookie != want.cookie || b->is_listen != is_listen))
		status = ETA_STATUS_INVALID;
	else if (!b)
		status = client_bind_new(owner, &want, fd);
	if (status != ETA_STATUS_OK) {
		client_answer(client, status);
		return;
	}
	sysctl_look(ka);
	client->dti = want.dti;
	client->gen = want.gen;
	client->owner = owner;
	client->is_busy = true;
	client_post_bind(client, owner, msg, &want);
}

void client_end_bind(struct client *client)
{
	struct eta_ctl_dti_reply reply = {.hdr = {.type = client->req.type,
							  .status = client->worst,
							  .seq = client->req.seq}};
	struct res_binding *b = NULL;

	/* An inherited session may have ended meanwhile; its bindings with it. */
	if (client->session && res_session_reachable(&client->ka->res, client->session,
					       client->owner->number) == client->owner)
		b = res_binding_find(client->owner, client->dti, client->gen);
	if (!b && client->worst == ETA_STATUS_OK)
		reply.hdr.status = ETA_STATUS_NOT_FOUND;
	if (b && client->worst != ETA_STATUS_OK && !b->is_known) {
		res_unbind(client->owner, b);
	} else if (b && client->worst == ETA_STATUS_OK) {
		b->is_known = true;
		memcpy(reply.laddr, b->addr.b, sizeof(reply.laddr));
		reply.lport_be = b->port_be;
		client->ka->stats.listens += b->is_listen;
		client->ka->stats.binds += !b->is_listen;
	}
	client->is_busy = false;
	(void)client_send(client, &reply, sizeof(reply), NULL, 0);
}

void client_on_share(struct client *client, const struct eta_ctl_share *msg)
{
	struct res *res = &client->ka->res;

	for (uint32_t i = 0; i < msg->n; i++) {
		const struct eta_ctl_share_item *item = &msg->item[i];
		struct session *owner = res_session_of_dti(res, client->session, item->dti);
		uint32_t dti = ETA_DTI_INDEX(item->dti);
		enum eta_status status =
				owner ? res_share(owner, item->cookie, dti, item->gen, true)
				      : ETA_STATUS_NOT_FOUND;
		struct res_binding *b;

		if (status != ETA_STATUS_OK) {
			if (client->worst == ETA_STATUS_OK)
				client->worst = (uint8_t)status;
			continue;
		}
		b = res_binding_find(owner, dti, item->gen);
		if (b && b->fd >= 0) {
			(void)close(b->fd);
			b->fd = -1;
		}
		res_session_post_dti(owner, client, ETA_ADMIN_SHARE, dti, item->gen);
	}
}

void client_on_claim(struct client *client, int fd)
{
	uint64_t cookie = 0;
	const struct res_share *share = NULL;

	if (client_opt_u64(fd, SO_COOKIE, &cookie))
		share = res_share_find(&client->ka->res, cookie);
	client_answer(client, share ? ETA_STATUS_NOT_CARRIED : ETA_STATUS_NOT_FOUND);
}
