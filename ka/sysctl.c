/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading the kernel's settings, and saying them in the engine's terms.
 *
 * A setting that cannot be read, or has a value without counterpart here (a congestion control that the engine does not have), leaves
 * the knob as it is. Documentation/networking/ip-sysctl.rst says what they mean.
 */
#include "ka/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ka/client.h"
#include "ka/etad.h"

#define SYSCTL_TEXT_BYTES 128
#define SYSCTL_WSCALE_BASE 15 /* the window field's bits, less one: scale = log2(buffer) - 15 */
#define SYSCTL_WSCALE_MAX 14

typedef bool sysctl_fn(const char *text, uint32_t *value);

static bool sysctl_number(const char *text, uint32_t *value)
{
	char *end;
	long long v = strtoll(text, &end, 0);

	if (end == text || v < 0 || v > UINT32_MAX)
		return false;
	*value = (uint32_t)v;
	return true;
}

static bool sysctl_bool(const char *text, uint32_t *value)
{
	if (!sysctl_number(text, value))
		return false;
	*value = *value != 0;
	return true;
}

static bool sysctl_scaled(const char *text, uint32_t *value, uint32_t scale)
{
	if (!sysctl_number(text, value) || *value > UINT32_MAX / scale)
		return false;
	*value *= scale;
	return true;
}

static bool sysctl_seconds(const char *text, uint32_t *value)
{
	return sysctl_scaled(text, value, 1000);
}

/* 0 means 8 where Linux counts the timeouts of a connection that its user has closed. */
static bool sysctl_orphan(const char *text, uint32_t *value)
{
	if (!sysctl_number(text, value))
		return false;
	if (*value == 0)
		*value = 8;
	return true;
}

/* 0x200: servers take data without cookie, 0x400: every listener does it. */
static bool sysctl_fastopen(const char *text, uint32_t *value)
{
	if (!sysctl_number(text, value))
		return false;
	*value = (*value & 0x7) | (*value & 0x600) >> 4;
	return true;
}

/* Word @i of the first key, "a-b-c-d[,backup]"; all 0 = nobody has chosen one yet. */
static bool sysctl_key(const char *text, unsigned int i, uint32_t *value)
{
	uint32_t w[4];

	if (sscanf(text, "%" SCNx32 "-%" SCNx32 "-%" SCNx32 "-%" SCNx32, &w[0], &w[1], &w[2],
			    &w[3]) != 4 ||
			(w[0] | w[1] | w[2] | w[3]) == 0)
		return false;
	*value = w[i];
	return true;
}

static bool sysctl_key0(const char *text, uint32_t *value)
{
	return sysctl_key(text, 0, value);
}

static bool sysctl_key1(const char *text, uint32_t *value)
{
	return sysctl_key(text, 1, value);
}

static bool sysctl_key2(const char *text, uint32_t *value)
{
	return sysctl_key(text, 2, value);
}

static bool sysctl_key3(const char *text, uint32_t *value)
{
	return sysctl_key(text, 3, value);
}

/* "min default max": the scale with which the largest buffer can be promised. */
static bool sysctl_rmem(const char *text, uint32_t *value)
{
	unsigned long max;
	int bits = 0;

	if (sscanf(text, "%*s %*s %lu", &max) != 1)
		return false;
	while (bits < 63 && max >> (bits + 1))
		bits++;
	bits -= SYSCTL_WSCALE_BASE;
	*value = bits < 0 ? 0 : bits > SYSCTL_WSCALE_MAX ? SYSCTL_WSCALE_MAX : (uint32_t)bits;
	return true;
}

/* Numbers as in tcp.congestion_control. */
static bool sysctl_congestion(const char *text, uint32_t *value)
{
	static const char *const names[] = {NULL, "reno", "cubic", "dctcp", "bbr"};
	size_t len = strcspn(text, "\n");

	for (uint32_t i = 1; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && strncmp(text, names[i], len) == 0) {
			*value = i;
			return true;
		}
	return false;
}

