/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TCP calls up (tcp_up.h), answered by a model that holds TCP to its word.
 */
#include "test/sim/tcp_world_up.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "engine/tcp/seq.h"
#include "engine/tcp/tcp_int.h"

const uint8_t world_phantom[WORLD_PAYLOAD_BYTES_MAX];

static void segment_put(struct core *host, const struct ip_tuple *tuple,
		const struct tcp_txseg *seg, struct user *u, uint32_t done, uint32_t len,
		bool last);
/* ---- contexts ---- */

struct tcp_ctx *world_ctx_take(struct core *host, struct conn *conn)
{
	uint32_t i;

	for (i = 2; i < host->ctx_n; i++) {
		struct tcp_ctx *ctx = &host->ctx[i];

		if (host->conn_of[i] != 0)
			continue;
		memset(ctx, 0, sizeof(*ctx));
		ctx->idx = i;
		host->conn_of[i] = (uint32_t)(conn - host->world->conn) + 1;
		host->ctx_used++;
		conn->user[host->side].ctx_idx = i;
		return ctx;
	}
	return NULL;
}

struct tcp_ctx *world_ctx_find(struct core *host, const struct ip_tuple *tuple)
{
	uint16_t port = ntohs(host->side == 0 ? tuple->lport_be : tuple->rport_be);
	uint32_t i = port - WORLD_PORT_FIRST;

	if (i >= host->world->conn_n || host->world->conn[i].user[host->side].ctx_idx == 0)
		return NULL;
	return &host->ctx[host->world->conn[i].user[host->side].ctx_idx];
}

void world_too_big(struct core *host, struct tcp_ctx *ctx, uint32_t seq, uint16_t mss)
{
	if (mss < TCP_MSS_DEFAULT_V4)
		mss = TCP_MSS_DEFAULT_V4;
	if (mss < ctx->mss_path && tcp_icmp_is_credible(ctx, seq))
		tcp_mss_changed(&host->st, host, ctx, mss, host->world->now_us);
}

void world_tuple(const struct world *w, const struct conn *conn, int side, struct ip_tuple *tuple)
{
	struct ip_addr a = ip_addr_from_v4(htonl(0x0a000001)),
		       b = ip_addr_from_v4(htonl(0x0a000002));
	uint16_t pa = htons(conn->port), pb = htons(WORLD_PORT_SERVER);

	(void)w;
	tuple->laddr = side == 0 ? a : b;
	tuple->raddr = side == 0 ? b : a;
	tuple->lport_be = side == 0 ? pa : pb;
	tuple->rport_be = side == 0 ? pb : pa;
}

/*
 * A late duplicate of a SYN finds no place; a lack of embryos is answered by a cookie, or not. A cookie only where the client has
 * something to say: if its ACK is lost, a client that listens waits for ever (RFC 4987 3.6).
 */
enum tcp_room tcp_up_room(struct core *env, struct tcp_ctx *master, const struct ip_tuple *tuple)
{
	struct world *w = env->world;
	uint32_t i = (uint32_t)ntohs(tuple->rport_be) - WORLD_PORT_FIRST;

	(void)master;
	if (i >= w->conn_n || w->conn[i].user[1].is_known)
		return TCP_ROOM_NONE;
	if (rnd_ppm(&w->rnd, w->conf.embryo_refuse_ppm))
		return w->conn[i].user[0].tx_total && !w->conn[i].is_mutual && rnd_below(&w->rnd, 4)
				       ? TCP_ROOM_FULL
				       : TCP_ROOM_NONE;
	return TCP_ROOM_EMBRYO;
}

struct tcp_ctx *tcp_up_embryo(
		struct core *env, struct tcp_ctx *master, const struct ip_tuple *tuple)
{
	struct world *w = env->world;
	uint32_t i = (uint32_t)ntohs(tuple->rport_be) - WORLD_PORT_FIRST;

