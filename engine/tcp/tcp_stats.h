/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's counters, one set per core, named as the Linux MIB names them (nstat) so that nobody has to
 * learn new words. Every segment that arrives ends in in_segs and in exactly one of the verdict
 * counters or in none if it was simply good.
 */
#ifndef ENGINE_TCP_TCP_STATS_H
#define ENGINE_TCP_TCP_STATS_H

#include <stdint.h>

/*        field                   name */
#define TCP_STATS_TABLE(X)                                       \
	X(active_opens, "TcpActiveOpens")                        \
	X(passive_opens, "TcpPassiveOpens")                      \
	X(attempt_fails, "TcpAttemptFails")                      \
	X(estab_resets, "TcpEstabResets")                        \
	X(curr_estab, "TcpCurrEstab")                            \
	X(in_segs, "TcpInSegs")                                  \
	X(out_segs, "TcpOutSegs")                                \
	X(retrans_segs, "TcpRetransSegs")                        \
	X(in_errs, "TcpInErrs")                                  \
	X(out_rsts, "TcpOutRsts")                                \
	X(embryonic_rsts, "TcpExtEmbryonicRsts")                 \
	X(time_waited, "TcpExtTW")                               \
	X(tw_recycled, "TcpExtTWRecycled")                       \
	X(paws_active, "TcpExtPAWSActive")                       \
	X(paws_estab, "TcpExtPAWSEstab")                         \
	X(delayed_acks, "TcpExtDelayedACKs")                     \
	X(listen_overflows, "TcpExtListenOverflows")             \
	X(listen_drops, "TcpExtListenDrops")                     \
	X(cookies_sent, "TcpExtSyncookiesSent")                  \
	X(cookies_recv, "TcpExtSyncookiesRecv")                  \
	X(cookies_failed, "TcpExtSyncookiesFailed")              \
	X(reqq_cookies, "TcpExtTCPReqQFullDoCookies")            \
	X(reqq_drop, "TcpExtTCPReqQFullDrop")                    \
	X(reqq_source, "TcpExtTCPReqQSourceFull")                \
	X(defer_accept, "TcpExtTCPDeferAcceptDrop")              \
	X(fastopen_active, "TcpExtTCPFastOpenActive")            \
	X(fastopen_active_fail, "TcpExtTCPFastOpenActiveFail")   \
	X(fastopen_passive, "TcpExtTCPFastOpenPassive")          \
	X(fastopen_passive_fail, "TcpExtTCPFastOpenPassiveFail") \
	X(fastopen_overflow, "TcpExtTCPFastOpenListenOverflow")  \
	X(fastopen_cookie_reqd, "TcpExtTCPFastOpenCookieReqd")   \
	X(hp_hits, "TcpExtTCPHPHits")                            \
	X(pure_acks, "TcpExtTCPPureAcks")                        \
	X(hp_acks, "TcpExtTCPHPAcks")                            \
	X(reno_recovery, "TcpExtTCPRenoRecovery")                \
	X(sack_recovery, "TcpExtTCPSackRecovery")                \
	X(fast_retrans, "TcpExtTCPFastRetrans")                  \
	X(slow_start_retrans, "TcpExtTCPSlowStartRetrans")       \
	X(timeouts, "TcpExtTCPTimeouts")                         \
	X(dsack_recv, "TcpExtTCPDSACKRecv")                      \
	X(sack_discard, "TcpExtTCPSACKDiscard")                  \
	X(ofo_queue, "TcpExtTCPOFOQueue")                        \
	X(ofo_drop, "TcpExtTCPOFODrop")                          \
	X(ofo_merge, "TcpExtTCPOFOMerge")                        \
	X(rcv_q_drop, "TcpExtTCPRcvQDrop")                       \
	X(abort_on_data, "TcpExtTCPAbortOnData")                 \
	X(abort_on_close, "TcpExtTCPAbortOnClose")               \
	X(abort_on_timeout, "TcpExtTCPAbortOnTimeout")           \
	X(abort_on_linger, "TcpExtTCPAbortOnLinger")             \
	X(abort_failed, "TcpExtTCPAbortFailed")                  \
	X(challenge_ack, "TcpExtTCPChallengeACK")                \
	X(syn_challenge, "TcpExtTCPSYNChallenge")                \
	X(ack_skipped, "TcpExtTCPACKSkippedSeq")                 \
	X(ack_skipped_challenge, "TcpExtTCPACKSkippedChallenge") \
	X(old_segs, "TcpExtBeyondWindow")                        \
	X(acks_too_old, "TcpExtTCPACKTooOld")                    \
	X(acks_unsent, "TcpExtTCPAckUnsentData")                 \
	X(no_ack_flag, "TcpExtTCPNoAckFlag")                     \
	X(tw_ignored, "TcpExtTWIgnored")                         \
	X(keepalive, "TcpExtTCPKeepAlive")                       \
	X(win_probe, "TcpExtTCPWinProbe")                        \
	X(from_zero_window, "TcpExtTCPFromZeroWindowAdv")        \
	X(to_zero_window, "TcpExtTCPToZeroWindowAdv")            \
	X(send_short, "TcpExtTCPSendShort")                      \
	X(loss_probes, "TcpExtTCPLossProbes")                    \
	X(loss_probe_recovery, "TcpExtTCPLossProbeRecovery")     \
	X(full_undo, "TcpExtTCPFullUndo")                        \
	X(partial_undo, "TcpExtTCPPartialUndo")                  \
	X(dsack_undo, "TcpExtTCPDSACKUndo")                      \
	X(loss_undo, "TcpExtTCPLossUndo")                        \
	X(spurious_rtos, "TcpExtTCPSpuriousRTOs")                \
	X(sack_reneging, "TcpExtTCPSACKReneging")                \
	X(dsack_old_sent, "TcpExtTCPDSACKOldSent")               \
	X(dsack_ofo_sent, "TcpExtTCPDSACKOfoSent")               \
	X(ext_full, "TcpExtTCPExtFull")                          \
	X(eor_full, "TcpExtTCPEorFull")                          \
	X(log_full, "TcpExtTCPSentLogFull")                      \
	X(hystart_delay, "TcpExtTCPHystartDelayDetect")          \
	X(delivered_ce, "TcpExtTCPDeliveredCE")                  \
	X(in_ce, "IpExtInCEPkts")                                \
	X(icmp_out_of_window, "TcpExtOutOfWindowIcmps")          \
	X(mtu_black_holes, "TcpExtTCPMTUBlackHole")              \
	X(mtu_probes, "TcpExtTCPMTUProbes")                      \
	X(mtu_fails, "TcpExtTCPMTUPFail")                        \
	X(mtu_successes, "TcpExtTCPMTUPSuccess")                 \
	X(reqq_full, "TcpExtTCPAcceptDeferred")

struct tcp_stats {
#define X(field, name) uint64_t field;
	TCP_STATS_TABLE(X)
#undef X
};

/* Return: name of counter @i, in the order of struct tcp_stats; NULL past the end. */
const char *tcp_stats_name(unsigned int i);
/* Return: value of counter @i; 0 past the end. */
uint64_t tcp_stats_value(const struct tcp_stats *stats, unsigned int i);

#endif
