/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: where it lies, who may connect, one etad at a time.
 *
 * The path's directory is locked (flock) while we look whether somebody answers at the path: if so that etad keeps it and we refuse; a file that nobody
 * answers is left over from a killed etad and replaced. The lock is on the directory itself, so nothing is left behind.
 */
#ifndef KA_SERVER_H
#define KA_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "ka/loop.h"

struct ka;

struct server {
	struct ka *ka;
	struct loop_watch watch; /* listening socket; fd -1 = closed */
	struct loop_timer retry; /* accept again after EMFILE */
	char path[108];
	bool made_dir;
	bool is_bound;
	unsigned int clients_n;
};

/* 0; -EADDRINUSE another etad; -errno. One line in @err. */
int server_open(struct server *server, struct ka *ka, const char *path, mode_t mode,
		const char *group, char *err, size_t err_len);
/* Stop listening and remove the path. */
void server_close(struct server *server);

#endif