/* Keys come last in enum eta_knob: the configured one stays. */
static const struct {
	const char *name; /* after /proc/sys/net/ipv4/ */
	enum eta_knob knob;
	sysctl_fn *read;
} sysctls[] = {
		{"tcp_timestamps", ETA_KNOB_TIMESTAMPS, sysctl_bool},
		{"tcp_sack", ETA_KNOB_SACK, sysctl_bool},
		{"tcp_rmem", ETA_KNOB_RCV_WSCALE, sysctl_rmem},
		{"tcp_ecn", ETA_KNOB_ECN, sysctl_number},
		{"tcp_fastopen", ETA_KNOB_FASTOPEN, sysctl_fastopen},
		{"tcp_fastopen_key", ETA_KNOB_FASTOPEN_KEY0, sysctl_key0},
		{"tcp_fastopen_key", ETA_KNOB_FASTOPEN_KEY1, sysctl_key1},
		{"tcp_fastopen_key", ETA_KNOB_FASTOPEN_KEY2, sysctl_key2},
		{"tcp_fastopen_key", ETA_KNOB_FASTOPEN_KEY3, sysctl_key3},
		{"tcp_syncookies", ETA_KNOB_SYN_COOKIES, sysctl_bool},
		{"tcp_slow_start_after_idle", ETA_KNOB_SLOW_START_IDLE, sysctl_bool},
		{"tcp_notsent_lowat", ETA_KNOB_NOTSENT_LOWAT, sysctl_number},
		{"tcp_reordering", ETA_KNOB_REORDER_SEGS, sysctl_number},
		{"tcp_congestion_control", ETA_KNOB_CC, sysctl_congestion},
		{"tcp_rto_min_us", ETA_KNOB_RTO_US_MIN, sysctl_number},
		{"tcp_syn_retries", ETA_KNOB_SYN_RETRIES, sysctl_number},
		{"tcp_synack_retries", ETA_KNOB_SYNACK_RETRIES, sysctl_number},
		{"tcp_retries2", ETA_KNOB_DATA_RETRIES, sysctl_number},
		{"tcp_orphan_retries", ETA_KNOB_ORPHAN_RETRIES, sysctl_orphan},
		{"tcp_keepalive_time", ETA_KNOB_KEEP_IDLE_MS, sysctl_seconds},
		{"tcp_keepalive_intvl", ETA_KNOB_KEEP_INTVL_MS, sysctl_seconds},
		{"tcp_keepalive_probes", ETA_KNOB_KEEP_PROBES, sysctl_number},
		{"tcp_fin_timeout", ETA_KNOB_FIN_WAIT2_MS, sysctl_seconds},
		{"tcp_mtu_probing", ETA_KNOB_MTU_PROBING, sysctl_number},
		{"tcp_min_tso_segs", ETA_KNOB_MIN_TSO_SEGS, sysctl_number},
};

#define SYSCTLS_N (sizeof(sysctls) / sizeof(sysctls[0]))

static bool sysctl_text(const char *name, char text[SYSCTL_TEXT_BYTES])
{
	char path[64];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, SYSCTL_TEXT_BYTES - 1);
	(void)close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

static struct eta_admin_msg sysctl_msg(const struct ka *ka, enum eta_knob knob)
{
	return (struct eta_admin_msg){.op = ETA_ADMIN_KNOB_SET,
			.knob.id = knob,
			.knob.value = ka->sysctl.value[knob]};
}

static void sysctl_say(struct ka *ka, enum eta_knob knob, uint32_t value)
{
	struct sysctl *sysctl = &ka->sysctl;
	struct eta_admin_msg msg;

	if (sysctl->is_said[knob] && sysctl->value[knob] == value)
		return;
	sysctl->is_said[knob] = true;
	sysctl->value[knob] = value;
	msg = sysctl_msg(ka, knob);
	irq_post_all(&ka->irq, &msg);
}

void sysctl_look(struct ka *ka)
{
	char text[SYSCTL_TEXT_BYTES];
	uint32_t value;

	if (ka->conf.sysctl != CONF_SYSCTL_MIRROR)
		return;
	for (size_t i = 0; i < SYSCTLS_N; i++)
		if (!(sysctls[i].knob >= ETA_KNOB_FASTOPEN_KEY0 && ka->conf.fastopen_key[0]) &&
				sysctl_text(sysctls[i].name, text) && sysctls[i].read(text, &value))
			sysctl_say(ka, sysctls[i].knob, value);
}

bool sysctl_set(struct ka *ka, enum eta_knob knob, uint32_t value)
{
	for (size_t i = 0; ka->conf.sysctl == CONF_SYSCTL_MIRROR && i < SYSCTLS_N; i++)
		if (sysctls[i].knob == knob)
			return false;
	sysctl_say(ka, knob, value);
	return true;
}

void sysctl_start(struct ka *ka)
{
	for (size_t i = 0; i < ETA_KNOB_N; i++)
		if (ka->conf.knob[i] != CONF_KNOB_ENGINE)
			sysctl_say(ka, (enum eta_knob)i, (uint32_t)ka->conf.knob[i]);
	sysctl_look(ka);
}

/* Commands of a core are done in order: when the last one is, those before it are. */
void sysctl_sync(struct client *client)
{
	struct eta_admin_msg msg;

	sysctl_look(client->ka);
	msg = sysctl_msg(client->ka, ETA_KNOB_TIMESTAMPS);
	for (uint32_t i = 0; i < client->ka->irq.cores_n; i++)
		client_post(client, i, &msg);
}
