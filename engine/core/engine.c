/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Building and dismantling an engine: all memory of the packet path is taken here, once, and summed.
 */
#include "engine/core/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_malloc.h>

#include "engine/core/core.h"

#define CONTEXTS_MIN 64u

struct engine {
	struct engine_conf conf;
	struct core *core[ETA_CORES_MAX];
};

static void *take(struct core *core, uint64_t bytes)
{
	void *p = rte_zmalloc_socket("eta_core", bytes, ETA_CACHELINE, core->conf->socket_id);

	if (!p)
		return NULL;
	core->mem[core->mem_n].base = p;
	core->mem[core->mem_n++].bytes = bytes;
	core->memory_bytes += bytes;
	return p;
}

static uint32_t round_up(uint32_t n)
{
	uint32_t p = CONTEXTS_MIN;

	while (p < n && p < (1u << 30))
		p <<= 1;
	return p;
}

static void tcp_conf_fill(const struct engine_conf *conf, struct tcp_conf *tc)
{
	tcp_conf_default(tc);
	memcpy(tc->isn_key, conf->isn_key, sizeof(tc->isn_key));
	memcpy(tc->fastopen_key, conf->fastopen_key, sizeof(tc->fastopen_key));
	tc->fastopen = conf->fastopen;
	tc->syn_cookies = !conf->syn_cookies_off;
	if (conf->cc_default)
		tc->cc = conf->cc_default;
	if (conf->ecn)
		tc->ecn = conf->ecn - 1;
	tc->pacing = conf->pacing;
	tc->slow_start_after_idle = !conf->idle_keeps_cwnd;
	if (conf->delack_us)
		tc->delack_ms = (conf->delack_us + 999) / 1000;
	if (conf->rto_us_min)
		tc->rto_us_min = conf->rto_us_min;
	if (conf->msl_ms)
		tc->time_wait_ms = 2 * conf->msl_ms;
}

static int tables_init(struct core *core)
{
	const struct engine_conf *conf = core->conf;
	uint32_t n = round_up(conf->contexts_max);
	uint64_t hash_key[2];
	struct dti_conf dc = {
			.contexts_max = n,
			.embryos_max = conf->embryos_max ? conf->embryos_max : n / 4,
			.source_pct = conf->embryos_src_pct,
			.sessions_max = conf->sessions_max,
			.rcv_bytes_max = conf->rcv_bytes_max,
			.snd_bytes_max = conf->snd_bytes_max,
			.socket_id = conf->socket_id,
	};
	struct tcp_mem tm = {.ctx_n = n, .ext_n = tcp_ext_n(n), .log_n = tcp_log_n(n)};
	struct tcp_conf tc;

	tm.ctx = take(core, (uint64_t)n * sizeof(struct tcp_ctx));
	tm.ext = take(core, (uint64_t)tm.ext_n * sizeof(struct tcp_ext));
	tm.log = take(core, (uint64_t)tm.log_n * sizeof(struct tcp_log));
	core->ctx_free = take(core, (uint64_t)n * sizeof(uint32_t));
	core->trace = take(core, sizeof(*core->trace));
	if (!tm.ctx || !tm.ext || !tm.log || !core->ctx_free || !core->trace ||
			dti_init(&core->dti, &dc) != 0)
		return -ENOMEM;
	core->memory_bytes += core->dti.memory_bytes;
	for (uint32_t i = n - 1; i >= 1; i--)
		core->ctx_free[core->ctx_free_n++] = i;
	tcp_conf_fill(conf, &tc);
	tcp_stack_init(&core->tcp, &tm, &tc, 0);
	core->dti.tcp = &core->tcp;
	/* three uses of one secret, told apart */
	for (uint32_t i = 0; i < 2; i++) {
		core->port_key[i] = tc.isn_key[i] ^ (0x706f7274ull + core->idx);
		hash_key[i] = tc.isn_key[i] ^ 0x68617368ull;
	}
	if (ctable_init(&core->ctable, n, hash_key, conf->socket_id) != 0)
		return -ENOMEM;
	core->memory_bytes += core->ctable.memory_bytes;
	return 0;
}