	if (master->idx != env->listener)
		world_fail(w, "an embryo of something that does not listen");
	if (i >= w->conn_n || w->conn[i].user[1].is_known)
		return NULL;
	if (w->conn[i].user[1].ctx_idx != 0) {
		world_fail(w, "a second embryo for one tuple");
		return NULL;
	}
	if (w->conf.isn_near_wrap && !env->st.isn_min_valid) {
		const struct tcp_env e = {.stack = &env->st};

		(void)tcp_conn_iss(&e, tuple, &env->st.isn_min_for);
		env->st.isn_min = 0u - rnd_below(&w->rnd, 40000);
		env->st.isn_min_valid = true;
	}
	w->conn[i].user[1].is_freed = false;
	return world_ctx_take(env, &w->conn[i]);
}

bool tcp_up_accept(struct core *env, struct tcp_ctx *ctx)
{
	struct world *w = env->world;
	struct user *u = world_ctx_user(env, ctx);

	if (u == NULL || u->is_known) {
		world_fail(w, "accept said twice, or of no embryo");
		return false;
	}
	if (u->refusals < 8 && rnd_ppm(&w->rnd, w->conf.accept_refuse_ppm)) {
		u->refusals++;
		return false;
	}
	world_trace(w, "B conn %u accepted", env->conn_of[ctx->idx] - 1);
	u->is_known = u->is_open = u->poked = true;
	return true;
}

void tcp_up_free(struct core *env, struct tcp_ctx *ctx)
{
	struct world *w = env->world;
	struct user *u = world_ctx_user(env, ctx);

	if (u == NULL || u->ctx_idx != ctx->idx) {
		world_fail(w, "free said twice, or of no context");
		return;
	}
	if (ctx->state != TCP_STATE_UNUSED || ctx->wheel_slot != 0 || (ctx->flags & TCP_CTX_LISTED))
		world_fail(w, "a freed context is still in state %u or on a list", ctx->state);
	if (u->is_known && !u->is_closed)
		world_fail(w, "free said before closed");
	world_trace(w, "%c conn %u free", 'A' + env->side, env->conn_of[ctx->idx] - 1);
	env->conn_of[ctx->idx] = 0;
	env->ctx_used--;
	u->ctx_idx = 0;
	u->is_freed = true;
	u->snd_edge_valid = u->adv_valid = false;
	memset(ctx, 0xa5, sizeof(*ctx)); /* not to be touched afterwards */
	ctx->state = TCP_STATE_UNUSED;
	ctx->flags = 0;
	ctx->wheel_slot = 0;
	ctx->sent_log = ctx->ooo_ext = 0;
	ctx->idx = 0;
}

struct user *world_ctx_user(struct core *host, const struct tcp_ctx *ctx)
{
	uint32_t conn = ctx->idx < host->ctx_n ? host->conn_of[ctx->idx] : 0;

	return conn != 0 && conn <= host->world->conn_n
			       ? &host->world->conn[conn - 1].user[host->side]
			       : NULL;
}

/* ---- bytes in ---- */

/* Return: bytes of @data that are right, from the front. */
static uint32_t content_judge(const struct core *host, const struct user *u, uint32_t off,
		const uint8_t *data, uint32_t len)
{
	uint64_t is, want;

	if (host->world->conf.hostile_peer)
		return len;
	if (!host->world->conf.phantom)
		return content_match(u->key_rx, off, data, len);
	is = host->rx_off64 + (uint64_t)(data - world_phantom);
	want = u->rcv_tail64 + (uint64_t)(int64_t)(int32_t)(off - u->rcv_tail);
	return is == want ? len : 0;
}

void world_placed_set(struct user *u, uint32_t off, uint32_t len, uint8_t to)
{
	uint32_t cap = u->rcv_cap_bytes, at = off % cap;
	uint32_t first = len < cap - at ? len : cap - at;

	memset(u->placed + at, to, first);
	memset(u->placed, to, len - first);
}

/* Return: how many of @len bytes from @off on are placed, from the front. */
static uint32_t placed_run(const struct user *u, uint32_t off, uint32_t len)
{
	uint32_t cap = u->rcv_cap_bytes, at = off % cap;
	uint32_t first = len < cap - at ? len : cap - at;
	const uint8_t *gap = memchr(u->placed + at, 0, first);

	if (gap != NULL)
		return (uint32_t)(gap - u->placed) - at;
	gap = memchr(u->placed, 0, len - first);
	return gap != NULL ? first + (uint32_t)(gap - u->placed) : len;
}

