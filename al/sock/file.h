/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which descriptors are ours.
 *
 * The program knows numbers; the kernel stands behind each (a shadow socket, a real epoll instance). What AL keeps beside the kernel's
 * open file description is a struct al_file, and this table leads from number to file as the kernel's own table does: dup() makes a
 * second entry of the same file, the last close frees it.
 *
 * Two levels, so that any number up to 2^30 costs two loads; the first level is zero pages until used, so the question "ours?" is
 * valid before any constructor ran. Lookups take no lock: files lie in type-stable memory, a reference is taken only while the
 * count is not zero, and the entry is read again after it.
 *
 * An entry leaves the table before its number is closed in the kernel, because another thread may get the number at once.
 */
#ifndef AL_SOCK_FILE_H
#define AL_SOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "al/sock/lock.h"

#define FDTAB_LEAF 4096u
#define FDTAB_TOP (1u << 18)

enum al_file_kind {
	AL_FILE_SOCK = 1,
	AL_FILE_EPOLL,
};

struct al_item;

/* First in struct al_sock and struct al_set. */
struct al_file {
	uint32_t refs; /* entries of the table + calls in progress; 0 = free */
	uint8_t kind;  /* enum al_file_kind */
	struct al_lock watch_lock;
	struct al_item *watchers; /* epoll items that watch this file, guarded by watch_lock */
};

struct al_fdtab {
	struct al_file **leaf[FDTAB_TOP];
};

/* The file behind @fd, without a reference: only to ask whether there is one. */
static inline struct al_file *al_fdtab_peek(const struct al_fdtab *tab, int fd)
{
	struct al_file **leaf;

	if ((uint32_t)fd >= FDTAB_TOP * FDTAB_LEAF)
		return NULL;
	leaf = __atomic_load_n(&tab->leaf[(uint32_t)fd / FDTAB_LEAF], __ATOMIC_ACQUIRE);
	return leaf ? __atomic_load_n(&leaf[(uint32_t)fd % FDTAB_LEAF], __ATOMIC_ACQUIRE) : NULL;
}

/* Take a reference, unless the file is dying. */
static inline bool al_file_hold(struct al_file *file)
{
	uint32_t refs = __atomic_load_n(&file->refs, __ATOMIC_RELAXED);

	do {
		if (refs == 0)
			return false;
	} while (!__atomic_compare_exchange_n(
			&file->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

/* Give a reference back; the last one frees the file (sock or set). */
void al_file_put(struct al_file *file);

/* The file behind @fd with a reference of the caller's, or NULL: the kernel's. */
struct al_file *al_fdtab_get(struct al_fdtab *tab, int fd);
/* Enter @file, whose reference passes to the table, at @fd; what stood there is put. Return 0; -ENOMEM, reference not taken. */
int al_fdtab_set(struct al_fdtab *tab, int fd, struct al_file *file);
/* Take the entry out. Return: the file and the table's reference, or NULL. */
struct al_file *al_fdtab_take(struct al_fdtab *tab, int fd);
/* The lowest number >= @fd that has an entry (of @file, if not NULL), -1 none. */
int al_fdtab_next(const struct al_fdtab *tab, int fd, const struct al_file *file);

#endif
