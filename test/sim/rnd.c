/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes as a function of their offset: eight of them from one mix, so that writing and verifying cost about what a
 * checksum costs.
 */
#include "test/sim/rnd.h"

#include <string.h>

void content_fill(uint64_t key, uint32_t off, uint8_t *to, uint32_t len)
{
	while (len != 0 && (off & 7) != 0) {
		*to++ = content_byte(key, off++);
		len--;
	}
	while (len >= 8) {
		uint64_t w = rnd_mix(key + (off >> 3));

		memcpy(to, &w, 8);
		to += 8;
		off += 8;
		len -= 8;
	}
	while (len-- != 0)
		*to++ = content_byte(key, off++);
}

uint32_t content_match(uint64_t key, uint32_t off, const uint8_t *data, uint32_t len)
{
	uint32_t i = 0;

	while (i < len) {
		if (((off + i) & 7) == 0 && len - i >= 8) {
			uint64_t w = rnd_mix(key + ((off + i) >> 3)), got;

			memcpy(&got, data + i, 8);
			if (got == w) {
				i += 8;
				continue;
			}
		}
		if (data[i] != content_byte(key, off + i))
			return i;
		i++;
	}
	return len;
}
