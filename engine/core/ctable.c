/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The context table over rte_hash. Signatures are computed here with a secret and handed to rte_hash, which never hashes itself.
 */
#include "engine/core/ctable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_hash.h>
#include <rte_malloc.h>

/* Keys as they are stored: the words of the tuple that differ. */
struct key_v4 {
	uint32_t laddr_be, raddr_be;
	uint16_t lport_be, rport_be;
};
ETA_ASSERT_SIZE(struct key_v4, 12);

struct key_v6 {
	uint32_t laddr_be[4], raddr_be[4];
	uint16_t lport_be, rport_be;
};
ETA_ASSERT_SIZE(struct key_v6, 36);

/* One multiplication that mixes both halves of 128 bits. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint32_t sig_v4(const struct ctable *t, const struct key_v4 *k)
{
	uint64_t addrs, h;
	uint32_t ports;

	memcpy(&addrs, &k->laddr_be, sizeof(addrs));
	memcpy(&ports, &k->lport_be, sizeof(ports));
	h = mix(addrs ^ t->key[0], ports ^ t->key[1]);
	h = mix(h ^ t->key[1], t->key[0] ^ 0x9e3779b97f4a7c15ull);
	return (uint32_t)(h >> 16);
}

static inline uint32_t sig_v6(const struct ctable *t, const struct key_v6 *k)
{
	uint64_t w[4];
	uint64_t ports = (uint64_t)k->lport_be << 16 | k->rport_be;
	uint64_t h;

	memcpy(w, k, sizeof(w));
	h = mix(w[0] ^ t->key[0], w[1] ^ t->key[1]);
	h = mix(h ^ w[2] ^ t->key[0], w[3] ^ t->key[1]);
	h = mix(h ^ ports ^ t->key[1], t->key[0] ^ 0x9e3779b97f4a7c15ull);
	return (uint32_t)(h >> 16);
}

/* rte_hash insists on a function of its own; every call of ours brings the signature. */
static uint32_t sig_none(const void *key, uint32_t len, uint32_t init)
{
	(void)key;
	(void)len;
	return init;
}

static inline struct key_v4 key_v4(const struct ip_tuple *t)
{
	return (struct key_v4){t->laddr.w_be[3], t->raddr.w_be[3], t->lport_be, t->rport_be};
}

static inline struct key_v6 key_v6(const struct ip_tuple *t)
{
	struct key_v6 k;

	memcpy(k.laddr_be, t->laddr.b, 16);
	memcpy(k.raddr_be, t->raddr.b, 16);
	k.lport_be = t->lport_be;
	k.rport_be = t->rport_be;
	return k;
}

int ctable_init(struct ctable *t, uint32_t contexts_max, const uint64_t key[2], int socket_id)
{
	struct rte_hash_parameters p = {
			.entries = contexts_max < 64 ? 64 : contexts_max,
			.socket_id = socket_id,
			.hash_func = sig_none,
			.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};
	char name[RTE_HASH_NAMESIZE];

	memset(t, 0, sizeof(*t));
	/* an even factor would lose bits in every product */
	t->key[0] = key[0] | 1;
	t->key[1] = key[1] | 1;
	snprintf(name, sizeof(name), "ctv4_%llx", (unsigned long long)(uintptr_t)t);
	p.name = name;
	p.key_len = sizeof(struct key_v4);
	t->v4 = rte_hash_create(&p);
	snprintf(name, sizeof(name), "ctv6_%llx", (unsigned long long)(uintptr_t)t);
	p.key_len = sizeof(struct key_v6);
	t->v6 = rte_hash_create(&p);
	t->hint_mask = RTE_MIN(rte_align32pow2(p.entries), CTABLE_HINTS_MAX) - 1;
	t->hint = rte_zmalloc_socket("eta_hints", (t->hint_mask + 1) * sizeof(*t->hint),
			ETA_CACHELINE, socket_id);
	if (!t->v4 || !t->v6 || !t->hint) {
		ctable_fini(t);
		return -ENOMEM;
	}
	/* key stores and buckets, as rte_hash lays them out */
	t->memory_bytes = (uint64_t)p.entries * (32 + 48 + 2 * 16) +
			  (t->hint_mask + 1) * sizeof(*t->hint);
	return 0;
}

void ctable_fini(struct ctable *t)
{
	rte_hash_free(t->v4);
	rte_hash_free(t->v6);
	rte_free(t->hint);
	t->v4 = t->v6 = NULL;
	t->hint = NULL;
}

static bool is_v4(const struct ip_tuple *tuple)
{
	return ip_addr_is_v4(&tuple->raddr);
}