uint32_t tcp_up_place(struct core *env, struct tcp_ctx *ctx, uint32_t off, const uint8_t *data,
		uint32_t len)
{
	struct world *w = env->world;
	struct user *u = world_ctx_user(env, ctx);
	uint32_t right;

	if (u == NULL) {
		world_fail(w, "place without a connection");
		return 0;
	}
	right = content_judge(env, u, off, data, len);
	if (right != len)
		world_fail(w, "%c conn %u: wrong byte placed at stream offset %u", 'A' + env->side,
				env->conn_of[ctx->idx] - 1, off + right);
	/* rcv_adv, not what has left: an advertisement that found no buffer was made nevertheless. */
	if (seq_lt(off, u->rcv_tail) || seq_gt(off + len, tcp_rcv_off(ctx, ctx->rcv_adv))) {
		world_fail(w, "%c conn %u: bytes %u..%u placed outside the window %u..%u",
				'A' + env->side, env->conn_of[ctx->idx] - 1, off, off + len,
				u->rcv_tail, tcp_rcv_off(ctx, ctx->rcv_adv));
		return 0;
	}
	/* What a SYN-ACK promised before there was a user may be more than he has. */
	if (off - u->rcv_head >= u->rcv_cap_bytes)
		return 0;
	if (off + len - u->rcv_head > u->rcv_cap_bytes)
		len = u->rcv_cap_bytes - (off - u->rcv_head);
	if (rnd_ppm(&w->rnd, w->conf.place_short_ppm))
		len = rnd_below(&w->rnd, len + 1);
	if (w->placed != NULL)
		w->placed(w, u, off, data, len);
	world_placed_set(u, off, len, 1);
	return len;
}

uint32_t tcp_up_rcv_space(struct core *env, struct tcp_ctx *ctx)
{
	struct world *w = env->world;
	struct user *u = world_ctx_user(env, ctx);

	if (ctx->idx == 0)
		return 16384; /* of a cookie */
	if (u == NULL) {
		world_fail(w, "space of no connection");
		return 0;
	}
	if (rnd_ppm(&w->rnd, w->conf.space_zero_ppm))
		return 0;
	return u->rcv_cap_bytes - (u->rcv_tail - u->rcv_head);
}

/* ---- events ---- */

void tcp_up_readable(struct core *env, struct tcp_ctx *ctx, uint32_t rcv_tail, bool fin)
{
	struct world *w = env->world;
	struct user *u = world_ctx_user(env, ctx);
	uint32_t off;

	if (u == NULL || !u->is_known || u->is_closed) {
		world_fail(w, "readable said to nobody");
		return;
	}
	if (rcv_tail - u->rcv_head > u->rcv_cap_bytes || seq_lt(rcv_tail, u->rcv_tail)) {
		world_fail(w, "%c: readable %u, was %u, window %u + %u", 'A' + env->side, rcv_tail,
				u->rcv_tail, u->rcv_head, u->rcv_cap_bytes);
		return;
	}
	if (u->rx_fin && rcv_tail != u->rcv_tail)
		world_fail(w, "bytes readable behind the FIN");
	off = u->rcv_tail + placed_run(u, u->rcv_tail, rcv_tail - u->rcv_tail);
	if (off != rcv_tail) {
		world_fail(w, "%c conn %u: offset %u readable but never placed", 'A' + env->side,
				env->conn_of[ctx->idx] - 1, off);
		return;
	}
	if (fin && !w->conf.hostile_peer &&
			rcv_tail != w->conn[env->conn_of[ctx->idx] - 1]
							.user[1 - env->side]
							.snd_tail)
		world_fail(w, "%c: FIN at %u, the peer closed at %u", 'A' + env->side, rcv_tail,
				w->conn[env->conn_of[ctx->idx] - 1].user[1 - env->side].snd_tail);
	u->rcv_tail64 += rcv_tail - u->rcv_tail;
	u->rcv_tail = rcv_tail;
	u->rx_fin |= fin;
	u->poked = true;
}

