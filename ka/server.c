/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking and giving up the control socket's path; accepting.
 */
#include "ka/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ka/etad.h"

#define SERVER_BACKLOG 256
#define SERVER_ACCEPT_BURST 32
#define SERVER_RETRY_MS 100
/* Sockets of FORK and of etactl come on top of one per session. */
#define SERVER_CLIENTS_MAX(sessions_max) (4u * (unsigned int)(sessions_max) + 64u)

static int __attribute__((format(printf, 4, 5)))
server_fail(int rc, char *err, size_t err_len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(err, err_len, format, args);
	va_end(args);
	return rc;
}

static void server_on_retry(void *arg)
{
	struct server *server = arg;

	if (server->watch.is_added)
		(void)loop_change(&server->ka->loop, &server->watch, EPOLLIN);
}

static void server_on_ready(void *arg, uint32_t events)
{
	struct server *server = arg;
	struct ka *ka = server->ka;

	(void)events;
	for (int i = 0; i < SERVER_ACCEPT_BURST; i++) {
		int fd = accept4(server->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			/* Out of descriptors: look again when some may be free, instead of spinning on a readable socket. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
					errno == ENOBUFS) {
				(void)loop_change(&ka->loop, &server->watch, 0);
				loop_timer_arm(&ka->loop, &server->retry, SERVER_RETRY_MS);
			}
			return;
		}
		if (server->clients_n >= SERVER_CLIENTS_MAX(ka->conf.sessions_max)) {
			ka->stats.clients_refused++;
			(void)close(fd);
		} else if (client_create(ka, fd, NULL)) {
			ka->stats.clients++;
		}
	}
}

/* The directory of @path, made if it is the last component that is missing. Its descriptor, or -errno. */
static int server_dir(struct server *server, char *dir, char *err, size_t err_len)
{
	char *slash = strrchr(dir, '/');
	int fd;

	if (!slash)
		(void)snprintf(dir, sizeof(server->path), ".");
	else if (slash == dir)
		slash[1] = '\0';
	else
		*slash = '\0';
	if (mkdir(dir, 0755) == 0)
		server->made_dir = true;
	else if (errno != EEXIST)
		return server_fail(-errno, err, err_len,
				"cannot create directory %s for the control socket: %s", dir,
				strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd
		       : server_fail(-errno, err, err_len, "cannot open directory %s: %s", dir,
					 strerror(errno));
}

/* Does somebody answer at the path? 1, 0, or -errno. */
static int server_is_taken(const struct sockaddr_un *addr, pid_t *pid)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return -errno;
	/* EAGAIN: its backlog is full, so it lives. */
	rc = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN;
	if (rc && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		*pid = cred.pid;
	(void)close(fd);
	return rc;
}

static int server_bind(struct server *server, const struct sockaddr_un *addr, mode_t mode,
		const char *group, char *err, size_t err_len)
{
	struct stat st;
	struct group *gr;
	pid_t pid = 0;
	mode_t mask;
	int rc;

	if (server_is_taken(addr, &pid) == 1)
		return server_fail(-EADDRINUSE, err, err_len, "another etad (pid %d) serves %s",
				pid, server->path);
	if (lstat(server->path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return server_fail(-EEXIST, err, err_len,
					"%s exists and is no socket; remove it or choose another control.socket",
					server->path);
		(void)unlink(server->path);
	}
	mask = umask(0777);
	rc = bind(server->watch.fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (rc < 0)
		return server_fail(rc, err, err_len, "cannot create control socket %s: %s",
				server->path, strerror(-rc));
	server->is_bound = true;
	if (*group) {
		gr = getgrnam(group);
		if (!gr)
			return server_fail(-ENOENT, err, err_len, "control.group: no group '%s'",
					group);
		if (chown(server->path, (uid_t)-1, gr->gr_gid) < 0)
			return server_fail(-errno, err, err_len, "control.group: chown %s: %s",
					server->path, strerror(errno));
	}
	if (chmod(server->path, mode) < 0)
		return server_fail(-errno, err, err_len, "control.mode: chmod %s: %s", server->path,
				strerror(errno));
	if (listen(server->watch.fd, SERVER_BACKLOG) < 0)
		return server_fail(-errno, err, err_len, "listen on %s: %s", server->path,
				strerror(errno));
	return 0;
}

int server_open(struct server *server, struct ka *ka, const char *path, mode_t mode,
		const char *group, char *err, size_t err_len)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char dir[sizeof(server->path)];
	int dir_fd, rc;

	*server = (struct server){.ka = ka};
	server->retry = (struct loop_timer){.on_due = server_on_retry, .arg = server};
	server->watch = (struct loop_watch){
			.events = EPOLLIN, .on_ready = server_on_ready, .arg = server, .fd = -1};
	if (strlen(path) >= sizeof(addr.sun_path))
		return server_fail(-ENAMETOOLONG, err, err_len,
				"control socket path is longer than %zu bytes",
				sizeof(addr.sun_path) - 1);
	(void)snprintf(server->path, sizeof(server->path), "%s", path);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	(void)snprintf(dir, sizeof(dir), "%s", path);
	dir_fd = server_dir(server, dir, err, err_len);
	if (dir_fd < 0)
		return dir_fd;
	(void)flock(dir_fd, LOCK_EX);
	server->watch.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->watch.fd < 0)
		rc = server_fail(-errno, err, err_len, "control socket: %s", strerror(errno));
	else
		rc = server_bind(server, &addr, mode, group, err, err_len);
	(void)close(dir_fd);
	if (rc == 0)
		rc = loop_add(&ka->loop, &server->watch);
	if (rc < 0)
		server_close(server);
	return rc;
}

void server_close(struct server *server)
{
	char *slash;

	if (!server->ka)
		return;
	loop_timer_disarm(&server->ka->loop, &server->retry);
	if (server->watch.fd >= 0) {
		loop_del(&server->ka->loop, &server->watch);
		(void)close(server->watch.fd);
		server->watch.fd = -1;
	}
	if (server->is_bound)
		(void)unlink(server->path);
	server->is_bound = false;
	slash = strrchr(server->path, '/');
	if (server->made_dir && slash && slash != server->path) {
		*slash = '\0';
		(void)rmdir(server->path);
	}
	server->made_dir = false;
}
