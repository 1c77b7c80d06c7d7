/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Creation, layout and repair of shared memory.
 */
#include "ka/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <numa.h>

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif

/*
 * What the signal handler may look at: the mapped segments, in a table whose slots are set after the mapping exists and cleared before it goes. A
 * handler has no argument, so this is the one place where KA needs static data.
 */
static struct mem_guard {
	struct mem *mem;
	struct mem_seg *seg[MEM_SEGS_MAX]; /* atomic */
	uint32_t segs_n;                   /* slots in use lie below, atomic */
	struct sigaction before;
} mem_guard;

/* Async-signal-safe: mmap is a plain system call here, the rest are atomic stores. */
static bool mem_repair(uintptr_t addr)
{
	uint32_t n = __atomic_load_n(&mem_guard.segs_n, __ATOMIC_ACQUIRE);
	const uint64_t one = 1;

	for (uint32_t i = 0; i < n; i++) {
		struct mem_seg *seg = __atomic_load_n(&mem_guard.seg[i], __ATOMIC_ACQUIRE);
		int prot = PROT_READ;

		if (!seg || addr < (uintptr_t)seg->base ||
				addr - (uintptr_t)seg->base >= seg->bytes)
			continue;
		if (seg->geom.kind == ETA_SEG_EN)
			prot |= PROT_WRITE;
		if (mmap(seg->base, seg->bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
				    0) == MAP_FAILED)
			return false;
		__atomic_store_n(&seg->spoiled, 1, __ATOMIC_RELEASE);
		__atomic_fetch_add(&mem_guard.mem->sigbus_n, 1, __ATOMIC_RELAXED);
		return write(mem_guard.mem->spoiled_fd, &one, sizeof(one)) == sizeof(one) ||
		       errno == EAGAIN;
	}
	return false;
}

static void mem_on_sigbus(int sig, siginfo_t *info, void *ucontext)
{
	int saved = errno;

	(void)ucontext;
	if (!mem_repair((uintptr_t)info->si_addr)) {
		/* Not ours: let it happen again with its default effect. */
		(void)signal(sig, SIG_DFL);
	}
	errno = saved;
}

static int mem_fd(uint64_t bytes, bool is_huge)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd, rc;

	if (is_huge)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = memfd_create("eta", flags);
	if (fd < 0)
		return -errno;
	/* All pages now, so that a shortage is an error here and not a fault later. */
	if (ftruncate(fd, (off_t)bytes) < 0 || fallocate(fd, 0, 0, (off_t)bytes) < 0) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	return fd;
}

bool mem_huge_works(void)
{
	int fd = mem_fd(MEM_HUGE_BYTES, true);

	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

int mem_init(struct mem *mem, bool want_huge, int numa_node)
{
	struct sigaction sa = {.sa_sigaction = mem_on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};

	memset(mem, 0, sizeof(*mem));
	mem->has_huge = want_huge;
	mem->numa_node = numa_available() < 0 ? -1 : numa_node;
	mem->spoiled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mem->spoiled_fd < 0)
		return -errno;
	mem_guard.mem = mem;
	mem_guard.segs_n = 0;
	(void)sigemptyset(&sa.sa_mask);
	if (sigaction(SIGBUS, &sa, &mem_guard.before) < 0) {
		int rc = -errno;

		(void)close(mem->spoiled_fd);
		mem->spoiled_fd = -1;
		return rc;
	}
	return 0;
}

void mem_fini(struct mem *mem)
{
	if (!mem_guard.mem || mem_guard.mem != mem)
		return;
	(void)sigaction(SIGBUS, &mem_guard.before, NULL);
	mem_guard.mem = NULL;
	(void)close(mem->spoiled_fd);
	mem->spoiled_fd = -1;
}

static uint64_t mem_round(uint64_t v, uint64_t unit)
{
	return (v + unit - 1) / unit * unit;
}

/* Chunk pages that fit into @room bytes with their metadata and one bit each. */
static uint32_t mem_chunk_pages(uint64_t room, bool has_map)
{
	uint64_t n = room * 8 /
		     (ETA_PAGE_BYTES * 8ull + sizeof(struct eta_chunk_meta) * 8 +
				     (has_map ? 1 : 0));

	while (n > 0) {
		uint64_t head = mem_round(n * sizeof(struct eta_chunk_meta), ETA_CACHELINE) +
				(has_map ? mem_round((n + 7) / 8, ETA_CACHELINE) : 0);

		if (mem_round(head, ETA_PAGE_BYTES) + n * ETA_PAGE_BYTES <= room)
			break;
		n--;
	}
	return (uint32_t)n;
}

