/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the files of socket options: the table of rules, and the facts that the engine knows. */
#ifndef AL_SOCK_SOCK_OPT_H
#define AL_SOCK_SOCK_OPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct al_sock;

enum opt_act {
	OPT_SHADOW, /* harmless to ETA: the shadow keeps it */
	OPT_PARAM,  /* copied to the conn's parameters */
	OPT_OWN,    /* AL itself acts on it */
	OPT_KERNEL, /* only the kernel does this: an undecided socket becomes the kernel's, ETA's refuses */
};

struct opt_rule {
	int level;
	int name;
	enum opt_act act;
	int error;         /* OPT_KERNEL: errno of the refusal */
	uint32_t feature;  /* ETA_FEATURE_* without which it is OPT_KERNEL */
	uint32_t harmless; /* OPT_KERNEL: bits of values that are no different from OPT_SHADOW */
};

#define OPT_HERITABLE 49u /* rules that have a bit in al_sock.inherit */

/* NULL: nobody has thought about it. */
const struct opt_rule *opt_rule_find(int level, int name);
const struct opt_rule *opt_rule_at(uint32_t bit);
/* >= OPT_HERITABLE: accepted sockets do not inherit it. */
uint32_t opt_rule_bit(const struct opt_rule *rule);
/* Options that matter to bind() alone: an accepted socket only tells of them. Return: its AL_SOCK_* bit, 0 none of these. */
uint8_t opt_rule_of_bind(int level, int name);
/* What to do about it with the engine that is there. */
enum opt_act opt_rule_act(const struct opt_rule *rule);

/* An int of the shadow @fd; 0 if it has none. */
int opt_int(int fd, int level, int name);
/* As the kernel copies an int or struct out. Return 0 or -errno. */
int opt_answer(void *val, socklen_t *len, const void *fact, socklen_t bytes);

/* ---- sock_info.c ---- */

/*
 * Options whose value only the conn knows. Return: 1 answered (or *ret is -errno); 0 ask the shadow.
 */
int opt_get_live(struct al_sock *sock, int fd, int level, int name, void *val, socklen_t *len,
		int *ret);
/* Congestion control by name (not NUL-terminated, @len bytes). Return: index for the record, 0 the engine has none of that name. */
uint8_t opt_cc_find(const char *name, socklen_t len);
/* TCP_CM_INQ for recvmsg(): bytes readable, 1 at the end of stream. */
int opt_inq(struct al_sock *sock);
/* SIOCOUTQNSD */
int opt_notsent(struct al_sock *sock);

#endif
