/* SPDX-License-Identifier: BSD-3-Clause */
/* al/core over the fake etad: doorbells, memory, sleeping, threads, sharing, fork. Several threads, bounded iterations, no sleeps. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "al/core/al.h"
#include "test/unit/al/fake_etad.h"

static struct fake *f;
static struct al_conn *master;

static void start_pages(uint32_t pages)
{
	f = fake_start(pages);
	ck_assert_int_eq(al_attach(f->path), 0);
}

static void start(void)
{
	start_pages(512);
}

static void end(void)
{
	fake_engine_start(f);
	al_detach();
	fake_engine_stop(f);
	fake_free(f);
}

static void listen_up(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the fake looks at no shadow */

	master = al_conn_open();
	ck_assert_ptr_nonnull(master);
	ck_assert_int_eq(al_conn_listen(master, fd, 16, false), 0);
	close(fd);
	fake_turn(f);
	ck_assert_int_eq(f->children_n,
			0); /* who only listens takes no connections: a forked child will */
	al_conn_watch(master, AL_EV_ALL, false);
	fake_turn(f);
}

static void dial(struct al_conn *conn)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
			.sin_addr.s_addr = htonl(0x0a000001),
			.sin_port = htons(80)};

	ck_assert_ptr_nonnull(conn);
	ck_assert_int_eq(al_conn_connect_start(conn, (const struct sockaddr *)&to, sizeof(to), -1),
			0);
}

static void pair_up(struct al_conn **client, struct al_conn **server)
{
	*client = al_conn_open();
	dial(*client);
	fake_turn(f);
	al_poll_events();
	*server = al_conn_accept(master);
	ck_assert_ptr_nonnull(*server);
	fake_turn(f);
}

static ssize_t put(struct al_conn *conn, const void *bytes, size_t len)
{
	const struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};

	return al_conn_send(conn, &iov, 1, 0);
}

static ssize_t get(struct al_conn *conn, void *bytes, size_t len)
{
	const struct iovec iov = {.iov_base = bytes, .iov_len = len};

	return al_conn_recv(conn, &iov, 1, false);
}

/* ---- submit ---- */

static void *release_later(void *arg)
{
	(void)arg;
	/* Until the ring is full and its producer waits. */
	while (__atomic_load_n(&al_root.ring[0].db.tail, __ATOMIC_ACQUIRE) - f->db[0].head <
			FAKE_RING_N)
		sched_yield();
	__atomic_store_n(&f->credit_hold, 0, __ATOMIC_RELEASE);
	/* The producer pushes all of them, or the suite's time limit ends both. */
	while (f->db_bad < FAKE_RING_N + 10) {
		fake_turn(f);
		sched_yield();
	}
	return NULL;
}

START_TEST(al_ring_push__full_waits_for_credit)
{
	const uint64_t w[4] = {0xfffff0}; /* a DTI that is none: counted by the fake */
	struct al_thread *t = al_thread_get();
	pthread_t thread;

	f->credit_hold = 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, release_later, NULL), 0);
	for (uint32_t i = 0; i < FAKE_RING_N + 10; i++)
		al_ring_push(t->ring[0], w);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(f->db_bad, FAKE_RING_N + 10);
}
END_TEST

START_TEST(al_ring_push__kicks_who_does_not_look)
{
	struct al_thread *t = al_thread_get();
	struct eta_doorbell_credit *credit =
			(struct eta_doorbell_credit *)(uintptr_t)t->ring[0]->credit;
	struct eta_doorbell_credit *theirs = (struct eta_doorbell_credit *)(void *)f->db[0].credit;
	const uint64_t w[4] = {0xfffff0};
	uint64_t kicks = 0;

	ck_assert_ptr_ne(credit, theirs); /* two mappings of one page */
	al_ring_push(t->ring[0], w);
	ck_assert_int_eq(read(f->kick_fd, &kicks, 8), -1);
	for (uint32_t i = 0; i < 3; i++) {
		theirs->nap = i; /* also the first of them */
		theirs->polled = 0;
		al_ring_push(t->ring[0], w);
		al_ring_push(t->ring[0], w);
		ck_assert_int_eq(read(f->kick_fd, &kicks, 8), 8);
		ck_assert_uint_eq(kicks, 1);
		theirs->polled = 1;
	}
	for (uint32_t i = 1; i < 4; i++) {
		f->page->asleep = i;
		al_ring_push(t->ring[0], w);
		al_ring_push(t->ring[0], w);
		ck_assert_int_eq(read(f->kick_fd, &kicks, 8), 8);
		ck_assert_uint_eq(kicks, 1);
		f->page->asleep = 0;
		al_ring_push(t->ring[0], w);
		ck_assert_int_eq(read(f->kick_fd, &kicks, 8), -1);
	}
}
END_TEST

