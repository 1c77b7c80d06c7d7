/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings of TCP, as people write them: `etactl get` and `etactl set`.
 *
 * The engine brings a value into what TCP allows; here it is judged against what etad.conf allows, so that a mistake gets an answer rather
 * than another value. What is printed is what the engine has. A change is told to every core, and each is asked in turn: commands of a core
 * are done in order, so when the last has answered, all have it.
 *
 * Limits: the key of fast open is a secret and has no name here.
 */
#include "ka/knob.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ka/client_msg.h"
#include "ka/etad.h"

#define KNOB_SWITCH "off on"

/* By enum eta_knob; those without name are not shown. A word's place is its value, "-" has none; without words it is a number. */
static const struct knob {
	const char *name, *words, *unit;
	uint32_t min, max;
} knobs[ETA_KNOB_N] = {
		[ETA_KNOB_TIMESTAMPS] = {"tcp.timestamps", KNOB_SWITCH, "", 0, 0},
		[ETA_KNOB_SACK] = {"tcp.sack", KNOB_SWITCH, "", 0, 0},
		[ETA_KNOB_RCV_WSCALE] = {"tcp.rcv_wscale", NULL, "", 0, 14},
		[ETA_KNOB_ECN] = {"tcp.ecn", "off on accept", "", 0, 0},
		[ETA_KNOB_FASTOPEN] = {"tcp.fastopen", "off client server both", "", 0, 0},
		[ETA_KNOB_SYN_COOKIES] = {"tcp.syn_cookies", KNOB_SWITCH, "", 0, 0},
		[ETA_KNOB_SLOW_START_IDLE] = {"tcp.slow_start_after_idle", KNOB_SWITCH, "", 0, 0},
		[ETA_KNOB_NOTSENT_LOWAT] = {"tcp.notsent_lowat", NULL, "bytes", 0, UINT32_MAX},
		[ETA_KNOB_REORDER_SEGS] = {"tcp.reorder_segs", NULL, "segments", 1, 127},
		[ETA_KNOB_CC] = {"tcp.congestion_control", "- reno cubic dctcp bbr", "", 0, 0},
		[ETA_KNOB_RTO_US_MIN] = {"tcp.rto_us_min", NULL, "us", 1000, 10000000},
		[ETA_KNOB_SYN_RETRIES] = {"tcp.syn_retries", NULL, "", 1, 127},
		[ETA_KNOB_SYNACK_RETRIES] = {"tcp.synack_retries", NULL, "", 1, 127},
		[ETA_KNOB_DATA_RETRIES] = {"tcp.retries", NULL, "", 1, 127},
		[ETA_KNOB_ORPHAN_RETRIES] = {"tcp.orphan_retries", NULL, "", 1, 127},
		[ETA_KNOB_KEEP_IDLE_MS] = {"tcp.keep_idle_ms", NULL, "ms", 1000, 32767000},
		[ETA_KNOB_KEEP_INTVL_MS] = {"tcp.keep_intvl_ms", NULL, "ms", 1000, 32767000},
		[ETA_KNOB_KEEP_PROBES] = {"tcp.keep_probes", NULL, "", 1, 127},
		[ETA_KNOB_FIN_WAIT2_MS] = {"tcp.fin_wait2_ms", NULL, "ms", 1000, 3600000},
		[ETA_KNOB_MTU_PROBING] = {"tcp.mtu_probing", "off blackhole always", "", 0, 0},
};

struct knob_ask {
	struct ka *ka;
	struct client *client;
	bool is_all; /* each setting */
	char *text;
	size_t text_len;
	FILE *out;
	uint32_t id, core; /* what is asked next, and whom */
};

static bool knob_find(const char *name, enum eta_knob *id)
{
	for (uint32_t i = 0; i < ETA_KNOB_N; i++)
		if (knobs[i].name && strcmp(knobs[i].name, name) == 0) {
			*id = (enum eta_knob)i;
			return true;
		}
	return false;
}

/* Length of word @n of @words, which begins at *@word; 0 = there is none. */
static size_t knob_word(const char *words, uint32_t n, const char **word)
{
	for (; n > 0 && *words; n--) {
		words += strcspn(words, " ");
		words += strspn(words, " ");
	}
	*word = words;
	return strcspn(words, " ");
}

/* @text as a value of @id. Return: false, and one line in @err: what is allowed. */
static bool knob_parse(
		enum eta_knob id, const char *text, uint32_t *value, char *err, size_t err_len)
{
	const struct knob *k = &knobs[id];
	const char *word;
	uint64_t number;
	size_t len;
	char *end;

	if (!k->words) {
		number = strtoull(text, &end, 10);
		if (*text >= '0' && *text <= '9' && *end == '\0' && number >= k->min &&
				number <= k->max) {
			*value = (uint32_t)number;
			return true;
		}
		(void)snprintf(err, err_len, "%s takes %" PRIu32 " to %" PRIu32 "%s%s, not '%s'\n",
				k->name, k->min, k->max, *k->unit ? " " : "", k->unit, text);
		return false;
	}
	for (uint32_t i = 0; (len = knob_word(k->words, i, &word)) != 0; i++)
		if (*word != '-' && strlen(text) == len && memcmp(text, word, len) == 0) {
			*value = i;
			return true;
		}
	(void)snprintf(err, err_len, "%s takes one of: %s, not '%s'\n", k->name,
			k->words + (*k->words == '-' ? 2 : 0), text);
	return false;
}

