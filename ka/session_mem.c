/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session gets after it began: segments, within its quota, and rings.
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ka/etad.h"

/* A segment for sending or receiving doubles with each one the session has, up to this. */
#define SESSION_SEG_BYTES_MAX (16u << 20)

void res_session_post(struct session *session, struct client *client, uint32_t core,
		const struct eta_admin_msg *msg)
{
	if (client)
		client_post(client, core, msg);
	else
		(void)irq_post(&session->ka->irq, core, msg, NULL, NULL);
}

/* ---- memory ---- */

static void session_on_received(void *arg, const struct eta_admin_msg *answer)
{
	struct session *session = arg;

	(void)answer;
	session->is_growing = false;
}

static struct mem_seg *session_seg(struct session *session, struct client *client,
		struct mem_plan *plan, enum eta_status *status)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_SEG_ADD, .session = session->number};
	struct ka *ka = session->ka;
	struct mem_seg *seg;

	*status = ETA_STATUS_QUOTA;
	if (session->segs_n >= ETA_SEGS_MAX ||
			session->bytes + plan->bytes > (uint64_t)ka->conf.session_mib_max << 20)
		return NULL;
	*status = ETA_STATUS_NO_MEMORY;
	plan->seg = (uint8_t)session->segs_n;
	plan->session = session->number;
	seg = mem_seg_create(&ka->mem, plan);
	if (!seg)
		return NULL;
	*status = ETA_STATUS_OK;
	session->seg[session->segs_n++] = seg;
	session->bytes += seg->bytes;
	msg.seg.seg = seg->geom.seg;
	msg.seg.kind = seg->geom.kind;
	msg.seg.core = seg->geom.core;
	msg.seg.dti_off = seg->geom.dti_off;
	msg.seg.dti_first = seg->geom.dti_first;
	msg.seg.dti_n = seg->geom.dti_n;
	msg.seg.meta_off = seg->geom.meta_off;
	msg.seg.chunk_off = seg->geom.chunk_off;
	msg.seg.chunk_pages = seg->geom.chunk_pages;
	msg.seg.base = seg->base;
	msg.seg.bytes = seg->geom.bytes;
	if (client)
		client_post(client, seg->geom.core, &msg);
	else
		session->is_growing = irq_post(&ka->irq, seg->geom.core, &msg, session_on_received,
						      session) == 0;
	return seg;
}

struct mem_seg *res_session_pair(struct session *session, struct client *client,
		struct mem_plan *plan, enum eta_status *status)
{
	struct mem_seg *al;

	plan->kind = ETA_SEG_AL;
	al = session_seg(session, client, plan, status);
	if (!al)
		return NULL;
	plan->kind = ETA_SEG_EN;
	/* Alone, the AL one stays as memory that nothing refers to until the session ends. */
	return session_seg(session, client, plan, status) ? al : NULL;
}

static uint64_t session_next_bytes(const struct session *session, uint8_t kind)
{
	uint64_t first = (uint64_t)session->ka->conf.segment_kib << 10, bytes = first;
	uint64_t quota = (uint64_t)session->ka->conf.session_mib_max << 20;

	for (uint32_t i = 0; i < session->segs_n && bytes < SESSION_SEG_BYTES_MAX; i++)
		if (session->seg[i]->geom.kind == kind)
			bytes *= 2;
	if (bytes > SESSION_SEG_BYTES_MAX)
		bytes = SESSION_SEG_BYTES_MAX;
	/* the end of the quota is served in smaller pieces, not refused */
	while (bytes > first && session->bytes + bytes > quota)
		bytes /= 2;
	return bytes;
}

struct mem_seg *res_session_grow_send(struct session *session, struct client *client, uint8_t core,
		enum eta_status *status)
{
	struct mem_plan plan = {.kind = ETA_SEG_AL,
			.core = core,
			.bytes = session_next_bytes(session, ETA_SEG_AL)};

	return session_seg(session, client, &plan, status);
}

struct mem_seg *res_session_grow_dtis(struct session *session, struct client *client, uint8_t core,
		enum eta_status *status)
{
	uint32_t max = (uint32_t)session->ka->conf.dtis_per_session_max;
	uint32_t n = max - session->dtis_n < MEM_DTIS_LATER ? max - session->dtis_n
							    : MEM_DTIS_LATER;
	struct mem_plan plan = {.core = core,
			.dti_first = session->dtis_n,
			.dti_n = n,
			.bytes = (uint64_t)session->ka->conf.segment_kib << 10};
	struct mem_seg *al;