void tcp_up_acked(struct core *env, struct tcp_ctx *ctx, uint32_t snd_una)
{
	struct world *w = env->world;
	struct user *u = world_ctx_user(env, ctx), *peer;

	if (u == NULL || !u->is_known || u->is_closed) {
		if (u == NULL || u->is_known)
			world_fail(w, "acked said to nobody");
		return;
	}
	peer = &w->conn[env->conn_of[ctx->idx] - 1].user[1 - env->side];
	if (seq_lt(snd_una, u->snd_una) || seq_gt(snd_una, u->snd_tail))
		world_fail(w, "%c: acked %u, was %u, queued %u", 'A' + env->side, snd_una,
				u->snd_una, u->snd_tail);
	if (seq_gt(snd_una, peer->rcv_tail) && !w->conf.hostile_peer && !peer->is_closed &&
			!peer->closed_by_us)
		world_fail(w, "%c: acked %u, the peer has only %u", 'A' + env->side, snd_una,
				peer->rcv_tail);
	u->snd_una64 += snd_una - u->snd_una;
	u->snd_una = snd_una;
	u->poked = true;
}

void tcp_up_connected(struct core *env, struct tcp_ctx *ctx)
{
	struct user *u = world_ctx_user(env, ctx);

	if (u == NULL || u->is_open || u->is_closed)
		world_fail(env->world, "connected said twice, or to nobody");
	else
		u->is_open = u->poked = true;
}

void tcp_up_urgent(struct core *env, struct tcp_ctx *ctx, uint32_t urg)
{
	(void)ctx;
	(void)urg;
	if (!env->world->conf.hostile_peer)
		world_fail(env->world, "urgent data that nobody sent");
}

void tcp_up_closed(struct core *env, struct tcp_ctx *ctx, enum eta_status why)
{
	struct world *w = env->world;
	struct user *u = world_ctx_user(env, ctx);

	if (u == NULL || !u->is_known || u->is_closed) {
		world_fail(w, "closed said twice, or to nobody");
		return;
	}
	world_trace(w, "%c conn %u closed: %s", 'A' + env->side, env->conn_of[ctx->idx] - 1,
			eta_status_text(why));
	u->is_closed = true;
	u->why = (uint8_t)why;
	u->poked = true;
}

/* ---- segments out ---- */

int32_t tcp_up_send(struct core *env, struct tcp_ctx *ctx, const struct ip_tuple *tuple,
		const struct tcp_txseg *seg)
{
	struct world *w = env->world;
	struct user *u = ctx != NULL ? world_ctx_user(env, ctx) : NULL;
	struct ip_tuple own;
	bool is_sent = false;
	uint32_t done = 0;

	if (ctx != NULL && u == NULL) {
		world_fail(w, "a segment of no connection");
		return -1;
	}
	if (u != NULL) {
		world_tuple(w, &w->conn[env->conn_of[ctx->idx] - 1], env->side, &own);
		tuple = &own;
		world_send_check(env, ctx, u, seg);
	}
	if (tuple == NULL || (u == NULL && seg->len != 0) || (seg->opt_len & 3) != 0 ||
			seg->opt_len > TCP_OPT_BYTES_MAX ||
			(seg->len != 0 && (seg->mss == 0 || seg->mss > w->conf.mss))) {
		world_fail(w, "a malformed segment: len %u mss %u options %u", seg->len, seg->mss,
				seg->opt_len);
		return -1;
	}
	do {
		uint32_t piece = seg->len - done;

		if (piece > seg->mss && !w->conf.superframes)
			piece = seg->mss;
		if (rnd_ppm(&w->rnd, w->conf.send_fail_ppm)) {
			world_trace(w, "%c no buffer", 'A' + env->side);
			break;
		}
		segment_put(env, tuple, seg, u, done, piece, done + piece == seg->len);
		if (u != NULL && done == 0 && !(seg->flags & TCP_RST))
			world_advert_check(env, ctx, u, seg);
		done += piece;
		is_sent = true;
	} while (done < seg->len);
	if (is_sent && u != NULL)
		world_sent_note(env, u, seg, done);
	return is_sent ? (int32_t)done : -1;
}

