/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptor table: slow half. Leaves come by mmap at their first entry and stay.
 */
#include "al/sock/file.h"

#include <errno.h>
#include <sys/mman.h>

struct al_file *al_fdtab_get(struct al_fdtab *tab, int fd)
{
	struct al_file *file = al_fdtab_peek(tab, fd);

	while (file) {
		struct al_file *again;
		bool held = al_file_hold(file);

		again = al_fdtab_peek(tab, fd);
		if (held && again == file)
			return file;
		if (held)
			al_file_put(file);
		if (!held && again == file)
			return NULL;
		file = again;
	}
	return NULL;
}

static struct al_file **fdtab_leaf(struct al_fdtab *tab, uint32_t idx)
{
	struct al_file **leaf = __atomic_load_n(&tab->leaf[idx], __ATOMIC_ACQUIRE);
	struct al_file **none = NULL;
	size_t bytes = FDTAB_LEAF * sizeof(*leaf);

	if (leaf)
		return leaf;
	leaf = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (leaf == MAP_FAILED)
		return NULL;
	if (!__atomic_compare_exchange_n(&tab->leaf[idx], &none, leaf, false, __ATOMIC_ACQ_REL,
			    __ATOMIC_ACQUIRE)) {
		munmap(leaf, bytes);
		leaf = none;
	}
	return leaf;
}

int al_fdtab_set(struct al_fdtab *tab, int fd, struct al_file *file)
{
	struct al_file **leaf;
	struct al_file *old;

	if ((uint32_t)fd >= FDTAB_TOP * FDTAB_LEAF)
		return -ENOMEM;
	leaf = fdtab_leaf(tab, (uint32_t)fd / FDTAB_LEAF);
	if (!leaf)
		return -ENOMEM;
	old = __atomic_exchange_n(&leaf[(uint32_t)fd % FDTAB_LEAF], file, __ATOMIC_ACQ_REL);
	if (old)
		al_file_put(old);
	return 0;
}

struct al_file *al_fdtab_take(struct al_fdtab *tab, int fd)
{
	if (!al_fdtab_peek(tab, fd))
		return NULL;
	return __atomic_exchange_n(&tab->leaf[(uint32_t)fd / FDTAB_LEAF][(uint32_t)fd % FDTAB_LEAF],
			NULL, __ATOMIC_ACQ_REL);
}

int al_fdtab_next(const struct al_fdtab *tab, int fd, const struct al_file *file)
{
	uint32_t at = (uint32_t)fd;

	while (at < FDTAB_TOP * FDTAB_LEAF) {
		struct al_file *const *leaf = tab->leaf[at / FDTAB_LEAF];

		if (!leaf) {
			at = (at / FDTAB_LEAF + 1) * FDTAB_LEAF;
			continue;
		}
		if (leaf[at % FDTAB_LEAF] && (!file || leaf[at % FDTAB_LEAF] == file))
			return (int)at;
		at++;
	}
	return -1;
}
