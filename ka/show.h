/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to etactl: tables like ss and nstat, or JSON (one document), as text.
 *
 * Statistics, sessions and routes are KA's own knowledge and are answered at once; connections are asked from the cores in batches (ETA_ADMIN_DUMP) and
 * answered when the last batch is in. Memory for the rows is reserved at start, so that etactl answers when all else is used up.
 */
#ifndef KA_SHOW_H
#define KA_SHOW_H

struct ka;
struct client;

#define SHOW_ROWS 256u /* of one batch */

/* Carry out @line ("connections --json", "stats", "sessions", "routes", "log debug", "stop"). Answers @client now or later. */
void show_command(struct ka *ka, struct client *client, const char *line);

#endif
