/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration of etad: one libconfig file, one struct.
 *
 * Every key stands in one table (conf.c) with its type, unit, range, default and a sentence; the parser, the messages, the example file's test and the
 * defaults all come from it. A key that the table does not know, a value of the wrong type or out of range, and a syntax error are refused with
 * file:line, never guessed.
 */
#ifndef KA_CONF_H
#define KA_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eta/abi.h>
#include <eta/admin.h>

#define CONF_PATH_DEFAULT "/etc/eta/etad.conf"
#define CONF_PORTS_MAX 16
#define CONF_TEXT_MAX 108 /* bytes with NUL: sun_path's size */

enum conf_port_mode {
	CONF_PORT_AUTO,   /* packet: on a device with addresses: shared; else tap */
	CONF_PORT_SHARED, /* the kernel goes on using the device; TCX drops behind us what ETA owns */
	CONF_PORT_TAP,    /* a TAP with the port's MAC is the machine's interface */
};

/* As engine_conf.fastopen. */
enum conf_fastopen {
	CONF_FASTOPEN_OFF,
	CONF_FASTOPEN_CLIENT,
	CONF_FASTOPEN_SERVER,
	CONF_FASTOPEN_BOTH,
};

enum conf_huge {
	CONF_HUGE_AUTO,
	CONF_HUGE_YES, /* fail without */
	CONF_HUGE_NO,
};

enum conf_sysctl {
	CONF_SYSCTL_OFF,
	CONF_SYSCTL_MIRROR, /* net.ipv4.tcp_* of etad's network namespace are the defaults, as they stand */
};

#define CONF_KNOB_ENGINE INT64_MIN /* not configurable: the engine's own default */

struct conf_port {
	char name[CONF_TEXT_MAX]; /* as port_open() takes it */
	int64_t mode;             /* enum conf_port_mode */
	char tap[CONF_TEXT_MAX];  /* name of the TAP, may hold %d */
};

/* Numbers are int64_t so that one table describes them all. */
struct conf {
	/* control */
	char socket[CONF_TEXT_MAX];
	char socket_mode[CONF_TEXT_MAX];  /* octal digits */
	char socket_group[CONF_TEXT_MAX]; /* "" = etad's own */
	/* engine */
	int64_t cpus[ETA_CORES_MAX]; /* one engine core on each; none named: one core, on the last CPU we may use */
	int64_t cpus_n;
	int64_t contexts_max;
	int64_t embryos_max;
	int64_t embryos_src_pct;
	int64_t syn_cookies;
	int64_t fastopen;                 /* enum conf_fastopen */
	char fastopen_key[CONF_TEXT_MAX]; /* 32 hexadecimal digits, "" = random */
	int64_t mbufs;
	int64_t idle; /* enum engine_idle */
	int64_t idle_spin_us;
	int64_t local_turnaround;
	int64_t loopback;
	int64_t port_lo, port_hi;
	int64_t congestion; /* as eta_dti_al.cc */
	int64_t ecn;        /* as engine_conf.ecn */
	int64_t pacing, slow_start_after_idle;
	int64_t rcv_bytes_max, snd_bytes_max;
	int64_t delack_us, rto_us_min, msl_ms;
	int64_t sysctl;           /* enum conf_sysctl */
	int64_t knob[ETA_KNOB_N]; /* TCP's defaults, or CONF_KNOB_ENGINE */
	/* memory */
	int64_t hugepages; /* enum conf_huge */
	int64_t eal_mib;
	int64_t segment_kib;
	int64_t session_mib_max;
	/* sessions */
	int64_t sessions_max;
	int64_t sessions_per_uid_max;
	int64_t dtis_per_session_max;
	int64_t rings_per_session_max;
	/* log */
	char log_level[CONF_TEXT_MAX];
	/* ports */
	struct conf_port port[CONF_PORTS_MAX];
	int64_t ports_n;
};

/* All defaults; no port. */
void conf_default(struct conf *conf);

/**
 * conf_load() - Read @path over the defaults.
 * @err: [@err_len] one line "file:line: what is wrong and what is allowed".
 *
 * Return: 0; -ENOENT, -EACCES; -EINVAL refused.
 */
int conf_load(struct conf *conf, const char *path, char *err, size_t err_len);

/* The octal number in control.mode. */
unsigned int conf_socket_mode(const struct conf *conf);

/* The bytes of tcp.fastopen_key. Return: false = it is empty. */
bool conf_fastopen_key(const struct conf *conf, uint8_t key[16]);

/* The names of all keys, for the test of the example file: "control.socket" for @i from 0, NULL at the end. */
const char *conf_key_name(size_t i);

#endif
