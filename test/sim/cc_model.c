/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each congestion control against what theory says of it, over a simulated bottleneck.
 *
 *   cc_model [NAME]      all algorithms of the table, or one
 *
 * Three questions, over several rates, round trips and queues:
 *
 *   bulk       one flow, no loss but that of the queue: goodput of at least BULK_PERCENT_MIN of the line's
 *   response   random loss on a line without limit: within a factor of the algorithm's response function,
 *              NewReno  rate = mss / rtt * sqrt(3/2) / sqrt(p)     (RFC 5348 3.1 without timeouts; every ACK counts bytes)
 *              CUBIC    rate = mss / rtt * 1.054 * (rtt / p)^0.75 (RFC 9438 5.1), or NewReno's if that is larger
 *   fairness   two flows, the second a second later: the smaller share over the larger, in the long run
 *
 * An algorithm that is added to tcp_cc_id is measured at once; a response function is known for those named here. Output is TAP, figures
 * in the line. Nothing depends on the machine.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/tcp/tcp_int.h"
#include "test/sim/flow.h"

#define S 1000000ull
#define MSS 1448u /* payload with timestamps */
#define BULK_PERCENT_MIN 90.0
#define RESPONSE_FACTOR_MIN 0.5
#define RESPONSE_FACTOR_MAX 2.0
#define FAIR_RATIO_MIN 0.8

static uint32_t test_n, failed_n;

static void report(bool holds, const char *cc, const char *what, const char *why)
{
	test_n++;
	failed_n += !holds;
	printf("%s %u - %s %s%s%s\n", holds ? "ok" : "not ok", test_n, cc, what,
			why[0] != '\0' ? " # " : "", why);
	fflush(stdout);
}

static void world_conf_make(struct world_conf *conf, uint32_t rate_bytes_ms, uint32_t rtt_us,
		uint32_t queue_bytes)
{
	struct wire_conf wire = {.rate_bytes_ms = rate_bytes_ms,
			.queue_bytes_max = queue_bytes,
			.delay_us = rtt_us / 2,
			/* no two flows are in step for ever */
			.jitter_us = rtt_us / 50};

	flows_conf(conf, &wire);
	conf->burst_bytes = 4 * MSS;
	conf->tcp[1].rcv_wscale = conf->tcp[0].rcv_wscale = 9;
}

/* Bytes that each flow moved in [@from_us, @to_us) after the start. Return: text of what broke, or "". */
static const char *measure(struct flows *f, uint64_t from_us, uint64_t to_us, double *bytes)
{
	static char why[256];
	uint64_t start_us = f->w.now_us;
	uint32_t i;

	flows_run(f, start_us + from_us);
	for (i = 0; i < f->n; i++)
		bytes[i] = -(double)flow_rcvd(&f->flow[i]);
	flows_run(f, start_us + to_us);
	for (i = 0; i < f->n; i++)
		bytes[i] += (double)flow_rcvd(&f->flow[i]);
	snprintf(why, sizeof(why), "%s", f->w.failed ? f->w.why : "");
	return why;
}

static uint32_t queue_of(uint32_t rate_bytes_ms, uint32_t rtt_us, double bdps)
{
	double bytes = bdps * rate_bytes_ms * rtt_us / 1000;

	return bytes < 30000 ? 30000 : (uint32_t)bytes;
}

static void bulk(uint8_t cc, uint32_t mbits, uint32_t rtt_us, double bdps)
{
	static struct flows f;
	const struct tcp_param param = {.cc = cc};
	uint32_t rate = mbits * 125;
	uint64_t run_us = 20 * S + 200ull * rtt_us;
	struct world_conf conf;
	double bytes[1], percent;
	const char *why;
	char text[120];

	world_conf_make(&conf, rate, rtt_us, queue_of(rate, rtt_us, bdps));
	flows_init(&f, &conf, 7, false);
	(void)flow_add(&f, FLOW_ENDLESS, 0, &param);
	why = measure(&f, run_us / 4, run_us, bytes);
	percent = bytes[0] * 100 / ((double)rate * (double)(run_us - run_us / 4) / 1000) *
		  (MSS + 12 + WORLD_FRAME_BYTES) / MSS;
	snprintf(text, sizeof(text), "bulk %u Mbit/s, rtt %.2f ms, queue %.1f bdp: %.1f %%", mbits,
			rtt_us / 1000.0, bdps, percent);
	report(why[0] == '\0' && percent >= BULK_PERCENT_MIN, tcp_cc_get(cc)->name, text, why);
	flows_fini(&f);
}

