/* SPDX-License-Identifier: BSD-3-Clause */
/* The obedient peer of the conformance programs (see fact.h). One process per connection. usage: sock_peer PORT */
#include <signal.h>

#include "test/sock/fact.h"

static void drain(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		continue;
}

static void echo(int fd)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, put; at < n; at += put)
			if ((put = write(fd, buf + at, (size_t)(n - at))) <= 0)
				return;
}

static void data(int fd, long n)
{
	char buf[4096];
	long at = 0;

	while (at < n) {
		long piece = n - at < (long)sizeof(buf) ? n - at : (long)sizeof(buf);

		for (long i = 0; i < piece; i++)
			buf[i] = (char)((at + i) % 251);
		if (write(fd, buf, (size_t)piece) != piece)
			return;
		at += piece;
	}
}

/* Connect back, @n connections, each saying "hello K" and waiting for the end. */
static void dial(int fd, int port, int n)
{
	struct sockaddr_storage to;
	socklen_t len = sizeof(to);

	getpeername(fd, (struct sockaddr *)&to, &len);
	((struct sockaddr_in *)&to)->sin_port = htons((uint16_t)port);
	for (int i = 0; i < n; i++) {
		int back = socket(to.ss_family, SOCK_STREAM, 0);
		char text[32];
		int bytes = snprintf(text, sizeof(text), "hello %d\n", i);

		if (connect(back, (struct sockaddr *)&to, len) != 0 ||
				write(back, text, (size_t)bytes) != bytes)
			return;
		if (fork() == 0) {
			drain(back);
			_exit(0);
		}
		close(back);
	}
	drain(fd);
}

/* Connect back, and say "word" after @ms. */
static void shy(int fd, int port, int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000l};
	struct sockaddr_storage to;
	socklen_t len = sizeof(to);
	int back;

	getpeername(fd, (struct sockaddr *)&to, &len);
	((struct sockaddr_in *)&to)->sin_port = htons((uint16_t)port);
	back = socket(to.ss_family, SOCK_STREAM, 0);
	if (connect(back, (struct sockaddr *)&to, len) == 0) {
		nanosleep(&ts, NULL);
		if (write(back, "word", 4) == 4)
			drain(back);
	}
	close(back);
	drain(fd);
}

static void serve(int fd)
{
	struct linger linger = {1, 0};
	struct timespec ts;
	char line[128];
	size_t n = 0;
	char text[64];
	int a = 0;
	int b = 0;

	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	if (strcmp(line, "echo") == 0) {
		echo(fd);
	} else if (strcmp(line, "hold") == 0) {
		drain(fd);
	} else if (strcmp(line, "fin") == 0) {
		shutdown(fd, SHUT_WR);
		drain(fd);
	} else if (strcmp(line, "reset") == 0) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	} else if (sscanf(line, "data %d", &a) == 1) {
		data(fd, a);
	} else if (sscanf(line, "dial %d %d", &a, &b) == 2) {
		dial(fd, a, b);
	} else if (sscanf(line, "shy %d %d", &a, &b) == 2) {
		shy(fd, a, b);
	} else if (sscanf(line, "late %d %63s", &a, text) == 2) {
		ts = (struct timespec){a / 1000, a % 1000 * 1000000l};
		nanosleep(&ts, NULL);
		if (write(fd, text, strlen(text)) > 0)
			drain(fd);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int on = 1;

	if (argc != 2)
		return 2;
	signal(SIGCHLD, SIG_IGN);
	any.sin6_port = htons((uint16_t)atoi(argv[1]));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &(int){64}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 || listen(fd, 64) != 0) {
		perror("sock_peer");
		return 1;
	}
	for (;;) {
		int conn = accept(fd, NULL, NULL);

		if (conn < 0)
			continue;
		if (fork() == 0) {
			close(fd);
			serve(conn);
			_exit(0);
		}
		close(conn);
	}
}
