/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network namespace of the test's own: nameless, so it goes with the process whatever happens.
 */
#ifndef TEST_UNIT_KA_KA_NS_H
#define TEST_UNIT_KA_KA_NS_H

#include <stdbool.h>

/* Enter one, with lo up. False: not root; the test is skipped. */
bool ka_ns_enter(void);
/* Run a command line; the test fails if it fails. */
void ka_ns_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* EAL for tests that need mbufs or rings; ordinary pages. */
void ka_eal(void);

#endif
