/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the shared-memory contract costs by itself: doorbells, events and records between two processes, without TCP.
 *
 * A parent plays AL, a forked child plays an engine core that echoes: it takes a doorbell, checks it as an engine must, writes its record
 * half and answers by an event, fencing and looking at "armed" once per burst. Each is pinned to a CPU of its own. Two figures: round
 * trip with one message under way, hand-overs per second each way with many (a message goes each way for every round).
 *
 * Instructions a side come from --count: the program runs itself under callgrind, both sides in one process, once per side, counting only
 * inside that side's functions. Time means nothing there, instructions are exact. A round is two hand-overs: a side puts one message and
 * takes one, so what a hand-over costs a side is half of what a round costs it; the call of the measured function is in it.
 *
 * Life: everything in one anonymous shared mapping; the child ends by itself when told or when its parent is gone.
 * Source: DESIGN 5, 14.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <eta/dti.h>

#define RING_N 1024u
#define DTI_N_MAX 1024u
#define BURST 32u
#define DEPTH_MAX 512u
#define MSG_BYTES 64u

#define GATE_RATE 4e6
#define GATE_ROUND_NS 400.0
#define GATE_INSTRUCTIONS 60.0

struct shared {
	struct eta_dti_al al[DTI_N_MAX];
	struct eta_dti_en en[DTI_N_MAX];
	struct eta_ring_slot doorbells[RING_N];
	struct eta_ring_slot events[RING_N];
	struct eta_doorbell_credit doorbell_credit;
	struct eta_ring_credit event_credit;
	struct eta_core_page page;
	uint32_t stop __attribute__((aligned(64)));
};

/* What AL knows of a DTI, and what the engine's context does. */
struct al_end {
	uint32_t snd_tail, rcv_head, rcv_tail, snd_una, ring_at;
	uint16_t gen;
};

struct en_end {
	uint32_t snd_tail, rcv_head;
	uint16_t gen;
};

struct bench {
	struct shared *sh;
	struct eta_ring_producer al_tx, en_tx;
	struct eta_ring_consumer al_rx, en_rx;
	struct al_end al[DTI_N_MAX];
	struct en_end en[DTI_N_MAX];
	uint32_t dti_n;
	uint64_t bad_n, kick_n, wake_n;
};

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpu >= 0 && sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static uint64_t pair(uint32_t lo, uint32_t hi)
{
	return lo | (uint64_t)hi << 32;
}

/* ---- AL's side ---- */

/* Queue MSG_BYTES on DTI @i and ring. The credit can not run out: at most DEPTH_MAX messages are under way. */
__attribute__((noipa)) static void al_ring(struct bench *b, uint32_t i)
{
	struct al_end *end = &b->al[i];
	struct eta_dti_al *half = &b->sh->al[i];
	uint32_t snd_tail = end->snd_tail + MSG_BYTES;
	uint32_t rcv_head = end->rcv_tail;
	/* Words, not fields: a slot read back whole from four narrow stores would wait for them. */
	const uint64_t w[4] = {i | (uint64_t)end->gen << 32, pair(snd_tail, rcv_head)};

	end->snd_tail = snd_tail;
	end->rcv_head = rcv_head;
	eta_store_relaxed_u32(&half->snd_tail, snd_tail);
	eta_store_release_u32(&half->rcv_head, rcv_head);
	while (!eta_ring_push(&b->al_tx, w))
		eta_pause();
	__asm__ volatile("" ::: "memory");
	if (ETA_UNLIKELY(eta_load_relaxed_u32(&b->sh->page.asleep) ||
			    !eta_load_relaxed_u32(&b->sh->doorbell_credit.polled)))
		b->kick_n++;
}

/* Take one event. Return: its DTI, or DTI_N_MAX if there is none. */
__attribute__((noipa)) static uint32_t al_take(struct bench *b)
{
	union {
		struct eta_event ev;
		uint64_t w[4];
	} u;
	struct al_end *end;

	if (!eta_ring_pop(&b->al_rx, u.w))
		return DTI_N_MAX;
	if (ETA_UNLIKELY(u.ev.dti >= b->dti_n || u.ev.gen != b->al[u.ev.dti].gen)) {
		b->bad_n++;
		return DTI_N_MAX;
	}
	end = &b->al[u.ev.dti];
	if (ETA_UNLIKELY(u.ev.rcv_tail - end->rcv_head > ETA_STREAM_BYTES_MAX ||
			    u.ev.snd_una - end->snd_una > end->snd_tail - end->snd_una))
		b->bad_n++;
	end->rcv_tail = u.ev.rcv_tail;
	end->snd_una = u.ev.snd_una;
	end->ring_at = u.ev.ring_at;
	return u.ev.dti;
}

/* ---- the engine's side ---- */

