/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model application: AL's side of the contract, as plainly as possible. See the header.
 */
#include "test/lib/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "test/lib/model_int.h"

void model_wrong(struct model *m, const char *what, uint32_t a, uint32_t b)
{
	if (m->error[0] == '\0')
		snprintf(m->error, sizeof(m->error), "%s (%u, %u)", what, a, b);
}

const char *model_error(const struct model *m)
{
	return m->error[0] ? m->error : NULL;
}

/* ---- handles ---- */

uint32_t model_en_word(const struct model_conn *c)
{
	return eta_load_acquire_u32(ETA_DTI_WORD(c->en));
}

static struct eta_dti_al *al_of(const struct model *m, uint32_t dti)
{
	return (struct eta_dti_al *)(void *)(m->seg[0].base + m->seg[0].dti_off) + dti;
}

static const struct eta_dti_en *en_of(const struct model *m, uint32_t dti)
{
	return (const struct eta_dti_en *)(const void *)(m->seg[1].base + m->seg[1].dti_off) + dti;
}

struct model_conn *model_conn_new(struct model *m, struct model *owner, uint32_t dti)
{
	struct model_conn *c = model_must(calloc(1, sizeof(*c)));
	uint32_t k = 0;

	c->m = m;
	c->owner = owner;
	c->dti = dti;
	c->al = al_of(owner, dti);
	c->en = en_of(owner, dti);
	c->cur_chunk = ETA_CHUNK_NONE;
	c->next = m->conns;
	m->conns = c;
	if (owner != m) {
		while (k < m->inherited_n && m->inherited[k] != owner)
			k++;
		c->number = ETA_DTI_MAKE(k + 1, dti);
		c->gen = (uint16_t)model_en_word(c);
		return c;
	}
	c->number = ETA_DTI_MAKE(0, dti);
	c->gen = (uint16_t)(c->al->gen + 1);
	memset(c->al, 0, sizeof(*c->al));
	c->al->chunk = c->al->sq_chunk = c->al->rq_chunk = ETA_CHUNK_NONE;
	c->al->gen = c->gen;
	m->by_dti[dti] = c;
	return c;
}

void model_release(struct model_conn *c)
{
	struct model *m = c->m;

	if (c->is_released)
		return;
	c->is_released = true;
	model_drop_chunks(c);
	if (c->owner != m)
		return;
	m->by_dti[c->dti] = NULL;
	m->free_dti[(m->free_head + m->free_n++) % m->conf.dtis_n] = c->dti;
}

const struct eta_dti_en *model_en(const struct model_conn *c)
{
	return c->en;
}

struct eta_dti_al *model_al(struct model_conn *c)
{
	return c->al;
}

uint32_t model_dti(const struct model_conn *c)
{
	return c->number;
}

uint16_t model_gen(const struct model_conn *c)
{
	return c->gen;
}

uint8_t model_state(const struct model_conn *c)
{
	uint32_t word = model_en_word(c);

	if ((uint16_t)word != c->gen)
		return c->is_master ? ETA_DTI_FREE : ETA_DTI_CONNECTING;
	return (uint8_t)(word >> 16);
}

uint8_t model_status(const struct model_conn *c)
{
	return (uint8_t)(model_en_word(c) >> 24);
}

bool model_is_free(const struct model_conn *c)
{
	uint32_t word = model_en_word(c);

	return (uint16_t)word == c->gen && (uint8_t)(word >> 16) == ETA_DTI_FREE;
}

uint32_t model_events(const struct model_conn *c, uint8_t flag)
{
	return c->seen[__builtin_ctz(flag) & 7];
}

/* ---- doorbells ---- */

bool model_ring(struct model *m, const struct eta_doorbell *db)
{
	uint32_t head = eta_load_acquire_u32(&m->db.credit->head);
	uint64_t w[4];

	if (head - m->db_head_seen > m->db.tail - m->db_head_seen)
		model_wrong(m, "doorbell credit left the ring", head, m->db.tail);
	m->db_head_seen = head;
	memcpy(w, db, sizeof(w));
	if (!eta_ring_push(&m->db, w))
		return false;
	eta_fence_store_load();
	if (m->kick_fd >= 0 && eta_load_relaxed_u32(&m->db_credit->polled) == 0) {
		uint64_t one = 1;

		if (write(m->kick_fd, &one, sizeof(one)) < 0)
			return true;
	}
	return true;
}

