/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables and JSON for etactl.
 *
 * A struct show collects the answer: text goes into a memory stream, JSON into a tree that is printed at the end.
 */
#include "ka/show.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "ka/etad.h"

#define SHOW_ADDR_BYTES (INET6_ADDRSTRLEN + 10)

struct show {
	struct ka *ka;
	struct client *client;
	bool is_json;
	char *text;
	size_t text_len;
	FILE *out;
	cJSON *json;
	uint32_t core; /* whose connections come next */
};

static const char *const show_tcp_states[] = {"?", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1",
		"FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING",
		"SYN-RECV"};

static const char *const show_session_states[] = {
		[SESSION_STARTING] = "starting",
		[SESSION_LIVE] = "live",
		[SESSION_ORPHAN] = "orphan",
		[SESSION_ENDING] = "ending",
		[SESSION_DEAD] = "dead",
};

/* ---- an answer's life ---- */

static struct show *show_begin(struct ka *ka, struct client *client, bool is_json)
{
	struct show *show = calloc(1, sizeof(*show));

	if (!show)
		return NULL;
	*show = (struct show){.ka = ka, .client = client, .is_json = is_json};
	show->out = open_memstream(&show->text, &show->text_len);
	if (!show->out) {
		free(show);
		return NULL;
	}
	return show;
}

static void show_free(struct show *show)
{
	cJSON_Delete(show->json);
	if (show->out)
		(void)fclose(show->out);
	free(show->text);
	free(show);
}

static void show_end(struct show *show)
{
	struct client *client = show->client;
	char *printed = show->is_json ? cJSON_Print(show->json) : NULL;

	if (printed)
		(void)fprintf(show->out, "%s\n", printed);
	cJSON_free(printed);
	if (fclose(show->out) != 0)
		show->text_len = 0;
	show->out = NULL;
	if (client && !client->is_dropped && show->text) {
		client_answer_text(client, show->text, show->text_len);
		show->text = NULL;
	}
	show_free(show);
}

/* ---- words ---- */

static void show_addr(char *to, size_t len, const uint8_t b[16], uint16_t port_be)
{
	char text[INET6_ADDRSTRLEN];
	struct ip_addr a;

	memcpy(a.b, b, sizeof(a.b));
	if (ip_addr_is_v4(&a)) {
		(void)inet_ntop(AF_INET, &a.w_be[3], text, sizeof(text));
		(void)snprintf(to, len, "%s:%u", text, ntohs(port_be));
	} else {
		(void)inet_ntop(AF_INET6, a.b, text, sizeof(text));
		(void)snprintf(to, len, "[%s]:%u", text, ntohs(port_be));
	}
}

static void show_prefix(char *to, size_t len, const uint8_t b[16], uint8_t prefix_len)
{
	char text[INET6_ADDRSTRLEN];
	struct ip_addr a;

	memcpy(a.b, b, sizeof(a.b));
	if (ip_addr_is_v4(&a))
		(void)inet_ntop(AF_INET, &a.w_be[3], text, sizeof(text));
	else
		(void)inet_ntop(AF_INET6, a.b, text, sizeof(text));
	if (prefix_len == UINT8_MAX)
		(void)snprintf(to, len, "%s", text);
	else
		(void)snprintf(to, len, "%s/%u", text, prefix_len);
}

static const char *show_tcp_state(uint8_t state)
{
	return show_tcp_states[state < sizeof(show_tcp_states) / sizeof(show_tcp_states[0]) ? state
											    : 0];
}

static void show_number(cJSON *to, const char *name, uint64_t v)
{
	(void)cJSON_AddNumberToObject(to, name, (double)v);
}

/* ---- connections ---- */

