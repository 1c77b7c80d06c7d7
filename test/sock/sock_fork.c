/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: fork with sockets: prefork servers, inherited connections, children that close, vfork and exec. */
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "test/sock/fact.h"

extern char **environ;

static int reap(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static void child_serves(void)
{
	char buf[16] = "";
	int port;
	int fd = listen_any(&port);
	int ask = peer_back(port, 1);
	pid_t pid;
	int a;

	a = accept(fd, NULL, NULL);
	pid = fork();
	if (pid == 0) {
		close(fd);
		_exit(read_all(a, buf, 8) == 8 && write(a, "ok", 2) == 2 ? 0 : 1);
	}
	close(a);
	fact("child served", "%d", reap(pid));
	close(ask);
	ask = peer_back(port, 1);
	a = accept(fd, NULL, NULL);
	fact_ret("the parent's listener lives", read_all(a, buf, 8));
	close(a);
	close(ask);
	close(fd);
}

static void prefork(void)
{
	enum {
		WORKERS = 3,
		CONNECTIONS = 12
	};
	int pipes[2];
	int port;
	int fd = listen_any(&port);
	pid_t pid[WORKERS];
	int ask;
	int served = 0;
	char c;

	if (pipe(pipes) != 0)
		return;
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = fork();
		if (pid[i] != 0)
			continue;
		for (;;) {
			char buf[16];
			int a = accept(fd, NULL, NULL);

			if (a < 0)
				_exit(1);
			if (read(a, buf, sizeof(buf)) > 0 && write(pipes[1], "1", 1) != 1)
				_exit(2);
			close(a);
		}
	}
	ask = peer_back(port, CONNECTIONS);
	while (served < CONNECTIONS && poll_one(pipes[0], POLLIN, 5000) &&
			read(pipes[0], &c, 1) == 1)
		served++;
	fact("prefork served", "%d", served);
	for (int i = 0; i < WORKERS; i++) {
		kill(pid[i], SIGTERM);
		reap(pid[i]);
	}
	close(ask);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

static void shared(void)
{
	char buf[16];
	int fd = peer_dial("echo");
	pid_t pid = fork();

	if (pid == 0)
		_exit(write(fd, "from child", 10) == 10 && read_all(fd, buf, 10) == 10 ? 0 : 1);
	fact("child used the connection", "%d", reap(pid));
	fact_ret("parent writes after its exit", write(fd, "abc", 3));
	fact_ret("parent reads", read_all(fd, buf, 3));
	pid = fork();
	if (pid == 0)
		_exit(close(fd) == 0 ? 0 : 1);
	fact("child closed its copy", "%d", reap(pid));
	fact_ret("parent goes on", write(fd, "d", 1));
	fact_ret("parent gets it", read_all(fd, buf, 1));
	pid = fork();
	if (pid == 0) {
		struct timespec ts = {.tv_nsec = 100000000};

		nanosleep(&ts, NULL);
		_exit(write(fd, "late", 4) == 4 && read_all(fd, buf, 4) == 4 ? 0 : 1);
	}
	fact_ret("parent closes first", close(fd));
	fact("child still has it", "%d", reap(pid));
}

static void execs(void)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};
	char buf[8];
	int fd = peer_dial("echo");
	pid_t pid;
	int rc;

	rc = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ);
	fact("posix_spawn", "%d %d", rc, reap(pid));
	pid = vfork();
	if (pid == 0) {
		execv("/bin/true", argv);
		_exit(9);
	}
	fact("vfork and exec", "%d", reap(pid));
	fact("system", "%d", system("exit 3") >> 8);
	fact_ret("the connection lives", write(fd, "abc", 3));
	fact_ret("and answers", read_all(fd, buf, 3));
	close(fd);
}

static void new_in_child(void)
{
	pid_t pid;
	char buf[8];
	int keep = peer_dial("echo");

	pid = fork();
	if (pid == 0) {
		int fd = peer_dial("echo");

		_exit(write(fd, "abc", 3) == 3 && read_all(fd, buf, 3) == 3 ? 0 : 1);
	}
	fact("a child's own connection", "%d", reap(pid));
	fact_ret("the parent's", write(keep, "abc", 3));
	fact_ret("answers", read_all(keep, buf, 3));
	close(keep);
}

int main(void)
{
	alarm(60);
	child_serves();
	prefork();
	shared();
	execs();
	new_in_child();
	return 0;
}