/* Segments per second; 0 = no function is known. */
static double response_of(uint8_t cc, double rtt_s, double p)
{
	double reno = sqrt(1.5 / p) / rtt_s;
	double cubic = 1.054 * pow(rtt_s, 0.75) / pow(p, 0.75) / rtt_s;

	if (cc == TCP_CC_NEWRENO)
		return reno;
	if (cc == TCP_CC_CUBIC)
		return cubic > reno ? cubic : reno;
	return 0;
}

static void response(uint8_t cc, uint32_t loss_ppm, uint32_t rtt_us)
{
	static struct flows f;
	const struct tcp_param param = {.cc = cc};
	double want = response_of(cc, rtt_us / 1e6, loss_ppm / 1e6), bytes[1], is;
	uint64_t run_us = 60 * S + 2000ull * rtt_us;
	struct world_conf conf;
	const char *why;
	char text[120];

	if (want == 0)
		return;
	world_conf_make(&conf, 0, rtt_us, 0);
	conf.wire[0].loss_ppm = loss_ppm;
	flows_init(&f, &conf, 3, false);
	(void)flow_add(&f, FLOW_ENDLESS, 0, &param);
	why = measure(&f, run_us / 6, run_us, bytes);
	is = bytes[0] / MSS / ((double)(run_us - run_us / 6) / 1e6);
	snprintf(text, sizeof(text), "response to %.2f %% loss, rtt %u ms: %.2f of the model",
			loss_ppm / 1e4, rtt_us / 1000, is / want);
	report(why[0] == '\0' && is >= RESPONSE_FACTOR_MIN * want &&
					is <= RESPONSE_FACTOR_MAX * want,
			tcp_cc_get(cc)->name, text, why);
	flows_fini(&f);
}

static void fairness(uint8_t cc, uint32_t mbits, uint32_t rtt_us, double bdps)
{
	static struct flows f;
	const struct tcp_param param = {.cc = cc};
	uint32_t rate = mbits * 125;
	struct world_conf conf;
	double bytes[2], ratio;
	const char *why;
	char text[120];

	world_conf_make(&conf, rate, rtt_us, queue_of(rate, rtt_us, bdps));
	flows_init(&f, &conf, 11, false);
	(void)flow_add(&f, FLOW_ENDLESS, 0, &param);
	(void)flow_add(&f, FLOW_ENDLESS, f.w.now_us + S, &param);
	why = measure(&f, 100 * S, 700 * S, bytes);
	ratio = bytes[0] < bytes[1] ? bytes[0] / bytes[1] : bytes[1] / bytes[0];
	snprintf(text, sizeof(text), "fairness %u Mbit/s, rtt %u ms, queue %.1f bdp: %.2f", mbits,
			rtt_us / 1000, bdps, ratio);
	report(why[0] == '\0' && ratio >= FAIR_RATIO_MIN, tcp_cc_get(cc)->name, text, why);
	flows_fini(&f);
}

int main(int argc, char **argv)
{
	uint8_t cc;

	for (cc = 1; cc < TCP_CC_N; cc++) {
		if (argc > 1 && strcmp(argv[1], tcp_cc_get(cc)->name) != 0)
			continue;
		bulk(cc, 10, 1000, 2);
		bulk(cc, 100, 1000, 2);
		bulk(cc, 100, 20000, 1);
		bulk(cc, 20, 100000, 1);
		bulk(cc, 1000, 200, 1);
		response(cc, 10000, 20000);
		response(cc, 1000, 20000);
		response(cc, 1000, 100000);
		response(cc, 10000, 100000);
		fairness(cc, 10, 10000, 2);
		fairness(cc, 20, 20000, 1);
		fairness(cc, 20, 20000, 4);
		fairness(cc, 10, 80000, 1);
	}
	printf("1..%u\n", test_n);
	return failed_n != 0 || test_n == 0;
}
