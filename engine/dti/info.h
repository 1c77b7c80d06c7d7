/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers to ETA_DB_INFO. */
#ifndef ENGINE_DTI_INFO_H
#define ENGINE_DTI_INFO_H

#include "engine/dti/doorbell_op.h"

struct dti;

#define INFO_SSTHRESH_BYTES_MAX (64u << 20) /* where TCP starts from: never reduced */

/* Write what TCP knows of @b's DTI (b->idx 0: nothing) into the record of @b's ring, and its ticket. Context: cold. */
void info_answer(struct dti *d, const struct doorbell *b);

#endif
