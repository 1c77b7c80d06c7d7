/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `etactl get` and `etactl set`: TCP's defaults by name, while etad runs. Names, words and ranges are those of etad.conf(5).
 */
#ifndef KA_KNOB_H
#define KA_KNOB_H

#include <stdbool.h>

struct client;

/* Carry out @line if it is "get", "get SETTING" or "set SETTING VALUE", and answer @client now or later. Return: was it one of them? */
bool knob_command(struct client *client, const char *line);

#endif
