/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: connecting, accepting, names, bytes, half-close, errors, dup. */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "test/sock/fact.h"

static void unconnected(void)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int fd = socket(peer_family(), SOCK_STREAM, 0);
	char c = 0;

	fact_ret("unconnected recv", recv(fd, &c, 1, 0));
	fact_ret("unconnected send", send(fd, &c, 1, MSG_NOSIGNAL));
	fact_ret("unconnected getpeername", getpeername(fd, (struct sockaddr *)&name, &len));
	fact_ret("unconnected shutdown", shutdown(fd, SHUT_RDWR));
	fact_ret("unconnected accept", accept(fd, NULL, NULL));
	fact("unconnected poll", "%s", poll_text(poll_one(fd, POLLIN | POLLOUT, 0)));
	fact_ret("close", close(fd));
	fact_ret("close twice", close(fd));
}

static void names(void)
{
	struct sockaddr_storage local;
	struct sockaddr_storage peer;
	struct sockaddr_storage to;
	socklen_t local_len = sizeof(local);
	socklen_t peer_len = sizeof(peer);
	socklen_t to_len = peer_addr(&to);
	socklen_t small = 4;
	int fd = peer_dial("hold");

	fact_ret("getsockname", getsockname(fd, (struct sockaddr *)&local, &local_len));
	fact("getsockname length", "%u", local_len);
	fact("getsockname family", "%d", local.ss_family);
	fact_ok("getsockname has a port", ((struct sockaddr_in *)&local)->sin_port != 0);
	fact_ret("getpeername", getpeername(fd, (struct sockaddr *)&peer, &peer_len));
	fact_ok("getpeername is the peer", peer_len == to_len && memcmp(&peer, &to, 8) == 0);
	fact_ret("getpeername cut", getpeername(fd, (struct sockaddr *)&peer, &small));
	fact("getpeername cut length", "%u", small);
	fact_ret("connect again", connect(fd, (struct sockaddr *)&to, to_len));
	fact_ret("listen when connected", listen(fd, 1));
	close(fd);
}

static void echo(void)
{
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char buf[64];
	char text[] = "hello world";
	int fd = peer_dial("echo");
	int n = -1;

	fact_ret("write", write(fd, text, 5));
	fact_ret("read", read_all(fd, buf, 5));
	iov[0] = (struct iovec){text, 6};
	iov[1] = (struct iovec){text + 6, 5};
	fact_ret("writev", writev(fd, iov, 2));
	fact_ret("recv waitall", recv(fd, buf, 11, MSG_WAITALL));
	fact_ok("bytes are the same", memcmp(buf, text, 11) == 0);
	fact_ret("sendmsg", sendmsg(fd, &msg, 0));
	poll_one(fd, POLLIN, 2000);
	while (ioctl(fd, FIONREAD, &n) == 0 && n < 11)
		poll_one(fd, POLLPRI, 5);
	fact("FIONREAD", "%d", n);
	fact_ret("recv peek", recv(fd, buf, 4, MSG_PEEK));
	fact_ret("recv peek again", recv(fd, buf, 6, MSG_PEEK));
	iov[0] = (struct iovec){buf, 3};
	iov[1] = (struct iovec){buf + 3, 3};
	msg.msg_name = &from;
	msg.msg_namelen = sizeof(from);
	fact_ret("recvmsg", recvmsg(fd, &msg, 0));
	fact("recvmsg namelen flags", "%u %d", msg.msg_namelen, msg.msg_flags);
	fact_ret("recv trunc", recv(fd, buf, 2, MSG_TRUNC));
	fact_ret("recvfrom", recvfrom(fd, buf, 64, 0, (struct sockaddr *)&from, &len));
	fact("recvfrom addrlen", "%u", len);
	fact_ret("recv dontwait", recv(fd, buf, 1, MSG_DONTWAIT));
	fact_ret("write nothing", write(fd, buf, 0));
	fact_ret("read nothing", read(fd, buf, 0));
	fact_ret("lseek", lseek(fd, 0, SEEK_CUR));
	fact_ret("pread", pread(fd, buf, 1, 0));
	close(fd);
}

static void end_of_stream(void)
{
	char buf[16];
	int fd = peer_dial("fin");

	fact_ret("read after FIN", read(fd, buf, 16));
	fact_ret("read after FIN again", read(fd, buf, 16));
	fact_ret("write after FIN", write(fd, "x", 1));
	fact("poll after FIN", "%s", poll_text(poll_one(fd, POLLIN | POLLOUT | POLLRDHUP, 100)));
	close(fd);
}

static volatile int pipes;

static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
}

