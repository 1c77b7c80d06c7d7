/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers take the seeds in turn (seed modulo jobs) and say in shared memory which one they are at, so that the parent can name the seed
 * of a worker that died, count it as failed, and start another behind it.
 */
#include "test/sim/runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 16u
#define FAILURES_MAX 20u

struct shared {
	uint64_t at[JOBS_MAX];
	uint64_t done_n, failed_n;
};

static int range_run(const struct runner *runner, uint64_t first, uint64_t count, uint32_t jobs);
static pid_t worker_start(const struct runner *runner, struct shared *sh, uint32_t job,
		uint64_t from, uint64_t end, uint32_t jobs);
static void failure_print(const struct runner *runner, uint64_t seed, const char *why);

int runner_main(const struct runner *runner, int argc, char **argv)
{
	uint64_t first = 0, count = 0, seed = 0;
	uint32_t jobs = 1;
	bool one = false, verbose = false;
	int i, rc;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seeds") == 0 && i + 2 < argc) {
			first = strtoull(argv[++i], NULL, 0);
			count = strtoull(argv[++i], NULL, 0);
		} else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			seed = strtoull(argv[++i], NULL, 0);
			one = true;
		} else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc) {
			jobs = (uint32_t)strtoul(argv[++i], NULL, 0);
		} else if (strcmp(argv[i], "--verbose") == 0) {
			verbose = true;
		} else {
			return -1;
		}
	}
	if (!one && count == 0)
		return -1;
	if (!one)
		return range_run(runner, first, count,
				jobs < 1          ? 1
				: jobs > JOBS_MAX ? JOBS_MAX
						  : jobs);
	rc = runner->start != NULL ? runner->start() : 0;
	if (rc == 0)
		rc = runner->run(seed, verbose) != 0;
	printf("seed %llu: %s\n", (unsigned long long)seed, rc == 0 ? "holds" : "FAILED");
	return rc;
}

static int range_run(const struct runner *runner, uint64_t first, uint64_t count, uint32_t jobs)
{
	struct shared *sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[JOBS_MAX];
	struct timespec t0, t1;
	uint32_t job, alive = 0;
	double s;

	if (sh == MAP_FAILED)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (job = 0; job < jobs; job++, alive++)
		pid[job] = worker_start(runner, sh, job, first + job, first + count, jobs);
	while (alive != 0) {
		int status;
		pid_t died = waitpid(-1, &status, 0);

		for (job = 0; job < jobs && pid[job] != died; job++)
			;
		if (died < 0 || job == jobs)
			break;
		alive--;
		pid[job] = 0;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			return 77; /* cannot run here: start() has said why */
		failure_print(runner, sh->at[job],
				WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "took too long"
				: WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
						      : "ended the process");
		__atomic_add_fetch(&sh->failed_n, 1, __ATOMIC_RELAXED);
		if (sh->failed_n < FAILURES_MAX && sh->at[job] + jobs < first + count) {
			pid[job] = worker_start(
					runner, sh, job, sh->at[job] + jobs, first + count, jobs);
			alive++;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	s = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
	printf("%llu seeds from %llu: %llu failed, %.1f s, %.0f seeds/min\n",
			(unsigned long long)sh->done_n, (unsigned long long)first,
			(unsigned long long)sh->failed_n, s, (double)sh->done_n / s * 60);
	return sh->failed_n != 0;
}

static pid_t worker_start(const struct runner *runner, struct shared *sh, uint32_t job,
		uint64_t from, uint64_t end, uint32_t jobs)
{
	uint64_t seed;
	pid_t pid;
	int rc;

	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	sh->at[job] = from;
	rc = runner->start != NULL ? runner->start() : 0;
	if (rc != 0)
		_exit(rc);
	for (seed = from; seed < end && sh->failed_n < FAILURES_MAX; seed += jobs) {
		sh->at[job] = seed;
		alarm(runner->seed_s_max);
		if (runner->run(seed, false) != 0) {
			failure_print(runner, seed, "see above");
			__atomic_add_fetch(&sh->failed_n, 1, __ATOMIC_RELAXED);
		}
		__atomic_add_fetch(&sh->done_n, 1, __ATOMIC_RELAXED);
	}
	fflush(NULL);
	_exit(0);
}

static void failure_print(const struct runner *runner, uint64_t seed, const char *why)
{
	printf("FAILED seed %llu (%s). Replay: %s --seed %llu --verbose\n",
			(unsigned long long)seed, why, runner->prog, (unsigned long long)seed);
	fflush(stdout);
}
