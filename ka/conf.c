/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of keys, and reading a file against it.
 *
 * libconfig gives a tree of settings that know their file and line; we walk the tree rather than look keys up, so that nothing in the file goes unread.
 * A path ending in "[]" stands for each element of a list of groups.
 */
#include "ka/conf.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libconfig.h>

#include "engine/core/engine.h"

enum conf_type {
	CONF_INT,
	CONF_BOOL,
	CONF_TEXT,
	CONF_CHOICE,   /* a word of @words, stored as its index */
	CONF_INT_LIST, /* array; the count lies behind it */
};

struct conf_key {
	const char *path;
	enum conf_type type;
	size_t off;       /* in struct conf, or struct conf_port for ports[] */
	int64_t min, max; /* CONF_INT and elements: range; CONF_TEXT: shortest, longest; CONF_INT_LIST: max elements is ETA_CORES_MAX */
	int64_t dflt;
	const char *dflt_text;
	const char *words; /* CONF_CHOICE: "auto yes no" */
	const char *unit;  /* "" = none */
};

#define INT(p, f, lo, hi, d, u)                                                              \
	{                                                                                    \
		.path = (p), .type = CONF_INT, .off = offsetof(struct conf, f), .min = (lo), \
		.max = (hi), .dflt = (d), .unit = (u)                                        \
	}
#define BOOL(p, f, d)                                                                      \
	{                                                                                  \
		.path = (p), .type = CONF_BOOL, .off = offsetof(struct conf, f), .max = 1, \
		.dflt = (d), .unit = ""                                                    \
	}
#define TEXT(p, f, least, d)                                                                     \
	{                                                                                        \
		.path = (p), .type = CONF_TEXT, .off = offsetof(struct conf, f), .min = (least), \
		.max = CONF_TEXT_MAX - 1, .dflt_text = (d), .unit = ""                           \
	}
#define CHOICE(p, f, w, d)                                                                       \
	{                                                                                        \
		.path = (p), .type = CONF_CHOICE, .off = offsetof(struct conf, f), .words = (w), \
		.dflt = (d), .unit = ""                                                          \
	}
#define PORT_TEXT(p, f, least, longest, d)                                            \
	{                                                                             \
		.path = (p), .type = CONF_TEXT, .off = offsetof(struct conf_port, f), \
		.min = (least), .max = (longest), .dflt_text = (d), .unit = ""        \
	}
#define PORT_CHOICE(p, f, w, d)                                                         \
	{                                                                               \
		.path = (p), .type = CONF_CHOICE, .off = offsetof(struct conf_port, f), \
		.words = (w), .dflt = (d), .unit = ""                                   \
	}

