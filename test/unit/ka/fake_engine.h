/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An engine that only talks to KA: it takes every command, remembers it, and answers as told. So etad's control half is tested without TCP.
 *
 * The cores run in etad's threads; the test looks from its own thread under a lock.
 */
#ifndef TEST_UNIT_KA_FAKE_ENGINE_H
#define TEST_UNIT_KA_FAKE_ENGINE_H

#include <stdint.h>

#include <eta/admin.h>

/* Commands taken of kind @op since the last reset. */
uint32_t fake_engine_count(uint16_t op);
/* The last one of kind @op; false: none. */
int fake_engine_last(uint16_t op, struct eta_admin_msg *msg);
/* Wait until @n commands of kind @op were taken, at most @ms. Return: they were. */
int fake_engine_wait(uint16_t op, uint32_t n, uint32_t ms);
/* Answer @op with @status from now on. */
void fake_engine_answer(uint16_t op, uint16_t status);
/* While held, commands of kind @op are not answered. */
void fake_engine_hold(uint16_t op, int hold);
/* Send a notice to KA from core 0. */
void fake_engine_notice(const struct eta_admin_msg *msg);
/* The value last said for a knob (enum eta_knob); false: none. */
int fake_engine_knob(uint32_t id, uint32_t *value);
/* Forget what was taken; answer all with OK, hold nothing. */
void fake_engine_reset(void);

#endif
