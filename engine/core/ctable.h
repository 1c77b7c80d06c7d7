/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The context table: which context does a segment belong to?
 *
 * Two rte_hash tables, IPv4 with keys of 12 bytes and IPv6 with 36, so that the common one stays small; looked up in bulk for a burst.
 * The hash is keyed by a secret, so that nobody can choose tuples that fall into one bucket. Values are context indices.
 *
 * Before them stands a small direct-mapped table by the same hash, of what was found last: the busy connections need no more than it.
 */
#ifndef ENGINE_CORE_CTABLE_H
#define ENGINE_CORE_CTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/abi.h>

#include "engine/net/addr.h"

struct rte_hash;

#define CTABLE_BURST 64u
#define CTABLE_HINTS_MAX 4096u /* 32 KiB: near, and nothing to idle connections */

/* Where a tuple of this hash is. */
struct ctable_hint {
	uint32_t sig;
	uint32_t idx; /* context, 0 = none */
};

struct ctable {
	struct rte_hash *v4;
	struct rte_hash *v6;
	struct ctable_hint *hint; /* [hint_mask + 1], by the low bits of the hash */
	uint32_t hint_mask;
	uint64_t key[2];
	uint64_t memory_bytes; /* estimate */
};

/* Return: 0 or -ENOMEM.   Context: cold. */
ETA_MUST_CHECK int ctable_init(
		struct ctable *t, uint32_t contexts_max, const uint64_t key[2], int socket_id);
void ctable_fini(struct ctable *t);

/* Return: 0; -EEXIST taken; -ENOSPC full.   Context: core. */
ETA_MUST_CHECK int ctable_add(struct ctable *t, const struct ip_tuple *tuple, uint32_t idx);
void ctable_del(struct ctable *t, const struct ip_tuple *tuple);
/* Return: context index, 0 = none. */
uint32_t ctable_find(const struct ctable *t, const struct ip_tuple *tuple);
/**
 * ctable_find_bulk() - Look up a burst.
 * @tuple: [@n] pointers, @n <= CTABLE_BURST.   @idx: [@n] receives context indices, 0 = none.   Context: hot.
 *
 * A tuple that is in the table is found. The caller compares what he is given with the context's own tuple: two tuples may have one hash of 32
 * bits, and then one of them may get the other's context.
 */
void ctable_find_bulk(
		struct ctable *t, const struct ip_tuple *const *tuple, uint32_t n, uint32_t *idx);

#endif
