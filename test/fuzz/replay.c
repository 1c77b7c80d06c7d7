/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fuzzer without a fuzzing engine: any compiler, no instrumentation, the same harness function.
 *
 *   PROG [--random COUNT SEED] PATH...     each file (a directory: its files), then COUNT inputs
 *
 * Random inputs are half noise, half a corpus file with some bytes changed, cut or repeated. What fails aborts; the input is then named by
 * file or by number, and PROG --random-one NUMBER SEED PATH... repeats it alone.
 */
#include <dirent.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/sim/rnd.h"

#define FILES_MAX 256u
#define INPUT_BYTES_MAX 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

struct input {
	uint8_t *data;
	size_t len;
};

static struct input corpus[FILES_MAX];
static uint32_t corpus_n;
static char current[512]; /* named by the handler of a crash */

static void path_load(const char *path);
static void file_load(const char *path);
static size_t input_make(struct rnd *r, uint8_t *to);
static void crash_say(int sig);

int main(int argc, char **argv)
{
	static uint8_t input[INPUT_BYTES_MAX];
	uint64_t count = 0, first = 0, seed = 0, i;
	int arg;

	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	/* The next input needs the same memory again: giving it back in between cost more than all tests. */
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
	(void)mallopt(M_MMAP_THRESHOLD, 256 << 20);
	signal(SIGABRT, crash_say);
	signal(SIGSEGV, crash_say);
	for (arg = 1; arg < argc; arg++) {
		if (arg + 2 < argc && strncmp(argv[arg], "--random", 8) == 0) {
			count = strtoull(argv[arg + 1], NULL, 0);
			seed = strtoull(argv[arg + 2], NULL, 0);
			if (strcmp(argv[arg], "--random-one") == 0) {
				first = count;
				count = 1;
			}
			arg += 2;
		} else {
			path_load(argv[arg]);
		}
	}
	for (i = 0; i < corpus_n; i++) {
		snprintf(current, sizeof(current), "corpus input %llu", (unsigned long long)i);
		LLVMFuzzerTestOneInput(corpus[i].data, corpus[i].len);
	}
	for (i = first; i < first + count; i++) {
		struct rnd r = {.state = rnd_mix(seed * 1000003 + i)};
		size_t len = input_make(&r, input);
		uint8_t *copy = malloc(
				len != 0 ? len
					 : 1); /* its own size, so that a sanitizer sees the end */

		snprintf(current, sizeof(current), "--random-one %llu %llu", (unsigned long long)i,
				(unsigned long long)seed);
		memcpy(copy, input, len);
		LLVMFuzzerTestOneInput(copy, len);
		free(copy);
	}
	printf("%u corpus and %llu random inputs\n", corpus_n, (unsigned long long)count);
	return 0;
}

static void path_load(const char *path)
{
	struct dirent *entry;
	struct stat st;
	char name[1024];
	DIR *dir;

	if (stat(path, &st) != 0) {
		perror(path);
		exit(2);
	}
	if (!S_ISDIR(st.st_mode)) {
		file_load(path);
		return;
	}
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
			file_load(name);
	}
	if (dir != NULL)
		closedir(dir);
}

static void file_load(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct input *in = &corpus[corpus_n];

	if (f == NULL || corpus_n == FILES_MAX) {
		perror(path);
		exit(2);
	}
	in->data = malloc(INPUT_BYTES_MAX);
	in->len = fread(in->data, 1, INPUT_BYTES_MAX, f);
	fclose(f);
	corpus_n++;
}

static size_t input_make(struct rnd *r, uint8_t *to)
{
	size_t len, i, n;

	if (corpus_n == 0 || rnd_below(r, 2) == 0) {
		len = rnd_log(r, INPUT_BYTES_MAX / 4);
		for (i = 0; i < len; i++)
			to[i] = (uint8_t)rnd_u64(r);
		return len;
	}
	i = rnd_below(r, corpus_n);
	len = corpus[i].len;
	memcpy(to, corpus[i].data, len);
	for (n = rnd_range(r, 0, 8); n != 0 && len != 0; n--) {
		i = rnd_below(r, (uint32_t)len);
		to[i] = (uint8_t)(rnd_below(r, 3) == 0 ? 0xff : rnd_u64(r));
	}
	if (rnd_below(r, 4) == 0)
		len = rnd_below(r, (uint32_t)len + 1);
	if (rnd_below(r, 4) == 0 && 2 * len <= INPUT_BYTES_MAX) {
		memcpy(to + len, to, len);
		len *= 2;
	}
	return len;
}

static void crash_say(int sig)
{
	static const char text[] = "\ninput that failed: ";

	signal(sig, SIG_DFL);
	if (write(2, text, sizeof(text) - 1) < 0 || write(2, current, strlen(current)) < 0 ||
			write(2, "\n", 1) < 0)
		_exit(1);
	raise(sig);
}
