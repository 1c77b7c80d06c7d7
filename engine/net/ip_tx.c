/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP segment -> frames.
 *
 * struct tx is one call in progress: the constant parts of the headers, a cursor in the payload
 * pieces, and how far we got. Each turn of the loop makes one frame of tx->unit bytes at most (mss,
 * or a superframe), so segmentation in software and by the port are the same code.
 *
 * Checksums in an mbuf follow DPDK: with TX_TCP_CKSUM the field holds the pseudo-header sum,
 * without the length when TX_TCP_SEG is set. The IPv4 header sum is always filled in.
 *
 * A frame that points at payload in place carries external-buffer mbufs with one shared,
 * never-ending reference count (net->ext): the port has read the bytes when tx_burst() returns, and
 * nothing needs to be told.
 *
 * Limits: IPv4 IDs are 0 with DF (atomic datagrams, RFC 6864 4.1), a counter else.
 */
#include "engine/net/ip_tx.h"

#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <rte_branch_prediction.h>
#include <rte_jhash.h>

#include <eta/abi.h>

#include "engine/net/cksum.h"
#include "engine/net/net.h"

#define ETHER_BYTES 14u
#define IPV4_BYTES 20u
#define IPV6_BYTES 40u
#define TTL_DEFAULT 64u
#define OPT_TS_BYTES 12u
#define IP_BYTES_MAX 65535u
#define IN_PLACE_BYTES_MIN 512u /* below, copying costs less than another mbuf and iovec */
#define CAPS_IN_PLACE (PORT_CAP_MULTI_SEG | PORT_CAP_EXTBUF | PORT_CAP_TX_SYNC | PORT_CAP_TX_CKSUM)

struct tx {
	struct net *net;
	struct port *port;
	const struct net_hop *hop;
	const struct ip_tuple *tuple;
	const struct tcp_txseg *seg;
	const struct ip_tx_opt *opt;
	bool is_v4;
	uint8_t ttl;
	uint16_t l3_bytes; /* IP header */
	uint16_t l4_bytes; /* TCP header with options */
	uint32_t flow_label;
	uint32_t unit;             /* payload bytes of one frame, at most */
	const struct net_iov *iov; /* cursor: next payload byte is iov->base[iov_off] */
	uint32_t iov_n;
	uint32_t iov_off;
	uint32_t sent; /* payload bytes queued */
};

static inline void store_be16(uint8_t *p, uint16_t v)
{
	v = htons(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, sizeof(v));
}

static void net_tx_flush_port(struct net_tx *tx)
{
	uint32_t n = tx->n;

	tx->n = 0;
	tx->port->ops->tx_burst(tx->port, tx->frame, (uint16_t)n);
}

static inline void queue(struct net *net, uint8_t port, struct rte_mbuf *m)
{
	struct net_tx *tx = &net->tx[port];

	tx->frame[tx->n++] = m;
	net->stats.tx_frames++;
	if (tx->n == NET_TX_BATCH)
		net_tx_flush_port(tx);
}

void net_tx_frame(struct net *net, uint8_t port, struct rte_mbuf *m)
{
	queue(net, port, m);
}

void net_tx_flush(struct net *net)
{
	uint32_t i;

	for (i = 0; i < net->ports_n; i++)
		if (net->tx[i].n > 0)
			net_tx_flush_port(&net->tx[i]);
}

/* ---- headers ---- */

/* Stable for the connection's life, different between connections (RFC 6437 2). */
static uint32_t flow_label(const struct net *net, const struct ip_tuple *tuple)
{
	uint32_t h = rte_jhash_32b((const uint32_t *)(const void *)tuple, sizeof(*tuple) / 4,
				     net->hash_seed) &
		     0xfffff;

	return h ? h : 1;
}