/* What each means stands in etad.conf.example, which a test compares with this table. */
static const struct conf_key conf_keys[] = {
		TEXT("control.socket", socket, 1, "/run/eta/etad.sock"),
		TEXT("control.mode", socket_mode, 3, "0660"),
		TEXT("control.group", socket_group, 0, ""),
		{.path = "cores",
				.type = CONF_INT_LIST,
				.off = offsetof(struct conf, cpus),
				.min = 0,
				.max = 1023,
				.unit = ""},
		CHOICE("idle", idle, "poll adaptive", ENGINE_IDLE_ADAPTIVE),
		INT("idle_spin_us", idle_spin_us, 0, 1000000, 50, "us"),
		PORT_TEXT("ports[].name", name, 1, 63, ""),
		PORT_CHOICE("ports[].mode", mode, "auto shared tap", CONF_PORT_AUTO),
		PORT_TEXT("ports[].tap", tap, 1, 15, "eta%d"),
		INT("tcp.contexts_max", contexts_max, 64, 4194304, 65536, "connections per core"),
		INT("tcp.embryos_max", embryos_max, 16, 1048576, 4096, "handshakes per core"),
		INT("tcp.embryos_source_pct", embryos_src_pct, 1, 100, 50, "percent"),
		BOOL("tcp.syn_cookies", syn_cookies, 1),
		CHOICE("tcp.fastopen", fastopen, "off client server both", CONF_FASTOPEN_CLIENT),
		TEXT("tcp.fastopen_key", fastopen_key, 0, ""),
		INT("tcp.ephemeral_lo", port_lo, 1024, 65535, 61000, "port"),
		INT("tcp.ephemeral_hi", port_hi, 1024, 65535, 65535, "port"),
		CHOICE("tcp.congestion_control", congestion, "default reno cubic dctcp bbr", 0),
		CHOICE("tcp.ecn", ecn, "default off on accept", 0),
		BOOL("tcp.pacing", pacing, 0),
		BOOL("tcp.slow_start_after_idle", slow_start_after_idle, 1),
		INT("tcp.rcv_bytes_max", rcv_bytes_max, 16384, 8388608, 4194304, "bytes"),
		INT("tcp.snd_bytes_max", snd_bytes_max, 16384, 8388608, 4194304, "bytes"),
		INT("tcp.delack_us", delack_us, 0, 500000, 0, "us"),
		INT("tcp.rto_us_min", rto_us_min, 0, 10000000, 0, "us"),
		INT("tcp.msl_ms", msl_ms, 0, 240000, 0, "ms"),
		CHOICE("tcp.sysctl", sysctl, "off mirror", CONF_SYSCTL_OFF),
		BOOL("tcp.timestamps", knob[ETA_KNOB_TIMESTAMPS], 1),
		BOOL("tcp.sack", knob[ETA_KNOB_SACK], 1),
		INT("tcp.rcv_wscale", knob[ETA_KNOB_RCV_WSCALE], 0, 14, 7, ""),
		INT("tcp.syn_retries", knob[ETA_KNOB_SYN_RETRIES], 1, 127, 6, ""),
		INT("tcp.synack_retries", knob[ETA_KNOB_SYNACK_RETRIES], 1, 127, 5, ""),
		INT("tcp.retries", knob[ETA_KNOB_DATA_RETRIES], 1, 127, 15, ""),
		INT("tcp.orphan_retries", knob[ETA_KNOB_ORPHAN_RETRIES], 1, 127, 8, ""),
		INT("tcp.keep_idle_ms", knob[ETA_KNOB_KEEP_IDLE_MS], 1000, 32767000, 7200000, "ms"),
		INT("tcp.keep_intvl_ms", knob[ETA_KNOB_KEEP_INTVL_MS], 1000, 32767000, 75000, "ms"),
		INT("tcp.keep_probes", knob[ETA_KNOB_KEEP_PROBES], 1, 127, 9, ""),
		INT("tcp.fin_wait2_ms", knob[ETA_KNOB_FIN_WAIT2_MS], 1000, 3600000, 60000, "ms"),
		CHOICE("tcp.mtu_probing", knob[ETA_KNOB_MTU_PROBING], "off blackhole always", 0),
		BOOL("local.turnaround", local_turnaround, 1),
		BOOL("local.loopback", loopback, 0),
		CHOICE("memory.hugepages", hugepages, "auto yes no", CONF_HUGE_AUTO),
		INT("memory.eal_mib", eal_mib, 64, 262144, 512, "MiB"),
		INT("memory.frames", mbufs, 256, 1048576, 4096, "frames per core"),
		INT("memory.segment_kib", segment_kib, 512, 65536, 2048, "KiB"),
		INT("sessions.max", sessions_max, 1, 16384, 1024, "processes"),
		INT("sessions.per_uid_max", sessions_per_uid_max, 1, 16384, 1024, "processes"),
		INT("sessions.dtis_max", dtis_per_session_max, 1, 1048576, 65536, "DTIs"),
		INT("sessions.rings_max", rings_per_session_max, 1, 256, 64, "rings"),
		INT("sessions.memory_mib_max", session_mib_max, 4, 65536, 512, "MiB"),
		TEXT("log.level", log_level, 1, "info"),
};

