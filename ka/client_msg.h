/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message of the control socket between who receives it (client.c) and who does what it asks (client_req.c).
 */
#ifndef KA_CLIENT_MSG_H
#define KA_CLIENT_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <eta/ctl.h>

#include "ka/client.h"

/* One message as it came. Descriptors not taken are closed by the receiver. */
struct client_msg {
	union {
		struct eta_ctl_hdr hdr;
		struct eta_ctl_attach attach;
		struct eta_ctl_seg seg;
		struct eta_ctl_ring ring;
		struct eta_ctl_dti dti;
		struct eta_ctl_share share;
		struct eta_ctl_ping ping;
		struct eta_ctl_text text;
		uint8_t bytes[ETA_CTL_BYTES_MAX + 1];
	};
	size_t len_bytes;
	int fd[ETA_CTL_FDS_MAX];
	size_t fds_n;
	int pidfd;
	struct ucred cred;
	bool has_cred, is_truncated;
};

/* Judge @msg and do what it asks, or begin to (client->is_busy). It may drop @client. */
void client_serve(struct client *client, struct client_msg *msg);
/* It broke the protocol, or does not read: it and its session end. */
void client_kill(struct client *client, const char *why);
/* After is_busy, or what is to be sent, has changed: wait for the right thing. */
void client_want_events(struct client *client);

#endif
