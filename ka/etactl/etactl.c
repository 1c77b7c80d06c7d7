/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * etactl: ask a running etad.
 *
 * A command line becomes one ADMIN message; the answer is text in chunks, formatted by etad, printed as it comes. Exit status: 0 done, 1 etad said no or is
 * not there, 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <eta/ctl.h>

#define ETACTL_WAIT_S 10

static const char etactl_usage[] =
		"usage: etactl [--socket PATH] COMMAND\n"
		"\n"
		"  show connections|stats|sessions|routes [--json]\n"
		"  get [SETTING]                one of TCP's defaults, or all\n"
		"  set SETTING VALUE            change it, for connections to come\n"
		"  log error|warn|info|debug    what etad says\n"
		"  ping                         is etad there? exit status 0: yes\n"
		"  stop                         end etad\n"
		"\n"
		"  -s, --socket PATH  control socket (default $ETA_SOCKET, else " ETA_CTL_SOCKET_DEFAULT
		")\n"
		"      --version, --help\n";

static int etactl_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = ETACTL_WAIT_S};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		(void)fprintf(stderr, "etactl: socket path is longer than %zu bytes\n",
				sizeof(addr.sun_path) - 1);
		return -1;
	}
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		return fd;
	}
	(void)fprintf(stderr, "etactl: no etad at %s: %s%s\n", path, strerror(errno),
			errno == EACCES ? " (are you in the group of control.group?)" : "");
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* Next record that answers @type; what etad tells everybody is skipped. Length, or -1 with the reason said. */
static ssize_t etactl_receive(int fd, uint16_t type, struct eta_ctl_text *msg)
{
	for (;;) {
		ssize_t n = recv(fd, msg, sizeof(*msg), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < (ssize_t)sizeof(msg->hdr)) {
			(void)fprintf(stderr, "etactl: %s\n",
					n < 0 && errno == EAGAIN ? "etad does not answer"
					: n < 0                  ? strerror(errno)
								 : "etad closed the connection");
			return -1;
		}
		if (msg->hdr.type != type)
			continue;
		if (msg->hdr.status == ETA_STATUS_OK)
			return n;
		if (n > (ssize_t)sizeof(msg->hdr)) /* it says why */
			(void)fprintf(stderr, "etactl: %.*s", (int)(n - (ssize_t)sizeof(msg->hdr)),
					msg->text);
		else
			(void)fprintf(stderr, "etactl: %s\n", eta_status_text(msg->hdr.status));
		return -1;
	}
}

static int etactl_ping(int fd)
{
	const struct eta_ctl_hdr ask = {.type = ETA_CTL_PING, .seq = 1};
	struct eta_ctl_text reply;

	if (send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) < 0) {
		(void)fprintf(stderr, "etactl: %s\n", strerror(errno));
		return 1;
	}
	if (etactl_receive(fd, ETA_CTL_PING, &reply) < 0)
		return 1;
	(void)printf("etad answers\n");
	return 0;
}

static int etactl_admin(int fd, const char *line)
{
	struct eta_ctl_text msg = {.hdr = {.type = ETA_CTL_ADMIN, .seq = 1}};
	size_t len = strlen(line) + 1;
	ssize_t n;

	if (len > sizeof(msg.text)) {
		(void)fprintf(stderr, "etactl: command too long\n");
		return 2;
	}
	memcpy(msg.text, line, len);
	if (send(fd, &msg, sizeof(msg.hdr) + len, MSG_NOSIGNAL) < 0) {
		(void)fprintf(stderr, "etactl: %s\n", strerror(errno));
		return 1;
	}
	while ((n = etactl_receive(fd, ETA_CTL_ADMIN, &msg)) > (ssize_t)sizeof(msg.hdr))
		(void)fwrite(msg.text, 1, (size_t)n - sizeof(msg.hdr), stdout);
	return n < 0 || fflush(stdout) != 0 ? 1 : 0;
}

/* The words of the command line as the one line that etad takes; NULL: no such command. */
static const char *etactl_line(int n, char **word, bool json, char *line, size_t len)
{
	static const char *const shown[] = {"connections", "stats", "sessions", "routes"};

	if (n == 2 && strcmp(word[0], "show") == 0) {
		for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
			if (strcmp(word[1], shown[i]) == 0) {
				(void)snprintf(line, len, "%s%s", shown[i], json ? " --json" : "");
				return line;
			}
		}
	}
	if ((n == 1 || n == 2) && strcmp(word[0], "get") == 0 && !json) {
		(void)snprintf(line, len, "get %s", n == 2 ? word[1] : "");
		return line;
	}
	if (n == 3 && strcmp(word[0], "set") == 0 && !json) {
		(void)snprintf(line, len, "set %s %s", word[1], word[2]);
		return line;
	}
	if (n == 2 && strcmp(word[0], "log") == 0 && !json) {
		(void)snprintf(line, len, "log %s", word[1]);
		return line;
	}
	if (n == 1 && (strcmp(word[0], "stop") == 0 || strcmp(word[0], "ping") == 0) && !json) {
		(void)snprintf(line, len, "%s", word[0]);
		return line;
	}
	return NULL;
}

/* @word: [4], of which the last says that there are too many. */
static int etactl_word(char **word, int n, char *arg)
{
	word[n < 4 ? n : 3] = arg;
	return n < 4 ? n + 1 : 4;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
			{"json", no_argument, NULL, 'j'}, {"version", no_argument, NULL, 'V'},
			{"help", no_argument, NULL, 'h'}, {0}};
	const char *path = getenv("ETA_SOCKET");
	bool json = false;
	char *word[4] = {0};
	char line[128];
	int c, fd, rc, n = 0;

	if (!path || !*path)
		path = ETA_CTL_SOCKET_DEFAULT;
	/* After "set" nothing is an option: a value may begin with "-". */
	while (!(n && strcmp(word[0], "set") == 0) &&
			(c = getopt_long(argc, argv, "-s:", options, NULL)) != -1) {
		switch (c) {
		case 1: n = etactl_word(word, n, optarg); break;
		case 's': path = optarg; break;
		case 'j': json = true; break;
		case 'V':
			(void)printf("etactl %s abi %#x\n", ETA_VERSION, ETA_ABI_VERSION);
			return 0;
		case 'h': (void)fputs(etactl_usage, stdout); return 0;
		default: (void)fputs(etactl_usage, stderr); return 2;
		}
	}
	while (optind < argc)
		n = etactl_word(word, n, argv[optind++]);
	if (!etactl_line(n, word, json, line, sizeof(line))) {
		(void)fputs(etactl_usage, stderr);
		return 2;
	}
	fd = etactl_connect(path);
	if (fd < 0)
		return 1;
	rc = strcmp(line, "ping") == 0 ? etactl_ping(fd) : etactl_admin(fd, line);
	(void)close(fd);
	return rc;
}
