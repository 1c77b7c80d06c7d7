/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session's life: numbers, who inherits whom, and the order in which all it has is released.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ka/etad.h"

struct session *res_session_find(const struct res *res, uint32_t number)
{
	return number > 0 && number <= res->sessions_max ? res->session[number] : NULL;
}

struct session *res_session_of_pid(const struct res *res, pid_t pid)
{
	for (uint32_t i = 1; i <= res->sessions_max; i++) {
		struct session *s = res->session[i];

		if (s && s->pid == pid &&
				(s->state == SESSION_STARTING || s->state == SESSION_LIVE))
			return s;
	}
	return NULL;
}

bool res_session_lock_is_live(const struct res *res, uint32_t lock_id)
{
	for (uint32_t i = 1; i <= res->sessions_max; i++) {
		const struct session *s = res->session[i];

		if (s && s->lock_id == lock_id &&
				(s->state == SESSION_STARTING || s->state == SESSION_LIVE))
			return true;
	}
	return false;
}

struct session *res_session_reachable(const struct res *res, struct session *asker, uint32_t number)
{
	if (number == asker->number)
		return asker;
	for (uint32_t i = 0; i < asker->inherited_n; i++)
		if (asker->inherited[i] == number)
			return res_session_find(res, number);
	return NULL;
}

struct session *res_session_of_dti(const struct res *res, struct session *asker, uint32_t dti)
{
	uint32_t owner = ETA_DTI_OWNER(dti);
	struct session *s = asker;

	if (owner > asker->inherited_n)
		return NULL;
	if (owner > 0)
		s = res_session_find(res, asker->inherited[owner - 1]);
	if (!s || s->state == SESSION_ENDING || s->state == SESSION_DEAD ||
			ETA_DTI_INDEX(dti) >= s->dtis_n)
		return NULL;
	return s;
}

const struct eta_dti_en *res_session_dti_en(
		const struct session *session, uint32_t idx, uint8_t *core)
{
	for (uint32_t i = 0; i < session->segs_n; i++) {
		const struct mem_seg *seg = session->seg[i];

		if (seg->geom.kind != ETA_SEG_EN || idx < seg->geom.dti_first ||
				idx - seg->geom.dti_first >= seg->geom.dti_n)
			continue;
		if (core)
			*core = seg->geom.core;
		return (const struct eta_dti_en *)(seg->base + seg->geom.dti_off) +
		       (idx - seg->geom.dti_first);
	}
	return NULL;
}

void res_session_post_dti(struct session *session, struct client *client, uint16_t op, uint32_t dti,
		uint16_t gen)
{
	struct eta_admin_msg msg = {.op = op, .session = session->number};
	uint8_t core = 0;

	(void)res_session_dti_en(session, dti, &core);
	msg.dti.dti = dti;
	msg.dti.gen = gen;
	res_session_post(session, client, core, &msg);
}

/* ---- begin ---- */

static uint32_t session_free_number(struct res *res)
{
	for (uint32_t i = 0; i < res->sessions_max; i++) {
		uint32_t number = (res->number_last + i) % res->sessions_max + 1;

		if (!res->session[number])
			return number;
	}
	return 0;
}

static uint32_t session_count_uid(const struct res *res, uid_t uid)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= res->sessions_max; i++)
		n += res->session[i] && res->session[i]->uid == uid &&
		     res->session[i]->state != SESSION_DEAD;
	return n;
}

/* A forked child: its parent is owner 1, the parent's owners follow. */
static void session_inherit(struct session *session, struct session *parent)
{
	session->inherited[session->inherited_n++] = parent->number;
	for (uint32_t i = 0; i < parent->inherited_n && session->inherited_n < ETA_INHERIT_MAX; i++)
		session->inherited[session->inherited_n++] = parent->inherited[i];
	for (uint32_t i = 0; i < session->inherited_n; i++)
		session->ka->res.session[session->inherited[i]]->heirs_n++;
}

static void session_on_death(void *arg, uint32_t events);

