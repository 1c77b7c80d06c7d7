/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small scenarios: the judge of the wire looks at what each frame carries and carries out the rules.
 */
#include "test/sim/scenario.h"

#include <string.h>

#include "test/sim/tcp_world_up.h"

#define RTT_US 40000u
#define RATE_BYTES_MS 10000u
#define DRAIN_US 100000000u
#define STEP_US 1000u /* of waiting */

static void data_judge(void *arg, uint64_t n, const struct wire_tx *tx, struct wire_fate *fate);
static void ack_judge(void *arg, uint64_t n, const struct wire_tx *tx, struct wire_fate *fate);
static void rule_add(struct scenario *s, const struct scenario_rule *rule);

void scenario_begin(struct scenario *s, const struct scenario_conf *conf, bool verbose)
{
	struct wire_conf wire = {.rate_bytes_ms = conf->rate_bytes_ms != 0 ? conf->rate_bytes_ms
									   : RATE_BYTES_MS,
			.delay_us = (conf->rtt_us != 0 ? conf->rtt_us : RTT_US) / 2,
			.queue_bytes_max = conf->queue_bytes != 0 ? conf->queue_bytes : UINT32_MAX,
			.mark_bytes = conf->mark_bytes};
	struct tcp_param param = {.cc = conf->cc, .nodelay = !conf->nagle};
	struct world_conf wc;
	int side;

	memset(s, 0, sizeof(*s));
	flows_conf(&wc, &wire);
	wc.mss = SCENARIO_MSS + (conf->no_timestamps ? 0 : 12);
	wc.burst_bytes = SCENARIO_MSS;
	for (side = 0; side < 2; side++) {
		wc.tcp[side].sack = !conf->no_sack;
		wc.tcp[side].timestamps = !conf->no_timestamps;
		if (conf->initial_window_segs != 0)
			wc.tcp[side].initial_window_segs = conf->initial_window_segs;
	}
	flows_init(&s->f, &wc, 1, verbose);
	s->flow = flow_add(&s->f, FLOW_ENDLESS, s->f.w.now_us, &param);
	s->flow->is_held = true;
	scenario_run_us(s, 10 * (uint64_t)wire.delay_us);
	scenario_expect(s, s->flow->conn->user[1].is_open, "the connection is established",
			__LINE__);
	s->f.w.wire[0].judge = data_judge;
	s->f.w.wire[1].judge = ack_judge;
	s->f.w.wire[0].judge_arg = s->f.w.wire[1].judge_arg = s;
}

void scenario_end(struct scenario *s)
{
	s->rules_n = 0;
	s->flow->is_held = false;
	s->flow->left = 0;
	s->flow->total = (uint64_t)s->segs * SCENARIO_MSS;
	s->flow->conn->user[0].poked = true;
	flows_run(&s->f, s->f.w.now_us + DRAIN_US);
	flows_check_end(&s->f);
	if (s->f.w.failed && s->broken == NULL)
		s->broken = s->f.w.why;
	world_fini(&s->f.w);
}

void scenario_drop(struct scenario *s, uint32_t seg, uint32_t copy)
{
	rule_add(s, &(struct scenario_rule){
				    .act = SCENARIO_DROP, .seg = seg, .n = 1, .copy = copy});
}

void scenario_drop_run(struct scenario *s, uint32_t seg, uint32_t n)
{
	rule_add(s, &(struct scenario_rule){.act = SCENARIO_DROP, .seg = seg, .n = n});
}

void scenario_delay(struct scenario *s, uint32_t seg, uint32_t copy, uint32_t us)
{
	rule_add(s, &(struct scenario_rule){.act = SCENARIO_DELAY,
				    .seg = seg,
				    .n = 1,
				    .copy = copy,
				    .us = us});
}

void scenario_reorder(struct scenario *s, uint32_t seg, uint32_t k)
{
	uint32_t line_bytes = SCENARIO_MSS + WORLD_FRAME_BYTES + 12;
	uint32_t gap_us = line_bytes * 1000 / s->f.w.wire[0].conf.rate_bytes_ms;

	scenario_delay(s, seg, 0, gap_us * k + gap_us / 2);
}

void scenario_mark(struct scenario *s, uint32_t seg, uint32_t copy)
{
	rule_add(s, &(struct scenario_rule){
				    .act = SCENARIO_MARK, .seg = seg, .n = 1, .copy = copy});
}

