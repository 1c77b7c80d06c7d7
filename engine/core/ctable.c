/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The context table over rte_hash. Signatures are computed here with a secret and handed to rte_hash, which never hashes itself.
 */
#include "engine/core/ctable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_hash.h>

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
	uint64_t addrs = (uint64_t)k->laddr_be << 32 | k->raddr_be;
	uint64_t ports = (uint64_t)k->lport_be << 16 | k->rport_be;
	uint64_t h = mix(addrs ^ t->key[0], ports ^ t->key[1]);

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
	if (!t->v4 || !t->v6) {
		ctable_fini(t);
		return -ENOMEM;
	}
	/* key stores and buckets, as rte_hash lays them out */
	t->memory_bytes = (uint64_t)p.entries * (32 + 48 + 2 * 16);
	return 0;
}

void ctable_fini(struct ctable *t)
{
	rte_hash_free(t->v4);
	rte_hash_free(t->v6);
	t->v4 = t->v6 = NULL;
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

void ctable_del(struct ctable *t, const struct ip_tuple *tuple)
{
	if (is_v4(tuple)) {
		struct key_v4 k = key_v4(tuple);

		(void)rte_hash_del_key_with_hash(t->v4, &k, sig_v4(t, &k));
	} else {
		struct key_v6 k = key_v6(tuple);

		(void)rte_hash_del_key_with_hash(t->v6, &k, sig_v6(t, &k));
	}
}

void ctable_find_bulk(const struct ctable *t, const struct ip_tuple *const *tuple, uint32_t n,
		uint32_t *idx)
{
	struct key_v4 k4[CTABLE_BURST];
	const void *key[CTABLE_BURST];
	hash_sig_t sig[CTABLE_BURST];
	void *data[CTABLE_BURST];
	uint8_t at[CTABLE_BURST];
	uint64_t hit = 0;
	uint32_t n4 = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!is_v4(tuple[i])) {
			idx[i] = ctable_find(t, tuple[i]);
			continue;
		}
		idx[i] = 0;
		k4[n4] = key_v4(tuple[i]);
		key[n4] = &k4[n4];
		sig[n4] = sig_v4(t, &k4[n4]);
		at[n4++] = (uint8_t)i;
	}
	if (n4 == 0)
		return;
	(void)rte_hash_lookup_with_hash_bulk_data(t->v4, key, sig, n4, &hit, data);
	for (uint32_t i = 0; i < n4; i++)
		if (hit & (1ull << i))
			idx[at[i]] = (uint32_t)(uintptr_t)data[i];
}
