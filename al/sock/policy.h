/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which sockets the operator wants on ETA: --only and --not of eta-run, by ETA_ONLY and ETA_NOT.
 *
 * A list is rules apart by commas: `listen` or `connect`, then nothing or =PORT or =PORT-PORT. A socket is for ETA if ETA_ONLY is absent or
 * matches, and ETA_NOT does not match. A rule that cannot be understood matches nothing and is told once.
 */
#ifndef AL_SOCK_POLICY_H
#define AL_SOCK_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define POLICY_RULES 32

enum al_policy_verb {
	AL_POLICY_LISTEN = 1,
	AL_POLICY_CONNECT,
};

struct al_policy_rule {
	uint16_t port_lo, port_hi;
	uint8_t verb;
	bool is_not;
};

struct al_policy {
	bool has_only;
	uint32_t rules_n;
	struct al_policy_rule rule[POLICY_RULES];
};

/* Add the rules of @list. Return 0, -EINVAL a rule was not understood, -E2BIG too many. */
int al_policy_parse(struct al_policy *policy, const char *list, bool is_not);
bool al_policy_allows(const struct al_policy *policy, enum al_policy_verb verb, uint16_t port);

#endif
