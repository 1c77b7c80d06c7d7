/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eta-run: start a program with its TCP sockets on ETA.
 *
 * Sets LD_PRELOAD and the variables the sockets layer reads, then becomes the program. Without an etad the program runs on the kernel, as
 * it does for every socket ETA does not carry; ETA_LOG=info tells at exit what went where.
 *
 * The library is looked for beside eta-run first (a build tree, a copied directory), then where it was installed.
 */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libeta_preload.so"
#define EXIT_USAGE 2
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

static const char usage_text[] =
		"usage: eta-run [OPTION]... PROGRAM [ARGUMENT]...\n"
		"\n"
		"Run PROGRAM with its TCP sockets on ETA. What ETA does not carry, the kernel does.\n"
		"\n"
		"  --socket PATH   control socket of etad (default $ETA_SOCKET, /run/eta/etad.sock)\n"
		"  --only RULES    only these sockets: listen[=PORT[-PORT]], connect[=PORT[-PORT]], with commas\n"
		"  --not RULES     not these sockets\n"
		"  --log LEVEL     off, error, warn, info, debug: to the program's standard error\n"
		"  --version       print the version\n"
		"  --help          print this\n";

static bool library_at(char *path, size_t room, const char *dir, const char *rest)
{
	int len = snprintf(path, room, "%s/%s%s", dir, rest, LIBRARY);

	return len > 0 && (size_t)len < room && access(path, R_OK) == 0;
}

static bool library_find(char *path, size_t room)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *dir;

	if (len > 0) {
		self[len] = '\0';
		dir = dirname(self);
		if (library_at(path, room, dir, "") || library_at(path, room, dir, "../lib/") ||
				library_at(path, room, dir, "../lib/x86_64-linux-gnu/"))
			return true;
	}
	return library_at(path, room, ETA_LIBDIR, "");
}

static bool add_preload(const char *path)
{
	const char *before = getenv("LD_PRELOAD");
	char *both;
	bool ok;

	if (!before || !*before)
		return setenv("LD_PRELOAD", path, 1) == 0;
	if (strstr(before, path))
		return true;
	if (asprintf(&both, "%s:%s", path, before) < 0)
		return false;
	ok = setenv("LD_PRELOAD", both, 1) == 0;
	free(both);
	return ok;
}

/* Return: 0 go on, else exit code + 1. */
static int options(int argc, char **argv)
{
	static const struct option option[] = {
			{"socket", required_argument, NULL, 's'},
			{"only", required_argument, NULL, 'o'},
			{"not", required_argument, NULL, 'n'},
			{"log", required_argument, NULL, 'l'},
			{"version", no_argument, NULL, 'v'},
			{"help", no_argument, NULL, 'h'},
			{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "+h", option, NULL)) != -1) {
		switch (c) {
		case 's': setenv("ETA_SOCKET", optarg, 1); break;
		case 'o': setenv("ETA_ONLY", optarg, 1); break;
		case 'n': setenv("ETA_NOT", optarg, 1); break;
		case 'l': setenv("ETA_LOG", optarg, 1); break;
		case 'v': puts("eta-run " ETA_VERSION); return 1;
		case 'h': fputs(usage_text, stdout); return 1;
		default: fputs("Try 'eta-run --help'.\n", stderr); return EXIT_USAGE + 1;
		}
	}
	if (optind == argc) {
		fputs("eta-run: which program? Try 'eta-run --help'.\n", stderr);
		return EXIT_USAGE + 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	int rc = options(argc, argv);

	if (rc)
		return rc - 1;
	if (!library_find(path, sizeof(path))) {
		fprintf(stderr, "eta-run: %s is neither beside eta-run nor in %s: reinstall ETA\n",
				LIBRARY, ETA_LIBDIR);
		return EXIT_CANNOT_RUN;
	}
	if (!add_preload(path)) {
		fprintf(stderr, "eta-run: cannot set LD_PRELOAD: %s\n", strerror(errno));
		return EXIT_CANNOT_RUN;
	}
	execvp(argv[optind], argv + optind);
	rc = errno;
	fprintf(stderr, "eta-run: %s: %s\n", argv[optind], strerror(rc));
	return rc == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