void model_ring_op(struct model_conn *c, uint8_t op, uint32_t arg0, uint32_t arg1)
{
	struct eta_doorbell db = {
			.dti = c->number,
			.gen = c->gen,
			.op = op,
			.snd_tail = c->snd_tail,
			.rcv_head = c->rcv_head,
			.arg0 = arg0,
			.arg1 = arg1,
	};

	if (c->m->is_dead)
		return;
	if (c->is_db_owed || !model_ring(c->m, &db)) {
		/* the newest of each kind matters: counters are in every entry, and the ends come last */
		if (!c->is_db_owed || (op & ETA_DB_OP_MASK) != ETA_DB_DATA) {
			c->db_owed = op;
			c->owed_arg[0] = arg0;
			c->owed_arg[1] = arg1;
		}
		c->is_db_owed = true;
	}
}

static void ring_owed(struct model_conn *c)
{
	uint8_t op = c->db_owed;

	c->is_db_owed = false;
	model_ring_op(c, op, c->owed_arg[0], c->owed_arg[1]);
}

/* ---- sending ---- */

struct eta_chunk_meta *model_snd_meta(struct model *m, uint32_t chunk)
{
	return (struct eta_chunk_meta *)(void *)(m->seg[0].base + m->seg[0].meta_off) +
	       ETA_CHUNK_PAGE(chunk);
}

static uint8_t *snd_bytes(const struct model *m, uint32_t chunk)
{
	return m->seg[0].base + m->seg[0].chunk_off +
	       (uint64_t)ETA_CHUNK_PAGE(chunk) * ETA_PAGE_BYTES;
}

static uint32_t page_take(struct model *m, uint32_t order)
{
	uint32_t n = 1u << order;

	for (uint32_t p = 0; p + n <= m->conf.snd_pages; p += n) {
		uint32_t k = 0;

		while (k < n && !m->page_used[p + k])
			k++;
		if (k < n)
			continue;
		memset(&m->page_used[p], 1, n);
		return ETA_CHUNK_MAKE(0, p);
	}
	return ETA_CHUNK_NONE;
}

static void chunk_pop(struct model_conn *c)
{
	struct model_chunk *k = c->first;
	struct model *o = c->owner;

	c->first = k->next;
	if (!c->first)
		c->last = NULL;
	eta_store_release_u32(&c->al->chunk, c->first ? c->first->chunk : ETA_CHUNK_NONE);
	eta_store_release_u32(&model_snd_meta(o, k->chunk)->dti, ETA_DTI_NONE);
	memset(&o->page_used[ETA_CHUNK_PAGE(k->chunk)], 0, 1u << k->order);
	/* whoever reads it now sees rubbish */
	memset(snd_bytes(o, k->chunk), 0xdb, ETA_CHUNK_BYTES(k->order));
	free(k);
}

void model_drop_chunks(struct model_conn *c)
{
	while (c->first)
		chunk_pop(c);
}

static bool chunk_push(struct model_conn *c)
{
	struct model *o = c->owner;
	uint32_t order = o->conf.chunk_order;
	uint32_t chunk = page_take(o, order);
	struct eta_chunk_meta *meta;
	struct model_chunk *k;

	if (chunk == ETA_CHUNK_NONE)
		return false;
	k = model_must(calloc(1, sizeof(*k)));
	k->chunk = chunk;
	k->off = c->snd_tail;
	k->order = order;
	meta = model_snd_meta(o, chunk);
	meta->next = ETA_CHUNK_NONE;
	meta->off = k->off;
	meta->gen = c->gen;
	meta->order = (uint8_t)order;
	eta_store_release_u32(&meta->dti, c->dti);
	if (c->last) {
		eta_store_release_u32(&model_snd_meta(o, c->last->chunk)->next, chunk);
		c->last->next = k;
	} else {
		eta_store_release_u32(&c->al->chunk, chunk);
		c->first = k;
	}
	c->last = k;
	return true;
}

/* What the engine has acknowledged is ours again. */
static void reclaim(struct model_conn *c)
{
	uint32_t una = eta_load_acquire_u32(&c->en->snd_una);

	if ((uint16_t)model_en_word(c) != c->gen)
		return;
	if (una - c->snd_una > c->snd_tail - c->snd_una) {
		model_wrong(c->m, "snd_una left its window", una, c->snd_tail);
		return;
	}
	c->snd_una = una;
	while (c->first &&
			!eta_counter_after(c->first->off + ETA_CHUNK_BYTES(c->first->order), una))
		chunk_pop(c);
	/* now and then a drained chunk goes before it is full, as a sweep of idle connections would do it */
	if (c->first && una == c->snd_tail && c->first == c->last && (una & 3) == 1)
		chunk_pop(c);
}