static void show_connection(struct show *show, const struct eta_ctx_row *row)
{
	char local[SHOW_ADDR_BYTES], remote[SHOW_ADDR_BYTES];
	const struct session *session =
			row->has_dti ? res_session_find(&show->ka->res, row->session) : NULL;
	cJSON *o;

	show_addr(local, sizeof(local), row->laddr, row->lport_be);
	show_addr(remote, sizeof(remote), row->raddr, row->rport_be);
	if (!show->is_json) {
		(void)fprintf(show->out, "%-10s %8u %8u %28s %28s %7d %8u %8u %6u %s\n",
				show_tcp_state(row->tcp_state), row->rcv_queue_bytes,
				row->snd_queue_bytes, local, remote, session ? session->pid : 0,
				row->srtt_us, row->cwnd_bytes, row->retrans_n, row->cc);
		return;
	}
	o = cJSON_CreateObject();
	(void)cJSON_AddStringToObject(o, "state", show_tcp_state(row->tcp_state));
	(void)cJSON_AddStringToObject(o, "local", local);
	(void)cJSON_AddStringToObject(o, "remote", remote);
	(void)cJSON_AddStringToObject(o, "congestion", row->cc);
	show_number(o, "pid", session ? (uint64_t)session->pid : 0);
	show_number(o, "session", row->session);
	show_number(o, "dti", row->dti);
	show_number(o, "mss_bytes", row->mss);
	show_number(o, "rcv_queue_bytes", row->rcv_queue_bytes);
	show_number(o, "snd_queue_bytes", row->snd_queue_bytes);
	show_number(o, "cwnd_bytes", row->cwnd_bytes);
	show_number(o, "ssthresh_bytes", row->ssthresh_bytes);
	show_number(o, "srtt_us", row->srtt_us);
	show_number(o, "rttvar_us", row->rttvar_us);
	show_number(o, "rto_us", row->rto_us);
	show_number(o, "snd_wnd_bytes", row->snd_wnd_bytes);
	show_number(o, "rcv_wnd_bytes", row->rcv_wnd_bytes);
	show_number(o, "retrans_n", row->retrans_n);
	show_number(o, "retrans_bytes", row->retrans_bytes);
	show_number(o, "unacked_bytes", row->unacked_bytes);
	show_number(o, "tx_bytes", row->tx_bytes);
	show_number(o, "rx_bytes", row->rx_bytes);
	(void)cJSON_AddItemToArray(show->json, o);
}

static void show_on_rows(void *arg, const struct eta_admin_msg *answer);

/* The client was held: it may have gone meanwhile. */
static void show_connections_end(struct show *show)
{
	struct client *client = show->client;

	show->ka->is_showing = false;
	show_end(show);
	client_release(client);
}

static void show_ask_rows(struct show *show, uint32_t first)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_DUMP};

	msg.dump.rows = show->ka->show_rows;
	msg.dump.first = first;
	msg.dump.n = SHOW_ROWS;
	if (irq_post(&show->ka->irq, show->core, &msg, show_on_rows, show) < 0)
		show_connections_end(show);
}

static void show_on_rows(void *arg, const struct eta_admin_msg *answer)
{
	struct show *show = arg;
	bool is_good = answer->status == ETA_STATUS_OK;

	for (uint32_t i = 0; is_good && i < answer->dump.n && i < SHOW_ROWS; i++)
		show_connection(show, &show->ka->show_rows[i]);
	if (is_good && answer->dump.first != UINT32_MAX && !show->client->is_dropped) {
		show_ask_rows(show, answer->dump.first);
		return;
	}
	if (++show->core < show->ka->irq.cores_n && !show->client->is_dropped) {
		show_ask_rows(show, 0);
		return;
	}
	show_connections_end(show);
}

static void show_connections(struct show *show)
{
	/* One dump at a time: the rows are reserved memory, so that this works when all other is used up. */
	if (show->ka->is_showing) {
		(void)fprintf(show->out, "busy: another dump is under way, try again\n");
		show->is_json = false;
		show_end(show);
		return;
	}
	show->ka->is_showing = true;
	if (show->is_json)
		show->json = cJSON_CreateArray();
	else
		(void)fprintf(show->out, "%-10s %8s %8s %28s %28s %7s %8s %8s %6s %s\n", "State",
				"Recv-Q", "Send-Q", "Local", "Peer", "Pid", "RTT-us", "Cwnd-B",
				"Retr", "CC");
	client_hold(show->client);
	show_ask_rows(show, 0);
}

/* ---- statistics ---- */

static void show_stat(struct show *show, cJSON *group, const char *name, uint64_t v)
{
	if (show->is_json)
		show_number(group, name, v);
	else
		(void)fprintf(show->out, "%-32s %20" PRIu64 "\n", name, v);
}

static void show_core_stats(struct show *show, cJSON *group)
{
	const char *name;

	for (uint32_t i = 0; (name = core_stat_name(i)) != NULL; i++) {
		uint64_t sum = 0;

		for (uint32_t c = 0; c < show->ka->irq.cores_n; c++)
			sum += core_stat_value(show->ka->core[c].core, i);
		show_stat(show, group, name, sum);
	}
}

