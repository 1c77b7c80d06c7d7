/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a list of Check tests, each in a process of its own, as one suite named after the file under test.
 */
#ifndef TEST_UNIT_TCP_FACTS_H
#define TEST_UNIT_TCP_FACTS_H

#include <check.h>
#include <stdlib.h>

static inline int facts_run(const char *name, const TTest *const *facts, size_t n)
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, facts[i]);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The end of a test file: FACTS("tcp opt", a__b, c__d, ...) */
#define FACTS(name, ...)                                                         \
	int main(void)                                                           \
	{                                                                        \
		const TTest *const facts[] = {__VA_ARGS__};                      \
                                                                                 \
		return facts_run(name, facts, sizeof(facts) / sizeof(facts[0])); \
	}

#endif
