/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One fact of TCP's machinery a row: each fails when its mechanism is taken out.
 *
 *   scenarios                    all rows, as TAP
 *   scenarios --list
 *   scenarios NAME [--verbose]   one row, with a trace
 */
#include <stdio.h>
#include <string.h>

#include "test/sim/scenario.h"

#define RTT_US 40000u

/* All but @a and @b were sent once; the last of @n does not count: it may be a rescue (RFC 6675 5, rule 4). */
static bool only_two_again(const struct scenario *s, uint32_t a, uint32_t b, uint32_t n)
{
	uint32_t i;

	for (i = 0; i + 1 < n; i++)
		if (scenario_copies(s, i) != (i == a || i == b ? 2 : 1))
			return false;
	return true;
}

/* RFC 5681 3.2: the third duplicate ACK, not the timer, brings segment 5 back, and it alone. */
static void fast_retransmit(struct scenario *s)
{
	uint64_t took_us;

	scenario_drop(s, 5, 0);
	took_us = scenario_send(s, 10);
	SCENARIO_EXPECT(s, STATS(s).timeouts == 0);
	SCENARIO_EXPECT(s, STATS(s).fast_retrans >= 1);
	SCENARIO_EXPECT(s, only_two_again(s, 5, 5, 10));
	SCENARIO_EXPECT(s, took_us < 3 * RTT_US);
}

/* RFC 3042: three segments in flight give two duplicate ACKs; the third comes from one they let go. */
static void limited_transmit(struct scenario *s)
{
	scenario_drop(s, 0, 0);
	(void)scenario_send(s, 6);
	SCENARIO_EXPECT(s, STATS(s).timeouts == 0);
	SCENARIO_EXPECT(s, STATS(s).fast_retrans >= 1);
}

/* RFC 6675: both holes in the round trip after they were seen, each once; RFC 6582 needs one for each. */
static void sack_two_holes(struct scenario *s)
{
	uint64_t took_us;

	scenario_drop(s, 5, 0);
	scenario_drop(s, 9, 0);
	took_us = scenario_send(s, 30);
	SCENARIO_EXPECT(s, STATS(s).timeouts == 0);
	SCENARIO_EXPECT(s, STATS(s).sack_recovery == 1);
	SCENARIO_EXPECT(s, only_two_again(s, 5, 9, 30));
	SCENARIO_EXPECT(s, took_us < 5 * RTT_US / 2);
}

/* RFC 6582: a partial ACK brings the next hole at once, without new duplicate ACKs or a second reduction. */
static void newreno_two_holes(struct scenario *s)
{
	scenario_drop(s, 5, 0);
	scenario_drop(s, 9, 0);
	(void)scenario_send(s, 30);
	SCENARIO_EXPECT(s, STATS(s).timeouts == 0);
	SCENARIO_EXPECT(s, STATS(s).reno_recovery == 1);
	SCENARIO_EXPECT(s, only_two_again(s, 5, 9, 30));
}

/* RFC 6298 5: everything is lost, a probe of the last segment (RFC 8985 7) as well: only the timer is left. */
static void rto_after_tail_loss(struct scenario *s)
{
	uint32_t rto_us = scenario_info(s).rto_us;
	uint64_t took_us;

	scenario_drop_run(s, 0, 10);
	scenario_drop(s, 9, 1);
	took_us = scenario_send(s, 10);
	SCENARIO_EXPECT(s, STATS(s).timeouts >= 1);
	SCENARIO_EXPECT(s, scenario_copies(s, 0) == 2);
	SCENARIO_EXPECT(s, took_us >= rto_us);
	SCENARIO_EXPECT(s,
			took_us < 5 * (uint64_t)rto_us); /* without SACK the last one waits again */
}

