/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: TCP_INFO, of connections whose history is known. */
#include <sys/ioctl.h>

#include <linux/sockios.h>

#include "test/sock/fact.h"

#define INFO_MAX 512
#define TCP_CLOSE 7

static struct tcp_info info_of(int fd)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);

	memset(&ti, 0, sizeof(ti));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) != 0)
		fact_ret("TCP_INFO", -1);
	return ti;
}

/* As much as was asked for, and no byte more; the kernel's size if that is less. */
static void lengths(const char *what, int fd)
{
	unsigned char buf[INFO_MAX + 1], whole[INFO_MAX];
	socklen_t len = sizeof(whole);
	char name[64];
	bool same = true;

	memset(whole, 0, sizeof(whole));
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, whole, &len);
	fact("TCP_INFO size", "%u", len);
	for (socklen_t want = 0; want <= INFO_MAX; want += want < 8 ? 1 : 8) {
		socklen_t got = want;

		memset(buf, 0xee, sizeof(buf));
		snprintf(name, sizeof(name), "%s TCP_INFO by %u", what, want);
		fact_ret(name, getsockopt(fd, IPPROTO_TCP, TCP_INFO, buf, &got));
		fact(name, "in %u, then %#x", got, buf[got]);
		same = same && memcmp(buf, whole, got < 8 ? got : 8) == 0;
	}
	fact_ok("every cut begins alike", same);
	len = (socklen_t)-1;
	fact_ret("TCP_INFO by negative", getsockopt(fd, IPPROTO_TCP, TCP_INFO, buf, &len));
	fact_ret("TCP_INFO set", setsockopt(fd, IPPROTO_TCP, TCP_INFO, buf, 8));
}