static uint32_t chunk_room(const struct model_conn *c)
{
	return c->last ? c->last->off + ETA_CHUNK_BYTES(c->last->order) - c->snd_tail : 0;
}

size_t model_send(struct model_conn *c, const void *data, size_t len)
{
	uint32_t limit, room, done = 0;

	if (c->is_shut || c->is_closed || c->m->is_dead || model_state(c) == ETA_DTI_CLOSED)
		return 0;
	reclaim(c);
	limit = eta_load_relaxed_u32(&c->en->snd_limit);
	if (limit > ETA_STREAM_BYTES_MAX)
		model_wrong(c->m, "snd_limit is larger than a stream", limit, 0);
	room = c->snd_tail - c->snd_una < limit ? limit - (c->snd_tail - c->snd_una) : 0;
	if (len > room)
		len = room;
	while (done < len) {
		uint32_t n = chunk_room(c);

		if (n == 0 && !chunk_push(c))
			break;
		n = chunk_room(c);
		n = n < len - done ? n : (uint32_t)len - done;
		memcpy(snd_bytes(c->owner, c->last->chunk) + (c->snd_tail - c->last->off),
				(const uint8_t *)data + done, n);
		c->snd_tail += n;
		done += n;
	}
	if (done == 0 && c->is_want_write)
		return 0;
	eta_store_release_u32(&c->al->snd_tail, c->snd_tail);
	c->is_want_write = done == 0;
	model_ring_op(c, ETA_DB_DATA | (done == 0 ? ETA_DB_WANT_WRITE : 0), 0, 0);
	return done;
}

bool model_is_acked(const struct model_conn *c)
{
	return eta_load_acquire_u32(&c->en->snd_una) == c->snd_tail;
}

/* ---- receiving ---- */

static const struct eta_chunk_meta *rcv_meta(const struct model_conn *c, uint32_t chunk)
{
	uint32_t seg = ETA_CHUNK_SEG(chunk);
	const struct model_seg *g = &c->owner->seg[seg];

	if ((chunk >> 28) != 0 || seg >= c->owner->seg_n || g->kind != ETA_SEG_EN ||
			ETA_CHUNK_PAGE(chunk) >= g->chunk_pages) {
		model_wrong(c->m, "receive chunk is nowhere", chunk, seg);
		return NULL;
	}
	return (const struct eta_chunk_meta *)(const void *)(g->base + g->meta_off) +
	       ETA_CHUNK_PAGE(chunk);
}

static const uint8_t *rcv_bytes(const struct model_conn *c, uint32_t chunk)
{
	const struct model_seg *g = &c->owner->seg[ETA_CHUNK_SEG(chunk)];

	return g->base + g->chunk_off + (uint64_t)ETA_CHUNK_PAGE(chunk) * ETA_PAGE_BYTES;
}

static bool cursor_holds(const struct model_conn *c)
{
	const struct eta_chunk_meta *m;

	if (c->cur_chunk == ETA_CHUNK_NONE)
		return false;
	m = rcv_meta(c, c->cur_chunk);
	return m && m->dti == c->dti && m->gen == c->gen && m->off == c->cur_off &&
	       m->order == c->cur_order;
}

static bool cursor_set(struct model_conn *c, uint32_t chunk)
{
	const struct eta_chunk_meta *m = chunk == ETA_CHUNK_NONE ? NULL : rcv_meta(c, chunk);

	if (!m || m->dti != c->dti || m->gen != c->gen) {
		model_wrong(c->m, "announced bytes lie in no chunk of the DTI", chunk, c->rcv_head);
		return false;
	}
	c->cur_chunk = chunk;
	c->cur_off = m->off;
	c->cur_order = m->order;
	return true;
}

/* The chunk of the byte at rcv_head. */
static bool cursor_find(struct model_conn *c)
{
	if (!cursor_holds(c) && !cursor_set(c, eta_load_acquire_u32(&c->en->chunk)))
		return false;
	for (uint32_t i = 0; i < ETA_STREAM_CHUNKS_MAX; i++) {
		uint32_t at = c->rcv_head - c->cur_off;

		if (at < ETA_CHUNK_BYTES(c->cur_order))
			return true;
		if (at > ETA_STREAM_BYTES_MAX ||
				!cursor_set(c, eta_load_acquire_u32(
							       &rcv_meta(c, c->cur_chunk)->next)))
			break;
	}
	model_wrong(c->m, "rcv_head is in no chunk", c->rcv_head, c->cur_off);
	return false;
}