/* RFC 6298 5.5: each further timeout waits twice as long. */
static void rto_backs_off(struct scenario *s)
{
	uint32_t rto_us = scenario_info(s).rto_us, i;
	uint64_t took_us;

	for (i = 0; i < 4; i++)
		scenario_drop(s, 0, i);
	took_us = scenario_send(s, 1);
	SCENARIO_EXPECT(s, scenario_copies(s, 0) == 5);
	SCENARIO_EXPECT(s, took_us >= 7 * (uint64_t)rto_us);
	SCENARIO_EXPECT(s, took_us < 17 * (uint64_t)rto_us);
}

/* Two segments overtake a third: it is put in its place, and nobody takes it for lost. */
static void reassembly(struct scenario *s)
{
	scenario_reorder(s, 3, 2);
	(void)scenario_send(s, 10);
	SCENARIO_EXPECT(s, STATS_RCV(s).ofo_queue == 2);
	SCENARIO_EXPECT(s, STATS_RCV(s).ofo_merge == 1);
	SCENARIO_EXPECT(s, STATS(s).retrans_segs == 0);
	SCENARIO_EXPECT(s, scenario_info(s).cwnd_bytes >= 10 * SCENARIO_MSS);
}

/* A hole at each second segment: as many ranges as holes, all of them filled. */
static void reassembly_of_many_ranges(struct scenario *s)
{
	uint32_t i;

	for (i = 1; i < 30; i += 2)
		scenario_drop(s, i, 0);
	(void)scenario_send(s, 32);
	SCENARIO_EXPECT(s, STATS_RCV(s).ofo_queue >= 14);
	SCENARIO_EXPECT(s, STATS_RCV(s).ofo_drop == 0);
	SCENARIO_EXPECT(s, STATS(s).timeouts == 0);
	SCENARIO_EXPECT(s, scenario_copies(s, 0) == 1 && scenario_copies(s, 30) == 1);
}

/* A segment that arrives twice is acknowledged and otherwise does nothing. */
static void duplicate_is_harmless(struct scenario *s)
{
	scenario_duplicate(s, 4);
	(void)scenario_send(s, 10);
	SCENARIO_EXPECT(s, STATS_RCV(s).old_segs >= 1);
	SCENARIO_EXPECT(s, STATS(s).retrans_segs == 0);
	SCENARIO_EXPECT(s, scenario_info(s).cwnd_bytes >= 10 * SCENARIO_MSS);
}

/* ACKs are cumulative: later ones stand for those that were lost. */
static void lost_acks_are_harmless(struct scenario *s)
{
	scenario_drop_acks(s, 0, 4);
	(void)scenario_send(s, 20);
	SCENARIO_EXPECT(s, STATS(s).retrans_segs == 0);
	SCENARIO_EXPECT(s, STATS(s).timeouts == 0);
}

/* RFC 1191: what was too big goes again in smaller pieces as soon as the router has said so, and congestion is not blamed. */
static void path_mtu_shrinks(struct scenario *s)
{
	uint32_t cwnd;
	uint64_t took_us;

	(void)scenario_send(s, 10);
	cwnd = scenario_info(s).cwnd_bytes;
	s->f.w.path_mss = 600;
	took_us = scenario_send(s, 10);
	SCENARIO_EXPECT(s, s->f.w.too_big_n >= 1);
	SCENARIO_EXPECT(s, scenario_info(s).mss <= 600);
	SCENARIO_EXPECT(s, STATS(s).timeouts == 0);
	SCENARIO_EXPECT(s, took_us < 3 * RTT_US);
	SCENARIO_EXPECT(s, scenario_info(s).cwnd_bytes >= cwnd);
}

/* RFC 5681 3.1, RFC 9438 4.6: what a loss leaves of cwnd, in percent. */
static void reduction(struct scenario *s, uint32_t lo, uint32_t hi)
{
	uint32_t was;

	(void)scenario_send(s, 60);
	was = scenario_info(s).cwnd_bytes;
	scenario_drop(s, 60, 0); /* the first of a window: nothing has grown before */
	(void)scenario_send(s, was / SCENARIO_MSS);
	SCENARIO_EXPECT(s, STATS(s).timeouts == 0);
	SCENARIO_EXPECT(s, scenario_info(s).ssthresh_bytes >= was * (uint64_t)lo / 100);
	SCENARIO_EXPECT(s, scenario_info(s).ssthresh_bytes <= was * (uint64_t)hi / 100);
	SCENARIO_EXPECT(s, scenario_info(s).cwnd_bytes <=
					   scenario_info(s).ssthresh_bytes + 3 * SCENARIO_MSS);
}

