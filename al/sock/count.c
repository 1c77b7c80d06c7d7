/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters of the sockets layer, and their one report at exit. No stdio: the program may have closed it. */
#include "al/sock/count.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "al/sock/kern.h"
#include "al/sock/root.h"

static const char *const count_text[] = {
#define X(name, text) [AL_COUNT_##name] = text,
		AL_COUNT_TABLE(X)
#undef X
};

static const struct {
	uint32_t key;
	const char *name;
} option_name[] = {
#define O(level, name)                                  \
	{                                               \
		(uint32_t)(level) << 16 | (name), #name \
	}
		O(SOL_SOCKET, SO_TIMESTAMP),
		O(SOL_SOCKET, SO_ZEROCOPY),
		O(SOL_SOCKET, SO_BUSY_POLL),
		O(SOL_SOCKET, SO_INCOMING_CPU),
		O(SOL_SOCKET, SO_ATTACH_FILTER),
		O(SOL_SOCKET, SO_PRIORITY),
		O(SOL_SOCKET, SO_MARK),
		O(SOL_SOCKET, SO_DONTROUTE),
		O(SOL_SOCKET, SO_MAX_PACING_RATE),
		O(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF),
		O(SOL_SOCKET, SO_REUSEPORT),
		O(SOL_SOCKET, SO_BINDTODEVICE),
		O(SOL_SOCKET, SO_SNDLOWAT),
		O(IPPROTO_TCP, TCP_DEFER_ACCEPT),
		O(IPPROTO_TCP, TCP_FASTOPEN),
		O(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
		O(IPPROTO_TCP, TCP_MD5SIG),
		O(IPPROTO_TCP, TCP_ULP),
		O(IPPROTO_TCP, TCP_CONGESTION),
		O(IPPROTO_TCP, TCP_REPAIR),
		O(IPPROTO_TCP, TCP_SYNCNT),
		O(IPPROTO_TCP, TCP_WINDOW_CLAMP),
		O(IPPROTO_TCP, TCP_SAVE_SYN),
		O(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS),
		O(IPPROTO_IP, IP_TRANSPARENT),
		O(IPPROTO_IP, IP_FREEBIND),
		O(IPPROTO_IP, IP_OPTIONS),
		O(IPPROTO_IP, IP_RECVERR),
		O(IPPROTO_IP, IP_MTU_DISCOVER),
#undef O
};

void al_count(enum al_count what)
{
	__atomic_fetch_add(&al_sockets.counts.n[what], 1, __ATOMIC_RELAXED);
}

void al_count_option(int level, int name)
{
	uint32_t key = (uint32_t)level << 16 | ((uint32_t)name & 0xffffu);
	uint32_t i;

	for (i = 0; i < AL_COUNT_OPTIONS; i++) {
		uint32_t none = 0;

		if (__atomic_load_n(&al_sockets.counts.option[i].key, __ATOMIC_RELAXED) == key ||
				__atomic_compare_exchange_n(&al_sockets.counts.option[i].key, &none,
						key, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
				none == key) {
			__atomic_fetch_add(&al_sockets.counts.option[i].n, 1, __ATOMIC_RELAXED);
			return;
		}
	}
}

static char *count_text_add(char *at, const char *end, const char *text)
{
	while (*text && at < end)
		*at++ = *text++;
	return at;
}

static char *count_number_add(char *at, const char *end, uint64_t n)
{
	char digits[20];
	int i = 0;

	do {
		digits[i++] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	while (i > 0 && at < end)
		*at++ = digits[--i];
	return at;
}

static void count_line(const char *text, const char *more, uint64_t n)
{
	char line[160];
	const char *end = line + sizeof(line) - 1;
	char *at = count_text_add(line, end, "eta: pid=");

	at = count_number_add(at, end, (uint64_t)kern_getpid());
	at = count_text_add(at, end, " ");
	at = count_text_add(at, end, text);
	at = count_text_add(at, end, more);
	at = count_text_add(at, end, ": ");
	at = count_number_add(at, end, n);
	*at++ = '\n';
	kern_write(2, line, (size_t)(at - line));
}

static const char *count_option_name(uint32_t key)
{
	uint32_t i;

	for (i = 0; i < sizeof(option_name) / sizeof(*option_name); i++)
		if (option_name[i].key == key)
			return option_name[i].name;
	return NULL;
}

void al_count_report(void)
{
	uint32_t i;

	if (al_sockets.log < AL_LOG_INFO)
		return;
	for (i = 0; i < AL_COUNT_N; i++)
		if (al_sockets.counts.n[i])
			count_line(count_text[i], "", al_sockets.counts.n[i]);
	for (i = 0; i < AL_COUNT_OPTIONS && al_sockets.counts.option[i].key; i++) {
		uint32_t key = al_sockets.counts.option[i].key;
		const char *name = count_option_name(key);
		char number[40];
		char *at = number;

		if (!name) {
			at = count_text_add(at, number + 38, "level ");
			at = count_number_add(at, number + 38, key >> 16);
			at = count_text_add(at, number + 38, " name ");
			at = count_number_add(at, number + 38, key & 0xffff);
			*at = '\0';
			name = number;
		}
		count_line("option set on the shadow only, ", name, al_sockets.counts.option[i].n);
	}
}