int mem_layout(const struct mem_plan *plan, struct eta_seg_geom *geom, uint32_t *ring_off)
{
	bool is_al = plan->kind == ETA_SEG_AL;
	uint64_t at = 0, head;

	if (plan->bytes > UINT32_MAX || plan->bytes % ETA_PAGE_BYTES != 0)
		return -EINVAL;
	*geom = (struct eta_seg_geom){.seg = plan->seg,
			.kind = plan->kind,
			.core = plan->core,
			.bytes = plan->bytes,
			.dti_first = plan->dti_first,
			.dti_n = plan->dti_n};
	geom->dti_off = (uint32_t)at;
	at += (uint64_t)plan->dti_n * ETA_DTI_HALF_BYTES;
	/* Rings: slots of all, then the credit of each. */
	*ring_off = (uint32_t)at;
	at += (uint64_t)plan->rings_max *
	      (MEM_RING_ENTRIES * sizeof(struct eta_ring_slot) +
			      (is_al ? sizeof(struct eta_ring_credit)
				     : sizeof(struct eta_doorbell_credit)));
	if (at > plan->bytes)
		return -EINVAL;
	if (plan->no_chunks)
		return 0;
	geom->chunk_pages = mem_chunk_pages(plan->bytes - at - at % ETA_PAGE_BYTES, is_al);
	if (at % ETA_PAGE_BYTES != 0)
		geom->chunk_pages =
				mem_chunk_pages(plan->bytes - mem_round(at, ETA_PAGE_BYTES), is_al);
	geom->meta_off = (uint32_t)mem_round(at, ETA_CACHELINE);
	head = geom->meta_off +
	       mem_round(geom->chunk_pages * sizeof(struct eta_chunk_meta), ETA_CACHELINE);
	if (is_al) {
		geom->map_off = (uint32_t)head;
		head += mem_round((geom->chunk_pages + 7u) / 8u, ETA_CACHELINE);
	}
	geom->chunk_off = (uint32_t)mem_round(head, ETA_PAGE_BYTES);
	return geom->chunk_pages > 0 ? 0 : -EINVAL;
}

/* A descriptor of the same memory that can only read, and that only root could turn into more. */
static int mem_read_only(int fd)
{
	char path[40];
	int ro;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	if (ro < 0)
		return -errno;
	if (fchmod(fd, 0444) < 0) {
		int rc = -errno;

		(void)close(ro);
		return rc;
	}
	return ro;
}

static int mem_guard_add(struct mem_seg *seg)
{
	for (uint32_t i = 0; i < MEM_SEGS_MAX; i++) {
		if (mem_guard.seg[i])
			continue;
		seg->slot = i;
		__atomic_store_n(&mem_guard.seg[i], seg, __ATOMIC_RELEASE);
		if (i >= mem_guard.segs_n)
			__atomic_store_n(&mem_guard.segs_n, i + 1, __ATOMIC_RELEASE);
		return 0;
	}
	return -ENOSPC;
}

static void mem_guard_del(struct mem_seg *seg)
{
	if (mem_guard.seg[seg->slot] == seg)
		__atomic_store_n(&mem_guard.seg[seg->slot], NULL, __ATOMIC_RELEASE);
}

/* Hugepages while there are any; bytes of @plan rounded up to the page that is used. */
static int mem_seg_open(
		struct mem *mem, const struct mem_plan *plan, struct mem_seg *seg, bool *is_huge)
{
	uint64_t huge_bytes = mem_round(plan->bytes, MEM_HUGE_BYTES);
	int fd;

	*is_huge = false;
	if (mem->has_huge) {
		fd = mem_fd(huge_bytes, true);
		if (fd >= 0) {
			*is_huge = true;
			seg->bytes = huge_bytes;
			return fd;
		}
		mem->small_n++;
	}
	seg->bytes = mem_round(plan->bytes, ETA_PAGE_BYTES);
	return mem_fd(seg->bytes, false);
}