static inline bool en_echo(struct bench *b)
{
	union {
		struct eta_doorbell db;
		uint64_t w[4];
	} u;
	struct en_end *end;
	struct eta_dti_en *half;
	uint32_t snd_tail, ring_at;
	uint64_t w[4];

	if (!eta_ring_pop(&b->en_rx, u.w))
		return false;
	if (ETA_UNLIKELY(u.db.dti >= b->dti_n || u.db.gen != b->en[u.db.dti].gen ||
			    (u.db.op & ETA_DB_OP_MASK) != ETA_DB_DATA)) {
		b->bad_n++;
		return true;
	}
	end = &b->en[u.db.dti];
	half = &b->sh->en[u.db.dti];
	if (ETA_UNLIKELY(u.db.snd_tail - end->snd_tail > ETA_STREAM_BYTES_MAX ||
			    u.db.rcv_head - end->rcv_head > end->snd_tail - end->rcv_head))
		b->bad_n++;
	snd_tail = u.db.snd_tail;
	ring_at = u.db.rcv_head + (1u << 16);
	end->snd_tail = snd_tail;
	end->rcv_head = u.db.rcv_head;
	eta_store_relaxed_u32(&half->rcv_tail, snd_tail);
	eta_store_relaxed_u32(&half->snd_una, snd_tail);
	eta_store_relaxed_u32(&half->ring_at, ring_at);
	w[0] = u.db.dti | (uint64_t)u.db.gen << 32 | (uint64_t)ETA_EV_READ << 48;
	w[1] = pair(snd_tail, snd_tail);
	w[2] = pair(ring_at, ETA_DTI_OPEN);
	w[3] = pair(0, 1u << 16);
	while (!eta_ring_push(&b->en_tx, w))
		if (eta_load_relaxed_u32(&b->sh->stop))
			return false;
	return true;
}

/* One turn of the loop: a burst of doorbells, then the wake-up check. Return: doorbells taken. */
__attribute__((noipa)) static uint32_t en_turn(struct bench *b)
{
	uint32_t n = 0;

	while (n < BURST && en_echo(b))
		n++;
	if (n) { /* an empty turn costs one load and no fence */
		eta_fence_store_load();
		if (ETA_UNLIKELY(eta_load_relaxed_u32(&b->sh->event_credit.armed)))
			b->wake_n++;
	}
	return n;
}

/* ---- set-up ---- */

static void bench_init(struct bench *b, uint32_t dti_n)
{
	struct shared *sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1,
			0); /* cppcheck-suppress invalidFunctionArg */

	if (sh == MAP_FAILED)
		die("mmap");
	memset(b, 0, sizeof(*b));
	b->sh = sh;
	b->dti_n = dti_n;
	sh->doorbell_credit.polled = 1;
	for (uint32_t i = 0; i < dti_n; i++)
		b->al[i].gen = b->en[i].gen = (uint16_t)(i + 1);
	b->al_tx = (struct eta_ring_producer){.slots = sh->doorbells,
			.credit = (const struct eta_ring_credit *)&sh->doorbell_credit,
			.n = RING_N};
	b->en_rx = (struct eta_ring_consumer){.slots = sh->doorbells,
			.credit = (struct eta_ring_credit *)&sh->doorbell_credit,
			.n = RING_N};
	b->en_tx = (struct eta_ring_producer){
			.slots = sh->events, .credit = &sh->event_credit, .n = RING_N};
	b->al_rx = (struct eta_ring_consumer){
			.slots = sh->events, .credit = &sh->event_credit, .n = RING_N};
}

static pid_t engine_start(struct bench *b, int cpu)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	pin(cpu);
	while (!eta_load_relaxed_u32(&b->sh->stop))
		en_turn(b); /* no pause: a core that polls ports has none either */
	_exit(b->bad_n ? 1 : 0);
}

static int engine_stop(struct bench *b, pid_t pid)
{
	int status = 0;

	eta_store_release_u32(&b->sh->stop, 1);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	munmap(b->sh, sizeof(*b->sh));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 && !b->bad_n ? 0 : -1;
}

/* ---- the measurements ---- */

struct result {
	double rate_per_s; /* rounds = hand-overs each way */
	double round_ns;   /* seconds / rounds; with depth 1 the round trip */
	int broken;
};

static struct result run(uint32_t dti_n, uint32_t depth, double seconds, const int cpu[2])
{
	static struct bench b;
	struct result r = {0};
	uint64_t rounds = 0;
	double start, end;
	pid_t pid;

	bench_init(&b, dti_n);
	pid = engine_start(&b, cpu[1]);
	pin(cpu[0]);
	for (uint32_t i = 0; i < depth; i++)
		al_ring(&b, i % dti_n);
	start = now_s();
	do {
		for (uint32_t k = 0; k < 4096;) {
			uint32_t dti = al_take(&b);

			if (dti == DTI_N_MAX)
				continue;
			al_ring(&b, dti);
			k++;
		}
		rounds += 4096;
		end = now_s();
	} while (end - start < seconds);
	r.rate_per_s = (double)rounds / (end - start);
	r.round_ns = 1e9 * (end - start) / (double)rounds;
	r.broken = engine_stop(&b, pid);
	return r;
}

/* Both sides in turn in this process, for callgrind. */
static int count_child(uint32_t rounds)
{
	static struct bench b;

	bench_init(&b, 64);
	for (uint32_t i = 0; i < rounds; i += BURST) {
		for (uint32_t k = 0; k < BURST; k++)
			al_ring(&b, (i + k) % 64);
		en_turn(&b);
		for (uint32_t k = 0; k < BURST; k++)
			if (al_take(&b) == DTI_N_MAX)
				return 1;
	}
	return b.bad_n ? 1 : 0;
}

