/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator's choice of sockets: parsing and matching (see policy.h). */
#include "al/sock/policy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static bool policy_number(const char **at, const char *end, uint16_t *port)
{
	uint32_t n = 0;
	const char *p = *at;

	while (p < end && *p >= '0' && *p <= '9' && n <= UINT16_MAX)
		n = n * 10 + (uint32_t)(*p++ - '0');
	if (p == *at || n > UINT16_MAX)
		return false;
	*at = p;
	*port = (uint16_t)n;
	return true;
}

static bool policy_rule(const char *at, const char *end, struct al_policy_rule *rule)
{
	static const char *const name[] = {
			[AL_POLICY_LISTEN] = "listen", [AL_POLICY_CONNECT] = "connect"};
	uint8_t verb;

	for (verb = AL_POLICY_LISTEN; verb <= AL_POLICY_CONNECT; verb++) {
		size_t len = strlen(name[verb]);

		if ((size_t)(end - at) >= len && memcmp(at, name[verb], len) == 0) {
			at += len;
			break;
		}
	}
	if (verb > AL_POLICY_CONNECT)
		return false;
	rule->verb = verb;
	rule->port_lo = 0;
	rule->port_hi = UINT16_MAX;
	if (at == end)
		return true;
	if (*at++ != '=' || !policy_number(&at, end, &rule->port_lo))
		return false;
	rule->port_hi = rule->port_lo;
	if (at < end && *at == '-') {
		at++;
		if (!policy_number(&at, end, &rule->port_hi))
			return false;
	}
	return at == end;
}

int al_policy_parse(struct al_policy *policy, const char *list, bool is_not)
{
	int ret = 0;

	if (!is_not)
		policy->has_only = true;
	while (*list) {
		const char *end = strchr(list, ',');
		struct al_policy_rule rule = {.is_not = is_not};

		if (!end)
			end = list + strlen(list);
		if (policy->rules_n == POLICY_RULES)
			return -E2BIG;
		if (policy_rule(list, end, &rule))
			policy->rule[policy->rules_n++] = rule;
		else
			ret = -EINVAL;
		list = *end ? end + 1 : end;
	}
	return ret;
}

bool al_policy_allows(const struct al_policy *policy, enum al_policy_verb verb, uint16_t port)
{
	bool allowed = !policy->has_only;
	uint32_t i;

	for (i = 0; i < policy->rules_n; i++) {
		const struct al_policy_rule *rule = &policy->rule[i];

		if (rule->verb != verb || port < rule->port_lo || port > rule->port_hi)
			continue;
		if (rule->is_not)
			return false;
		allowed = true;
	}
	return allowed;
}
