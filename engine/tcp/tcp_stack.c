/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack as an object: defaults, and putting the caller's memory to use.
 */
#include <string.h>

#include "engine/tcp/tcp_int.h"

void tcp_conf_default(struct tcp_conf *conf)
{
	*conf = (struct tcp_conf){
			.time_wait_ms = 60000,
			.fin_wait2_ms = 60000,
			.rto_us_min = 200000,
			.rto_us_max = 120000000,
			.rto_us_initial = 1000000,
			.delack_ms = 40,
			.keep_idle_ms = 7200000,
			.keep_intvl_ms = 75000,
			.keep_probes = 9,
			.syn_retries = 6,
			.synack_retries = 5,
			.data_retries = 15,
			.orphan_retries = 8,
			.initial_window_segs = 10,
			.cc = TCP_CC_CUBIC,
			.rcv_wscale = 7,
			.timestamps = true,
			.sack = true,
			.ecn = TCP_ECN_ACCEPT,
			.fastopen = TCP_FASTOPEN_CLIENT,
			.reorder_segs = 3,
			.min_tso_segs = 2,
			.slow_start_after_idle = true,
			.tlp = true,
			.syn_cookies = true,
			.notsent_lowat = UINT32_MAX,
			.challenge_per_s = 1000,
	};
}

uint32_t tcp_ext_n(uint32_t ctx_n)
{
	uint32_t n = ctx_n / 8;

	return 1 + (n < 64 ? 64 : n);
}

uint32_t tcp_log_n(uint32_t ctx_n)
{
	uint32_t n = ctx_n / 128;

	return 1 + (n < 64 ? 64 : n);
}

static void clamp_u32(uint32_t *v, uint32_t lo, uint32_t hi)
{
	if (*v < lo)
		*v = lo;
	if (*v > hi)
		*v = hi;
}

static void clamp_u8(uint8_t *v, uint8_t lo, uint8_t hi)
{
	if (*v < lo)
		*v = lo;
	if (*v > hi)
		*v = hi;
}

static void conf_clamp(struct tcp_conf *conf)
{
	const uint32_t day_ms = 86400000;

	clamp_u32(&conf->time_wait_ms, 1, 10 * day_ms);
	clamp_u32(&conf->fin_wait2_ms, 1, 10 * day_ms);
	clamp_u32(&conf->rto_us_min, 1000, 60000000);
	clamp_u32(&conf->rto_us_max, conf->rto_us_min, 600000000);
	clamp_u32(&conf->rto_us_initial, conf->rto_us_min, conf->rto_us_max);
	clamp_u32(&conf->delack_ms, 1, 500);
	clamp_u32(&conf->keep_idle_ms, 1, 10 * day_ms);
	clamp_u32(&conf->keep_intvl_ms, 1, 10 * day_ms);
	clamp_u32(&conf->challenge_per_s, 1, 1u << 30);
	clamp_u8(&conf->initial_window_segs, 1, 64);
	clamp_u8(&conf->rcv_wscale, 0, TCP_WSCALE_MAX);
	clamp_u8(&conf->mtu_probing, TCP_MTU_PROBING_OFF, TCP_MTU_PROBING_ALWAYS);
	clamp_u8(&conf->cc, TCP_CC_NEWRENO, TCP_CC_N - 1);
	clamp_u8(&conf->ecn, TCP_ECN_OFF, TCP_ECN_ACCEPT);
	clamp_u8(&conf->reorder_segs, 1, 127);
	clamp_u8(&conf->min_tso_segs, 1, 44); /* of 64 KiB */
}

void tcp_stack_conf(struct tcp_stack *stack, const struct tcp_conf *conf)
{
	stack->conf = *conf;
	conf_clamp(&stack->conf);
}

void tcp_stack_init(struct tcp_stack *stack, const struct tcp_mem *mem, const struct tcp_conf *conf,
		uint64_t now_us)
{
	memset(stack, 0, sizeof(*stack));
	stack->ctx = mem->ctx;
	stack->ctx_n = mem->ctx_n;
	stack->ext = mem->ext;
	stack->ext_n = mem->ext_n;
	stack->log = mem->log;
	stack->log_n = mem->log_n;
	tcp_stack_conf(stack, conf);
	for (uint32_t i = mem->ext_n; i > 1; i--) {
		stack->ext[i - 1].n = stack->ext_free;
		stack->ext_free = i - 1;
	}
	for (uint32_t i = mem->log_n; i > 1; i--) {
		stack->log[i - 1].next = stack->log_free;
		stack->log_free = i - 1;
	}
	stack->random = (conf->isn_key[0] ^ conf->isn_key[1] ^ now_us) | 1;
	stack->challenge_ms = (uint32_t)(now_us / 1000) - 1000;
	wheel_init(&stack->wheel, (uint32_t)(now_us / 1000));
}