static int mem_seg_map(struct mem *mem, struct mem_seg *seg, bool is_huge)
{
	int prot = PROT_READ | (seg->geom.kind == ETA_SEG_EN ? PROT_WRITE : 0);
	void *base;

	/* Pages were placed by fallocate() under the preferred node; here they only enter the page table. */
	base = mmap(NULL, seg->bytes, prot, MAP_SHARED | MAP_POPULATE, seg->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	seg->base = base;
	seg->geom.huge = is_huge;
	(void)mem;
	return 0;
}

static void mem_seg_format(struct mem_seg *seg)
{
	struct eta_chunk_meta *meta = (struct eta_chunk_meta *)(seg->base + seg->geom.meta_off);

	for (uint32_t i = 0; i < seg->geom.chunk_pages; i++) {
		meta[i].dti = ETA_DTI_NONE;
		meta[i].next = ETA_CHUNK_NONE;
	}
}

struct mem_seg *mem_seg_create(struct mem *mem, const struct mem_plan *plan)
{
	struct mem_plan real = *plan;
	struct mem_seg *seg = calloc(1, sizeof(*seg));
	bool is_huge;
	int rc = -ENOMEM;

	if (!seg)
		goto fail;
	seg->fd_share = -1;
	seg->session = plan->session;
	seg->rings_max = plan->rings_max;
	if (mem->numa_node >= 0)
		numa_set_preferred(mem->numa_node);
	seg->fd = rc = mem_seg_open(mem, plan, seg, &is_huge);
	if (mem->numa_node >= 0)
		numa_set_localalloc();
	if (rc < 0)
		goto fail;
	real.bytes = seg->bytes;
	rc = mem_layout(&real, &seg->geom, &seg->ring_off);
	if (rc < 0)
		goto fail;
	rc = mem_seg_map(mem, seg, is_huge);
	if (rc < 0)
		goto fail;
	if (plan->kind == ETA_SEG_EN)
		mem_seg_format(seg);
	seg->fd_share = rc = plan->kind == ETA_SEG_EN ? mem_read_only(seg->fd) : seg->fd;
	if (rc < 0)
		goto fail;
	if (fcntl(seg->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		rc = -errno;
		goto fail;
	}
	rc = mem_guard_add(seg);
	if (rc < 0)
		goto fail;
	mem->bytes += seg->bytes;
	mem->segs_n++;
	return seg;
fail:
	if (seg) {
		if (seg->base)
			(void)munmap(seg->base, seg->bytes);
		if (seg->fd_share >= 0 && seg->fd_share != seg->fd)
			(void)close(seg->fd_share);
		if (seg->fd >= 0)
			(void)close(seg->fd);
		free(seg);
	}
	errno = -rc;
	return NULL;
}

void mem_seg_destroy(struct mem *mem, struct mem_seg *seg)
{
	if (!seg)
		return;
	mem_guard_del(seg);
	(void)munmap(seg->base, seg->bytes);
	if (seg->fd_share != seg->fd)
		(void)close(seg->fd_share);
	(void)close(seg->fd);
	mem->bytes -= seg->bytes;
	mem->segs_n--;
	free(seg);
}

int mem_ring_place(
		struct mem_seg *al, struct mem_seg *en, uint16_t ring, struct eta_ring_geom *geom)
{
	const uint32_t slots_bytes = MEM_RING_ENTRIES * sizeof(struct eta_ring_slot);

	if (al->rings_n >= al->rings_max || en->rings_n >= en->rings_max)
		return -ENOSPC;
	*geom = (struct eta_ring_geom){
			.ring = ring,
			.core = al->geom.core,
			.seg_al = al->geom.seg,
			.seg_en = en->geom.seg,
			.doorbell_n = MEM_RING_ENTRIES,
			.doorbell_off = al->ring_off + al->rings_n * slots_bytes,
			.doorbell_credit_off =
					en->ring_off + en->rings_max * slots_bytes +
					en->rings_n * (uint32_t)sizeof(struct eta_doorbell_credit),
			.event_n = MEM_RING_ENTRIES,
			.event_off = en->ring_off + en->rings_n * slots_bytes,
			.event_credit_off = al->ring_off + al->rings_max * slots_bytes +
					    al->rings_n * ETA_CACHELINE,
	};
	al->rings_n++;
	en->rings_n++;
	return 0;
}

void *mem_page_create(size_t bytes, int *share_fd)
{
	int fd = mem_fd(bytes, false);
	void *base = MAP_FAILED;
	int rc;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	rc = base == MAP_FAILED ? -errno : mem_read_only(fd);
	if (rc >= 0) {
		*share_fd = rc;
		if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
			rc = -errno;
			(void)close(*share_fd);
		}
	}
	(void)close(fd);
	if (rc < 0) {
		if (base != MAP_FAILED)
			(void)munmap(base, bytes);
		errno = -rc;
		return NULL;
	}
	return base;
}