static void newreno_halves(struct scenario *s)
{
	reduction(s, 40, 55);
}

static void cubic_keeps_seven_tenths(struct scenario *s)
{
	reduction(s, 60, 75);
}

static const struct row {
	const char *name;
	void (*run)(struct scenario *s);
	struct scenario_conf conf;
} rows[] = {
		{"fast-retransmit", fast_retransmit, {.no_sack = true}},
		{"fast-retransmit-sack", fast_retransmit, {0}},
		{"limited-transmit", limited_transmit, {.no_sack = true, .initial_window_segs = 3}},
		{"limited-transmit-sack", limited_transmit, {.initial_window_segs = 3}},
		{"sack-two-holes", sack_two_holes, {.initial_window_segs = 32}},
		{"newreno-two-holes", newreno_two_holes,
				{.no_sack = true, .initial_window_segs = 32}},
		{"rto-after-tail-loss", rto_after_tail_loss, {0}},
		{"rto-after-tail-loss-no-sack", rto_after_tail_loss, {.no_sack = true}},
		{"rto-backs-off", rto_backs_off, {0}},
		{"reassembly", reassembly, {0}},
		{"reassembly-no-sack", reassembly, {.no_sack = true}},
		{"reassembly-of-many-ranges", reassembly_of_many_ranges,
				{.initial_window_segs = 32}},
		{"duplicate-is-harmless", duplicate_is_harmless, {0}},
		{"lost-acks-are-harmless", lost_acks_are_harmless, {0}},
		{"path-mtu-shrinks", path_mtu_shrinks, {0}},
		{"path-mtu-shrinks-no-sack", path_mtu_shrinks, {.no_sack = true}},
		{"newreno-halves", newreno_halves, {.cc = TCP_CC_NEWRENO}},
		{"cubic-keeps-seven-tenths", cubic_keeps_seven_tenths, {.cc = TCP_CC_CUBIC}},
};
#define ROWS_N (sizeof(rows) / sizeof(rows[0]))

static bool row_run(uint32_t i, bool verbose)
{
	static struct scenario s;

	scenario_begin(&s, &rows[i].conf, verbose);
	rows[i].run(&s);
	scenario_end(&s);
	if (s.broken == NULL)
		printf("ok %u - %s\n", i + 1, rows[i].name);
	else
		printf("not ok %u - %s # line %d: %s; scenarios %s --verbose\n", i + 1,
				rows[i].name, s.broken_line, s.broken, rows[i].name);
	return s.broken == NULL;
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
	bool verbose = argc > 2 && strcmp(argv[2], "--verbose") == 0;
	bool list = argc > 1 && strcmp(argv[1], "--list") == 0;
	uint32_t i, run_n = 0, failed_n = 0;

	if (argc > 1 + (only != NULL) + list + verbose) {
		fprintf(stderr, "usage: %s [--list | NAME [--verbose]]\n", argv[0]);
		return 2;
	}
	if (only == NULL && !list)
		printf("1..%u\n", (uint32_t)ROWS_N);
	for (i = 0; i < ROWS_N; i++) {
		if (list)
			printf("%s\n", rows[i].name);
		if (list || (only != NULL && strcmp(only, rows[i].name) != 0))
			continue;
		run_n++;
		failed_n += !row_run(i, verbose);
	}
	if (run_n == 0 && !list) {
		fprintf(stderr, "%s: no scenario of that name\n", argv[0]);
		return 2;
	}
	return failed_n != 0;
}
