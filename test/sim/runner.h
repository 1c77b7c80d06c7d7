/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a scenario for many seeds: in worker processes, so that a crash is one failed seed, and so that two cores are used.
 *
 *   PROG --seeds FIRST COUNT [--jobs N]      all of them; each failure prints the command that replays it
 *   PROG --seed N [--verbose]                one, in this process, with a trace
 */
#ifndef TEST_SIM_RUNNER_H
#define TEST_SIM_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

struct runner {
	const char *prog;
	/* Once per process, before the first seed; NULL = nothing to do. Return 0, or the exit status. */
	int (*start)(void);
	/* Return: 0 the seed holds; else it has printed what does not. */
	int (*run)(uint64_t seed, bool verbose);
	uint32_t seed_s_max; /* real time of one seed; more is a failure */
};

/* Parses the command line and runs. Return: exit status; -1 = no seed option in argv, the caller's own options. */
int runner_main(const struct runner *runner, int argc, char **argv);

#endif