static void refresh(struct model_conn *c)
{
	uint32_t tail = eta_load_acquire_u32(&c->en->rcv_tail);

	if ((uint16_t)model_en_word(c) != c->gen || model_state(c) == ETA_DTI_FREE)
		return;
	if (tail - c->rcv_tail > ETA_STREAM_BYTES_MAX)
		model_wrong(c->m, "rcv_tail moved back", tail, c->rcv_tail);
	else
		c->rcv_tail = tail;
}

size_t model_readable(const struct model_conn *c)
{
	uint32_t tail = eta_load_acquire_u32(&c->en->rcv_tail);

	if (c->is_closed || (uint16_t)model_en_word(c) != c->gen || model_state(c) == ETA_DTI_FREE)
		return 0;
	return tail - c->rcv_head;
}

size_t model_recv(struct model_conn *c, void *data, size_t len)
{
	size_t done = 0;

	if (c->is_closed || c->m->is_dead)
		return 0;
	refresh(c);
	if (len > c->rcv_tail - c->rcv_head)
		len = c->rcv_tail - c->rcv_head;
	while (done < len && cursor_find(c)) {
		uint32_t at = c->rcv_head - c->cur_off;
		size_t n = ETA_CHUNK_BYTES(c->cur_order) - at;

		n = n < len - done ? n : len - done;
		memcpy((uint8_t *)data + done, rcv_bytes(c, c->cur_chunk) + at, n);
		done += n;
		c->rcv_head += (uint32_t)n;
	}
	if (done == 0)
		return 0;
	eta_store_release_u32(&c->al->rcv_head, c->rcv_head);
	if (!eta_counter_after(eta_load_acquire_u32(&c->en->ring_at), c->rcv_head))
		model_ring_op(c, ETA_DB_DATA, 0, 0);
	return done;
}

bool model_is_eof(const struct model_conn *c)
{
	return (eta_load_acquire_u32(&c->en->flags) & ETA_EV_RD_CLOSED) && model_readable(c) == 0 &&
	       (uint16_t)model_en_word(c) == c->gen;
}

/* ---- ending ---- */

void model_shut_wr(struct model_conn *c)
{
	if (c->is_shut || c->is_closed)
		return;
	c->is_shut = true;
	c->al->shut_at = c->snd_tail;
	eta_store_release_u32(&c->al->wants, c->al->wants | ETA_WANT_SHUT_WR);
	model_ring_op(c, ETA_DB_SHUT_WR, c->snd_tail, 0);
}

static void end(struct model_conn *c, uint32_t want, uint8_t op)
{
	if (c->is_closed)
		return;
	c->is_closed = true;
	eta_store_release_u32(&c->al->wants, c->al->wants | want);
	model_ring_op(c, op, 0, 0);
}

void model_close(struct model_conn *c)
{
	end(c, ETA_WANT_CLOSE, ETA_DB_CLOSE);
}

void model_abort(struct model_conn *c)
{
	end(c, ETA_WANT_ABORT, ETA_DB_ABORT);
}

/* ---- accepting ---- */

/* Post what is owed, as runs of consecutive DTIs. */
static void post_children(struct model_conn *master)
{
	struct model *m = master->m;

	while (master->children_owed > 0 && m->free_n > 0) {
		uint32_t first = m->free_dti[m->free_head];
		uint32_t n = 0;
		struct eta_doorbell db = {.dti = master->number,
				.gen = master->gen,
				.op = ETA_DB_CHILD,
				.arg0 = first};

		if (eta_ring_room(&m->db, 1) == 0)
			return;
		while (n < 256 && n < master->children_owed && m->free_n > 0 &&
				m->free_dti[m->free_head] == first + n) {
			struct model_conn *c = model_conn_new(m, m, first + n);

			c->is_child = true;
			m->free_head = (m->free_head + 1) % m->conf.dtis_n;
			m->free_n--;
			n++;
		}
		db.arg1 = n;
		(void)model_ring(m, &db);
		master->children_owed -= n;
	}
}

static void accept_event(struct model *m, struct model_conn *master, const struct eta_event *ev)
{
	struct model_conn *c;

	if (ev->arg == ETA_DTI_NONE)
		return; /* some wait: model_accept() looks at accept_n */
	c = ETA_DTI_OWNER(ev->arg) == 0 && ev->arg < m->conf.dtis_n ? m->by_dti[ev->arg] : NULL;
	if (!c || c->gen != ev->arg_gen || !c->is_child || c->is_queued) {
		model_wrong(m, "ACCEPT names no child of ours", ev->arg, ev->arg_gen);
		return;
	}
	c->is_queued = true;
	if (master->accept_last)
		master->accept_last->accept_next = c;
	else
		master->accept_first = c;
	master->accept_last = c;
}