	*status = ETA_STATUS_QUOTA;
	if (n == 0)
		return NULL;
	al = res_session_pair(session, client, &plan, status);
	if (al)
		session->dtis_n += n;
	return al;
}

void res_session_want_receive(struct session *session, uint8_t core)
{
	struct mem_plan plan = {.kind = ETA_SEG_EN,
			.core = core,
			.bytes = session_next_bytes(session, ETA_SEG_EN)};
	struct eta_ctl_notify_seg notify = {
			.hdr = {.type = ETA_CTL_NOTIFY_SEG}, .session = session->number};
	enum eta_status status;
	struct mem_seg *seg;

	if (session->is_growing ||
			(session->state != SESSION_LIVE && session->state != SESSION_ORPHAN))
		return;
	session->ka->stats.seg_wants++;
	seg = session_seg(session, NULL, &plan, &status);
	if (!seg) {
		if (!session->was_refused)
			log_warn("session number=%u pid=%d receive memory refused bytes=%llu reason=\"%s\"",
					session->number, session->pid,
					(unsigned long long)session->bytes,
					eta_status_text(status));
		session->was_refused = true;
		return;
	}
	session->was_refused = false;
	notify.seg = seg->geom;
	if (session->client)
		(void)client_send(session->client, &notify, sizeof(notify), NULL, 0);
}

/* ---- rings ---- */

static struct mem_seg *session_ring_seg(struct session *session, uint8_t kind, uint8_t core)
{
	for (uint32_t i = 0; i < session->segs_n; i++) {
		struct mem_seg *seg = session->seg[i];

		if (seg->geom.kind == kind && seg->geom.core == core &&
				seg->rings_n < seg->rings_max)
			return seg;
	}
	return NULL;
}

static int session_kick_fd(struct session *session, uint8_t core)
{
	if (session->kick_fd[core] < 0)
		session->kick_fd[core] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return session->kick_fd[core];
}

enum eta_status res_session_ring_add(struct session *session, struct client *client, uint8_t core,
		struct eta_ring_geom *geom, int *wake_fd)
{
	struct mem_plan plan = {.core = core,
			.rings_max = MEM_RINGS_LATER,
			.no_chunks = true,
			.bytes = MEM_RINGS_LATER *
				 (MEM_RING_ENTRIES * sizeof(struct eta_ring_slot) +
						 sizeof(struct eta_doorbell_credit))};
	struct eta_admin_msg msg = {.op = ETA_ADMIN_RING_ADD, .session = session->number};
	struct mem_seg *al = session_ring_seg(session, ETA_SEG_AL, core), *en;
	enum eta_status status = ETA_STATUS_OK;
	int fds[2];

	if (session->rings_n >= RES_RINGS_MAX ||
			session->rings_n >= (uint32_t)session->ka->conf.rings_per_session_max)
		return ETA_STATUS_QUOTA;
	plan.bytes = (plan.bytes + ETA_PAGE_BYTES - 1) / ETA_PAGE_BYTES * ETA_PAGE_BYTES;
	if (!al)
		al = res_session_pair(session, client, &plan, &status);
	en = session_ring_seg(session, ETA_SEG_EN, core);
	if (!al || !en)
		return status == ETA_STATUS_OK ? ETA_STATUS_NO_MEMORY : status;
	if (session_kick_fd(session, core) < 0 || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return ETA_STATUS_NO_MEMORY;
	if (mem_ring_place(al, en, (uint16_t)session->rings_n, geom) < 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		return ETA_STATUS_NO_MEMORY;
	}
	*wake_fd = fds[0];
	session->wake_fd[session->rings_n++] = fds[1];
	msg.ring.ring = geom->ring;
	msg.ring.seg_al = geom->seg_al;
	msg.ring.seg_en = geom->seg_en;
	msg.ring.doorbell_n = geom->doorbell_n;
	msg.ring.doorbell_off = geom->doorbell_off;
	msg.ring.doorbell_credit_off = geom->doorbell_credit_off;
	msg.ring.event_n = geom->event_n;
	msg.ring.event_off = geom->event_off;
	msg.ring.event_credit_off = geom->event_credit_off;
	msg.ring.wake_fd = fds[1];
	msg.ring.kick_fd = session->kick_fd[core];
	res_session_post(session, client, core, &msg);
	return ETA_STATUS_OK;
}