uint32_t ctable_find(const struct ctable *t, const struct ip_tuple *tuple)
{
	void *data = NULL;

	if (is_v4(tuple)) {
		struct key_v4 k = key_v4(tuple);

		if (rte_hash_lookup_with_hash_data(t->v4, &k, sig_v4(t, &k), &data) < 0)
			return 0;
	} else {
		struct key_v6 k = key_v6(tuple);

		if (rte_hash_lookup_with_hash_data(t->v6, &k, sig_v6(t, &k), &data) < 0)
			return 0;
	}
	return (uint32_t)(uintptr_t)data;
}

int ctable_add(struct ctable *t, const struct ip_tuple *tuple, uint32_t idx)
{
	void *data = (void *)(uintptr_t)idx;
	int rc;

	if (ctable_find(t, tuple) != 0)
		return -EEXIST;
	if (is_v4(tuple)) {
		struct key_v4 k = key_v4(tuple);

		rc = rte_hash_add_key_with_hash_data(t->v4, &k, sig_v4(t, &k), data);
	} else {
		struct key_v6 k = key_v6(tuple);

		rc = rte_hash_add_key_with_hash_data(t->v6, &k, sig_v6(t, &k), data);
	}
	return rc == 0 ? 0 : -ENOSPC;
}

static inline uint32_t sig_of(const struct ctable *t, const struct ip_tuple *tuple)
{
	struct key_v4 k4;
	struct key_v6 k6;

	if (ETA_LIKELY(is_v4(tuple))) {
		k4 = key_v4(tuple);
		return sig_v4(t, &k4);
	}
	k6 = key_v6(tuple);
	return sig_v6(t, &k6);
}

static inline struct ctable_hint *hint_of(const struct ctable *t, uint32_t sig)
{
	return &t->hint[sig & t->hint_mask];
}

void ctable_del(struct ctable *t, const struct ip_tuple *tuple)
{
	uint32_t sig = sig_of(t, tuple);
	struct ctable_hint *hint = hint_of(t, sig);

	if (hint->sig == sig)
		hint->idx = 0;
	if (is_v4(tuple)) {
		struct key_v4 k = key_v4(tuple);

		(void)rte_hash_del_key_with_hash(t->v4, &k, sig);
	} else {
		struct key_v6 k = key_v6(tuple);

		(void)rte_hash_del_key_with_hash(t->v6, &k, sig);
	}
}

/* The tuples at[0..n) of @tuple, all IPv4, in rte_hash. */
static void find_v4(const struct ctable *t, const struct ip_tuple *const *tuple, const uint8_t *at,
		hash_sig_t *sig, uint32_t n, uint32_t *idx)
{
	struct key_v4 k[CTABLE_BURST];
	const void *key[CTABLE_BURST];
	void *data[CTABLE_BURST];
	uint64_t hit = 0;

	for (uint32_t i = 0; i < n; i++) {
		k[i] = key_v4(tuple[at[i]]);
		key[i] = &k[i];
	}
	(void)rte_hash_lookup_with_hash_bulk_data(t->v4, key, sig, n, &hit, data);
	for (uint32_t i = 0; i < n; i++) {
		if (!(hit & (1ull << i)))
			continue;
		idx[at[i]] = (uint32_t)(uintptr_t)data[i];
		*hint_of(t, sig[i]) = (struct ctable_hint){sig[i], idx[at[i]]};
	}
}

static uint32_t find_v6(const struct ctable *t, const struct ip_tuple *tuple, hash_sig_t sig)
{
	struct key_v6 k = key_v6(tuple);
	void *data = NULL;

	if (rte_hash_lookup_with_hash_data(t->v6, &k, sig, &data) < 0)
		return 0;
	*hint_of(t, sig) = (struct ctable_hint){sig, (uint32_t)(uintptr_t)data};
	return (uint32_t)(uintptr_t)data;
}

void ctable_find_bulk(
		struct ctable *t, const struct ip_tuple *const *tuple, uint32_t n, uint32_t *idx)
{
	hash_sig_t sig[CTABLE_BURST]; /* of the IPv4 tuples without a hint */
	uint8_t at[CTABLE_BURST];
	uint32_t n4 = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t s = sig_of(t, tuple[i]);
		const struct ctable_hint *hint = hint_of(t, s);

		idx[i] = hint->idx;
		if (ETA_LIKELY(hint->sig == s && hint->idx != 0))
			continue;
		idx[i] = 0;
		if (!is_v4(tuple[i])) {
			idx[i] = find_v6(t, tuple[i], s);
			continue;
		}
		sig[n4] = s;
		at[n4++] = (uint8_t)i;
	}
	if (n4 > 0)
		find_v4(t, tuple, at, sig, n4, idx);
}