static void show_ka_stats(struct show *show, cJSON *group)
{
	const struct ka *ka = show->ka;
	const struct {
		const char *name;
		uint64_t v;
	} all[] = {
			{"KaClients", ka->stats.clients},
			{"KaClientsRefused", ka->stats.clients_refused},
			{"KaClientsDropped", ka->stats.clients_dropped},
			{"KaRequests", ka->stats.requests},
			{"KaAttached", ka->stats.attached},
			{"KaAbiRefused", ka->stats.abi_refused},
			{"KaSessions", ka->res.sessions_n},
			{"KaSessionsEnded", ka->res.ended_n},
			{"KaSessionsOrphaned", ka->res.orphaned_n},
			{"KaSegments", ka->mem.segs_n},
			{"KaSegmentBytes", ka->mem.bytes},
			{"KaSegmentsSmallPages", ka->mem.small_n},
			{"KaSegmentsSpoiled", ka->stats.spoiled},
			{"KaSegWants", ka->stats.seg_wants},
			{"KaListens", ka->stats.listens},
			{"KaBinds", ka->stats.binds},
			{"KaNotCarried", ka->stats.not_carried},
			{"KaForeignNetns", ka->stats.foreign_netns},
			{"KaDtisDead", ka->stats.dtis_dead},
			{"KaCookiesWatched", ka->sockdiag.watched_n},
			{"KaCookiesGone", ka->sockdiag.gone_n},
			{"KaSockdiagLost", ka->sockdiag.lost_n},
			{"KaNetlinkRedumps", ka->netlink.redumps_n},
			{"KaNeighAsked", ka->netlink.asked_n},
			{"KaToKernel", ka->except.to_kernel},
			{"KaFromKernel", ka->except.from_kernel},
			{"KaTapErrors", ka->except.tap_errors},
			{"KaInjectFull", ka->except.inject_full},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		show_stat(show, group, all[i].name, all[i].v);
}

static void show_port_stats(struct show *show, uint32_t idx, cJSON *list)
{
	struct port *port = show->ka->port[idx].port;
	const struct port_stats *s = &port->stats;
	const struct {
		const char *name;
		uint64_t v;
	} all[] = {{"rx_frames", s->rx_frames}, {"rx_bytes", s->rx_bytes},
			{"rx_dropped", s->rx_dropped}, {"rx_truncated", s->rx_truncated},
			{"tx_frames", s->tx_frames}, {"tx_bytes", s->tx_bytes},
			{"tx_dropped", s->tx_dropped}, {"tx_errors", s->tx_errors}};
	cJSON *o = show->is_json ? cJSON_CreateObject() : NULL;

	if (port->ops->stats_update)
		port->ops->stats_update(port);
	if (show->is_json) {
		(void)cJSON_AddStringToObject(o, "name", port->name);
		(void)cJSON_AddItemToArray(list, o);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char name[96];

		(void)snprintf(name, sizeof(name), "%s.%s", port->name, all[i].name);
		show_stat(show, o, show->is_json ? all[i].name : name, all[i].v);
	}
}

static void show_stats(struct show *show)
{
	cJSON *engine = NULL, *ka = NULL, *ports = NULL;

	if (show->is_json) {
		show->json = cJSON_CreateObject();
		engine = cJSON_AddObjectToObject(show->json, "engine");
		ka = cJSON_AddObjectToObject(show->json, "ka");
		ports = cJSON_AddArrayToObject(show->json, "ports");
	}
	show_core_stats(show, engine);
	show_ka_stats(show, ka);
	for (uint32_t i = 0; i < show->ka->ports_n; i++)
		show_port_stats(show, i, ports);
	show_end(show);
}

/* ---- sessions ---- */

/* Chunk pages of a segment that hold nothing. What the application wrote there can only make its own figure wrong. */
static uint32_t show_free_pages(const struct mem_seg *seg)
{
	const struct eta_chunk_meta *meta =
			(const struct eta_chunk_meta *)(const void *)(seg->base +
								      seg->geom.meta_off);
	const uint64_t *map = (const uint64_t *)(const void *)(seg->base + seg->geom.map_off);
	uint32_t free_n = 0;

	for (uint32_t i = 0; i < seg->geom.chunk_pages; i++) {
		if (seg->geom.kind == ETA_SEG_AL)
			free_n += !(eta_load_relaxed_u64(&map[i / 64]) >> (i % 64) & 1);
		else if (eta_load_relaxed_u32(&meta[i].dti) == ETA_DTI_NONE)
			free_n++;
		else if (meta[i].order <= ETA_CHUNK_ORDER_LARGE)
			i += (1u << meta[i].order) - 1;
	}
	return free_n;
}

static uint64_t show_free_bytes(const struct session *s)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < s->segs_n; i++)
		pages += s->seg[i] ? show_free_pages(s->seg[i]) : 0;
	return pages * ETA_PAGE_BYTES;
}

static void show_session(struct show *show, const struct session *s)
{
	uint32_t bound_n = 0;
	cJSON *o;

	for (const struct res_binding *b = s->bindings; b; b = b->next)
		bound_n++;
	if (!show->is_json) {
		(void)fprintf(show->out, "%7u %-8s %8d %6u %6u %8u %6u %6u %12" PRIu64 "\n",
				s->number, show_session_states[s->state], s->pid, s->uid,
				s->rings_n, s->dtis_n, bound_n, s->shares_n, s->bytes);
		return;
	}
	o = cJSON_CreateObject();
	show_number(o, "session", s->number);
	(void)cJSON_AddStringToObject(o, "state", show_session_states[s->state]);
	show_number(o, "pid", (uint64_t)s->pid);
	show_number(o, "uid", s->uid);
	show_number(o, "rings", s->rings_n);
	show_number(o, "dtis", s->dtis_n);
	show_number(o, "bindings", bound_n);
	show_number(o, "shared", s->shares_n);
	show_number(o, "inherited", s->inherited_n);
	show_number(o, "memory_bytes", s->bytes);
	show_number(o, "memory_free_bytes", show_free_bytes(s));
	(void)cJSON_AddItemToArray(show->json, o);
}