/* The sum is taken from registers: reading back what was just stored in pieces would stall. */
static inline void write_ipv4(struct tx *tx, uint8_t *ip, uint32_t payload_bytes)
{
	bool df = !tx->opt || !tx->opt->may_fragment;
	uint32_t tos = (tx->opt ? (uint32_t)tx->opt->dscp << 2 : 0) | (tx->seg->ecn & 3u);
	uint32_t w[5] = {
			htonl(0x45000000u | (tos & 0xff) << 16 | (IPV4_BYTES + payload_bytes)),
			df ? htonl(0x4000u) : htonl((uint32_t)tx->net->ip_id << 16),
			htonl((uint32_t)tx->ttl << 24 | IPPROTO_TCP << 16),
			tx->tuple->laddr.w_be[3],
			tx->tuple->raddr.w_be[3],
	};
	uint16_t sum = (uint16_t)~cksum_fold((uint64_t)w[0] + w[1] + w[2] + w[3] + w[4]);

	w[2] |= (uint32_t)sum << 16; /* the second half in memory, on a little-endian machine */
	memcpy(ip, w, sizeof(w));
}

static inline void write_ipv6(struct tx *tx, uint8_t *ip, uint32_t payload_bytes)
{
	uint32_t tos = (tx->opt ? (uint32_t)tx->opt->dscp << 2 : 0) | (tx->seg->ecn & 3u);

	store_be32(ip, 6u << 28 | (tos & 0xff) << 20 | tx->flow_label);
	store_be16(ip + 4, (uint16_t)payload_bytes);
	ip[6] = IPPROTO_TCP;
	ip[7] = tx->ttl;
	memcpy(ip + 8, tx->tuple->laddr.b, 16);
	memcpy(ip + 24, tx->tuple->raddr.b, 16);
}

/* Flags of the piece [sent, sent + len): FIN and PSH end the segment, CWR and URG begin it. */
static inline uint8_t piece_flags(const struct tx *tx, uint32_t len)
{
	uint8_t flags = tx->seg->flags;

	if (tx->sent + len < tx->seg->len)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (tx->sent > 0)
		flags &= (uint8_t)~TCP_CWR;
	return flags;
}

/* Return: sum of the @bytes of options, a multiple of 4. */
static inline uint64_t write_options(uint8_t *to, const uint8_t *opt, uint32_t bytes)
{
	uint64_t sum = 0;
	uint32_t w;

	for (uint32_t i = 0; i < bytes; i += 4) {
		memcpy(&w, opt + i, 4);
		memcpy(to + i, &w, 4);
		sum += w;
	}
	return sum;
}

/* Return: sum of the header, whose checksum field is 0. */
static inline uint64_t write_tcp(const struct tx *tx, uint8_t *tcp, uint32_t len)
{
	const struct tcp_txseg *seg = tx->seg;
	uint8_t flags = piece_flags(tx, len);
	uint16_t urg = 0;
	uint64_t sum;
	uint32_t w[5];

	if ((flags & TCP_URG) && seg->urg > tx->sent)
		urg = (uint16_t)(seg->urg - tx->sent);
	else
		flags &= (uint8_t)~TCP_URG;
	w[0] = (uint32_t)tx->tuple->rport_be << 16 | tx->tuple->lport_be;
	w[1] = htonl(seg->seq + tx->sent);
	w[2] = htonl(seg->ack);
	w[3] = htonl((uint32_t)tx->l4_bytes / 4 << 28 | (uint32_t)flags << 16 | seg->wnd);
	w[4] = htonl(urg);
	memcpy(tcp, w, sizeof(w));
	/* mostly timestamps: straight code for them */
	if (ETA_LIKELY(seg->opt_len == OPT_TS_BYTES))
		sum = write_options(tcp + TCP_HDR_BYTES, seg->opt, OPT_TS_BYTES);
	else
		sum = write_options(tcp + TCP_HDR_BYTES, seg->opt, seg->opt_len);
	return sum + w[0] + w[1] + w[2] + w[3] + w[4];
}

