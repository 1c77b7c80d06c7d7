/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bulk flows over a bottleneck: what a path may do to them, by chance.
 *
 * A seed chooses rate, queue, marking threshold, round trip (20 us .. 500 ms), loss, jitter, bounded reordering, one to four flows with any
 * congestion control, and at which moments the path's MTU changes. Holds when every byte of every flow arrives at its place, nothing
 * stands still, every end is clean, nothing is left over, and the queue was never longer than it can be; besides all that the world
 * checks of every segment: flight within min(cwnd, window), timeouts neither early nor late, cwnd no larger than what was acknowledged.
 */
#include <stdio.h>
#include <string.h>

#include "test/sim/flow.h"
#include "test/sim/runner.h"

#define TIME_US_MAX (7200ull * 1000000) /* virtual */
#define MTU_CHANGES_MAX 4u
#define MSS_MIN 536u /* smaller paths are not believed (RFC 5927 7) */
#define FRAME_BYTES_MAX 70000u

struct path {
	struct flows f;
	struct rnd rnd;
	uint32_t mtu_changes;
	uint64_t mtu_us; /* next change */
};

static void wire_draw(struct rnd *r, struct wire_conf *c);
static void conf_draw(struct path *p, struct world_conf *conf);
static void flows_draw(struct path *p);
static void mtu_turn(struct path *p);
static void queue_check(struct path *p);

static int seed_run(uint64_t seed, bool verbose)
{
	static struct path path;
	struct path *p = &path;
	struct world *w = &p->f.w;
	struct world_conf conf;
	uint64_t end_us, next_us;
	int failed;

	memset(&p->rnd, 0, sizeof(p->rnd));
	p->rnd.state = seed;
	conf_draw(p, &conf);
	flows_init(&p->f, &conf, seed, verbose);
	flows_draw(p);
	p->mtu_changes = rnd_below(&p->rnd, 3) == 0 ? rnd_range(&p->rnd, 1, MTU_CHANGES_MAX) : 0;
	p->mtu_us = w->now_us + rnd_log(&p->rnd, 2000000);
	end_us = w->now_us + TIME_US_MAX;
	while (!w->failed && w->now_us < end_us && !flows_all_done(&p->f)) {
		next_us = p->mtu_changes != 0 && p->mtu_us < end_us ? p->mtu_us : end_us;
		flows_run(&p->f, next_us);
		mtu_turn(p);
	}
	flows_check_end(&p->f);
	queue_check(p);
	failed = w->failed;
	if (failed || verbose)
		printf("seed %llu at %.3f ms: rate %u B/ms, queue %u, delay %u us, loss %u ppm, mss %u, %u flows, %llu too big: %s\n",
				(unsigned long long)seed,
				(double)(w->now_us - conf.start_us) / 1000,
				conf.wire[0].rate_bytes_ms, conf.wire[0].queue_bytes_max,
				conf.wire[0].delay_us, conf.wire[0].loss_ppm, conf.mss, p->f.n,
				(unsigned long long)w->too_big_n, failed ? w->why : "good");
	flows_fini(&p->f);
	return failed;
}

int main(int argc, char **argv)
{
	const struct runner runner = {.prog = argv[0], .run = seed_run, .seed_s_max = 60};
	int rc = runner_main(&runner, argc, argv);

	if (rc >= 0)
		return rc;
	fprintf(stderr, "usage: %s --seeds FIRST COUNT [--jobs N] | --seed N [--verbose]\n",
			argv[0]);
	return 2;
}

static void wire_draw(struct rnd *r, struct wire_conf *c)
{
	uint64_t bdp;

	memset(c, 0, sizeof(*c));
	c->delay_us = 10 + rnd_log(r, 250000);
	c->rate_bytes_ms = 125 + rnd_log(r, 1000000); /* 1 Mbit/s .. 8 Gbit/s */
	bdp = (uint64_t)c->rate_bytes_ms * 2 * c->delay_us / 1000;
	c->queue_bytes_max = 8000 +
			     (uint32_t)(bdp < 20000000 ? bdp : 20000000) * rnd_range(r, 1, 40) / 20;
	if (rnd_below(r, 3) == 0)
		c->mark_bytes = 1 + rnd_log(r, c->queue_bytes_max);
	if (rnd_below(r, 2))
		c->loss_ppm = rnd_log(r, 30000);
	if (rnd_below(r, 3) == 0) {
		c->reorder_ppm = rnd_log(r, 100000);
		c->reorder_us = 1 + rnd_log(r, c->delay_us);
	}
	c->jitter_us = rnd_below(r, 2) ? rnd_log(r, c->delay_us) : 0;
	c->dup_ppm = rnd_below(r, 4) == 0 ? rnd_log(r, 10000) : 0;
}

static void conf_draw(struct path *p, struct world_conf *conf)
{
	struct rnd *r = &p->rnd;
	struct wire_conf wire;
	int side;

	wire_draw(r, &wire);
	flows_conf(conf, &wire);
	conf->mss = rnd_below(r, 3) == 0 ? 8960 : 1460;
	conf->superframes = rnd_below(r, 4) == 0;
	conf->burst_bytes = conf->mss * rnd_range(r, 1, 50000 / conf->mss);
	conf->wire[1].loss_ppm = rnd_below(r, 3) == 0 ? rnd_log(r, 100000) : 0;
	conf->isn_near_wrap = rnd_below(r, 2) == 0;
	conf->start_us = 1000000 + rnd_log(r, 1u << 30) * 4000ull;
	for (side = 0; side < 2; side++) {
		struct tcp_conf *t = &conf->tcp[side];

		t->isn_key[0] = rnd_u64(r);
		t->timestamps = rnd_below(r, 4) != 0;
		t->sack = rnd_below(r, 4) != 0;
		t->rto_us_max = 10000000;
		t->data_retries = t->orphan_retries = t->syn_retries = t->synack_retries = 30;
	}
}

static void flows_draw(struct path *p)
{
	struct rnd *r = &p->rnd;
	uint32_t n = rnd_below(r, 2) ? 1 : rnd_range(r, 2, 4), i;

	for (i = 0; i < n; i++) {
		struct tcp_param param = {0};
		uint32_t bytes;

		param.cc = (uint8_t)rnd_below(r, TCP_CC_N);
		param.nodelay = rnd_below(r, 2) == 0;
		bytes = rnd_log(r, 2000000);
		(void)flow_add(&p->f, bytes, p->f.w.now_us + rnd_log(r, 1000000), &param);
	}
}

static void mtu_turn(struct path *p)
{
	struct world *w = &p->f.w;

	if (p->mtu_changes == 0 || w->now_us < p->mtu_us)
		return;
	p->mtu_changes--;
	p->mtu_us = w->now_us + rnd_log(&p->rnd, 2000000);
	w->path_mss = (uint16_t)(rnd_below(&p->rnd, 4) == 0
						 ? w->conf.mss
						 : rnd_range(&p->rnd, MSS_MIN, w->conf.mss));
	world_trace(w, "the path's mss is %u now", w->path_mss);
}

static void queue_check(struct path *p)
{
	const struct wire *wire = &p->f.w.wire[0];

	if (wire->stats.queue_bytes_peak > (uint64_t)wire->conf.queue_bytes_max + FRAME_BYTES_MAX)
		world_fail(&p->f.w, "a queue of %llu bytes where %u fit",
				(unsigned long long)wire->stats.queue_bytes_peak,
				wire->conf.queue_bytes_max);
}
