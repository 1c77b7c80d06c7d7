/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bindings and shares: which DTI hangs on which kernel socket.
 */
#include "ka/res.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ka/etad.h"

static struct res_share **res_share_bucket(struct res *res, uint64_t cookie)
{
	return &res->share[(cookie * 0x9e3779b97f4a7c15ull >> 40) & (RES_SHARE_BUCKETS - 1)];
}

const struct res_share *res_share_find(const struct res *res, uint64_t cookie)
{
	const struct res_share *share = res->share[(cookie * 0x9e3779b97f4a7c15ull >> 40) &
						   (RES_SHARE_BUCKETS - 1)];

	while (share && share->cookie != cookie)
		share = share->next;
	return share;
}

struct res_binding *res_binding_find(const struct session *session, uint32_t dti, uint16_t gen)
{
	struct res_binding *b = session->bindings;

	while (b && !(b->dti == dti && b->gen == gen))
		b = b->next;
	return b;
}

struct res_binding *res_bind(struct session *session, const struct res_binding *want)
{
	struct res_binding *b = malloc(sizeof(*b));

	if (!b)
		return NULL;
	if (want->is_listen && own_listen_add(&session->ka->own, &want->addr, want->port_be,
					       want->is_v6only) < 0) {
		free(b);
		return NULL;
	}
	*b = *want;
	b->next = session->bindings;
	session->bindings = b;
	if (!session->ka->res.sweep.is_armed)
		loop_timer_arm(&session->ka->loop, &session->ka->res.sweep, RES_SWEEP_MS);
	return b;
}

void res_unbind(struct session *session, struct res_binding *binding)
{
	for (struct res_binding **at = &session->bindings; *at; at = &(*at)->next) {
		if (*at != binding)
			continue;
		*at = binding->next;
		if (binding->is_listen)
			own_listen_del(&session->ka->own, &binding->addr, binding->port_be,
					binding->is_v6only);
		if (binding->fd >= 0)
			(void)close(binding->fd);
		free(binding);
		return;
	}
}

/* Release bindings whose DTI went on to another use, or is free. Return: bindings left. */
static uint32_t res_sweep_session(struct session *session)
{
	struct res_binding *next;
	uint32_t n = 0;

	for (struct res_binding *b = session->bindings; b; b = next) {
		const struct eta_dti_en *en = res_session_dti_en(session, b->dti, NULL);

		next = b->next;
		/* Our own mapping of what the engine writes. Only an older use shows before the engine has answered. */
		if (b->is_known && en && (en->gen != b->gen || en->state == ETA_DTI_FREE))
			res_unbind(session, b);
		else
			n++;
	}
	return n;
}

static void res_on_sweep(void *arg)
{
	struct res *res = arg;
	uint32_t left = 0;

	for (uint32_t i = 1; i <= res->sessions_max; i++)
		if (res->session[i])
			left += res_sweep_session(res->session[i]);
	if (left > 0)
		loop_timer_arm(&res->ka->loop, &res->sweep, RES_SWEEP_MS);
}

/* ---- shares ---- */

enum eta_status res_share(
		struct session *owner, uint64_t cookie, uint32_t dti, uint16_t gen, bool is_shared)
{
	struct res *res = &owner->ka->res;
	struct res_share **bucket = res_share_bucket(res, cookie), *share = *bucket;

	while (share && share->cookie != cookie)
		share = share->next;
	if (share && (share->session != owner || share->dti != dti))
		return ETA_STATUS_INVALID;
	if (!share && owner->shares_n >= (uint32_t)owner->ka->conf.dtis_per_session_max)
		return ETA_STATUS_QUOTA;
	if (!share) {
		if (sockdiag_watch(&owner->ka->sockdiag, cookie) < 0)
			return ETA_STATUS_NO_MEMORY;
		share = calloc(1, sizeof(*share));
		if (!share) {
			sockdiag_unwatch(&owner->ka->sockdiag, cookie);
			return ETA_STATUS_NO_MEMORY;
		}
		*share = (struct res_share){.next = *bucket,
				.next_own = owner->shares,
				.session = owner,
				.cookie = cookie,
				.dti = dti};
		*bucket = share;
		owner->shares = share;
	}
	share->gen = gen;
	if (is_shared && !share->is_shared) {
		share->is_shared = true;
		owner->shares_n++;
	}
	return ETA_STATUS_OK;
}

static void res_share_free(struct res *res, struct res_share *share)
{
	struct res_share **at = res_share_bucket(res, share->cookie);

	while (*at && *at != share)
		at = &(*at)->next;
	if (*at)
		*at = share->next;
	at = &share->session->shares;
	while (*at && *at != share)
		at = &(*at)->next_own;
	if (*at)
		*at = share->next_own;
	share->session->shares_n -= share->is_shared;
	free(share);
}

void res_share_drop_all(struct session *session)
{
	while (session->shares) {
		sockdiag_unwatch(&session->ka->sockdiag, session->shares->cookie);
		res_share_free(&session->ka->res, session->shares);
	}
}

void res_cookie_gone(struct res *res, uint64_t cookie)
{
	struct res_share *share = *res_share_bucket(res, cookie);
	struct res_binding *binding;
	struct session *session;

	while (share && share->cookie != cookie)
		share = share->next;
	if (!share)
		return;
	session = share->session;
	res_session_post_dti(session, NULL, ETA_ADMIN_CLOSE, share->dti, share->gen);
	binding = res_binding_find(session, share->dti, share->gen);
	if (binding)
		res_unbind(session, binding);
	res_share_free(res, share);
	if (session->state == SESSION_ORPHAN && session->shares_n == 0)
		res_session_orphan_done(session);
}

int res_init(struct res *res, struct ka *ka, uint32_t sessions_max)
{
	memset(res, 0, sizeof(*res));
	res->ka = ka;
	res->sessions_max = sessions_max;
	res->session = calloc(sessions_max + 1, sizeof(struct session *));
	res->sweep = (struct loop_timer){.on_due = res_on_sweep, .arg = res};
	return res->session ? 0 : -ENOMEM;
}
