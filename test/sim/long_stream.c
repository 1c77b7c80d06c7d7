/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection that lives longer than its numbers.
 *
 *   long_stream            8.2 GiB in 2 hours: sequence numbers wrap three times, timestamps once; then a pause of 25 days
 *   long_stream --full     20.5 GiB in 24 hours, and pauses of 25 and of 50 days
 *
 * In virtual time, in superframes, with a little loss. The stream moves in chunks with idle time between them; sequence numbers begin 40000 before
 * their wrap and the sender's clock 5 seconds before its own. After 24 days of silence a timestamp of the past looks like one of the
 * future and the other way round: PAWS must let go of TS.Recent (RFC 7323 5.5). Bytes are judged by their 64-bit offsets, so one that is off
 * by 2^32 does not pass.
 */
#include <stdio.h>
#include <string.h>

#include "engine/tcp/tcp_int.h"
#include "test/sim/flow.h"
#include "test/sim/tcp_world_up.h"

#define S 1000000ull
#define DAY (86400 * S)
#define WRAP_BYTES 40000u /* first wrap of sequence numbers */
#define WRAP_MS 5000u     /* of timestamps */
#define MSS 8960u
#define CHUNK_S_MAX 600ull /* a chunk is through by then */

static struct flows f;

static void conf_make(struct world_conf *conf)
{
	struct wire_conf wire = {.rate_bytes_ms = 2000000, /* 16 Gbit/s */
			.queue_bytes_max = 8u << 20,
			.delay_us = 200,
			.loss_ppm = 500,
			.reorder_ppm = 500,
			.reorder_us = 300};

	flows_conf(conf, &wire);
	conf->mss = MSS;
	conf->burst_bytes = 7 * MSS;
	conf->superframes = true;
}

/* Key and start time that put both numbers of side 0 right before their wrap. */
static void wrap_arrange(struct world_conf *conf)
{
	struct tcp_env e = {.stack = &f.w.host[0].st};
	struct ip_tuple tuple;
	uint32_t iss, ts_off;
	struct flow *flow;

	for (;; conf->tcp[0].isn_key[0]++) {
		flows_init(&f, conf, 1, false);
		flow = flow_add(&f, FLOW_ENDLESS, 0, NULL);
		world_tuple(&f.w, flow->conn, 0, &tuple);
		(void)tcp_conn_iss(&e, &tuple, &ts_off);
		conf->start_us = (uint64_t)(uint32_t)(0u - WRAP_MS - ts_off) * 1000;
		e.now_us = conf->start_us;
		iss = tcp_conn_iss(&e, &tuple, &ts_off);
		flows_fini(&f);
		if (seq_lt(iss, 0u - WRAP_BYTES))
			break;
	}
	flows_init(&f, conf, 1, false);
	f.w.host[0].st.isn_min = 0u - WRAP_BYTES;
	f.w.host[0].st.isn_min_for = ts_off;
	f.w.host[0].st.isn_min_valid = true;
}

/* Return: did all of it arrive? */
static bool chunk_move(struct flow *flow, uint64_t bytes)
{
	uint64_t want = flow_rcvd(flow) + bytes;

	flow->left = bytes;
	flow->conn->user[0].poked = true;
	flows_run(&f, f.w.now_us + CHUNK_S_MAX * S);
	return flow_rcvd(flow) == want && !f.w.failed;
}

int main(int argc, char **argv)
{
	bool full = argc == 2 && strcmp(argv[1], "--full") == 0;
	uint32_t chunks = full ? 48 : 12, i;
	uint64_t chunk_bytes = full ? 460000000 : 735000000, pause_us = full ? 1800 * S : 600 * S;
	struct world_conf conf;
	struct flow *flow;
	uint32_t iss, ts_first;

	if (argc > 1 && !full) {
		fprintf(stderr, "usage: %s [--full]\n", argv[0]);
		return 2;
	}
	conf_make(&conf);
	wrap_arrange(&conf);
	flow = flow_add(&f, 0, 0, NULL);
	flow->stays_open = true;
	flows_run(&f, f.w.now_us + S);
	if (flow_ctx(&f, flow) == NULL) {
		fprintf(stderr, "no connection: %s\n", f.w.why);
		return 1;
	}
	iss = flow_ctx(&f, flow)->iss;
	ts_first = (uint32_t)(f.w.now_us / 1000) + flow_ctx(&f, flow)->ts_off;
	for (i = 0; i < chunks && !f.w.failed; i++) {
		flow->total += chunk_bytes;
		if (!chunk_move(flow, chunk_bytes))
			world_fail(&f.w, "chunk %u does not arrive: %llu of %llu bytes", i,
					(unsigned long long)flow_rcvd(flow),
					(unsigned long long)flow->total);
		flows_run(&f, f.w.now_us + pause_us);
		if (i == chunks / 2)
			flows_run(&f, f.w.now_us + 25 * DAY);
		if (i == chunks / 2 + 1 && full)
			flows_run(&f, f.w.now_us + 50 * DAY);
	}
	flow->stays_open = false;
	flow->conn->user[0].poked = true;
	flows_run(&f, f.w.now_us + 1000 * S);
	flows_check_end(&f);
	if (iss != 0u - WRAP_BYTES || ts_first < 0u - WRAP_MS)
		world_fail(&f.w, "the numbers do not begin before their wrap: iss %u, timestamp %u",
				iss, ts_first);
	printf("%.2f GiB, %.1f days, sequence numbers wrapped %u times, %llu segments repeated: %s\n",
			(double)flow_rcvd(flow) / (1u << 30),
			(double)(f.w.now_us - conf.start_us) / (double)DAY,
			(uint32_t)((flow->total + iss) >> 32),
			(unsigned long long)f.w.host[0].st.stats.retrans_segs,
			f.w.failed ? f.w.why : "good");
	i = f.w.failed;
	flows_fini(&f);
	return i != 0;
}