/* Instructions per round inside @toggles, or a negative number if callgrind is not there. */
static double count(const char *self, const char *toggles)
{
	const uint32_t rounds = 3200;
	char cmd[1024], line[256];
	double found = -1;
	FILE *pipe;

	snprintf(cmd, sizeof(cmd),
			"timeout 100 valgrind --tool=callgrind --callgrind-out-file=/dev/null %s "
			"'%s' --count-child %u 2>&1",
			toggles, self, rounds);
	pipe = popen(cmd, "r"); /* NOLINT(cert-env33-c): a tool run by hand, no foreign input */
	if (!pipe)
		die("popen");
	while (fgets(line, sizeof(line), pipe)) {
		const char *at = strstr(line, "Collected : ");

		if (at)
			found = strtod(at + strlen("Collected : "), NULL) / rounds;
	}
	return pclose(pipe) == 0 ? found : -1;
}

static int usage(void)
{
	fputs("usage: contract_bench [--seconds S] [--repeat N] [--cpus AL,ENGINE] [--count] [--gate]\n"
	      "  rates and round trips between two pinned processes, as JSON; --count adds instructions a\n"
	      "  side (valgrind); --gate: exit 1 below 4 M hand-overs/s, above 400 ns or 60 instructions\n",
			stderr);
	return 2;
}

static int by_value(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

struct options {
	double seconds;
	int repeat, cpu[2];
	bool count, gate;
};

static int measure(const struct options *o, const char *self)
{
	static const struct {
		uint32_t dti_n, depth;
	} row[] = {{1, 1}, {1, 64}, {64, 64}, {DTI_N_MAX, DEPTH_MAX}};
	double round_ns = 0, rate = 0, al = -1, en = -1;
	int broken = 0;

	printf("{\"bench\": \"contract\", \"rows\": [");
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		double ns[32] = {0};

		for (int k = 0; k < o->repeat; k++) {
			struct result r = run(row[i].dti_n, row[i].depth, o->seconds, o->cpu);

			ns[k] = r.round_ns;
			broken |= r.broken;
		}
		qsort(ns, (size_t)o->repeat, sizeof(ns[0]), by_value);
		printf("%s\n  {\"dtis\": %u, \"depth\": %u, \"round_ns\": %.1f, \"round_ns_best\": %.1f, "
		       "\"handovers_per_s_each_way\": %.0f}",
				i ? "," : "", row[i].dti_n, row[i].depth, ns[o->repeat / 2], ns[0],
				1e9 / ns[o->repeat / 2]);
		if (row[i].depth == 1)
			round_ns = ns[o->repeat / 2];
		if (1e9 / ns[o->repeat / 2] > rate)
			rate = 1e9 / ns[o->repeat / 2];
	}
	printf("],\n \"round_trip_ns\": %.1f, \"handovers_per_s_each_way\": %.0f", round_ns, rate);
	if (o->count) {
		al = count(self, "--toggle-collect=al_ring --toggle-collect=al_take");
		en = count(self, "--toggle-collect=en_turn");
		printf(",\n \"instructions_al_round\": %.1f, \"instructions_engine_round\": %.1f, "
		       "\"instructions_al_handover\": %.1f, \"instructions_engine_handover\": %.1f",
				al, en, al / 2, en / 2);
	}
	printf(", \"broken\": %s}\n", broken ? "true" : "false");
	if (broken)
		return 1;
	if (!o->gate)
		return 0;
	return rate < GATE_RATE || round_ns > GATE_ROUND_NS || al / 2 > GATE_INSTRUCTIONS ||
	       en / 2 > GATE_INSTRUCTIONS || (o->count && (al < 0 || en < 0));
}

int main(int argc, char **argv)
{
	struct options o = {.seconds = 0.5, .repeat = 5, .cpu = {0, 1}};

	for (int i = 1; i < argc; i++) {
		const char *val = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--count"))
			o.count = true;
		else if (!strcmp(argv[i], "--gate"))
			o.gate = true;
		else if (!strcmp(argv[i], "--count-child") && val)
			return count_child((uint32_t)strtoul(val, NULL, 10));
		else if (!strcmp(argv[i], "--seconds") && val && ++i)
			o.seconds = strtod(val, NULL);
		else if (!strcmp(argv[i], "--repeat") && val && ++i)
			o.repeat = (int)strtol(val, NULL, 10);
		else if (!strcmp(argv[i], "--cpus") && val && ++i) {
			if (sscanf(val, "%d,%d", &o.cpu[0], &o.cpu[1]) !=
					2) /* NOLINT(cert-err34-c) */
				return usage();
		} else
			return usage();
	}
	if (o.repeat < 1 || o.repeat > 31 || o.seconds <= 0 || o.seconds > 60)
		return usage();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		fputs("contract_bench: two CPUs are needed\n", stderr);
		return 77;
	}
	return measure(&o, argv[0]);
}
