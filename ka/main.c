/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of etad. Exit status: 0 ended in order, 1 could not run, 2 usage or configuration.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ka/conf.h"
#include "ka/etad.h"

#define MAIN_ERR_BYTES 1024

static const char main_usage[] =
		"usage: etad [--config FILE] [--socket PATH] [--log-level LEVEL] [--foreground] [--check-config]\n"
		"\n"
		"The ETA daemon: drives the engine and serves applications (eta-run) and etactl.\n"
		"\n"
		"  -c, --config FILE      configuration (default " CONF_PATH_DEFAULT ")\n"
		"  -s, --socket PATH      control socket, instead of the configured one\n"
		"  -l, --log-level LEVEL  error, warn, info or debug, instead of the configured one\n"
		"  -f, --foreground       stay in the foreground (always so)\n"
		"      --check-config     read the configuration, say what is wrong with it, and end\n"
		"      --version\n"
		"      --help\n";

enum main_option {
	MAIN_CHECK = 256,
	MAIN_VERSION,
	MAIN_HELP,
};

static const struct option main_options[] = {
		{"config", required_argument, NULL, 'c'},
		{"socket", required_argument, NULL, 's'},
		{"log-level", required_argument, NULL, 'l'},
		{"foreground", no_argument, NULL, 'f'},
		{"check-config", no_argument, NULL, MAIN_CHECK},
		{"version", no_argument, NULL, MAIN_VERSION},
		{"help", no_argument, NULL, MAIN_HELP},
		{0},
};

static int main_check(const char *path)
{
	char err[MAIN_ERR_BYTES];
	struct conf conf;

	conf_default(&conf);
	if (conf_load(&conf, path, err, sizeof(err)) < 0) {
		(void)fprintf(stderr, "etad: %s\n", err);
		return 2;
	}
	(void)printf("%s: configuration is valid\n", path);
	return 0;
}

int main(int argc, char **argv)
{
	static struct ka ka; /* the root object */
	struct etad_args args = {0};
	char err[MAIN_ERR_BYTES];
	bool check = false;
	int c, rc;

	while ((c = getopt_long(argc, argv, "c:s:l:f", main_options, NULL)) != -1) {
		switch (c) {
		case 'c': args.config = optarg; break;
		case 's': args.socket = optarg; break;
		case 'l': args.log_level = optarg; break;
		case 'f': break;
		case MAIN_CHECK: check = true; break;
		case MAIN_VERSION:
			(void)printf("etad %s abi %#x\n", ETA_VERSION, ETA_ABI_VERSION);
			return 0;
		case MAIN_HELP: (void)fputs(main_usage, stdout); return 0;
		default: (void)fputs(main_usage, stderr); return 2;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "etad: unexpected argument '%s'\n", argv[optind]);
		return 2;
	}
	if (check)
		return main_check(args.config ? args.config : CONF_PATH_DEFAULT);
	rc = etad_start(&ka, &args, err, sizeof(err));
	if (rc < 0) {
		(void)fprintf(stderr, "etad: %s\n", err);
		return ka.is_conf_bad ? 2 : 1;
	}
	etad_run(&ka);
	etad_stop(&ka);
	return 0;
}