/* All headers of a frame with @len payload bytes. @sum: receives that of the TCP header. Return: where this begins. */
static inline uint8_t *write_headers(struct tx *tx, uint8_t *frame, uint32_t len, uint64_t *sum)
{
	uint8_t *ip = frame + ETHER_BYTES;

	memcpy(frame, tx->hop->dmac, 6);
	memcpy(frame + 6, tx->hop->smac, 6);
	store_be16(frame + 12, tx->is_v4 ? 0x0800 : 0x86dd);
	if (tx->is_v4)
		write_ipv4(tx, ip, tx->l4_bytes + len);
	else
		write_ipv6(tx, ip, tx->l4_bytes + len);
	*sum = write_tcp(tx, ip + tx->l3_bytes, len);
	return ip + tx->l3_bytes;
}

/* ---- payload ---- */

/* The next piece of at most @want bytes that lies together. */
static inline uint32_t cursor_peek(struct tx *tx, uint32_t want, const uint8_t **at)
{
	while (tx->iov_n > 0 && tx->iov_off == tx->iov->len) {
		tx->iov++;
		tx->iov_n--;
		tx->iov_off = 0;
	}
	if (tx->iov_n == 0)
		return 0;
	*at = tx->iov->base + tx->iov_off;
	return RTE_MIN(want, tx->iov->len - tx->iov_off);
}

/* Appends an mbuf to the chain. Return: it, or NULL with nothing changed. */
static struct rte_mbuf *chain_more(struct tx *tx, struct rte_mbuf *head, struct rte_mbuf *last)
{
	struct rte_mbuf *m;

	if (!(tx->port->caps & PORT_CAP_MULTI_SEG))
		return NULL;
	m = rte_pktmbuf_alloc(tx->port->pool);
	if (!m)
		return NULL;
	last->next = m;
	head->nb_segs++;
	return m;
}

/*
 * Copies @len payload bytes behind the headers in @head, sums them if @sum. Return: false when
 * buffers ended.
 */
static bool fill_by_copy(struct tx *tx, struct rte_mbuf *head, uint32_t len, uint64_t *sum)
{
	struct rte_mbuf *last = head;
	uint32_t done = 0;

	while (done < len) {
		const uint8_t *src;
		uint32_t room = rte_pktmbuf_tailroom(last), n;
		uint8_t *dst;

		if (room == 0) {
			last = chain_more(tx, head, last);
			if (!last)
				return false;
			continue;
		}
		n = cursor_peek(tx, RTE_MIN(len - done, room), &src);
		if (n == 0)
			return false;
		dst = rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len);
		if (sum)
			*sum = cksum_add(*sum, cksum_copy(dst, src, n), done);
		else
			memcpy(dst, src, n);
		last->data_len += (uint16_t)n;
		head->pkt_len += n;
		tx->iov_off += n;
		done += n;
	}
	return true;
}

/* Chains external-buffer mbufs that point at the payload. Return: false when buffers ended. */
static bool fill_in_place(struct tx *tx, struct rte_mbuf *head, uint32_t len)
{
	struct rte_mbuf *last = head;
	uint32_t done = 0;

	while (done < len) {
		const uint8_t *src;
		uint32_t n = cursor_peek(tx, RTE_MIN(len - done, 65535u), &src);

		last = n > 0 ? chain_more(tx, head, last) : NULL;
		if (!last)
			return false;
		rte_mbuf_ext_refcnt_update(&tx->net->ext, 1);
		rte_pktmbuf_attach_extbuf(last, (void *)(uintptr_t)src, RTE_BAD_IOVA, (uint16_t)n,
				&tx->net->ext);
		last->data_len = (uint16_t)n;
		head->pkt_len += n;
		tx->iov_off += n;
		done += n;
	}
	return true;
}

/* ---- one frame ---- */

/*
 * Puts the checksum, or asks the port for it, and for segmentation. @sum: of header and payload, not
 * looked at if the port fills.
 */