static void reset(void)
{
	char buf[16];
	int fd;

	signal(SIGPIPE, on_pipe);
	fd = peer_dial("reset");
	fact_ret("read after RST", read(fd, buf, 16));
	fact_ret("read after RST again", read(fd, buf, 16));
	fact_ret("write after RST", write(fd, "x", 1));
	fact("SIGPIPE", "%d", pipes);
	fact_ret("send nosignal after RST", send(fd, "x", 1, MSG_NOSIGNAL));
	fact("SIGPIPE not again", "%d", pipes);
	fact("poll after RST", "%s", poll_text(poll_one(fd, POLLIN | POLLOUT | POLLRDHUP, 100)));
	close(fd);
}

static void refused(void)
{
	struct sockaddr_storage to;
	socklen_t len = peer_addr(&to);
	int fd = socket(to.ss_family, SOCK_STREAM, 0);
	struct sockaddr_storage none = to;

	((struct sockaddr_in *)&none)->sin_port = htons(1);
	fact_ret("connect to a closed port", connect(fd, (struct sockaddr *)&none, len));
	fact_ret("then to an open one", connect(fd, (struct sockaddr *)&to, len));
	fact_ret("which works", send(fd, "hold\n", 5, 0));
	close(fd);
}

static void large(void)
{
	enum {
		BYTES = 3000000
	};
	char *buf = malloc(BYTES);
	int fd = peer_dial("data 3000000");
	ssize_t n = read_all(fd, buf, BYTES);
	bool same = true;

	for (long i = 0; i < n; i++)
		same &= buf[i] == (char)(i % 251);
	fact_ret("large read", n);
	fact_ok("large bytes are right", same);
	fact_ret("end after large", read(fd, buf, 1));
	close(fd);
	free(buf);
}

static void file_to_socket(void)
{
	char path[] = "/tmp/eta-sock-XXXXXX";
	int file = mkstemp(path);
	int fd = peer_dial("echo");
	char buf[8192];
	char back[8192];
	off_t off = 100;

	unlink(path);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 7);
	fact_ret("file", write(file, buf, sizeof(buf)));
	fact_ret("sendfile", sendfile(fd, file, &off, sizeof(buf)));
	fact("sendfile offset", "%ld", (long)off);
	fact_ret("sendfile back", read_all(fd, back, sizeof(buf) - 100));
	fact_ok("sendfile bytes are right", memcmp(back, buf + 100, sizeof(buf) - 100) == 0);
	close(fd);
	close(file);
}

static void accepted(void)
{
	struct sockaddr_storage from;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(from);
	socklen_t peer_len = sizeof(peer);
	char buf[32] = "";
	struct stat st;
	int port;
	int fd = listen_any(&port);
	int ask = peer_back(port, 3);
	int a = accept(fd, (struct sockaddr *)&from, &len);

	fact_ok("accept", a >= 0);
	fact("accept length", "%u", len);
	getpeername(a, (struct sockaddr *)&peer, &peer_len);
	fact_ok("accept tells the peer", memcmp(&peer, &from, 8) == 0);
	fact_ret("accepted read", read_all(a, buf, 8));
	fact("accepted bytes", "%.7s", buf);
	fact_ok("accepted is a socket", fstat(a, &st) == 0 && S_ISSOCK(st.st_mode));
	fact_ret("accepted write", write(a, "bye", 3));
	close(a);
	a = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	fact("accept4 flags", "%d %d", (fcntl(a, F_GETFL) & O_NONBLOCK) != 0, fcntl(a, F_GETFD));
	close(a);
	a = accept(fd, NULL, NULL);
	fact_ok("third", a >= 0);
	close(a);
	fact_ret("read on a listener", read(fd, buf, 1));
	fact_ret("connect on a listener", connect(fd, (struct sockaddr *)&from, len));
	set_nonblock(fd);
	fact_ret("accept of none", accept(fd, NULL, NULL));
	close(ask);
	close(fd);
}

static void copies(void)
{
	int fd = peer_dial("echo");
	int copy = dup(fd);
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	char buf[8];

	fact_ret("F_DUPFD", high);
	fact_ret("close the first", close(fd));
	fact_ret("write by the copy", write(copy, "abc", 3));
	fact_ret("read by the other", read_all(high, buf, 3));
	fact_ret("dup2", dup2(high, copy) == copy ? 0 : -1);
	fact_ret("write again", write(copy, "d", 1));
	fact_ret("read again", read_all(copy, buf, 1));
	close(high);
	fact_ret("last shutdown", shutdown(copy, SHUT_WR));
	fact_ret("end", read(copy, buf, 1));
	close(copy);
}

int main(void)
{
	unconnected();
	names();
	echo();
	end_of_stream();
	reset();
	refused();
	large();
	file_to_socket();
	accepted();
	copies();
	return 0;
}