#define KICK_ROUNDS 20000u
#define KICK_LOST_MS 2000

/* The engine's half of dti.h's SLEEPING, with an edge-triggered kick, asleep as often as it can be. Return: (void *)1 if a doorbell was lost. */
static void *kicked_engine(void *arg)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int fd = epoll_create1(EPOLL_CLOEXEC);
	uint32_t taken = 0, number = 0;
	bool is_lost = false;
	uint64_t w[4];

	(void)arg;
	epoll_ctl(fd, EPOLL_CTL_ADD, f->kick_fd, &ev);
	while (taken < KICK_ROUNDS && !is_lost) {
		__atomic_store_n(&f->page->asleep, ++number << 1 | 1, __ATOMIC_RELEASE);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
		if (!eta_ring_ready(&f->db[0]))
			is_lost = epoll_wait(fd, &ev, 1, KICK_LOST_MS) == 0;
		__atomic_store_n(&f->page->asleep, 0, __ATOMIC_RELEASE);
		while (eta_ring_pop(&f->db[0], w))
			taken++;
		eta_ring_publish_credit(&f->db[0]);
	}
	__atomic_store_n(&f->page->asleep, 0, __ATOMIC_RELEASE);
	close(fd);
	return (void *)(uintptr_t)is_lost;
}

/* Doorbells in bursts, each burst awaited: one that nobody kicks for would lie there until the engine's sleep times out. */
START_TEST(al_ring_push__one_kick_per_sleep_loses_no_doorbell)
{
	struct al_ring *ring = al_thread_get()->ring[0];
	const uint64_t w[4] = {0xfffff0};
	uint32_t at = ring->db.tail, r = 1;
	void *is_lost;
	pthread_t engine;

	ck_assert_int_eq(pthread_create(&engine, NULL, kicked_engine, NULL), 0);
	for (uint32_t n = 0; n < KICK_ROUNDS;) {
		uint32_t burst;

		r = r * 1664525 + 1013904223;
		burst = 1 + (r >> 30);
		for (uint32_t i = 0; i < burst && n < KICK_ROUNDS; i++, n++, at++)
			al_ring_push(ring, w);
		while (pthread_tryjoin_np(engine, &is_lost) != 0)
			if (__atomic_load_n(&f->db[0].credit->head, __ATOMIC_ACQUIRE) == at &&
					n < KICK_ROUNDS)
				goto next;
		ck_assert_ptr_null(is_lost);
		ck_assert_uint_eq(n, KICK_ROUNDS);
		return;
	next:
		for (uint32_t i = r >> 8 & 0x3ff; i; i--)
			eta_pause();
	}
}
END_TEST

/* Put @thread on @cpu alone. */
static void pin(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	ck_assert_int_eq(pthread_setaffinity_np(thread, sizeof(set), &set), 0);
}

