/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of the control socket: one etad in this process, in a namespace with a veth, with an engine that only answers; and a client's half of
 * the conversation. Tests attach from this process and from children.
 */
#ifndef TEST_UNIT_KA_KA_CLIENT_H
#define TEST_UNIT_KA_KA_CLIENT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <eta/ctl.h>

#include "ka/etad.h"

#define WAIT_MS 8000

extern struct ka ka;
extern char ka_path[64]; /* of its socket */

struct attached {
	int fd;
	struct eta_ctl_attach_reply reply;
	int fds[8];
	size_t fds_n;
};

int dial(void);
/* One record with @n descriptors. */
ssize_t say(int fd, const void *msg, size_t len, const int *fds, size_t n);
/* One record; its descriptors to @fds [8], how many to @n. Bytes; 0 = hung up. */
ssize_t hear(int fd, void *msg, size_t len, int *fds, size_t *n);
bool is_dropped(int fd);
bool answers_ping(void);
int attach_on(struct attached *a, int fd);
int attach(struct attached *a);
void detach(struct attached *a);
/* etad's thread owns its tables; a count is one aligned word. */
bool sessions_become(uint32_t n);
/* A child that attaches and then waits to be killed, or ends by itself when a byte comes. */
pid_t child_attached(int *tell, void (*more)(struct attached *a));
/* This process's session ends when it attaches anew or ends; tests end it by a child's look-alike: attach and fail. */
void end_own_session(void);
/* Before each test. */
void ka_client_setup(void);
/* Start etad, run @suite, end etad. Return: exit status of the test program. */
int ka_client_run(Suite *suite);

#endif
