/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The context table: which context does a segment belong to?
 *
 * Two rte_hash tables, IPv4 with keys of 12 bytes and IPv6 with 36, so that the common one stays small; looked up in bulk for a burst.
 * The hash is keyed by a secret, so that nobody can choose tuples that fall into one bucket. Values are context indices.
 */
#ifndef ENGINE_CORE_CTABLE_H
#define ENGINE_CORE_CTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/abi.h>

#include "engine/net/addr.h"

struct rte_hash;

#define CTABLE_BURST 64u

struct ctable {
	struct rte_hash *v4;
	struct rte_hash *v6;
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
 */
void ctable_find_bulk(const struct ctable *t, const struct ip_tuple *const *tuple, uint32_t n,
		uint32_t *idx);

#endif
