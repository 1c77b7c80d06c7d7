/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of the network room: exactly one per exit of a frame, so that their sum is the number of
 * frames seen.
 *
 * Written by the owning core alone, readable by KA at any time (aligned 64-bit words). The text is
 * what etactl prints.
 */
#ifndef ENGINE_NET_NET_STATS_H
#define ENGINE_NET_NET_STATS_H

#include <stdint.h>

/*            name                    what it counts */
#define NET_STATS_TABLE(X)                                                                      \
	/* ip_rx: exactly one of these per frame */                                             \
	X(rx_tcp, "TCP segments parsed and verified")                                           \
	X(rx_icmp_err, "ICMP errors that quote a TCP segment")                                  \
	X(rx_fragment, "IP fragments")                                                          \
	X(rx_foreign_mac, "frames for another station")                                         \
	X(rx_foreign_ether, "frames that are neither IPv4 nor IPv6, or carry a VLAN tag")       \
	X(rx_foreign_proto, "IP packets that are not TCP, and multicast")                       \
	X(rx_ext_unknown, "IPv6 packets with extension headers the engine leaves alone")        \
	X(rx_routed, "source-routed packets, left to the kernel to refuse")                     \
	X(rx_drop_runt, "frames shorter than their headers")                                    \
	X(rx_drop_chained, "received frames in several segments")                               \
	X(rx_drop_ip_hdr, "IP headers with impossible version or length")                       \
	X(rx_drop_ip_len, "IP packets longer than their frame")                                 \
	X(rx_drop_ip_cksum, "IPv4 header checksum errors")                                      \
	X(rx_drop_martian, "impossible source or destination address")                          \
	X(rx_drop_ext, "IPv6 extension header chains cut short or too long")                    \
	X(rx_drop_tcp_hdr, "TCP headers with impossible length")                                \
	X(rx_drop_tcp_cksum, "TCP checksum errors")                                             \
	X(rx_drop_icmp, "malformed ICMP errors")                                                \
	/* ip_frag: one of the first ten per fragment; a whole packet is one frame more */      \
	X(frag_foreign, "fragments that are the kernel's alone")                                \
	X(frag_kept, "fragments of TCP kept until the others come")                             \
	X(frag_whole, "TCP segments put together from fragments")                               \
	X(frag_dup, "fragments that had come already")                                          \
	X(frag_drop_bad, "fragments of impossible length or place")                             \
	X(frag_drop_tiny, "first fragments without a whole TCP header")                         \
	X(frag_drop_overlap, "fragments that overlap or contradict others")                     \
	X(frag_drop_ecn, "fragments whose ECN fields contradict others")                        \
	X(frag_drop_room, "fragments too many, beyond the largest segment, or without buffer")  \
	X(frag_drop_spoilt, "fragments of a packet that was given up")                          \
	X(frag_expired, "incomplete packets given up after their time")                         \
	X(frag_evicted, "incomplete packets that gave way to newer ones")                       \
	/* beside rx_icmp_err: one of these, or TcpExtOutOfWindowIcmps */                       \
	X(icmp_no_ctx, "ICMP errors about no connection of ETA's")                              \
	X(icmp_error, "ICMP errors that ended an attempt or were remembered")                   \
	X(icmp_mtu, "path MTUs learned by ICMP")                                                \
	X(icmp_mtu_ignored, "ICMP messages about path MTUs that say nothing new")               \
	/* ip_tx */                                                                             \
	X(tx_segs, "wire segments sent (superframes count as what they become)")                \
	X(tx_frames, "frames handed to ports")                                                  \
	X(tx_no_mbuf, "segments not sent: no free frame buffer")                                \
	X(tx_too_long, "segments not sent: larger than the port can carry")                     \
	/* route */                                                                             \
	X(route_none, "no route to destination")                                                \
	X(route_elsewhere, "destinations routed through interfaces without port")               \
	X(neigh_pending, "segments that met an unresolved neighbour")                           \
	X(neigh_table_full, "neighbours not wanted from the kernel: table full")                \
	X(admin_table_full, "addresses, routes or neighbours of the kernel that found no room") \
	/* punt */                                                                              \
	X(punt_up, "frames handed to the kernel")                                               \
	X(punt_kernel_has_it, "frames freed because the kernel received its own copy")          \
	X(punt_drop_full, "frames for the kernel dropped: ring full")                           \
	X(punt_down, "frames of the kernel sent")                                               \
	X(punt_drop_port, "frames of the kernel dropped: no such port, or too long")

struct net_stats {
#define X(name, text) uint64_t name;
	NET_STATS_TABLE(X)
#undef X
};

#define NET_STATS_N (sizeof(struct net_stats) / sizeof(uint64_t))

/* Name or text of counter @i in declaration order; NULL past the end. Context: cold. */
const char *net_stat_name(uint32_t i);
const char *net_stat_text(uint32_t i);

#endif