static void session_tell(struct session *session, struct client *client)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_SESSION_ADD, .session = session->number};
	const struct conf *conf = &session->ka->conf;

	msg.session_add.dtis_max = (uint32_t)conf->dtis_per_session_max;
	msg.session_add.rcv_bytes_max = conf->session_mib_max >= 4096
							? UINT32_MAX
							: (uint32_t)conf->session_mib_max << 20;
	msg.session_add.inherited_n = session->inherited_n;
	memcpy(msg.session_add.inherited, session->inherited, sizeof(msg.session_add.inherited));
	msg.session_add.uid = session->uid;
	msg.session_add.pid = session->pid;
	for (uint32_t i = 0; i < session->ka->irq.cores_n; i++)
		res_session_post(session, client, i, &msg);
}

static struct session *session_new(struct res *res, struct client *client, enum eta_status *status)
{
	uint32_t number = session_free_number(res);
	struct session *session;

	*status = ETA_STATUS_QUOTA;
	if (number == 0 || session_count_uid(res, client->uid) >=
					   (uint32_t)res->ka->conf.sessions_per_uid_max)
		return NULL;
	*status = ETA_STATUS_NO_MEMORY;
	session = calloc(1, sizeof(*session));
	if (!session)
		return NULL;
	session->ka = res->ka;
	session->state = SESSION_STARTING;
	session->number = number;
	session->pid = client->pid;
	session->uid = client->uid;
	session->client = client;
	for (uint32_t i = 0; i < ETA_CORES_MAX; i++)
		session->kick_fd[i] = -1;
	res->lock_id_last = (res->lock_id_last + 1) & 0x7fffffffu;
	if (res->lock_id_last == 0)
		res->lock_id_last = 1;
	session->lock_id = res->lock_id_last;
	session->death = (struct loop_watch){.fd = client->pidfd,
			.events = EPOLLIN,
			.on_ready = session_on_death,
			.arg = session};
	if (loop_add(&res->ka->loop, &session->death) < 0) {
		free(session);
		return NULL;
	}
	client->pidfd = -1;
	res->session[number] = session;
	res->number_last = number;
	res->sessions_n++;
	*status = ETA_STATUS_OK;
	return session;
}

struct session *res_session_create(struct res *res, struct client *client,
		struct eta_ring_geom *geom, int *wake_fd, enum eta_status *status)
{
	uint32_t dtis_max = (uint32_t)res->ka->conf.dtis_per_session_max;
	struct mem_plan plan = {.dti_n = dtis_max < MEM_DTIS_FIRST ? dtis_max : MEM_DTIS_FIRST,
			.rings_max = MEM_RINGS_FIRST,
			.bytes = (uint64_t)res->ka->conf.segment_kib << 10};
	struct session *session = session_new(res, client, status);

	if (!session)
		return NULL;
	client->session = session;
	if (client->fork_parent) {
		struct session *parent = client->fork_parent;

		session_inherit(session, parent);
		client->fork_parent = NULL;
		parent->forks_n--;
		res_session_unref(parent);
	}
	session_tell(session, client);
	if (res_session_pair(session, client, &plan, status)) {
		session->dtis_n = plan.dti_n;
		*status = res_session_ring_add(session, client, 0, geom, wake_fd);
	}
	return *status == ETA_STATUS_OK ? session : NULL;
}

/* ---- end ---- */

/* Did the process leave by exit() rather than by a signal? Its status stands in /proc while it is a zombie; if it is reaped already, assume a signal. */
static bool session_left_by_exit(pid_t pid)
{
	char path[40], line[1024], *at;
	FILE *file;
	int field = 2;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	at = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	(void)fclose(file);
	/* Field 3 is the state, the last, 52, the wait status. */
	if (!at || at[1] != ' ' || at[2] != 'Z')
		return false;
	while (at && field < 52) {
		at = strchr(at + 1, ' ');
		field++;
	}
	return at && (strtoul(at, NULL, 10) & 0x7f) == 0;
}

static void session_on_death(void *arg, uint32_t events)
{
	struct session *session = arg;

	(void)events;
	res_session_end(session, session_left_by_exit(session->pid), "process ended");
}

static void session_maybe_free(struct session *session)
{
	struct res *res = &session->ka->res;

	if (session->state != SESSION_DEAD || session->heirs_n > 0)
		return;
	res->session[session->number] = NULL;
	res->sessions_n--;
	free(session);
}