/* A router's answer to a frame that does not fit. */
static void too_big_put(struct core *host, const struct world_frame *f)
{
	struct world *w = host->world;
	struct world_frame icmp = {.tuple = {.laddr = f->tuple.raddr,
						   .raddr = f->tuple.laddr,
						   .lport_be = f->tuple.rport_be,
						   .rport_be = f->tuple.lport_be},
			.seq = f->seq,
			.icmp_mss = w->path_mss};

	w->too_big_n++;
	world_trace(w, "%c seq %u is too big for the path", 'A' + host->side, f->seq);
	wire_send(&w->wire[1 - host->side], w->now_us,
			&(struct wire_tx){.head = &icmp,
					.head_len = sizeof(icmp),
					.safe = sizeof(icmp),
					.line_bytes = WORLD_FRAME_BYTES});
}

static void segment_put(struct core *host, const struct ip_tuple *tuple,
		const struct tcp_txseg *seg, struct user *u, uint32_t done, uint32_t len, bool last)
{
	struct world *w = host->world;
	struct world_frame f = {.tuple = *tuple,
			.seq = seg->seq + done,
			.ack = seg->ack,
			.wnd = seg->wnd,
			.urg = seg->urg,
			.flags = seg->flags,
			.ecn = seg->ecn,
			.opt_len = seg->opt_len};
	static __thread uint8_t payload[WORLD_PAYLOAD_BYTES_MAX];
	struct wire_tx tx = {.head = &f, .head_len = sizeof(f), .tail = payload};

	if (len > WORLD_PAYLOAD_BYTES_MAX) {
		world_fail(w, "a superframe of %u bytes", len);
		return;
	}
	if (!last)
		f.flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	f.segs = len > seg->mss ? (uint16_t)((len + seg->mss - 1) / seg->mss) : 1;
	memcpy(f.opt, seg->opt, seg->opt_len);
	world_trace_segment(w, host->side, "tx", &f, len);
	if (w->path_mss != 0 && (len < seg->mss ? len : seg->mss) + seg->opt_len > w->path_mss) {
		too_big_put(host, &f);
		return;
	}
	if (w->conf.phantom && len != 0) {
		f.phantom_len = len;
		f.phantom_off = u->snd_una64 + (seg->off + done - u->snd_una);
	} else if (len != 0) {
		content_fill(u->key_tx, seg->off + done, payload, len);
		tx.tail_len = len;
	}
	tx.safe = (uint32_t)sizeof(f) + tx.tail_len;
	tx.line_bytes = len + f.segs * (WORLD_FRAME_BYTES + seg->opt_len);
	tx.ecn_off = offsetof(struct world_frame, ecn);
	wire_send(&w->wire[host->side], w->now_us, &tx);
}

uint16_t tcp_up_mss(struct core *env, const struct ip_tuple *tuple)
{
	(void)tuple;
	return env->world->conf.mss;
}

uint32_t tcp_up_burst_bytes(struct core *env, const struct tcp_ctx *ctx)
{
	uint32_t bytes = env->world->conf.burst_bytes;

	return bytes > ctx->mss ? bytes - bytes % ctx->mss : ctx->mss;
}

void world_trace_segment(const struct world *w, int side, const char *dir,
		const struct world_frame *f, uint32_t len)
{
	if (!w->verbose)
		return;
	world_trace(w, "%c %s %u>%u %s%s%s%s%s seq %u ack %u wnd %u opt %u len %u", 'A' + side, dir,
			ntohs(f->tuple.lport_be), ntohs(f->tuple.rport_be),
			(f->flags & TCP_SYN) ? "S" : "", (f->flags & TCP_FIN) ? "F" : "",
			(f->flags & TCP_RST) ? "R" : "", (f->flags & TCP_PSH) ? "P" : "",
			(f->flags & TCP_ACK) ? "." : "", f->seq, f->ack, f->wnd, f->opt_len, len);
}