void scenario_duplicate(struct scenario *s, uint32_t seg)
{
	rule_add(s, &(struct scenario_rule){.act = SCENARIO_COPY, .seg = seg, .n = 1});
}

void scenario_drop_acks(struct scenario *s, uint32_t skip, uint32_t n)
{
	rule_add(s, &(struct scenario_rule){.act = SCENARIO_DROP,
				    .is_ack = true,
				    .seg = (uint32_t)s->acks_n + skip,
				    .n = n});
}

void scenario_write(struct scenario *s, uint32_t segs)
{
	s->segs += segs;
	world_write(&s->f.w, s->flow->conn, 0, segs * SCENARIO_MSS);
}

void scenario_run_us(struct scenario *s, uint64_t us)
{
	flows_run(&s->f, s->f.w.now_us + us);
}

uint64_t scenario_send(struct scenario *s, uint32_t segs)
{
	scenario_write(s, segs);
	return scenario_drain(s);
}

uint64_t scenario_drain(struct scenario *s)
{
	const struct user *u = &s->flow->conn->user[0];
	uint64_t start_us = s->f.w.now_us;

	while (u->snd_una != u->snd_tail && s->f.w.now_us - start_us < DRAIN_US && !s->f.w.failed)
		scenario_run_us(s, STEP_US);
	scenario_expect(s, u->snd_una == u->snd_tail, "all is acknowledged in the end", __LINE__);
	return s->f.w.now_us - start_us;
}

struct tcp_ctx *scenario_ctx(struct scenario *s)
{
	return flow_ctx(&s->f, s->flow);
}

struct tcp_ctx_info scenario_info(struct scenario *s)
{
	struct tcp_ctx_info info;

	tcp_ctx_info(&s->f.w.host[0].st, scenario_ctx(s), s->f.w.now_us, &info);
	return info;
}

uint32_t scenario_copies(const struct scenario *s, uint32_t seg)
{
	return seg < SCENARIO_SEGS_MAX ? s->copies[seg] : 0;
}

void scenario_expect(struct scenario *s, bool holds, const char *text, int line)
{
	if (holds || s->broken != NULL)
		return;
	s->broken = text;
	s->broken_line = line;
	world_trace(&s->f.w, "NOT AS EXPECTED: %s", text);
}

static void rule_add(struct scenario *s, const struct scenario_rule *rule)
{
	if (s->rules_n == SCENARIO_RULES_MAX)
		scenario_expect(s, false, "a scenario has few rules", __LINE__);
	else
		s->rule[s->rules_n++] = *rule;
}

static void apply(const struct scenario_rule *rule, struct wire_fate *fate)
{
	switch (rule->act) {
	case SCENARIO_DROP: fate->drop = true; break;
	case SCENARIO_DELAY: fate->delay_us += rule->us; break;
	case SCENARIO_MARK: fate->mark = true; break;
	case SCENARIO_COPY: fate->copies++; break;
	}
}

static void data_judge(void *arg, uint64_t n, const struct wire_tx *tx, struct wire_fate *fate)
{
	struct scenario *s = arg;
	struct world_frame f;
	uint32_t seg, end, i;

	(void)n;
	memcpy(&f, tx->head, sizeof(f));
	if (f.phantom_len == 0)
		return;
	seg = (uint32_t)(f.phantom_off / SCENARIO_MSS);
	end = (uint32_t)((f.phantom_off + f.phantom_len - 1) / SCENARIO_MSS);
	for (; seg <= end && seg < SCENARIO_SEGS_MAX; seg++) {
		for (i = 0; i < s->rules_n; i++)
			if (!s->rule[i].is_ack && seg - s->rule[i].seg < s->rule[i].n &&
					s->rule[i].copy == s->copies[seg])
				apply(&s->rule[i], fate);
		s->copies[seg]++;
	}
}

static void ack_judge(void *arg, uint64_t n, const struct wire_tx *tx, struct wire_fate *fate)
{
	struct scenario *s = arg;
	uint32_t i;

	(void)n;
	(void)tx;
	for (i = 0; i < s->rules_n; i++)
		if (s->rule[i].is_ack && s->acks_n - s->rule[i].seg < s->rule[i].n)
			apply(&s->rule[i], fate);
	s->acks_n++;
}