static void history(const char *what, int fd)
{
	struct tcp_info ti = info_of(fd);
	char name[64];

#define FACT(field, format, ...)                                     \
	do {                                                         \
		snprintf(name, sizeof(name), "%s %s", what, #field); \
		fact(name, format, __VA_ARGS__);                     \
	} while (0)
	FACT(state, "%u", ti.tcpi_state);
	FACT(ca_state, "%u", ti.tcpi_ca_state);
	FACT(retransmits, "%u %u %u", ti.tcpi_retransmits, ti.tcpi_probes, ti.tcpi_backoff);
	FACT(options, "%#x",
			ti.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE |
							  TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN |
							  TCPI_OPT_SYN_DATA));
	FACT(snd_wscale, "%u", ti.tcpi_snd_wscale);
	FACT(rcv_wscale, "%s", ti.tcpi_rcv_wscale >= 5 ? "enough" : "little");
	FACT(rto, "%s", ti.tcpi_rto >= 200000 && ti.tcpi_rto < 1300000 ? "plausible" : "no");
	FACT(ato, "%s", ti.tcpi_ato <= 200000 ? "plausible" : "no");
	FACT(snd_mss, "%u", ti.tcpi_snd_mss);
	FACT(advmss, "%u", ti.tcpi_advmss);
	FACT(rcv_mss, "%s", ti.tcpi_rcv_mss >= 88 && ti.tcpi_rcv_mss <= 65483 ? "plausible" : "no");
	FACT(pmtu, "%u", ti.tcpi_pmtu);
	FACT(unacked, "%u", ti.tcpi_unacked);
	FACT(sacked, "%u %u %u %u", ti.tcpi_sacked, ti.tcpi_lost, ti.tcpi_retrans, ti.tcpi_fackets);
	FACT(rtt, "%s", ti.tcpi_rtt > 0 && ti.tcpi_rtt < 500000 ? "plausible" : "no");
	FACT(rttvar, "%s", ti.tcpi_rttvar > 0 && ti.tcpi_rttvar < 500000 ? "plausible" : "no");
	FACT(min_rtt, "%s",
			ti.tcpi_min_rtt > 0 && ti.tcpi_min_rtt <= ti.tcpi_rtt * 8 ? "plausible"
										  : "no");
	FACT(snd_ssthresh, "%#x", ti.tcpi_snd_ssthresh);
	FACT(snd_cwnd, "%s",
			ti.tcpi_snd_cwnd >= 10 && ti.tcpi_snd_cwnd < 1000 ? "plausible" : "no");
	FACT(reordering, "%u", ti.tcpi_reordering);
	FACT(rcv_space, "%s", ti.tcpi_rcv_space >= 2000 ? "plausible" : "no");
	FACT(rcv_ssthresh, "%s", ti.tcpi_rcv_ssthresh >= 2000 ? "plausible" : "no");
	FACT(total_retrans, "%u", ti.tcpi_total_retrans);
	FACT(bytes_acked, "%llu", (unsigned long long)ti.tcpi_bytes_acked);
	FACT(bytes_received, "%llu", (unsigned long long)ti.tcpi_bytes_received);
	FACT(bytes_sent, "%llu", (unsigned long long)ti.tcpi_bytes_sent);
	FACT(bytes_retrans, "%llu", (unsigned long long)ti.tcpi_bytes_retrans);
	FACT(notsent, "%u", ti.tcpi_notsent_bytes);
	FACT(segs_out, "%s", ti.tcpi_segs_out < 40 ? "plausible" : "no");
	FACT(segs_in, "%s", ti.tcpi_segs_in >= 1 && ti.tcpi_segs_in < 40 ? "plausible" : "no");
	FACT(data_segs_out, "%u", ti.tcpi_data_segs_out);
	FACT(data_segs_in, "%s",
			(ti.tcpi_data_segs_in != 0) == (ti.tcpi_bytes_received > 1) ? "agrees"
										    : "no");
	FACT(delivered, "%u %u", ti.tcpi_delivered, ti.tcpi_delivered_ce);
	FACT(busy_time, "%s", ti.tcpi_busy_time < 2000000 ? "plausible" : "no");
	FACT(limited, "%llu %llu", (unsigned long long)ti.tcpi_rwnd_limited,
			(unsigned long long)ti.tcpi_sndbuf_limited);
	FACT(dups, "%u %u %u", ti.tcpi_dsack_dups, ti.tcpi_reord_seen, ti.tcpi_rcv_ooopack);
	FACT(snd_wnd, "%s", ti.tcpi_snd_wnd >= 10000 ? "plausible" : "no");
	FACT(max_pacing_rate, "%llx", (unsigned long long)ti.tcpi_max_pacing_rate);
	FACT(last_data_sent, "%s", ti.tcpi_last_data_sent < 60000 ? "plausible" : "no");
	FACT(last_data_recv, "%s", ti.tcpi_last_data_recv < 60000 ? "plausible" : "no");
	FACT(last_ack_recv, "%s", ti.tcpi_last_ack_recv < 60000 ? "plausible" : "no");
#undef FACT
}

/* Until the peer has acknowledged all. */
static void await_acked(int fd)
{
	int left = 1;

	for (int i = 0; i < 200 && left; i++) {
		ioctl(fd, SIOCOUTQ, &left);
		if (left)
			poll(NULL, 0, 5);
	}
	fact("left to acknowledge", "%d", left);
}

/* TCP_INFO once the state is @state, or after 2 s. */
static struct tcp_info info_when(int fd, unsigned int state)
{
	struct tcp_info ti = info_of(fd);

	for (int i = 0; i < 200 && ti.tcpi_state != state; i++) {
		poll(NULL, 0, 10);
		ti = info_of(fd);
	}
	return ti;
}