static struct rte_ring *admin_ring(struct core *core, const char *what)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%llx", what, (unsigned long long)(uintptr_t)core);
	return rte_ring_create_elem(name, sizeof(struct eta_admin_msg), ETA_ADMIN_RING,
			core->conf->socket_id, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static int ports_init(struct core *core, char *err, size_t err_len)
{
	struct net_conf nc = {
			.ports_n = core->conf->ports_n,
			.core_idx = core->idx,
			.socket_id = core->conf->socket_id,
	};

	memcpy(nc.port, core->conf->port, sizeof(nc.port));
	if (core->conf->local_turnaround && nc.ports_n < PORTS_MAX) {
		if (turn_init(core) != 0) {
			snprintf(err, err_len, "no memory for the local turnaround of core %u",
					core->idx);
			return -ENOMEM;
		}
		nc.port[nc.ports_n++] = core->turn_port;
	}
	return net_init(&core->net, &nc, err, err_len);
}

/* What AL may ask of this TCP, by name. */
static void page_init(struct eta_core_page *page, const struct tcp_stack *tcp)
{
	_Static_assert(TCP_CC_N <= ETA_CC_MAX, "each congestion control has a name in the page");

	page->features = TCP_FEATURES;
	page->cc_default = tcp->conf.cc;
	for (uint8_t cc = 0; cc < TCP_CC_N; cc++)
		if (tcp_cc_name(cc))
			strncpy(page->cc_name[cc], tcp_cc_name(cc), ETA_CC_NAME_BYTES - 1);
}

int core_init(struct core *core, struct engine *engine, uint32_t idx, struct eta_core_page *page,
		char *err, size_t err_len)
{
	int rc;

	core->engine = engine;
	core->conf = &engine->conf;
	core->idx = idx;
	core->page = page;
	core->port_lo = engine->conf.port_lo ? engine->conf.port_lo : 32768;
	core->port_hi = engine->conf.port_hi ? engine->conf.port_hi : 60999;
	core->kick_fd = core->notify_fd = core->epoll_fd = -1;
	if (tables_init(core) != 0) {
		snprintf(err, err_len,
				"no memory for the tables of core %u (contexts=%u sessions=%u): more hugepages, or fewer contexts",
				idx, engine->conf.contexts_max, engine->conf.sessions_max);
		return -ENOMEM;
	}
	page_init(page, &core->tcp);
	rc = ports_init(core, err, err_len);
	if (rc != 0)
		return rc;
	core->is_net = true;
	core->memory_bytes += net_memory_bytes(&core->net);
	core->commands = admin_ring(core, "cmd");
	core->answers = admin_ring(core, "ans");
	core->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	core->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!core->commands || !core->answers || core->kick_fd < 0 || core->notify_fd < 0) {
		snprintf(err, err_len, "core %u: no rings or descriptors towards the kernel agent",
				idx);
		return -ENOMEM;
	}
	return idle_init(core, err, err_len);
}

void core_fini(struct core *core)
{
	idle_fini(core);
	if (core->kick_fd >= 0)
		(void)close(core->kick_fd);
	if (core->notify_fd >= 0)
		(void)close(core->notify_fd);
	rte_ring_free(core->commands);
	rte_ring_free(core->answers);
	if (core->is_net)
		net_fini(&core->net);
	turn_fini(core);
	ctable_fini(&core->ctable);
	dti_fini(&core->dti);
	while (core->mem_n > 0)
		rte_free(core->mem[--core->mem_n].base);
}

struct engine *engine_create(const struct engine_conf *conf, struct eta_core_page *const *core_page,
		char *err, size_t err_len)
{
	struct engine *e;

	if (conf->cores_n == 0 || conf->cores_n > ETA_CORES_MAX || conf->ports_n > PORTS_MAX ||
			(conf->port_lo > conf->port_hi)) {
		snprintf(err, err_len,
				"impossible engine configuration: cores=%u ports=%u port range %u..%u",
				conf->cores_n, conf->ports_n, conf->port_lo, conf->port_hi);
		return NULL;
	}
	e = rte_zmalloc_socket("eta_engine", sizeof(*e), ETA_CACHELINE, conf->socket_id);
	if (!e) {
		snprintf(err, err_len, "no memory for the engine");
		return NULL;
	}
	e->conf = *conf;
	for (uint32_t i = 0; i < conf->cores_n; i++) {
		e->core[i] = rte_zmalloc_socket(
				"eta_core", sizeof(*e->core[i]), ETA_CACHELINE, conf->socket_id);
		if (!e->core[i]) {
			snprintf(err, err_len, "no memory for core %u", i);
			engine_destroy(e);
			return NULL;
		}
		if (core_init(e->core[i], e, i, core_page[i], err, err_len) != 0) {
			engine_destroy(e);
			return NULL;
		}
	}
	return e;
}

void engine_destroy(struct engine *engine)
{
	if (!engine)
		return;
	for (uint32_t i = 0; i < engine->conf.cores_n; i++) {
		if (!engine->core[i])
			continue;
		core_fini(engine->core[i]);
		rte_free(engine->core[i]);
	}
	rte_free(engine);
}

struct core *engine_core(struct engine *engine, uint32_t idx)
{
	return idx < engine->conf.cores_n ? engine->core[idx] : NULL;
}

uint64_t engine_memory_bytes(const struct engine *engine)
{
	uint64_t n = sizeof(*engine);

	for (uint32_t i = 0; i < engine->conf.cores_n; i++)
		n += sizeof(*engine->core[i]) + engine->core[i]->memory_bytes;
	return n;
}

struct rte_ring *core_ring_commands(struct core *core)
{
	return core->commands;
}

struct rte_ring *core_ring_answers(struct core *core)
{
	return core->answers;
}

struct rte_ring *core_ring_punted(struct core *core)
{
	return core->net.punt.up;
}

struct rte_ring *core_ring_injected(struct core *core)
{
	return core->net.punt.down;
}

int core_kick_fd(const struct core *core)
{
	return core->kick_fd;
}

int core_notify_fd(const struct core *core)
{
	return core->notify_fd;
}