struct model_conn *model_accept(struct model_conn *master)
{
	struct model_conn *c = master->accept_first;
	uint32_t waiting = eta_load_acquire_u32(&master->en->accept_n);

	if (master->m->is_dead || master->is_closed)
		return NULL;
	if (!c) {
		if (waiting > 0 && model_state(master) == ETA_DTI_LISTENING)
			model_ring_op(master, ETA_DB_TAKE, waiting, 0);
		return NULL;
	}
	master->accept_first = c->accept_next;
	if (!master->accept_first)
		master->accept_last = NULL;
	c->is_accepted = true;
	model_ring_op(c, ETA_DB_ACCEPTED, 0, MODEL_MASK);
	return c;
}

/* ---- events ---- */

static struct model_conn *conn_find(struct model *m, uint32_t number)
{
	if (ETA_DTI_OWNER(number) == 0)
		return ETA_DTI_INDEX(number) < m->conf.dtis_n ? m->by_dti[ETA_DTI_INDEX(number)]
							      : NULL;
	for (struct model_conn *c = m->conns; c; c = c->next)
		if (c->number == number && !c->is_released)
			return c;
	return NULL;
}

static void event_take(struct model *m, const struct eta_event *ev)
{
	struct model_conn *c = conn_find(m, ev->dti);

	if (ev->status == ETA_STATUS_QUOTA && ev->flags == 0)
		return;
	/* released since, or the use before */
	if (!c || c->gen != ev->gen)
		return;
	for (uint32_t i = 0; i < 8; i++)
		c->seen[i] += (ev->flags >> i) & 1;
	if (ev->flags & ETA_EV_WRITE)
		c->is_want_write = false;
	if (ev->flags & ETA_EV_ACCEPT)
		accept_event(m, c, ev);
	if (c->is_master || (ev->flags & ETA_EV_FREE))
		return;
	if (eta_counter_after(ev->snd_una, c->snd_tail))
		model_wrong(m, "an event acknowledges what was not sent", ev->snd_una, c->snd_tail);
	if (ev->state > ETA_DTI_MOVED || ev->status >= ETA_STATUS_N)
		model_wrong(m, "an event has no meaning", ev->state, ev->status);
}

/* A posted child that the engine gave back. */
static void children_back(struct model *m)
{
	for (uint32_t i = 0; i < m->conf.dtis_n; i++) {
		struct model_conn *c = m->by_dti[i];

		if (c && c->is_child && !c->is_queued && !c->is_accepted && model_is_free(c))
			model_release(c);
	}
}

uint32_t model_poll(struct model *m)
{
	uint64_t w[4];
	uint32_t n = 0;

	if (m->is_dead)
		return 0;
	while (!m->is_held && eta_ring_pop(&m->ev, w)) {
		struct eta_event ev;

		memcpy(&ev, w, sizeof(ev));
		event_take(m, &ev);
		n++;
	}
	eta_ring_publish_credit(&m->ev);
	for (struct model_conn *c = m->conns; c; c = c->next) {
		if (c->is_released)
			continue;
		if (c->is_connect_pending && model_ka_status(m->ka, c->cookie) >= 0) {
			c->is_connect_pending = false;
			model_ring_op(c, ETA_DB_CONNECT, 0, MODEL_MASK);
		}
		if (c->is_db_owed)
			ring_owed(c);
		if (c->is_master && c->children_owed > 0 && model_state(c) == ETA_DTI_LISTENING)
			post_children(c);
		if (c->is_master && c->is_closed)
			m->has_orphans = true;
	}
	if (m->has_orphans)
		children_back(m);
	return n;
}

/* ---- for hostile tests ---- */

void model_arm(struct model *m)
{
	if (++m->arming == 0)
		m->arming = 1;
	eta_store_relaxed_u32(&m->ev_credit->armed, m->arming);
	eta_fence_store_load();
}

void model_disarm(struct model *m)
{
	char drain[64];

	eta_store_relaxed_u32(&m->ev_credit->armed, 0);
	while (read(m->wake[0], drain, sizeof(drain)) > 0)
		;
}

int model_wake_fd(const struct model *m)
{
	return m->wake[0];
}

int model_kick_fd(const struct model *m)
{
	return m->kick_fd;
}

void model_hold_events(struct model *m, bool hold)
{
	m->is_held = hold;
}