static void knob_print(FILE *out, enum eta_knob id, uint32_t value)
{
	const struct knob *k = &knobs[id];
	const char *word = "";
	size_t word_len = k->words ? knob_word(k->words, value, &word) : 0;

	if (word_len)
		(void)fprintf(out, "%s %.*s\n", k->name, (int)word_len, word);
	else
		(void)fprintf(out, "%s %" PRIu32 "%s%s\n", k->name, value, *k->unit ? " " : "",
				k->unit);
}

/* No, and why: the text goes with the status. */
static void knob_refuse(struct client *client, enum eta_status status, const char *why)
{
	struct eta_ctl_text msg = {.hdr = {.type = ETA_CTL_ADMIN,
						   .status = (uint16_t)status,
						   .seq = client->req.seq}};
	size_t len = strnlen(why, sizeof(msg.text));

	memcpy(msg.text, why, len);
	client->is_busy = false;
	if (client_send(client, &msg, sizeof(msg.hdr) + len, NULL, 0) == 0)
		client_want_events(client);
}

/* The answer is complete, or (@status) cannot be had. */
static void knob_end(struct knob_ask *ask, enum eta_status status)
{
	struct client *client = ask->client;

	if (fclose(ask->out) != 0)
		status = ETA_STATUS_NO_MEMORY;
	if (client->is_dropped) {
		free(ask->text);
	} else if (status == ETA_STATUS_OK) {
		client_answer_text(client, ask->text, ask->text_len);
	} else {
		free(ask->text);
		client_answer(client, status);
	}
	free(ask);
	client_release(client);
}

static void knob_next(struct knob_ask *ask);

static void knob_on_answer(void *arg, const struct eta_admin_msg *answer)
{
	struct knob_ask *ask = arg;

	if (answer->status != ETA_STATUS_OK || ask->client->is_dropped) {
		knob_end(ask, (enum eta_status)answer->status);
	} else if (ask->core + 1 < ask->ka->irq.cores_n) {
		ask->core++;
		knob_next(ask);
	} else {
		knob_print(ask->out, (enum eta_knob)ask->id, answer->knob.value);
		do
			ask->id++;
		while (ask->id < ETA_KNOB_N && !knobs[ask->id].name);
		if (ask->is_all && ask->id < ETA_KNOB_N)
			knob_next(ask);
		else
			knob_end(ask, ETA_STATUS_OK);
	}
}

static void knob_next(struct knob_ask *ask)
{
	const struct eta_admin_msg msg = {.op = ETA_ADMIN_KNOB_GET, .knob.id = ask->id};

	if (irq_post(&ask->ka->irq, ask->core, &msg, knob_on_answer, ask) < 0)
		knob_end(ask, ETA_STATUS_NO_MEMORY);
}

static void knob_tell(struct client *client, uint32_t id, bool is_all)
{
	struct knob_ask *ask = calloc(1, sizeof(*ask));

	if (ask) {
		*ask = (struct knob_ask){
				.ka = client->ka, .client = client, .id = id, .is_all = is_all};
		ask->out = open_memstream(&ask->text, &ask->text_len);
	}
	if (!ask || !ask->out) {
		free(ask);
		client_answer(client, ETA_STATUS_NO_MEMORY);
		return;
	}
	client_hold(client);
	knob_next(ask);
}

static void knob_set(struct client *client, enum eta_knob id, const char *text)
{
	char err[192];
	uint32_t value;

	if (client->uid != 0 && client->uid != geteuid()) {
		client_answer(client, ETA_STATUS_DENIED);
		return;
	}
	if (!knob_parse(id, text, &value, err, sizeof(err))) {
		knob_refuse(client, ETA_STATUS_INVALID, err);
		return;
	}
	if (!sysctl_set(client->ka, id, value)) {
		(void)snprintf(err, sizeof(err),
				"%s follows the kernel's sysctl (tcp.sysctl = \"mirror\"): set that\n",
				knobs[id].name);
		knob_refuse(client, ETA_STATUS_INVALID, err);
		return;
	}
	log_info("set %s=%s pid=%d", knobs[id].name, text, client->pid);
	knob_tell(client, id, false);
}

bool knob_command(struct client *client, const char *line)
{
	char word[8] = "", name[40] = "", err[192];
	enum eta_knob id = ETA_KNOB_TIMESTAMPS;
	int value_at = 0;

	(void)sscanf(line, "%7s %39s %n", word, name, &value_at);
	if (strcmp(word, "get") != 0 && strcmp(word, "set") != 0)
		return false;
	if (strcmp(word, "get") == 0 && *name == '\0') {
		knob_tell(client, id, true);
	} else if (!knob_find(name, &id)) {
		(void)snprintf(err, sizeof(err), "no setting '%s': `etactl get` lists them\n",
				name);
		knob_refuse(client, ETA_STATUS_NOT_FOUND, err);
	} else if (*word == 'g') {
		knob_tell(client, id, false);
	} else {
		knob_set(client, id, line + value_at);
	}
	return true;
}