static void echo(void)
{
	char buf[1000];
	int fd = peer_dial("echo");
	struct tcp_info before, after;

	await_acked(fd);
	history("said", fd);
	for (int i = 0; i < 5; i++) {
		if (send(fd, buf, sizeof(buf), 0) != sizeof(buf) ||
				read_all(fd, buf, sizeof(buf)) != sizeof(buf))
			fact("echo", "fails");
	}
	await_acked(fd);
	history("dialogue", fd);
	poll(NULL, 0, 100); /* an ACK that waits */
	before = info_of(fd);
	poll(NULL, 0, 300);
	after = info_of(fd);
	fact_ok("silence grows", after.tcpi_last_data_sent >= before.tcpi_last_data_sent + 200 &&
						 after.tcpi_last_data_recv >=
								 before.tcpi_last_data_recv + 200 &&
						 after.tcpi_last_ack_recv >=
								 before.tcpi_last_ack_recv + 200);
	fact_ok("nothing else does", after.tcpi_segs_out == before.tcpi_segs_out &&
						     after.tcpi_busy_time == before.tcpi_busy_time);
	lengths("connected", fd);
	shutdown(fd, SHUT_WR);
	fact("state after both ends", "%u", info_when(fd, TCP_CLOSE).tcpi_state);
	close(fd);
}

static void ends(void)
{
	struct tcp_info ti;
	char byte;
	int fd = peer_dial("fin");

	fact_ret("end comes", read(fd, &byte, 1));
	await_acked(fd);
	history("peer closed", fd);
	shutdown(fd, SHUT_WR);
	ti = info_when(fd, TCP_CLOSE);
	fact("state of one who closed second", "%u", ti.tcpi_state);
	fact("bytes_acked with FIN", "%llu", (unsigned long long)ti.tcpi_bytes_acked);
	close(fd);
	fd = peer_dial("reset");
	fact_ok("reset comes", poll_one(fd, POLLIN, 2000) & POLLERR);
	ti = info_of(fd);
	fact("state after reset", "%u", ti.tcpi_state);
	fact("bytes sent before reset", "%llu", (unsigned long long)ti.tcpi_bytes_sent);
	close(fd);
	fd = peer_dial("hold");
	shutdown(fd, SHUT_WR);
	fact("state after half-close and theirs", "%u", info_when(fd, TCP_CLOSE).tcpi_state);
	close(fd);
}

/* 300000 bytes from the peer: who only receives. */
static void bulk(void)
{
	static char buf[300000];
	struct tcp_info ti;
	int fd = peer_dial("data 300000");

	fact_ret("bulk", read_all(fd, buf, sizeof(buf)));
	ti = info_of(fd);
	fact("bulk bytes_received", "%llu", (unsigned long long)ti.tcpi_bytes_received);
	fact_ok("bulk data_segs_in",
			ti.tcpi_data_segs_in >= 5 && ti.tcpi_data_segs_in <= ti.tcpi_segs_in);
	fact("bulk data_segs_out", "%u", ti.tcpi_data_segs_out);
	fact_ok("bulk rcv_rtt", ti.tcpi_rcv_rtt < 1000000);
	close(fd);
}

static void fresh(void)
{
	int fd = socket(peer_family(), SOCK_STREAM, 0);
	struct tcp_info ti = info_of(fd);

	fact("fresh state", "%u", ti.tcpi_state);
	lengths("fresh", fd);
	close(fd);
}

static void listening(void)
{
	int port, fd = listen_any(&port), ask, conn;
	struct tcp_info ti = info_of(fd);

	fact("listening", "state %u queue %u of %u", ti.tcpi_state, ti.tcpi_unacked,
			ti.tcpi_sacked);
	lengths("listening", fd);
	ask = peer_back(port, 3);
	fact_ok("they come", poll_one(fd, POLLIN, 2000) & POLLIN);
	for (int i = 0; i < 3; i++) {
		conn = accept(fd, NULL, NULL);
		if (i == 0) {
			char text[8];

			fact_ret("hello", read_all(conn, text, 8));
			history("accepted", conn);
		}
		close(conn);
	}
	fact("listening, all accepted", "queue %u", info_of(fd).tcpi_unacked);
	close(ask);
	close(fd);
}

int main(void)
{
	fresh();
	echo();
	ends();
	bulk();
	listening();
	return 0;
}
