/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's defaults, changed while the core runs.
 *
 * The kernel agent says one value at a time; TCP reads them where it needs them, mostly when a connection begins. A value that TCP does
 * not allow is brought into range there, one that does not fit its field is refused here.
 */
#include "engine/core/core.h"

static bool take_u8(uint8_t *field, uint32_t value)
{
	if (value > UINT8_MAX)
		return false;
	*field = (uint8_t)value;
	return true;
}

static bool take_bool(bool *field, uint32_t value)
{
	if (value > 1)
		return false;
	*field = value != 0;
	return true;
}

static bool take_u32(uint32_t *field, uint32_t value)
{
	*field = value;
	return true;
}

/* Word @i of @key: low halves first. */
static bool take_word(uint64_t key[2], uint32_t i, uint32_t value)
{
	uint32_t shift = i % 2 * 32;

	key[i / 2] = (key[i / 2] & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
	return true;
}

static bool take(struct tcp_conf *conf, enum eta_knob id, uint32_t value)
{
	switch (id) {
	case ETA_KNOB_TIMESTAMPS: return take_bool(&conf->timestamps, value);
	case ETA_KNOB_SACK: return take_bool(&conf->sack, value);
	case ETA_KNOB_RCV_WSCALE: return take_u8(&conf->rcv_wscale, value);
	case ETA_KNOB_ECN: return take_u8(&conf->ecn, value);
	case ETA_KNOB_FASTOPEN: return take_u8(&conf->fastopen, value);
	case ETA_KNOB_SYN_COOKIES: return take_bool(&conf->syn_cookies, value);
	case ETA_KNOB_SLOW_START_IDLE: return take_bool(&conf->slow_start_after_idle, value);
	case ETA_KNOB_NOTSENT_LOWAT: return take_u32(&conf->notsent_lowat, value);
	case ETA_KNOB_REORDER_SEGS: return take_u8(&conf->reorder_segs, value);
	case ETA_KNOB_CC: return take_u8(&conf->cc, value);
	case ETA_KNOB_RTO_US_MIN: return take_u32(&conf->rto_us_min, value);
	case ETA_KNOB_SYN_RETRIES: return take_u8(&conf->syn_retries, value);
	case ETA_KNOB_SYNACK_RETRIES: return take_u8(&conf->synack_retries, value);
	case ETA_KNOB_DATA_RETRIES: return take_u8(&conf->data_retries, value);
	case ETA_KNOB_ORPHAN_RETRIES: return take_u8(&conf->orphan_retries, value);
	case ETA_KNOB_KEEP_IDLE_MS: return take_u32(&conf->keep_idle_ms, value);
	case ETA_KNOB_KEEP_INTVL_MS: return take_u32(&conf->keep_intvl_ms, value);
	case ETA_KNOB_KEEP_PROBES: return take_u8(&conf->keep_probes, value);
	case ETA_KNOB_FIN_WAIT2_MS: return take_u32(&conf->fin_wait2_ms, value);
	case ETA_KNOB_MTU_PROBING: return take_u8(&conf->mtu_probing, value);
	case ETA_KNOB_MIN_TSO_SEGS: return take_u8(&conf->min_tso_segs, value);
	case ETA_KNOB_FASTOPEN_KEY0:
	case ETA_KNOB_FASTOPEN_KEY1:
	case ETA_KNOB_FASTOPEN_KEY2:
	case ETA_KNOB_FASTOPEN_KEY3:
		return take_word(conf->fastopen_key, id - ETA_KNOB_FASTOPEN_KEY0, value);
	case ETA_KNOB_N: break;
	}
	return false;
}

static uint32_t value_of(const struct tcp_conf *conf, enum eta_knob id)
{
	switch (id) {
	case ETA_KNOB_TIMESTAMPS: return conf->timestamps;
	case ETA_KNOB_SACK: return conf->sack;
	case ETA_KNOB_RCV_WSCALE: return conf->rcv_wscale;
	case ETA_KNOB_ECN: return conf->ecn;
	case ETA_KNOB_FASTOPEN: return conf->fastopen;
	case ETA_KNOB_SYN_COOKIES: return conf->syn_cookies;
	case ETA_KNOB_SLOW_START_IDLE: return conf->slow_start_after_idle;
	case ETA_KNOB_NOTSENT_LOWAT: return conf->notsent_lowat;
	case ETA_KNOB_REORDER_SEGS: return conf->reorder_segs;
	case ETA_KNOB_CC: return conf->cc;
	case ETA_KNOB_RTO_US_MIN: return conf->rto_us_min;
	case ETA_KNOB_SYN_RETRIES: return conf->syn_retries;
	case ETA_KNOB_SYNACK_RETRIES: return conf->synack_retries;
	case ETA_KNOB_DATA_RETRIES: return conf->data_retries;
	case ETA_KNOB_ORPHAN_RETRIES: return conf->orphan_retries;
	case ETA_KNOB_KEEP_IDLE_MS: return conf->keep_idle_ms;
	case ETA_KNOB_KEEP_INTVL_MS: return conf->keep_intvl_ms;
	case ETA_KNOB_KEEP_PROBES: return conf->keep_probes;
	case ETA_KNOB_FIN_WAIT2_MS: return conf->fin_wait2_ms;
	case ETA_KNOB_MTU_PROBING: return conf->mtu_probing;
	case ETA_KNOB_MIN_TSO_SEGS: return conf->min_tso_segs;
	case ETA_KNOB_FASTOPEN_KEY0:
	case ETA_KNOB_FASTOPEN_KEY1:
	case ETA_KNOB_FASTOPEN_KEY2:
	case ETA_KNOB_FASTOPEN_KEY3: break; /* a secret */
	case ETA_KNOB_N: break;
	}
	return 0;
}

enum eta_status core_knob_get(const struct core *core, struct eta_admin_msg *msg)
{
	if (msg->knob.id >= ETA_KNOB_N)
		return ETA_STATUS_INVALID;
	msg->knob.value = value_of(&core->tcp.conf, (enum eta_knob)msg->knob.id);
	return ETA_STATUS_OK;
}

enum eta_status core_knob_set(struct core *core, const struct eta_admin_msg *msg)
{
	struct tcp_conf conf = core->tcp.conf;

	if (msg->knob.id >= ETA_KNOB_N ||
			!take(&conf, (enum eta_knob)msg->knob.id, msg->knob.value))
		return ETA_STATUS_INVALID;
	tcp_stack_conf(&core->tcp, &conf);
	/* what a socket that has chosen none tells of itself */
	eta_store_relaxed_u32(&core->page->cc_default, core->tcp.conf.cc);
	/* what AL itself keeps to */
	eta_store_relaxed_u32(&core->page->notsent_lowat,
			conf.notsent_lowat == UINT32_MAX ? 0 : conf.notsent_lowat);
	return ETA_STATUS_OK;
}
