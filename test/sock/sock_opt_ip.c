/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: options of IP, those of both families on whichever it is. */
#include "test/sock/opt.h"

static const struct opt_trial trial[] = {
		OPT_TRIAL(IPPROTO_IP, IP_TOS, 0, 0x10, 0xb8, 0x13, 3, 0x100),
		OPT_TRIAL(IPPROTO_IP, IP_TTL, -1, 64, 1, 255, 0, 256, -1, -2),
		{"IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, (const int[]){1, 2, 9}, 3, 1,
				false, true},
		OPT_TRIAL(IPPROTO_IP, IP_PKTINFO, 0, 1),
		OPT_TRIAL(IPPROTO_IP, IP_RECVTOS, 0, 1),
		OPT_TRIAL(IPPROTO_IP, IP_RECVTTL, 0, 1),
		OPT_TRIAL(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, 1),
		OPT_TRIAL(IPPROTO_IP, IP_FREEBIND, 0, 0),
		OPT_TRIAL(IPPROTO_IP, IP_MINTTL, 0, 0, 256),
		OPT_TRIAL(IPPROTO_IP, IP_RECVERR, 0, 0),
		OPT_TRIAL(IPPROTO_IP, IP_MTU, OPT_KEEP, 1000),
		OPT_TRIAL(IPPROTO_IPV6, IPV6_V6ONLY, OPT_KEEP, 0),
		OPT_TRIAL(IPPROTO_IPV6, IPV6_TCLASS, -1, 0x20, 0xff, 0x100, -1, -2),
		OPT_TRIAL(IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1, 64, 0, 255, 256, -1, -2),
		{"IPV6_MTU_DISCOVER", IPPROTO_IPV6, IPV6_MTU_DISCOVER, (const int[]){1, 2, 9}, 3, 1,
				false, true},
		OPT_TRIAL(IPPROTO_IPV6, IPV6_RECVPKTINFO, 0, 1),
		OPT_TRIAL(IPPROTO_IPV6, IPV6_RECVTCLASS, 0, 1),
		OPT_TRIAL(IPPROTO_IPV6, IPV6_RECVERR, 0, 0),
};

int main(void)
{
	opt_states(trial, sizeof(trial) / sizeof(*trial));
	return 0;
}