static void show_sessions(struct show *show)
{
	const struct res *res = &show->ka->res;

	if (show->is_json)
		show->json = cJSON_CreateArray();
	else
		(void)fprintf(show->out, "%7s %-8s %8s %6s %6s %8s %6s %6s %12s\n", "Session",
				"State", "Pid", "Uid", "Rings", "Dtis", "Bound", "Shared",
				"Memory-B");
	for (uint32_t i = 1; i <= res->sessions_max; i++)
		if (res->session[i])
			show_session(show, res->session[i]);
	show_end(show);
}

/* ---- routes ---- */

static void show_route(void *arg, const struct eta_admin_msg *msg, const char *ifname)
{
	struct show *show = arg;
	char dst[SHOW_ADDR_BYTES], gw[SHOW_ADDR_BYTES] = "-", src[SHOW_ADDR_BYTES] = "-";
	struct ip_addr a;
	cJSON *o;

	show_prefix(dst, sizeof(dst), msg->route.dst, msg->route.prefix_len);
	memcpy(a.b, msg->route.gw, sizeof(a.b));
	if (!ip_addr_is_any(&a))
		show_prefix(gw, sizeof(gw), msg->route.gw, UINT8_MAX);
	memcpy(a.b, msg->route.src, sizeof(a.b));
	if (!ip_addr_is_any(&a))
		show_prefix(src, sizeof(src), msg->route.src, UINT8_MAX);
	if (!show->is_json) {
		(void)fprintf(show->out, "%-44s %-40s %-16s %-9s %8u %6u %s\n", dst, gw, ifname,
				msg->route.is_elsewhere ? "kernel" : "eta", msg->route.metric,
				msg->route.mtu, src);
		return;
	}
	o = cJSON_CreateObject();
	(void)cJSON_AddStringToObject(o, "dst", dst);
	(void)cJSON_AddStringToObject(o, "via", gw);
	(void)cJSON_AddStringToObject(o, "dev", ifname);
	(void)cJSON_AddStringToObject(o, "src", src);
	(void)cJSON_AddStringToObject(o, "carrier", msg->route.is_elsewhere ? "kernel" : "eta");
	show_number(o, "metric", msg->route.metric);
	show_number(o, "mtu_bytes", msg->route.mtu);
	(void)cJSON_AddItemToArray(show->json, o);
}

static void show_routes(struct show *show)
{
	if (show->is_json)
		show->json = cJSON_CreateArray();
	else
		(void)fprintf(show->out, "%-44s %-40s %-16s %-9s %8s %6s %s\n", "Destination",
				"Via", "Dev", "Carrier", "Metric", "Mtu", "Source");
	netlink_each_route(&show->ka->netlink, show_route, show);
	show_end(show);
}

/* ---- commands ---- */

static void show_log(struct show *show, const char *level)
{
	if (log_level_set(level) < 0) {
		struct client *client = show->client;

		show_free(show);
		client_answer(client, ETA_STATUS_INVALID);
		return;
	}
	log_info("log level=%s", level);
	show_end(show);
}

void show_command(struct ka *ka, struct client *client, const char *line)
{
	char word[32] = "", arg[32] = "";
	bool may_change = client->uid == 0 || client->uid == geteuid();
	struct show *show;

	(void)sscanf(line, "%31s %31s", word, arg);
	show = show_begin(ka, client, strcmp(arg, "--json") == 0);
	if (!show) {
		client_answer(client, ETA_STATUS_NO_MEMORY);
	} else if (strcmp(word, "connections") == 0) {
		show_connections(show);
	} else if (strcmp(word, "stats") == 0) {
		show_stats(show);
	} else if (strcmp(word, "sessions") == 0) {
		show_sessions(show);
	} else if (strcmp(word, "routes") == 0) {
		show_routes(show);
	} else if ((strcmp(word, "log") == 0 || strcmp(word, "stop") == 0) && !may_change) {
		show_free(show);
		client_answer(client, ETA_STATUS_DENIED);
	} else if (strcmp(word, "log") == 0) {
		show_log(show, arg);
	} else if (strcmp(word, "stop") == 0) {
		show_end(show);
		etad_ask_stop(ka);
	} else {
		show_free(show);
		client_answer(client, ETA_STATUS_INVALID);
	}
}