/* Who asks what has come wakes a sleeping engine; one that does not get up is not waited for. */
START_TEST(al_wait_turn__kicks_a_sleeper_and_gives_up)
{
	struct al_conn *client, *server;
	struct timespec from, to;
	uint64_t kicks;

	listen_up();
	pair_up(&client, &server);
	f->page->asleep = 9;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	al_wait_turn(client);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	ck_assert_int_eq(read(f->kick_fd, &kicks, 8), 8);
	ck_assert_int_lt((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000,
			100);
}
END_TEST

/* The engine is an ordinary thread on the CPU of a real-time one: to yield does not let it run. */
START_TEST(al_conn_info__a_real_time_thread_lets_the_engine_run)
{
	const struct sched_param rt = {.sched_priority = 1}, ordinary = {0};
	struct timespec from, to;
	struct eta_conn_info info;
	struct al_conn *client, *server;
	int ret;

	listen_up();
	pair_up(&client, &server);
	fake_engine_start(f);
	pin(pthread_self(), sched_getcpu());
	pin(f->engine, sched_getcpu());
	if (pthread_setschedparam(pthread_self(), SCHED_RR, &rt) != 0) {
		fake_engine_stop(f);
		return; /* not allowed here */
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	ret = al_conn_info(client, &info);
	clock_gettime(CLOCK_MONOTONIC, &to);
	pthread_setschedparam(pthread_self(), SCHED_OTHER, &ordinary);
	fake_engine_stop(f);
	ck_assert_int_eq(ret, 0);
	/* the kernel itself lets others run after 950 ms of a second */
	ck_assert_int_lt((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000,
			500);
}
END_TEST

/* ---- memory ---- */

#define RACERS 4
#define RACE_ROUNDS 20000
static uint8_t owner_of[512];
static uint32_t collisions;

static void mark(uint32_t chunk, uint32_t order, uint8_t from, uint8_t to)
{
	for (uint32_t p = 0; p < 1u << order; p++)
		if (!__atomic_compare_exchange_n(&owner_of[ETA_CHUNK_PAGE(chunk) + p],
				    &(uint8_t){from}, to, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST))
			__atomic_add_fetch(&collisions, 1, __ATOMIC_SEQ_CST);
}

static void *racer(void *arg)
{
	struct al_session *s = &al_root.session[al_root.own_slot];
	uint8_t me = (uint8_t)(uintptr_t)arg;
	uint32_t held[64], order[64], n = 0, seed = me * 77777u;

	for (uint32_t i = 0; i < RACE_ROUNDS; i++) {
		seed = seed * 1664525 + 1013904223;
		if (n < 64 && seed >> 31) {
			order[n] = (seed >> 20 & 3) * 2 % 6;
			held[n] = al_chunk_take(s, &order[n]);
			if (held[n] != ETA_CHUNK_NONE) {
				mark(held[n], order[n], 0, me);
				n++;
			}
		} else if (n) {
			n--;
			mark(held[n], order[n], me, 0);
			al_chunk_give(s, held[n], order[n]);
		}
	}
	while (n--) {
		mark(held[n], order[n], me, 0);
		al_chunk_give(s, held[n], order[n]);
	}
	return NULL;
}

START_TEST(al_chunk_take__threads_never_share)
{
	const struct al_seg *seg = &al_root.session[al_root.own_slot].seg[0];
	pthread_t thread[RACERS];

	for (uintptr_t i = 0; i < RACERS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, racer, (void *)(i + 1)), 0);
	for (int i = 0; i < RACERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(collisions, 0);
	for (uint32_t w = 0; w < 512 / 64; w++)
		ck_assert_uint_eq(seg->map[w], 0); /* none lost */
}
END_TEST

START_TEST(al_chunk_take__falls_back_to_smaller)
{
	struct al_session *s = &al_root.session[al_root.own_slot];
	uint32_t order = ETA_CHUNK_ORDER_LARGE, n = 0, taken = 0;

	ck_assert_ptr_nonnull(al_thread_get());
	while (al_chunk_take(s, &order) != ETA_CHUNK_NONE) {
		taken += 1u << order;
		n++;
		order = ETA_CHUNK_ORDER_LARGE;
	}
	ck_assert_uint_eq(taken, 512);
	ck_assert_uint_eq(n, 32);
	order = ETA_CHUNK_ORDER_LARGE;
	al_chunk_give(s, ETA_CHUNK_MAKE(0, 0), ETA_CHUNK_ORDER_LARGE);
	al_cache_flush(al_self);
	al_root.session[al_root.own_slot].seg[0].map[0] |=
			2; /* page 1 is somebody's: no large run is left */
	ck_assert_uint_eq(al_chunk_take(s, &order), ETA_CHUNK_MAKE(0, 4));
	ck_assert_uint_eq(order, ETA_CHUNK_ORDER_MEDIUM);
}
END_TEST

START_TEST(al_chunk_take__refused_it_asks_again_after_a_while)
{
	struct al_session *s = &al_root.session[al_root.own_slot];
	const uint64_t tsc_hz = al_root.tsc_hz;
	uint32_t order = ETA_CHUNK_ORDER_SMALL;

	ck_assert_ptr_nonnull(al_thread_get());
	while (al_chunk_take(s, &order) != ETA_CHUNK_NONE)
		;
	ck_assert_uint_eq(f->grow_asked_n, 1);
	ck_assert_uint_eq(al_chunk_take(s, &order), ETA_CHUNK_NONE);
	ck_assert_uint_eq(f->grow_asked_n, 1);
	al_root.tsc_hz = 1000; /* a while is over at once */
	ck_assert_uint_eq(al_chunk_take(s, &order), ETA_CHUNK_NONE);
	al_root.tsc_hz = tsc_hz;
	ck_assert_uint_eq(f->grow_asked_n, 2);
}
END_TEST

START_TEST(al_sweep__frees_what_is_acknowledged)
{
	struct al_conn *c, *s;
	uint8_t buf[3000] = {0};

	listen_up();
	pair_up(&c, &s);
	f->ctx[s->dti_idx].stall = true;
	ck_assert_int_eq(put(c, buf, sizeof(buf)), sizeof(buf));
	fake_turn(f);
	al_sweep();
	ck_assert_uint_ne(c->al->chunk, ETA_CHUNK_NONE); /* not acknowledged */
	ck_assert_int_eq(al_wait_timeout_ms(), 1000);
	f->ctx[s->dti_idx].stall = false;
	fake_turn(f);
	al_sweep();
	ck_assert_uint_eq(c->al->chunk, ETA_CHUNK_NONE);
	ck_assert_int_eq(al_wait_timeout_ms(), -1);
	ck_assert_int_eq(get(s, buf, sizeof(buf)), sizeof(buf));
	ck_assert_int_eq(put(c, buf, 10), 10); /* and goes on behind the gap */
	fake_turn(f);
	ck_assert_int_eq(get(s, buf, sizeof(buf)), 10);
}
END_TEST

/* ---- sleeping ---- */

#define LITMUS_ROUNDS 20000
static uint32_t litmus_sent, litmus_seen;

/* The engine's half: events, each looked for and acknowledged before the next, so that every one can be the lost one. */
static void *litmus_engine(void *arg)
{
	struct eta_event ev = {.dti = 0xfffff0, .flags = ETA_EV_READ};

	(void)arg;
	for (uint32_t i = 1; i <= LITMUS_ROUNDS; i++) {
		for (uint32_t spin = (i * 2654435761u) >> 24; spin; spin--)
			eta_pause();
		while (!fake_push(f, 0, &ev))
			sched_yield();
		__atomic_store_n(&litmus_sent, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&litmus_seen, __ATOMIC_ACQUIRE) < i)
			eta_pause();
	}
	return NULL;
}

START_TEST(al_wait_arm__no_wake_is_lost)
{
	pthread_t thread;
	uint32_t seen = 0, slept = 0;

	ck_assert_ptr_nonnull(al_thread_get());
	ck_assert_int_eq(pthread_create(&thread, NULL, litmus_engine, NULL), 0);
	while (seen < LITMUS_ROUNDS) {
		struct pollfd pfd = {.events = POLLIN};

		f->page->heartbeat_tsc = __builtin_ia32_rdtsc();
		pfd.fd = al_wait_arm();
		ck_assert_int_ge(pfd.fd, 0);
		if (!al_events_pending()) {
			slept++;
			if (poll(&pfd, 1, 5000) != 1)
				ck_abort_msg("lost wake-up after %u events", seen);
		}
		al_wait_disarm();
		seen += al_poll_events();
		__atomic_store_n(&litmus_seen, seen, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(seen, LITMUS_ROUNDS);
	ck_assert_uint_gt(slept, 0);
	ck_assert_uint_le(f->wakes_n, LITMUS_ROUNDS);
}
END_TEST

static struct al_waiter *sleeper;
static uint32_t poke_told, poke_seen;

static void *poker(void *arg)
{
	(void)arg;
	for (uint32_t i = 1; i <= 5000; i++) {
		__atomic_store_n(&poke_told, i, __ATOMIC_RELEASE);
		al_wake_thread(sleeper);
		while (__atomic_load_n(&poke_seen, __ATOMIC_ACQUIRE) < i)
			eta_pause();
	}
	return NULL;
}

START_TEST(al_wake_thread__no_wake_is_lost)
{
	pthread_t thread;
	uint32_t seen = 0;

	sleeper = al_this_waiter();
	ck_assert_ptr_nonnull(sleeper);
	ck_assert_int_eq(pthread_create(&thread, NULL, poker, NULL), 0);
	while (seen < 5000) {
		struct pollfd pfd = {.events = POLLIN};

		f->page->heartbeat_tsc = __builtin_ia32_rdtsc();
		pfd.fd = al_wait_arm();
		ck_assert_int_ge(pfd.fd, 0);
		if (__atomic_load_n(&poke_told, __ATOMIC_ACQUIRE) == seen &&
				poll(&pfd, 1, 5000) != 1)
			ck_abort_msg("lost poke after %u", seen);
		al_wait_disarm();
		seen = __atomic_load_n(&poke_told, __ATOMIC_ACQUIRE);
		__atomic_store_n(&poke_seen, seen, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(al_wait_arm__sleeper_learns_that_etad_died)
{
	struct pollfd pfd = {.events = POLLIN};

	ck_assert(al_engine_alive());
	pfd.fd = al_wait_arm();
	ck_assert_int_ge(pfd.fd, 0);
	fake_kill(f);
	ck_assert_int_eq(poll(&pfd, 1, 1000), 1);
	al_wait_disarm();
	ck_assert(!al_engine_alive());
	ck_assert_int_eq(al_wait_arm(), -ECONNRESET);
}
END_TEST

START_TEST(al_engine_alive__stale_heartbeat_is_no_death)
{
	f->page->heartbeat_tsc = 0;
	ck_assert(al_engine_alive());
}
END_TEST

/* ---- threads ---- */

static pthread_barrier_t barrier;

static void *thread_uses(void *arg)
{
	uint8_t *idx = arg;
	struct al_thread *t = al_thread_get();

	*idx = t ? t->ring[0]->idx : 0xff;
	pthread_barrier_wait(&barrier); /* all of them hold their rings at once */
	return NULL;
}

/* More threads than rings: each exclusive ring has one, the first ring of the core has the rest; ended threads give back. */
START_TEST(al_thread_get__rings_are_shared_when_short)
{
	uint8_t idx[8];
	pthread_t thread[8];
	uint32_t used[FAKE_RINGS] = {0};

	ck_assert_ptr_nonnull(al_thread_get());
	pthread_barrier_init(&barrier, NULL, 8);
	for (int round = 0; round < 3; round++) {
		memset(used, 0, sizeof(used));
		for (int i = 0; i < 8; i++)
			ck_assert_int_eq(pthread_create(&thread[i], NULL, thread_uses, &idx[i]), 0);
		for (int i = 0; i < 8; i++) {
			pthread_join(thread[i], NULL);
			ck_assert_uint_lt(idx[i], FAKE_RINGS);
			used[idx[i]]++;
		}
		ck_assert_uint_eq(used[0], 8 - (FAKE_RINGS - 1));
		for (uint32_t r = 1; r < FAKE_RINGS; r++)
			ck_assert_uint_eq(used[r], 1);
	}
	ck_assert_uint_eq(f->rings_n, FAKE_RINGS);
	ck_assert_uint_eq(al_root.ring[0].threads_n, 1);
}
END_TEST

static void *accept_there(void *arg)
{
	struct al_conn **got = arg;

	*got = al_conn_accept(master);
	return NULL;
}

/* The event lies in this thread's queue, untouched; another thread's accept() finds the connection by the record. */
START_TEST(al_conn_accept__by_a_thread_that_got_no_event)
{
	struct al_conn *c, *got = NULL;
	pthread_t thread;

	listen_up();
	c = al_conn_open();
	dial(c);
	fake_turn(f);
	ck_assert_int_eq(pthread_create(&thread, NULL, accept_there, &got), 0);
	pthread_join(thread, NULL);
	ck_assert_ptr_nonnull(got);
	al_poll_events();
	ck_assert_ptr_null(al_conn_accept(master)); /* not twice */
}
END_TEST

START_TEST(al_conn_accept__children_are_replenished)
{
	struct al_conn *c, *s;

	listen_up();
	ck_assert_int_eq(f->children_n, 16);
	for (int i = 0; i < 40; i++) {
		pair_up(&c, &s);
		ck_assert_int_gt(f->children_n, 0);
	}
	/* Parameters of the listener are those of its connections. */
	al_conn_param(master)->tos = 0x28;
	for (int i = 0; i < 40; i++) {
		pair_up(&c, &s);
		if (s->al->tos == 0x28)
			return;
	}
	ck_abort_msg("no child inherited the listener's parameters");
}
END_TEST

START_TEST(al_conn_accept__children_that_wait_for_it_do_not_count)
{
	listen_up();
	for (int i = 0; i < 16; i++) {
		dial(al_conn_open());
		fake_turn(f);
		al_poll_events();
	}
	ck_assert_int_eq(f->children_n, 0);
	ck_assert_ptr_nonnull(al_conn_accept(master)); /* the first of sixteen */
	fake_turn(f);
	ck_assert_int_ge(f->children_n, 16);
}
END_TEST

START_TEST(al_conn_close__listener_gives_children_back)
{
	listen_up();
	al_conn_close(master, false);
	ck_assert_uint_eq(al_root.zombies.n, 17);
}
END_TEST

/* ---- sharing ---- */

START_TEST(al_record_lock__of_the_dead_is_broken)
{
	struct al_conn *c, *s;

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(al_conn_share(c, 4711), 0);
	ck_assert_uint_eq(f->share_n, 1);
	f->dead_lock_id = 0x1234;
	c->al->snd_lock = 0x1234;
	ck_assert_int_eq(put(c, "abc", 3), 3);
	ck_assert_uint_eq(c->al->snd_lock, 0);
	ck_assert_uint_ge(f->ping_n, 1);
}
END_TEST

static struct al_conn *locked;

static void *unlock_later(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&f->ping_n, __ATOMIC_ACQUIRE))
		sched_yield(); /* until the waiter asked whether we live */
	__atomic_store_n(&locked->al->snd_lock, 0, __ATOMIC_RELEASE);
	return NULL;
}

START_TEST(al_record_lock__of_the_living_is_waited_for)
{
	struct al_conn *c, *s;
	pthread_t thread;

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(al_conn_share(c, 4711), 0);
	locked = c;
	c->al->snd_lock = 0x77;
	ck_assert_int_eq(pthread_create(&thread, NULL, unlock_later, NULL), 0);
	ck_assert_int_eq(put(c, "abc", 3), 3);
	pthread_join(thread, NULL);
	ck_assert_uint_ge(f->ping_n, 1);
	ck_assert_uint_eq(c->al->snd_lock, 0);
}
END_TEST

/* What a hostile sibling writes into the record of a shared conn ends that conn, and nothing else. */
START_TEST(al_conn_send__hostile_sibling)
{
	struct al_conn *c, *s, *c2, *s2;
	struct eta_chunk_meta *m;
	uint8_t buf[64];
	ssize_t ret;

	listen_up();
	pair_up(&c, &s);
	pair_up(&c2, &s2);
	ck_assert_int_eq(put(c, "0123456789", 10), 10);
	f->ctx[s->dti_idx].stall = true;
	fake_turn(f);
	ck_assert_int_eq(al_conn_share(c, 1), 0);
	m = &f->al_meta[ETA_CHUNK_PAGE(c->al->chunk)];
	switch (_i) {
	case 0: c->al->snd_tail += 0x10000000; break;
	case 1: c->al->chunk = ETA_CHUNK_MAKE(200, 5); break;
	case 2: c->al->chunk = ETA_CHUNK_MAKE(0, 0xffff0); break;
	case 3: m->next = c->al->chunk; break;
	case 4: m->order = 200; break;
	case 5: m->off += 100000; break;
	case 6: m->dti = 77; break;
	}
	ret = put(c, "x", 1);
	ck_assert_int_eq(ret, -EPIPE);
	ck_assert_int_eq(put(c, "x", 1), -EPIPE);
	ck_assert_int_eq(put(c2, "fine", 4), 4);
	/* The engine kills such a DTI; the fake forgets it. */
	f->ctx[c->dti_idx].snd_tail = f->ctx[c->dti_idx].snd_una;
	f->ctx[c->dti_idx].peer = f->ctx[s->dti_idx].peer = -1;
	fake_turn(f);
	ck_assert_int_eq(get(s2, buf, sizeof(buf)), 4);
}
END_TEST

START_TEST(al_conn_send__a_record_ends_when_all_is_taken)
{
	static char bytes[FAKE_WINDOW];
	struct iovec iov = {.iov_base = bytes, .iov_len = 100};
	struct al_conn *c, *s;

	listen_up();
	pair_up(&c, &s);
	ck_assert_int_eq(al_conn_send(c, &iov, 1, ETA_DB_EOR), 100);
	fake_turn(f);
	ck_assert_uint_eq(f->last_op, ETA_DB_DATA | ETA_DB_EOR);
	ck_assert_int_eq(al_conn_send_urgent(c, &iov, 1, ETA_DB_EOR), 100);
	fake_turn(f);
	ck_assert_uint_eq(f->last_op, ETA_DB_PARAM | ETA_DB_EOR);
	f->ctx[s->dti_idx].stall = true;
	iov.iov_len = FAKE_WINDOW - 1000;
	ck_assert_int_eq(al_conn_send(c, &iov, 1, ETA_DB_EOR), FAKE_WINDOW - 1000);
	fake_turn(f);
	ck_assert_uint_eq(f->last_op, ETA_DB_DATA | ETA_DB_EOR);
	/* a part of it: the record goes on */
	iov.iov_len = FAKE_WINDOW;
	ck_assert_int_gt(al_conn_send(c, &iov, 1, ETA_DB_EOR), 0);
	fake_turn(f);
	ck_assert_uint_eq(f->last_op, ETA_DB_DATA);
	al_conn_close(c, true);
	al_conn_close(s, true);
}
END_TEST

/* ---- fork ---- */

static int child_main(struct al_conn *c, struct al_conn *s, struct al_conn *private)
{
	char buf[16];

	al_after_fork_child();
	if (al_is_attached())
		return 10;
	if (put(private, "x", 1) != -EPIPE)
		return 11; /* it was not announced */
	if (put(c, "child", 5) != 5)
		return 12;
	if (!al_is_attached())
		return 13; /* the first use attached */
	if (al_session_of(c)->owner != 1 || al_root.session[al_root.own_slot].owner != 0)
		return 14;
	while (get(s, buf, sizeof(buf)) == -EAGAIN)
		sched_yield();
	al_conn_close(c, false);
	al_conn_close(private, false);
	return 0;
}

START_TEST(al_conn_take_soft_error__once_each_and_not_after_an_answer)
{
	struct eta_dti_en *en;
	struct al_conn *c, *s;

	listen_up();
	pair_up(&c, &s);
	en = &f->dti_en[c->dti_idx];
	ck_assert_int_eq(al_conn_take_soft_error(c), 0);
	en->soft_una = en->snd_una;
	en->soft_status = 1u << 8 | ETA_STATUS_NET_UNREACHABLE;
	ck_assert_int_eq(al_conn_take_soft_error(c), ENETUNREACH);
	ck_assert_int_eq(al_conn_take_soft_error(c), 0);
	en->soft_status = 2u << 8 | ETA_STATUS_NET_UNREACHABLE; /* again */
	ck_assert_int_eq(al_conn_take_soft_error(c), ENETUNREACH);
	en->soft_status = 3u << 8 | ETA_STATUS_UNREACHABLE;
	en->snd_una++;
	ck_assert_int_eq(al_conn_take_soft_error(c), 0);
	en->snd_una--;
}
END_TEST

START_TEST(al_after_fork_child__inherits_what_was_announced)
{
	struct al_conn *c, *s, *p, *q;
	uint32_t rings = f->rings_n;
	int status;
	pid_t pid;

	listen_up();
	pair_up(&c, &s);
	pair_up(&p, &q);
	ck_assert_int_eq(al_conn_share_at_fork(c, 1), 0);
	ck_assert_int_eq(al_conn_share_at_fork(s, 2), 0);
	ck_assert_int_eq(put(c, "parent", 6), 6);
	fake_turn(f);
	al_before_fork();
	ck_assert_uint_eq(f->share_n, 2);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(child_main(c, s, p));
	al_after_fork_parent();
	fake_engine_start(f);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	fake_engine_stop(f);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child ended by %x", status);
	ck_assert_uint_eq(f->rings_n, rings + 1);
	ck_assert_uint_eq(f->session_next, 2);
	/* The parent goes on behind what the child wrote. */
	ck_assert_int_eq(put(c, "again", 5), 5);
	ck_assert_uint_eq(c->al->snd_tail, 16);
	ck_assert_int_eq(put(p, "mine", 4), 4);
}
END_TEST

/* ---- descriptors ---- */

START_TEST(al_fd_yield__moves_ours_away)
{
	int fd = al_root.ctl_fd;

	ck_assert(al_fd_is_own(fd));
	ck_assert_int_gt(fd, 100);
	ck_assert(!al_fd_is_own(0));
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(al_fd_yield(fd), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_ne(al_root.ctl_fd, fd);
	ck_assert(al_fd_is_own(al_root.ctl_fd));
	ck_assert(al_engine_alive());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("al core");
	TCase *tc = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, start, end);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, al_ring_push__full_waits_for_credit);
	tcase_add_test(tc, al_ring_push__kicks_who_does_not_look);
	tcase_add_test(tc, al_ring_push__one_kick_per_sleep_loses_no_doorbell);
	tcase_add_test(tc, al_wait_turn__kicks_a_sleeper_and_gives_up);
	tcase_add_test(tc, al_conn_info__a_real_time_thread_lets_the_engine_run);
	tcase_add_test(tc, al_chunk_take__threads_never_share);
	tcase_add_test(tc, al_chunk_take__falls_back_to_smaller);
	tcase_add_test(tc, al_chunk_take__refused_it_asks_again_after_a_while);
	tcase_add_test(tc, al_conn_send__a_record_ends_when_all_is_taken);
	tcase_add_test(tc, al_sweep__frees_what_is_acknowledged);
	tcase_add_test(tc, al_wait_arm__no_wake_is_lost);
	tcase_add_test(tc, al_wake_thread__no_wake_is_lost);
	tcase_add_test(tc, al_wait_arm__sleeper_learns_that_etad_died);
	tcase_add_test(tc, al_engine_alive__stale_heartbeat_is_no_death);
	tcase_add_test(tc, al_thread_get__rings_are_shared_when_short);
	tcase_add_test(tc, al_conn_accept__by_a_thread_that_got_no_event);
	tcase_add_test(tc, al_conn_accept__children_are_replenished);
	tcase_add_test(tc, al_conn_accept__children_that_wait_for_it_do_not_count);
	tcase_add_test(tc, al_conn_close__listener_gives_children_back);
	tcase_add_test(tc, al_record_lock__of_the_dead_is_broken);
	tcase_add_test(tc, al_record_lock__of_the_living_is_waited_for);
	tcase_add_loop_test(tc, al_conn_send__hostile_sibling, 0, 7);
	tcase_add_test(tc, al_conn_take_soft_error__once_each_and_not_after_an_answer);
	tcase_add_test(tc, al_after_fork_child__inherits_what_was_announced);
	tcase_add_test(tc, al_fd_yield__moves_ours_away);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
