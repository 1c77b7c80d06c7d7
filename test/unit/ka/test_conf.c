/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conf.c: what is accepted, and that everything else is refused with file and line.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/tcp/tcp.h"
#include "ka/conf.h"

static struct conf conf;
static char err[512];

static int load(const char *text)
{
	char path[] = "/tmp/eta-conf-XXXXXX";
	int fd = mkstemp(path), rc;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	conf_default(&conf);
	err[0] = '\0';
	rc = conf_load(&conf, path, err, sizeof(err));
	unlink(path);
	return rc;
}

#define PORT "ports = ( { name = \"packet:eth0\"; } );\n"

START_TEST(conf_default__is_documented)
{
	conf_default(&conf);
	ck_assert_str_eq(conf.socket, "/run/eta/etad.sock");
	ck_assert_int_eq(conf_socket_mode(&conf), 0660);
	ck_assert_int_eq(conf.port_lo, 61000);
	ck_assert_int_eq(conf.ports_n, 0);
}
END_TEST

START_TEST(conf_load__takes_what_the_lab_writes)
{
	ck_assert_int_eq(
			load("cores = [ 1, 2 ];\n" PORT
			     "control = { socket = \"/tmp/x\"; group = \"root\"; mode = \"0600\"; };\nidle = \"poll\";\nlog = { level = \"debug\"; };\n"),
			0);
	ck_assert_int_eq(conf.cpus_n, 2);
	ck_assert_int_eq(conf.cpus[1], 2);
	ck_assert_str_eq(conf.port[0].name, "packet:eth0");
	ck_assert_str_eq(conf.port[0].tap, "eta%d");
	ck_assert_int_eq(conf.port[0].mode, CONF_PORT_AUTO);
	ck_assert_int_eq(conf_socket_mode(&conf), 0600);
	ck_assert_int_eq(conf.idle, 0);
	ck_assert_str_eq(conf.log_level, "debug");
}
END_TEST

/* A word's place in the list is the number that TCP knows it by. */
START_TEST(conf_load__congestion_control_and_ecn_are_tcps_numbers)
{
	static const struct {
		const char *word;
		enum tcp_cc_id id;
	} cc[] = {{"default", TCP_CC_DEFAULT}, {"reno", TCP_CC_NEWRENO}, {"cubic", TCP_CC_CUBIC},
			{"dctcp", TCP_CC_DCTCP}, {"bbr", TCP_CC_BBR}};
	char text[256];

	for (size_t i = 0; i < sizeof(cc) / sizeof(cc[0]); i++) {
		snprintf(text, sizeof(text), PORT "tcp = { congestion_control = \"%s\"; };\n",
				cc[i].word);
		ck_assert_int_eq(load(text), 0);
		ck_assert_int_eq(conf.congestion, cc[i].id);
	}
	ck_assert_int_eq(conf.ecn, 0);
	ck_assert_int_eq(conf.pacing, 0);
	ck_assert_int_eq(conf.slow_start_after_idle, 1);
	ck_assert_int_eq(load(PORT "tcp = { ecn = \"accept\"; pacing = true; };\n"), 0);
	ck_assert_int_eq(conf.ecn, 1 + TCP_ECN_ACCEPT);
	ck_assert_int_eq(conf.pacing, 1);
	ck_assert_int_eq(
			load(PORT "tcp = { ecn = \"off\"; slow_start_after_idle = false; };\n"), 0);
	ck_assert_int_eq(conf.ecn, 1 + TCP_ECN_OFF);
	ck_assert_int_eq(conf.slow_start_after_idle, 0);
}
END_TEST

START_TEST(conf_load__empty_cores_means_choose)
{
	ck_assert_int_eq(load("cores = [ ];\n" PORT), 0);
	ck_assert_int_eq(conf.cpus_n, 0);
}
END_TEST