static inline void finish(
		struct tx *tx, struct rte_mbuf *m, uint8_t *tcp, uint32_t len, uint64_t sum)
{
	uint32_t l4_bytes = tx->l4_bytes + len;
	bool is_super = len > tx->seg->mss;
	uint16_t field;
	uint32_t pseudo_bytes = is_super ? 0 : l4_bytes;
	const struct ip_tuple *t = tx->tuple;
	uint64_t pseudo =
			tx->is_v4 ? cksum_pseudo_v4(&t->laddr, &t->raddr, IPPROTO_TCP, pseudo_bytes)
				  : cksum_pseudo(&t->laddr, &t->raddr, IPPROTO_TCP, pseudo_bytes);

	if (tx->port->caps & PORT_CAP_TX_CKSUM) {
		field = cksum_fold(pseudo);
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM |
			       (tx->is_v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
		m->l2_len = ETHER_BYTES;
		m->l3_len = tx->l3_bytes;
		m->l4_len = tx->l4_bytes;
		if (is_super) {
			m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
			m->tso_segsz = tx->seg->mss;
		}
	} else {
		field = (uint16_t)~cksum_fold(pseudo + sum);
	}
	memcpy(tcp + 16, &field, 2);
}

/*
 * Builds and queues the frame of payload bytes [sent, sent + len). Return: false when buffers
 * ended; nothing queued.
 */
static bool send_frame(struct tx *tx, uint32_t len)
{
	uint32_t hdr_bytes = ETHER_BYTES + tx->l3_bytes + tx->l4_bytes;
	struct rte_mbuf *m = rte_pktmbuf_alloc(tx->port->pool);
	uint64_t sum = 0, hdr_sum;
	uint8_t *tcp;
	bool ok = true;

	if (unlikely(!m))
		return false;
	tcp = write_headers(tx, rte_pktmbuf_mtod(m, uint8_t *), len, &hdr_sum);
	m->data_len = (uint16_t)hdr_bytes;
	m->pkt_len = hdr_bytes;
	if (len >= IN_PLACE_BYTES_MIN && (tx->port->caps & CAPS_IN_PLACE) == CAPS_IN_PLACE)
		ok = fill_in_place(tx, m, len);
	else if (len > 0)
		ok = fill_by_copy(tx, m, len, tx->port->caps & PORT_CAP_TX_CKSUM ? NULL : &sum);
	if (unlikely(!ok)) {
		rte_pktmbuf_free(m);
		return false;
	}
	finish(tx, m, tcp, len, sum + hdr_sum);
	if (tx->opt && tx->opt->may_fragment)
		tx->net->ip_id++;
	tx->net->stats.tx_segs += len > tx->seg->mss ? (len + tx->seg->mss - 1) / tx->seg->mss : 1;
	queue(tx->net, tx->hop->port, m);
	return true;
}

/*
 * The usual segment: one frame, and at most one piece of payload that is to be copied. The same as
 * send_frame(), but @tx stays in registers.
 */
static inline bool send_plain(struct tx *tx, const struct net_iov *iov)
{
	uint32_t len = tx->seg->len;
	uint32_t hdr_bytes = ETHER_BYTES + tx->l3_bytes + tx->l4_bytes;
	struct rte_mbuf *m = rte_pktmbuf_alloc(tx->port->pool);
	uint8_t *tcp, *data;
	uint64_t sum;

	if (unlikely(!m))
		return false;
	tcp = write_headers(tx, rte_pktmbuf_mtod(m, uint8_t *), len, &sum);
	data = tcp + tx->l4_bytes;
	m->data_len = (uint16_t)(hdr_bytes + len);
	m->pkt_len = hdr_bytes + len;
	if (len > 0 && (tx->port->caps & PORT_CAP_TX_CKSUM))
		memcpy(data, iov->base, len);
	else if (len > 0)
		sum += cksum_copy(data, iov->base, len);
	finish(tx, m, tcp, len, sum);
	if (tx->opt && tx->opt->may_fragment)
		tx->net->ip_id++;
	tx->net->stats.tx_segs++;
	queue(tx->net, tx->hop->port, m);
	return true;
}

static inline bool is_plain(const struct tx *tx)
{
	uint32_t len = tx->seg->len;

	if (len > tx->seg->mss || (len > 0 && (tx->iov_n != 1 || tx->iov->len < len)))
		return false;
	/* any buffer holds a short one */
	return len < IN_PLACE_BYTES_MIN;
}

/* Payload bytes one frame of the port can carry: one mss, or a superframe of whole mss. */
static uint32_t frame_unit(const struct port *port, uint32_t hdr_bytes, uint16_t mss)
{
	uint32_t max;

	if ((port->caps & (PORT_CAP_TSO | PORT_CAP_TX_CKSUM)) != (PORT_CAP_TSO | PORT_CAP_TX_CKSUM))
		return mss;
	max = RTE_MIN(port->tso_bytes_max, IP_BYTES_MAX);
	if (max < hdr_bytes + mss)
		return mss;
	return (max - hdr_bytes) / mss * mss;
}

uint32_t ip_tx_burst_bytes(const struct net *net, uint8_t port, uint16_t mss)
{
	uint32_t unit = frame_unit(net->port[port],
			ETHER_BYTES + IPV6_BYTES + TCP_HDR_BYTES + TCP_OPT_BYTES_MAX, mss);

	return unit > mss ? unit : mss * IP_TX_SOFT_SEGS_MAX;
}

/* As many frames as it takes. */
static int32_t send_many(struct tx *tx)
{
	const struct tcp_txseg *seg = tx->seg;
	uint32_t frames = 0;

	tx->unit = seg->len <= seg->mss
				   ? seg->len
				   : frame_unit(tx->port, ETHER_BYTES + tx->l3_bytes + tx->l4_bytes,
						     seg->mss);
	do {
		uint32_t len = RTE_MIN(seg->len - tx->sent, tx->unit);

		if (unlikely(!send_frame(tx, len))) {
			tx->net->stats.tx_no_mbuf++;
			break;
		}
		tx->sent += len;
		frames++;
	} while (tx->sent < seg->len && frames < IP_TX_SOFT_SEGS_MAX);
	return frames > 0 ? (int32_t)tx->sent : -1;
}

int32_t ip_tx_tcp(struct net *net, const struct net_hop *hop, const struct ip_tuple *tuple,
		const struct tcp_txseg *seg, const struct ip_tx_opt *opt, const struct net_iov *iov,
		uint32_t iov_n)
{
	struct tx tx = {.net = net,
			.port = net->port[hop->port],
			.hop = hop,
			.tuple = tuple,
			.seg = seg,
			.opt = opt,
			.is_v4 = ip_addr_is_v4(&tuple->raddr),
			.ttl = TTL_DEFAULT,
			.iov = iov,
			.iov_n = iov_n};
	struct tx many; /* a copy, or tx could not live in registers */
	uint32_t wire_bytes;

	tx.l3_bytes = tx.is_v4 ? IPV4_BYTES : IPV6_BYTES;
	tx.l4_bytes = (uint16_t)(TCP_HDR_BYTES + seg->opt_len);
	wire_bytes = tx.l3_bytes + tx.l4_bytes + RTE_MIN(seg->len, (uint32_t)seg->mss);
	if (unlikely(seg->opt_len > TCP_OPT_BYTES_MAX || wire_bytes > hop->mtu ||
			    (seg->len > 0 && seg->mss == 0))) {
		net->stats.tx_too_long++;
		return -1;
	}
	if (opt && opt->ttl)
		tx.ttl = opt->ttl;
	if (!tx.is_v4)
		tx.flow_label = opt && opt->flow_label ? opt->flow_label & 0xfffff
						       : flow_label(net, tuple);
	if (ETA_LIKELY(is_plain(&tx))) {
		if (ETA_LIKELY(send_plain(&tx, iov)))
			return (int32_t)seg->len;
		net->stats.tx_no_mbuf++;
		return -1;
	}
	many = tx;
	return send_many(&many);
}
