/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A harness reads its input as a sequence of small numbers; behind the end it reads zeroes, so every input has a meaning.
 */
#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct fuzz_in {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t lo = fuzz_u8(in);

	return (uint16_t)(lo | fuzz_u8(in) << 8);
}

static inline uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t lo = fuzz_u16(in);

	return lo | (uint32_t)fuzz_u16(in) << 16;
}

static inline uint64_t fuzz_u64(struct fuzz_in *in)
{
	uint64_t lo = fuzz_u32(in);

	return lo | (uint64_t)fuzz_u32(in) << 32;
}

/* Up to @len bytes to @to, the rest zero. */
static inline void fuzz_bytes(struct fuzz_in *in, void *to, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(to, 0, len);
	if (n != 0)
		memcpy(to, in->p, n);
	in->p += n;
	in->left -= n;
}

/* A property does not hold: the fuzzer keeps the input. */
static inline void fuzz_require(int holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "property broken: %s\n", what);
		abort();
	}
}

#endif