/* Every way to be wrong: text, line of the error, words that must be in it. */
static const struct {
	const char *text;
	const char *words;
} bad[] = {
		{PORT "colour = 3;\n", ":2: unknown key 'colour'"},
		{PORT "tcp = { colour = 3; };\n", ":2: unknown key 'tcp.colour'"},
		{PORT "ports_x = 1;\n", ":2: unknown key"},
		{"ports = ( { name = \"packet:eth0\"; speed = 1; } );\n",
				":1: unknown key 'ports[].speed'"},
		{"ports = ( { mode = \"tap\"; } );\n", ":1: a port needs 'name'"},
		{"ports = ( { name = \"eth0\"; } );\n", ":1: port name 'eth0' must begin"},
		{"ports = ( \"packet:eth0\" );\n", ":1: each element of 'ports' must be a group"},
		{"ports = \"packet:eth0\";\n", ":1: 'ports' must be a list"},
		{"ports = ( { name = \"packet:eth0\"; mode = \"bridge\"; } );\n",
				"one of: auto shared tap"},
		{"ports = ( { name = \"packet:eth0\"; tap = \"a-name-that-is-too-long\"; } );\n",
				"1 to 15 characters"},
		{PORT "\nidle = 1;\n", ":3: 'idle' must be a string"},
		{PORT "idle = \"sometimes\";\n", "one of: poll adaptive"},
		{PORT "idle = \"\";\n", "one of: poll adaptive"},
		{PORT "idle_spin_us = \"50\";\n", ":2: 'idle_spin_us' must be a whole number"},
		{PORT "idle_spin_us = 1.5;\n", ":2: 'idle_spin_us' must be a whole number"},
		{PORT "idle_spin_us = -1;\n", "must be 0 to 1000000 us, not -1"},
		{PORT "idle_spin_us = 9999999999L;\n", "must be 0 to 1000000 us"},
		{PORT "tcp = 5;\n", ":2: 'tcp' must be a group"},
		{PORT "local = { loopback = 1; };\n", "must be true or false"},
		{PORT "cores = 1;\n", "must be an array"},
		{PORT "cores = [ \"1\" ];\n", "must be a whole number"},
		{PORT "cores = [ 1, 1 ];\n", "names CPU 1 twice"},
		{PORT "cores = [ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17 ];\n",
				"at most 16"},
		{PORT "control = { mode = \"rw-rw----\"; };\n", "octal"},
		{PORT "control = { mode = \"01666\"; };\n", "octal"},
		{PORT "control = { socket = \"\"; };\n", "1 to 107 characters"},
		{PORT "tcp = { ephemeral_lo = 5000; ephemeral_hi = 4000; };\n", "must be below"},
		{PORT "tcp = { contexts_max = 64; embryos_max = 65; };\n", "must not exceed"},
		{PORT "tcp = { congestion_control = \"vegas\"; };\n",
				":2: 'tcp.congestion_control' must be a string, one of: default reno cubic dctcp bbr"},
		{PORT "tcp = { ecn = 1; };\n", "one of: default off on accept"},
		{PORT "tcp = { pacing = 1; };\n", "'tcp.pacing' must be true or false"},
		{PORT "tcp = { slow_start_after_idle = \"no\"; };\n", "must be true or false"},
		{PORT "tcp = { fastopen_key = \"0123456789abcdef\"; };\n", "32 hexadecimal digits"},
		{PORT "tcp = { fastopen_key = \"0123456789abcdef0123456789abcdeg\"; };\n",
				"32 hexadecimal digits"},
		{PORT "tcp = { fastopen = \"yes\"; };\n", "off client server both"},
		{PORT "log = { level };\n", ":2: syntax error"},
		{PORT "idle = \"poll\"\nidle = \"poll\"\n", ":"},
};

START_TEST(conf_load__refuses_with_file_and_line)
{
	ck_assert_int_eq(load(bad[_i].text), -EINVAL);
	ck_assert_msg(strstr(err, bad[_i].words) != NULL, "'%s' does not say '%s'", err,
			bad[_i].words);
	ck_assert_msg(strncmp(err, "/tmp/eta-conf-", 14) == 0, "'%s' does not begin with the file",
			err);
	ck_assert_ptr_null(strchr(err, '\n'));
}
END_TEST

START_TEST(conf_load__missing_file_is_named)
{
	conf_default(&conf);
	ck_assert_int_eq(conf_load(&conf, "/nonexistent/etad.conf", err, sizeof(err)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err, "/nonexistent/etad.conf"));
}
END_TEST

START_TEST(conf_fastopen_key__is_hexadecimal_or_none)
{
	static const uint8_t want[16] = {0x00, 0x01, 0x02, 0xfe, 0xff};
	uint8_t key[16] = {7};

	conf_default(&conf);
	ck_assert(!conf_fastopen_key(&conf, key));
	ck_assert_uint_eq(key[0], 7);
	ck_assert_int_eq(
			load(PORT "tcp = { fastopen_key = \"000102feFF0000000000000000000000\"; };\n"),
			0);
	ck_assert(conf_fastopen_key(&conf, key));
	ck_assert_mem_eq(key, want, 16);
}
END_TEST

/* The last part of a key's path, followed by '=', stands in the example, and the example loads. */
START_TEST(conf_example__documents_every_key)
{
	static char text[65536];
	FILE *file = fopen(EXAMPLE, "r");
	size_t n;

	ck_assert_ptr_nonnull(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	for (size_t i = 0; conf_key_name(i); i++) {
		const char *dot = strrchr(conf_key_name(i), '.');
		char want[80];

		(void)snprintf(want, sizeof(want), "%s = ", dot ? dot + 1 : conf_key_name(i));
		ck_assert_msg(strstr(text, want) != NULL, "%s is not in the example",
				conf_key_name(i));
	}
	conf_default(&conf);
	ck_assert_msg(conf_load(&conf, EXAMPLE, err, sizeof(err)) == 0, "%s", err);
}
END_TEST

/* What the example shows are the defaults. */
START_TEST(conf_example__shows_the_defaults)
{
	struct conf dflt;

	conf_default(&dflt);
	conf_default(&conf);
	ck_assert_int_eq(conf_load(&conf, EXAMPLE, err, sizeof(err)), 0);
	memset(conf.port, 0, sizeof(conf.port));
	conf.ports_n = 0;
	ck_assert_int_eq(memcmp(&dflt, &conf, sizeof(conf)), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ka conf");
	TCase *tc = tcase_create("conf");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, conf_default__is_documented);
	tcase_add_test(tc, conf_load__takes_what_the_lab_writes);
	tcase_add_test(tc, conf_load__congestion_control_and_ecn_are_tcps_numbers);
	tcase_add_test(tc, conf_load__empty_cores_means_choose);
	tcase_add_loop_test(tc, conf_load__refuses_with_file_and_line, 0,
			(int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(tc, conf_load__missing_file_is_named);
	tcase_add_test(tc, conf_fastopen_key__is_hexadecimal_or_none);
	tcase_add_test(tc, conf_example__documents_every_key);
	tcase_add_test(tc, conf_example__shows_the_defaults);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
