/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's defaults for the engine: the configuration's, or the kernel's settings as they stand.
 *
 * The kernel tells nobody when a sysctl changes, so with tcp.sysctl = "mirror" its files are read: now and then, and whenever an application
 * begins something for which the defaults count (attach, listen, bind, and a PING before each connect(), which the attach reply asks for). What
 * changed goes to every core as a KNOB_SET, ahead of the request's own commands. They are those of etad's network namespace, the only one
 * whose sockets it carries.
 */
#ifndef KA_SYSCTL_H
#define KA_SYSCTL_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/admin.h>

struct client;
struct ka;

struct sysctl {
	uint32_t value[ETA_KNOB_N];
	bool is_said[ETA_KNOB_N]; /* the cores have @value */
};

/* Tell the cores what is configured, then what the kernel has. Before the first application. */
void sysctl_start(struct ka *ka);
/* Somebody sets @knob. Return: false = with mirror it is the kernel's to set. */
bool sysctl_set(struct ka *ka, enum eta_knob knob, uint32_t value);
/* Look at the kernel's settings, tell the cores what changed. Nothing without mirror. */
void sysctl_look(struct ka *ka);
/* The same for a request that must not be answered before the cores have it. */
void sysctl_sync(struct client *client);

#endif
