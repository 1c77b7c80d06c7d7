/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stdio over ETA sockets.
 *
 * libc's streams make their system calls inside libc, where no preloaded name is asked. So a stream on a socket that is or may become ETA's
 * is a stream with our own read, write and close, and with its number, so that fileno() tells it. dprintf() formats here and writes by
 * our write().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "al/preload/export.h"
#include "al/sock/api.h"

static ssize_t stream_read(void *cookie, char *buf, size_t n)
{
	return al_errno(al_sys_read((int)(intptr_t)cookie, buf, n));
}

static ssize_t stream_write(void *cookie, const char *buf, size_t n)
{
	ssize_t ret = al_errno(al_sys_write((int)(intptr_t)cookie, buf, n));

	return ret < 0 ? 0 : ret; /* fopencookie: 0 means failed */
}

static int stream_close(void *cookie)
{
	return (int)al_errno(al_sys_close((int)(intptr_t)cookie));
}

AL_EXPORT FILE *fdopen(int fd, const char *mode)
{
	static const cookie_io_functions_t io = {
			.read = stream_read, .write = stream_write, .close = stream_close};
	extern FILE *_IO_fdopen(int fd, const char *mode);
	const struct al_file *file = al_fdtab_peek(&al_sockets.fdtab, fd);
	FILE *stream;

	if (!file || file->kind != AL_FILE_SOCK)
		return _IO_fdopen(fd, mode);
	stream = fopencookie((void *)(intptr_t)fd, mode, io);
	if (stream)
		stream->_fileno = fd;
	return stream;
}

AL_EXPORT int vdprintf(int fd, const char *format, va_list args)
{
	char *text;
	int len = vasprintf(&text, format, args);
	int done = 0;

	while (done < len) {
		ssize_t n = al_errno(al_sys_write(fd, text + done, (size_t)(len - done)));

		if (n <= 0)
			break;
		done += (int)n;
	}
	if (len >= 0)
		free(text);
	return len >= 0 && done < len ? -1 : len;
}

AL_EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = vdprintf(fd, format, args);
	va_end(args);
	return ret;
}