void res_session_unref(struct session *session)
{
	session->heirs_n--;
	session_maybe_free(session);
}

/* The engine refers to nothing of it any more. */
static void session_release(struct session *session)
{
	struct ka *ka = session->ka;

	for (uint32_t i = 0; i < ETA_CORES_MAX; i++)
		if (session->kick_fd[i] >= 0)
			(void)close(session->kick_fd[i]);
	for (uint32_t i = 0; i < session->rings_n; i++)
		(void)close(session->wake_fd[i]);
	for (uint32_t i = 0; i < session->segs_n; i++)
		mem_seg_destroy(&ka->mem, session->seg[i]);
	session->segs_n = 0;
	session->rings_n = 0;
	session->dtis_n = 0;
	session->bytes = 0;
	session->state = SESSION_DEAD;
	ka->res.ended_n++;
	log_info("detach session=%u pid=%d", session->number, session->pid);
	session_maybe_free(session);
}

static void session_on_deleted(void *arg, const struct eta_admin_msg *answer)
{
	struct session *session = arg;

	(void)answer;
	if (--session->del_left == 0)
		session_release(session);
}

static void session_delete(struct session *session, bool orderly)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_SESSION_DEL, .session = session->number};
	uint32_t inherited_n = session->inherited_n;

	msg.session_add.orderly = orderly;
	session->state = SESSION_ENDING;
	res_share_drop_all(session);
	while (session->bindings)
		res_unbind(session, session->bindings);
	session->inherited_n = 0;
	for (uint32_t i = 0; i < inherited_n; i++)
		res_session_unref(session->ka->res.session[session->inherited[i]]);
	session->del_left = session->ka->irq.cores_n;
	for (uint32_t i = 0; i < session->ka->irq.cores_n; i++)
		(void)irq_post(&session->ka->irq, i, &msg, session_on_deleted, session);
}

static bool session_shares(const struct session *session, uint32_t dti, uint16_t gen)
{
	for (const struct res_share *s = session->shares; s; s = s->next_own)
		if (s->is_shared && s->dti == dti && s->gen == gen)
			return true;
	return false;
}

static void session_orphan(struct session *session)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_SESSION_ORPHAN, .session = session->number};
	struct res_binding *next;

	session->state = SESSION_ORPHAN;
	session->ka->res.orphaned_n++;
	for (struct res_binding *b = session->bindings; b; b = next) {
		next = b->next;
		if (!session_shares(session, b->dti, b->gen))
			res_unbind(session, b);
	}
	irq_post_all(&session->ka->irq, &msg);
}

void res_session_orphan_done(struct session *session)
{
	session_delete(session, true);
}

void res_session_end(struct session *session, bool orderly, const char *why)
{
	struct client *client = session->client;
	bool was_attached = session->state == SESSION_STARTING || session->state == SESSION_LIVE;

	if (was_attached) {
		loop_del(&session->ka->loop, &session->death);
		(void)close(session->death.fd);
	}
	session->client = NULL;
	if (client) {
		client->session = NULL;
		client_drop(client);
	}
	log_debug("end session=%u pid=%d orderly=%d why=\"%s\"", session->number, session->pid,
			orderly, why);
	if (was_attached && session->shares_n > 0)
		session_orphan(session);
	else if (was_attached || session->state == SESSION_ORPHAN)
		session_delete(session, orderly);
}

void res_fini(struct res *res)
{
	if (!res->session)
		return;
	loop_timer_disarm(&res->ka->loop, &res->sweep);
	for (uint32_t i = 1; i <= res->sessions_max; i++) {
		struct session *s = res->session[i];

		if (!s)
			continue;
		/* The engine is gone: nobody refers to it. */
		if (s->state == SESSION_STARTING || s->state == SESSION_LIVE) {
			loop_del(&res->ka->loop, &s->death);
			(void)close(s->death.fd);
		}
		res_share_drop_all(s);
		while (s->bindings)
			res_unbind(s, s->bindings);
		s->heirs_n = UINT32_MAX;
		session_release(s);
		res->session[i] = NULL;
		free(s);
	}
	free(res->session);
	res->session = NULL;
}