#define CONF_KEYS_N (sizeof(conf_keys) / sizeof(conf_keys[0]))

struct conf_read {
	struct conf *conf;
	const char *path; /* of the file */
	char *err;
	size_t err_len;
};

const char *conf_key_name(size_t i)
{
	return i < CONF_KEYS_N ? conf_keys[i].path : NULL;
}

static void conf_put_default(const struct conf_key *key, void *base)
{
	char *at = (char *)base + key->off;

	if (key->type == CONF_TEXT)
		(void)snprintf(at, CONF_TEXT_MAX, "%s", key->dflt_text);
	else if (key->type != CONF_INT_LIST)
		memcpy(at, &key->dflt, sizeof(key->dflt));
}

static bool conf_is_port_key(const struct conf_key *key)
{
	return strncmp(key->path, "ports[]", 7) == 0;
}

void conf_default(struct conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	for (size_t i = 0; i < ETA_KNOB_N; i++)
		conf->knob[i] = CONF_KNOB_ENGINE;
	for (size_t i = 0; i < CONF_KEYS_N; i++)
		if (!conf_is_port_key(&conf_keys[i]))
			conf_put_default(&conf_keys[i], conf);
}

static int __attribute__((format(printf, 3, 4)))
conf_refuse(const struct conf_read *rd, const config_setting_t *at, const char *format, ...)
{
	const char *file = config_setting_source_file(at);
	va_list args;
	int n = snprintf(rd->err, rd->err_len, "%s:%u: ", file ? file : rd->path,
			config_setting_source_line(at));

	if (n < 0 || (size_t)n >= rd->err_len)
		return -EINVAL;
	va_start(args, format);
	(void)vsnprintf(rd->err + n, rd->err_len - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

static int conf_put_int(const struct conf_read *rd, const config_setting_t *at,
		const struct conf_key *key, int64_t *to)
{
	int type = config_setting_type(at);
	int64_t v;

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return conf_refuse(rd, at, "'%s' must be a whole number", key->path);
	v = type == CONFIG_TYPE_INT ? config_setting_get_int(at) : config_setting_get_int64(at);
	if (v < key->min || v > key->max)
		return conf_refuse(rd, at,
				"'%s' must be %" PRId64 " to %" PRId64 "%s%s, not %" PRId64,
				key->path, key->min, key->max, *key->unit ? " " : "", key->unit, v);
	*to = v;
	return 0;
}

static int conf_put_text(const struct conf_read *rd, const config_setting_t *at,
		const struct conf_key *key, char *to)
{
	const char *text = config_setting_get_string(at);

	if (config_setting_type(at) != CONFIG_TYPE_STRING || !text)
		return conf_refuse(rd, at, "'%s' must be a string in double quotes", key->path);
	if ((int64_t)strlen(text) < key->min || (int64_t)strlen(text) > key->max)
		return conf_refuse(rd, at, "'%s' must have %" PRId64 " to %" PRId64 " characters",
				key->path, key->min, key->max);
	(void)snprintf(to, CONF_TEXT_MAX, "%s", text);
	return 0;
}

static int conf_put_choice(const struct conf_read *rd, const config_setting_t *at,
		const struct conf_key *key, int64_t *to)
{
	const char *text = config_setting_get_string(at);
	const char *word = key->words;

	for (int64_t i = 0; text && *text && word; i++) {
		size_t len = strcspn(word, " ");

		if (strlen(text) == len && strncmp(text, word, len) == 0) {
			*to = i;
			return 0;
		}
		word = word[len] ? word + len + 1 : NULL;
	}
	return conf_refuse(rd, at, "'%s' must be a string, one of: %s", key->path, key->words);
}

static int conf_put_list(const struct conf_read *rd, const config_setting_t *at,
		const struct conf_key *key, int64_t *to)
{
	int n = config_setting_length(at);

	if (config_setting_type(at) != CONFIG_TYPE_ARRAY)
		return conf_refuse(rd, at, "'%s' must be an array of whole numbers: [ 1, 2 ]",
				key->path);
	if (n > ETA_CORES_MAX)
		return conf_refuse(rd, at, "'%s' may have at most %d elements", key->path,
				ETA_CORES_MAX);
	for (int i = 0; i < n; i++) {
		int rc = conf_put_int(
				rd, config_setting_get_elem(at, (unsigned int)i), key, &to[i]);

		if (rc < 0)
			return rc;
	}
	to[ETA_CORES_MAX] = n;
	return 0;
}

static int conf_put(const struct conf_read *rd, const config_setting_t *at,
		const struct conf_key *key, void *base)
{
	void *to = (char *)base + key->off;

	switch (key->type) {
	case CONF_INT: return conf_put_int(rd, at, key, to);
	case CONF_TEXT: return conf_put_text(rd, at, key, to);
	case CONF_CHOICE: return conf_put_choice(rd, at, key, to);
	case CONF_INT_LIST: return conf_put_list(rd, at, key, to);
	case CONF_BOOL:
		if (config_setting_type(at) != CONFIG_TYPE_BOOL)
			return conf_refuse(rd, at, "'%s' must be true or false", key->path);
		*(int64_t *)to = config_setting_get_bool(at) != 0;
		return 0;
	}
	return -EINVAL;
}

static const struct conf_key *conf_find(const char *path)
{
	for (size_t i = 0; i < CONF_KEYS_N; i++)
		if (strcmp(conf_keys[i].path, path) == 0)
			return &conf_keys[i];
	return NULL;
}

/* Is @path the beginning of some key's path, up to a dot? */
static bool conf_is_group(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < CONF_KEYS_N; i++)
		if (strncmp(conf_keys[i].path, path, len) == 0 && conf_keys[i].path[len] == '.')
			return true;
	return false;
}

/* The members of one group whose path is @prefix ("" = the file, else ends in a dot). Groups nest once. */
static int conf_read_members(const struct conf_read *rd, const config_setting_t *group,
		const char *prefix, void *base)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *at = config_setting_get_elem(group, (unsigned int)i);
		const struct conf_key *key;
		char path[128];
		int rc;

		(void)snprintf(path, sizeof(path), "%s%s", prefix, config_setting_name(at));
		key = conf_find(path);
		if (!key)
			return conf_refuse(rd, at, "unknown key '%s'", path);
		rc = conf_put(rd, at, key, base);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int conf_read_ports(const struct conf_read *rd, const config_setting_t *list)
{
	if (config_setting_type(list) != CONFIG_TYPE_LIST)
		return conf_refuse(rd, list,
				"'ports' must be a list of groups: ( { name = \"packet:eth0\"; } )");
	if (config_setting_length(list) > CONF_PORTS_MAX)
		return conf_refuse(
				rd, list, "'ports' may have at most %d elements", CONF_PORTS_MAX);
	rd->conf->ports_n = 0;
	for (int i = 0; i < config_setting_length(list); i++) {
		const config_setting_t *at = config_setting_get_elem(list, (unsigned int)i);
		struct conf_port *port = &rd->conf->port[i];
		int rc;

		if (config_setting_type(at) != CONFIG_TYPE_GROUP)
			return conf_refuse(rd, at,
					"each element of 'ports' must be a group: { name = \"packet:eth0\"; }");
		for (size_t k = 0; k < CONF_KEYS_N; k++)
			if (conf_is_port_key(&conf_keys[k]))
				conf_put_default(&conf_keys[k], port);
		rc = conf_read_members(rd, at, "ports[].", port);
		if (rc < 0)
			return rc;
		if (!port->name[0])
			return conf_refuse(rd, at,
					"a port needs 'name', as in { name = \"packet:eth0\"; }");
		if (strncmp(port->name, "packet:", 7) != 0 && strncmp(port->name, "dpdk:", 5) != 0)
			return conf_refuse(rd, at,
					"port name '%s' must begin with packet: or dpdk:",
					port->name);
		rd->conf->ports_n++;
	}
	return 0;
}

static int conf_read_top(const struct conf_read *rd, const config_setting_t *root)
{
	for (int i = 0; i < config_setting_length(root); i++) {
		const config_setting_t *at = config_setting_get_elem(root, (unsigned int)i);
		const char *name = config_setting_name(at);
		const struct conf_key *key = conf_find(name);
		char prefix[128];
		int rc;

		(void)snprintf(prefix, sizeof(prefix), "%s.", name);
		if (strcmp(name, "ports") == 0)
			rc = conf_read_ports(rd, at);
		else if (key)
			rc = conf_put(rd, at, key, rd->conf);
		else if (!conf_is_group(name))
			rc = conf_refuse(rd, at, "unknown key '%s'", name);
		else if (config_setting_type(at) != CONFIG_TYPE_GROUP)
			rc = conf_refuse(rd, at, "'%s' must be a group: %s = { ... };", name, name);
		else
			rc = conf_read_members(rd, at, prefix, rd->conf);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What no single key can tell. */
static int conf_check(const struct conf_read *rd, const config_setting_t *root)
{
	const struct conf *conf = rd->conf;

	if (conf->port_lo >= conf->port_hi)
		return conf_refuse(rd, root, "'tcp.ephemeral_lo' must be below 'tcp.ephemeral_hi'");
	if (strspn(conf->socket_mode, "01234567") != strlen(conf->socket_mode) ||
			strlen(conf->socket_mode) > 4)
		return conf_refuse(rd, root,
				"'control.mode' must be 3 or 4 octal digits in quotes, as \"0660\"");
	if (conf->embryos_max > conf->contexts_max)
		return conf_refuse(
				rd, root, "'tcp.embryos_max' must not exceed 'tcp.contexts_max'");
	if (conf->fastopen_key[0] &&
			(strlen(conf->fastopen_key) != 32 ||
					strspn(conf->fastopen_key, "0123456789abcdefABCDEF") != 32))
		return conf_refuse(rd, root,
				"'tcp.fastopen_key' must be 32 hexadecimal digits in quotes, or empty");
	for (int64_t i = 0; i < conf->cpus_n; i++)
		for (int64_t k = 0; k < i; k++)
			if (conf->cpus[i] == conf->cpus[k])
				return conf_refuse(rd, root, "'cores' names CPU %" PRId64 " twice",
						conf->cpus[i]);
	return 0;
}

unsigned int conf_socket_mode(const struct conf *conf)
{
	return (unsigned int)strtoul(conf->socket_mode, NULL, 8);
}

bool conf_fastopen_key(const struct conf *conf, uint8_t key[16])
{
	if (!conf->fastopen_key[0])
		return false;
	for (int i = 0; i < 16; i++) {
		char digits[3] = {conf->fastopen_key[2 * i], conf->fastopen_key[2 * i + 1], '\0'};

		key[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return true;
}

int conf_load(struct conf *conf, const char *path, char *err, size_t err_len)
{
	struct conf_read rd = {.conf = conf, .path = path, .err = err, .err_len = err_len};
	config_t config;
	int rc = -EINVAL;
	FILE *file = fopen(path, "re");

	if (!file) {
		rc = -errno;
		(void)snprintf(err, err_len, "cannot read configuration %s: %s", path,
				strerror(-rc));
		return rc;
	}
	config_init(&config);
	if (!config_read(&config, file)) {
		(void)snprintf(err, err_len, "%s:%d: %s",
				config_error_file(&config) ? config_error_file(&config) : path,
				config_error_line(&config), config_error_text(&config));
	} else {
		rc = conf_read_top(&rd, config_root_setting(&config));
		if (rc == 0)
			rc = conf_check(&rd, config_root_setting(&config));
	}
	/* A name in quotes may hold anything; a message is one line. */
	for (char *c = err; rc != 0 && *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	config_destroy(&config);
	(void)fclose(file);
	return rc;
}
