/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engine.h with rings and answers, and nothing behind them.
 */
#include "test/unit/ka/fake_engine.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "engine/core/engine.h"

#define FAKE_OPS 96
#define FAKE_HELD_MAX (2 * ETA_ADMIN_RING)

struct core {
	struct rte_ring *commands, *answers, *punted, *injected;
	int kick_fd, notify_fd;
};

struct engine {
	uint32_t cores_n;
	struct core core[ETA_CORES_MAX];
};

static struct {
	pthread_mutex_t lock;
	uint32_t count[FAKE_OPS];
	struct eta_admin_msg last[FAKE_OPS];
	uint16_t answer[FAKE_OPS];
	int hold[FAKE_OPS];
	struct eta_admin_msg held[FAKE_HELD_MAX];
	uint32_t held_n;
	uint32_t knob[ETA_KNOB_N];
	int has_knob[ETA_KNOB_N];
	struct core *core0;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint32_t fake_engine_count(uint16_t op)
{
	uint32_t n;

	pthread_mutex_lock(&fake.lock);
	n = fake.count[op];
	pthread_mutex_unlock(&fake.lock);
	return n;
}

int fake_engine_last(uint16_t op, struct eta_admin_msg *msg)
{
	int any;

	pthread_mutex_lock(&fake.lock);
	any = fake.count[op] > 0;
	*msg = fake.last[op];
	pthread_mutex_unlock(&fake.lock);
	return any;
}

int fake_engine_knob(uint32_t id, uint32_t *value)
{
	int any;

	pthread_mutex_lock(&fake.lock);
	any = fake.has_knob[id];
	*value = fake.knob[id];
	pthread_mutex_unlock(&fake.lock);
	return any;
}

int fake_engine_wait(uint16_t op, uint32_t n, uint32_t ms)
{
	struct timespec now, until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	do {
		if (fake_engine_count(op) >= n)
			return 1;
		(void)poll(NULL, 0, 1);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < until.tv_sec ||
			(now.tv_sec == until.tv_sec && now.tv_nsec < until.tv_nsec) ||
			until.tv_nsec >= 1000000000);
	return fake_engine_count(op) >= n;
}

void fake_engine_answer(uint16_t op, uint16_t status)
{
	pthread_mutex_lock(&fake.lock);
	fake.answer[op] = status;
	pthread_mutex_unlock(&fake.lock);
}

static void fake_tell(struct core *core, const struct eta_admin_msg *msg)
{
	struct eta_admin_msg copy = *msg;
	const uint64_t one = 1;

	if (rte_ring_enqueue_elem(core->answers, &copy, sizeof(copy)) != 0)
		abort();
	if (write(core->notify_fd, &one, sizeof(one)) < 0)
		abort();
}

void fake_engine_notice(const struct eta_admin_msg *msg)
{
	pthread_mutex_lock(&fake.lock);
	fake_tell(fake.core0, msg);
	pthread_mutex_unlock(&fake.lock);
}

static void fake_done(struct core *core, const struct eta_admin_msg *msg)
{
	struct eta_admin_msg answer = *msg;

	answer.op = ETA_ADMIN_DONE;
	answer.status = fake.answer[msg->op];
	if (msg->op == ETA_ADMIN_DUMP) {
		answer.dump.n = 0;
		answer.dump.first = UINT32_MAX;
	}
	if (msg->op == ETA_ADMIN_KNOB_GET && msg->knob.id < ETA_KNOB_N)
		answer.knob.value = fake.knob[msg->knob.id];
	fake_tell(core, &answer);
}

void fake_engine_hold(uint16_t op, int hold)
{
	pthread_mutex_lock(&fake.lock);
	fake.hold[op] = hold;
	if (!hold) {
		for (uint32_t i = 0; i < fake.held_n; i++)
			fake_done(fake.core0, &fake.held[i]);
		fake.held_n = 0;
	}
	pthread_mutex_unlock(&fake.lock);
}

void fake_engine_reset(void)
{
	pthread_mutex_lock(&fake.lock);
	memset(fake.count, 0, sizeof(fake.count));
	memset(fake.answer, 0, sizeof(fake.answer));
	memset(fake.hold, 0, sizeof(fake.hold));
	memset(fake.has_knob, 0, sizeof(fake.has_knob));
	fake.held_n = 0;
	pthread_mutex_unlock(&fake.lock);
}

void core_run(struct core *core)
{
	struct eta_admin_msg msg;
	int is_stopped = 0;

	while (!is_stopped) {
		struct pollfd p = {.fd = core->kick_fd, .events = POLLIN};
		uint64_t n;

		(void)poll(&p, 1, 1000);
		if (read(core->kick_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			abort();
		while (rte_ring_dequeue_elem(core->commands, &msg, sizeof(msg)) == 0) {
			pthread_mutex_lock(&fake.lock);
			fake.count[msg.op]++;
			fake.last[msg.op] = msg;
			if (msg.op == ETA_ADMIN_KNOB_SET && msg.knob.id < ETA_KNOB_N) {
				fake.knob[msg.knob.id] = msg.knob.value;
				fake.has_knob[msg.knob.id] = 1;
			}
			if (fake.hold[msg.op] && fake.held_n < FAKE_HELD_MAX)
				fake.held[fake.held_n++] = msg;
			else
				fake_done(core, &msg);
			pthread_mutex_unlock(&fake.lock);
			is_stopped |= msg.op == ETA_ADMIN_STOP;
		}
	}
}

struct engine *engine_create(const struct engine_conf *conf, struct eta_core_page *const *core_page,
		char *err, size_t err_len)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	(void)core_page;
	(void)snprintf(err, err_len, "fake engine: no memory");
	if (!engine)
		return NULL;
	engine->cores_n = conf->cores_n;
	for (uint32_t i = 0; i < conf->cores_n; i++) {
		struct core *core = &engine->core[i];
		char name[32];

		(void)snprintf(name, sizeof(name), "fake_cmd%u", i);
		core->commands = rte_ring_create_elem(name, sizeof(struct eta_admin_msg),
				ETA_ADMIN_RING, SOCKET_ID_ANY, 0);
		(void)snprintf(name, sizeof(name), "fake_ans%u", i);
		core->answers = rte_ring_create_elem(name, sizeof(struct eta_admin_msg),
				ETA_ADMIN_RING, SOCKET_ID_ANY, 0);
		(void)snprintf(name, sizeof(name), "fake_up%u", i);
		core->punted = rte_ring_create(name, 256, SOCKET_ID_ANY, 0);
		(void)snprintf(name, sizeof(name), "fake_down%u", i);
		core->injected = rte_ring_create(name, 256, SOCKET_ID_ANY, 0);
		core->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		core->notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (!core->commands || !core->answers || !core->punted || !core->injected) {
			engine_destroy(engine);
			return NULL;
		}
	}
	fake.core0 = &engine->core[0];
	return engine;
}

void engine_destroy(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->cores_n; i++) {
		struct core *core = &engine->core[i];

		rte_ring_free(core->commands);
		rte_ring_free(core->answers);
		rte_ring_free(core->punted);
		rte_ring_free(core->injected);
		(void)close(core->kick_fd);
		(void)close(core->notify_fd);
	}
	free(engine);
}

struct core *engine_core(struct engine *engine, uint32_t idx)
{
	return &engine->core[idx];
}

uint64_t engine_memory_bytes(const struct engine *engine)
{
	return sizeof(*engine);
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
	return core->punted;
}

struct rte_ring *core_ring_injected(struct core *core)
{
	return core->injected;
}

int core_kick_fd(const struct core *core)
{
	return core->kick_fd;
}

int core_notify_fd(const struct core *core)
{
	return core->notify_fd;
}

const char *core_stat_name(uint32_t i)
{
	return i == 0 ? "FakeStat" : NULL;
}

uint64_t core_stat_value(const struct core *core, uint32_t i)
{
	(void)core;
	return i + 42;
}
