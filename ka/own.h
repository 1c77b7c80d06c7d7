/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ETA owns, kept in the filters of all shared ports: listening addresses, exact tuples, local addresses for the ephemeral range.
 *
 * Several masters may listen on one {address, port} (SO_REUSEPORT): entries are counted. When the last goes, connections accepted on it may live on, and the
 * kernel, seeing their segments, would reset them; so the entry drains: once a second the cores are asked for their connections, and the entry leaves
 * the filter when none has that local port (at once, if none has it now). Draining costs the kernel's own traffic to that port a detour, since the engine gives back what it does not know.
 *
 * A listener on :: covers IPv4 too unless it is v6only.   Thread: KA.
 */
#ifndef KA_OWN_H
#define KA_OWN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/net/addr.h"
#include "ka/loop.h"

#define OWN_DRAIN_MS 1000u
#define OWN_ROWS 256u

struct ka;
struct eta_ctx_row;

struct own_listen {
	struct own_listen *next;
	struct ip_addr addr;
	uint16_t port_be;
	bool is_draining;
	bool is_old; /* drains since before the dump under way */
	uint32_t refs_n;
};

struct own {
	struct ka *ka;
	struct own_listen *listens;
	struct loop_timer drain;
	struct eta_ctx_row *rows; /* [OWN_ROWS] */
	uint8_t *ports_used;      /* [65536 / 8] local ports seen in the dump under way */
	uint32_t dump_core;
	bool is_dumping;
	bool is_failed; /* this dump tells nothing */
};

int own_init(struct own *own, struct ka *ka);
void own_fini(struct own *own);
/* 0; -ENOMEM; -E2BIG filter full. */
int own_listen_add(struct own *own, const struct ip_addr *addr, uint16_t port_be, bool v6only);
void own_listen_del(struct own *own, const struct ip_addr *addr, uint16_t port_be, bool v6only);
int own_tuple(struct own *own, const struct ip_tuple *tuple, bool is_del);
/* An address of port @port came or went. */
void own_local(struct own *own, uint32_t port, const struct ip_addr *addr, bool is_del);

#endif
