/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c: the count is believed while threads wait.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ka/load.h"

#define OURS 2u
#define TICK_MS 100u

static char loadavg[64], pressure[64];
static struct load load;
static uint64_t now_ms = 1;

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void say_runnable(unsigned int n)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "0.71 1.76 1.96 %u/123 4567\n", n);
	put(loadavg, text);
}

static void say_waited(unsigned long us)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
			"some avg10=5.69 avg60=16.28 avg300=21.57 total=%lu\n"
			"full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
			us);
	put(pressure, text);
}

static uint32_t look(void)
{
	now_ms += TICK_MS;
	return load_runnable(&load, now_ms, OURS);
}

static void setup(void)
{
	(void)snprintf(loadavg, sizeof(loadavg), "/tmp/eta-loadavg-%d", getpid());
	(void)snprintf(pressure, sizeof(pressure), "/tmp/eta-pressure-%d", getpid());
	say_runnable(9);
	say_waited(14339909849);
}

static void teardown(void)
{
	load_close(&load);
	(void)unlink(loadavg);
	(void)unlink(pressure);
}

START_TEST(load_runnable__counts_only_while_threads_wait)
{
	load_open(&load, loadavg, pressure);
	/* nothing to compare with yet */
	ck_assert_uint_eq(look(), 0);
	say_waited(14339909849 + 12000);
	ck_assert_uint_eq(look(), 0);
	say_waited(14339909849 + 12000 + 13000);
	ck_assert_uint_eq(look(), 9 - OURS);
	/* a longer pause: the part counts, not the sum */
	now_ms += 9 * TICK_MS;
	say_waited(14339909849 + 12000 + 13000 + 60000);
	ck_assert_uint_eq(look(), 0);
}
END_TEST

START_TEST(load_runnable__without_pressure_believes_the_count)
{
	load_open(&load, loadavg, "/nonexistent");
	ck_assert_uint_eq(look(), 9 - OURS);
	say_runnable(1);
	ck_assert_uint_eq(look(), 0);
	put(loadavg, "nonsense");
	ck_assert_uint_eq(look(), 0);
	load_close(&load);
	load_open(&load, "/nonexistent", "/nonexistent");
	ck_assert_uint_eq(look(), 0);
}
END_TEST

START_TEST(load_runnable__takes_nonsense_about_pressure_for_none)
{
	put(pressure, "some avg10=1.00 total\n");
	load_open(&load, loadavg, pressure);
	ck_assert_uint_eq(look(), 9 - OURS);
	put(pressure, "");
	ck_assert_uint_eq(look(), 9 - OURS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load");
	TCase *tc = tcase_create("load");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, load_runnable__counts_only_while_threads_wait);
	tcase_add_test(tc, load_runnable__without_pressure_believes_the_count);
	tcase_add_test(tc, load_runnable__takes_nonsense_about_pressure_for_none);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
