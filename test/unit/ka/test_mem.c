/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mem.c: layout, sealing, and repair of a spoiled segment.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ka/mem.h"

static struct mem mem;

static void setup(void)
{
	ck_assert_int_eq(mem_init(&mem, false, -1), 0);
}

static void teardown(void)
{
	mem_fini(&mem);
}

static const struct mem_plan first_al = {.kind = ETA_SEG_AL,
		.dti_n = MEM_DTIS_FIRST,
		.rings_max = MEM_RINGS_FIRST,
		.bytes = 2 << 20};
static const struct mem_plan first_en = {.kind = ETA_SEG_EN,
		.seg = 1,
		.dti_n = MEM_DTIS_FIRST,
		.rings_max = MEM_RINGS_FIRST,
		.bytes = 2 << 20};

/* Areas in order, none overlapping, all inside. */
static void check_geom(const struct mem_plan *plan)
{
	struct eta_seg_geom g;
	uint32_t ring_off;
	const uint64_t dti = ETA_DTI_HALF_BYTES;
	uint64_t rings =
			(uint64_t)plan->rings_max *
			(MEM_RING_ENTRIES * 32 +
					(plan->kind == ETA_SEG_AL ? sizeof(struct eta_ring_credit)
								  : sizeof(struct eta_doorbell_credit)));

	ck_assert_int_eq(mem_layout(plan, &g, &ring_off), 0);
	ck_assert_uint_ge(ring_off, g.dti_off + plan->dti_n * dti);
	ck_assert_uint_ge(g.meta_off, ring_off + rings);
	ck_assert_uint_ge(g.chunk_off, g.meta_off + g.chunk_pages * sizeof(struct eta_chunk_meta));
	if (plan->kind == ETA_SEG_AL) {
		ck_assert_uint_ge(g.map_off,
				g.meta_off + g.chunk_pages * sizeof(struct eta_chunk_meta));
		ck_assert_uint_ge(g.chunk_off, g.map_off + (g.chunk_pages + 7) / 8);
	}
	ck_assert_uint_eq(g.chunk_off % ETA_PAGE_BYTES, 0);
	ck_assert_uint_le((uint64_t)g.chunk_off + (uint64_t)g.chunk_pages * ETA_PAGE_BYTES,
			plan->bytes);
	/* No page is wasted. */
	ck_assert_uint_gt((uint64_t)g.chunk_off + (g.chunk_pages + 2ull) * ETA_PAGE_BYTES,
			plan->bytes);
}

START_TEST(mem_layout__areas_do_not_overlap)
{
	struct mem_plan plan = {0};

	check_geom(&first_al);
	check_geom(&first_en);
	for (uint64_t kib = 512; kib <= 16384; kib += 508) {
		plan = first_al;
		plan.bytes = kib << 10;
		check_geom(&plan);
		plan.kind = ETA_SEG_EN;
		plan.dti_n = plan.rings_max = 0;
		check_geom(&plan);
	}
}
END_TEST

START_TEST(mem_layout__refuses_what_does_not_fit)
{
	struct mem_plan plan = first_al;
	struct eta_seg_geom g;
	uint32_t ring_off;

	plan.dti_n = 20000;
	ck_assert_int_eq(mem_layout(&plan, &g, &ring_off), -EINVAL);
	plan = first_al;
	plan.bytes += 1;
	ck_assert_int_eq(mem_layout(&plan, &g, &ring_off), -EINVAL);
	plan.bytes = 5ull << 30;
	ck_assert_int_eq(mem_layout(&plan, &g, &ring_off), -EINVAL);
}
END_TEST

START_TEST(mem_seg_create__is_sealed_against_resizing)
{
	struct mem_seg *seg = mem_seg_create(&mem, &first_al);

	ck_assert_ptr_nonnull(seg);
	ck_assert_int_eq(ftruncate(seg->fd_share, 4096), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(seg->fd_share, 8 << 20), -1);
	ck_assert_int_eq(fcntl(seg->fd_share, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ck_assert_uint_eq(mem.segs_n, 1);
	mem_seg_destroy(&mem, seg);
	ck_assert_uint_eq(mem.segs_n, 0);
	ck_assert_uint_eq(mem.bytes, 0);
}
END_TEST

START_TEST(mem_seg_create__al_is_read_only_for_us_en_for_them)
{
	struct mem_seg *al = mem_seg_create(&mem, &first_al), *en = mem_seg_create(&mem, &first_en);
	char path[40];
	void *p;

	ck_assert_ptr_nonnull(al);
	ck_assert_ptr_nonnull(en);
	p = mmap(NULL, al->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, al->fd_share, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	((char *)p)[100] = 7;
	ck_assert_int_eq(((const char *)al->base)[100], 7);
	ck_assert_int_eq(mprotect(al->base, 4096, PROT_READ), 0);
	munmap(p, al->bytes);
	p = mmap(NULL, en->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, en->fd_share, 0);
	ck_assert_ptr_eq(p, MAP_FAILED);
	p = mmap(NULL, en->bytes, PROT_READ, MAP_SHARED, en->fd_share, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(mprotect(p, 4096, PROT_READ | PROT_WRITE), -1);
	ck_assert_int_eq(fallocate(en->fd_share, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
					 4096),
			-1);
	munmap(p, en->bytes);
	/* A program that is not root cannot open it again for writing. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", en->fd_share);
	if (geteuid() == 0) {
		ck_assert_int_eq(seteuid(65534), 0);
		ck_assert_int_eq(open(path, O_RDWR), -1);
		ck_assert_int_eq(seteuid(0), 0);
	}
	mem_seg_destroy(&mem, al);
	mem_seg_destroy(&mem, en);
}
END_TEST

START_TEST(mem_seg_create__en_chunks_are_free)
{
	struct mem_seg *en = mem_seg_create(&mem, &first_en);
	const struct eta_chunk_meta *meta;

	ck_assert_ptr_nonnull(en);
	meta = (const struct eta_chunk_meta *)(en->base + en->geom.meta_off);
	ck_assert_uint_eq(meta[0].dti, ETA_DTI_NONE);
	ck_assert_uint_eq(meta[en->geom.chunk_pages - 1].dti, ETA_DTI_NONE);
	mem_seg_destroy(&mem, en);
}
END_TEST

START_TEST(mem_ring_place__rings_do_not_overlap_and_end)
{
	struct mem_seg *al = mem_seg_create(&mem, &first_al), *en = mem_seg_create(&mem, &first_en);
	struct eta_ring_geom g[MEM_RINGS_FIRST + 1];

	for (uint16_t i = 0; i < MEM_RINGS_FIRST; i++) {
		ck_assert_int_eq(mem_ring_place(al, en, i, &g[i]), 0);
		if (i > 0) {
			ck_assert_uint_ge(g[i].doorbell_off,
					g[i - 1].doorbell_off + MEM_RING_ENTRIES * 32);
			ck_assert_uint_ge(
					g[i].event_off, g[i - 1].event_off + MEM_RING_ENTRIES * 32);
			ck_assert_uint_ge(g[i].event_credit_off, g[i - 1].event_credit_off + 64);
		}
		ck_assert_uint_eq(g[i].event_credit_off % 64, 0);
		ck_assert_uint_eq(g[i].doorbell_credit_off % 64, 0);
		ck_assert_uint_ge(g[i].event_credit_off,
				g[0].doorbell_off + MEM_RINGS_FIRST * MEM_RING_ENTRIES * 32);
		ck_assert_uint_le(g[i].event_credit_off + 64, al->geom.meta_off);
		ck_assert_uint_le(g[i].doorbell_credit_off + sizeof(struct eta_doorbell_credit),
				en->geom.meta_off);
	}
	ck_assert_int_eq(mem_ring_place(al, en, 9, &g[MEM_RINGS_FIRST]), -ENOSPC);
	mem_seg_destroy(&mem, al);
	mem_seg_destroy(&mem, en);
}
END_TEST

/* Replace the mapping by one beyond its file's end, as a punched hugepage without a spare one is: a touch is SIGBUS. */
static void spoil(const struct mem_seg *seg, int prot)
{
	int fd = memfd_create("empty", 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_ne(mmap(seg->base, seg->bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0),
			MAP_FAILED);
	close(fd);
}

START_TEST(mem_repair__maps_zero_pages_and_tells)
{
	struct mem_seg *al = mem_seg_create(&mem, &first_al), *en = mem_seg_create(&mem, &first_en);
	uint64_t n = 0;

	spoil(al, PROT_READ);
	ck_assert_int_eq(((volatile char *)al->base)[12345], 0);
	ck_assert_uint_eq(al->spoiled, 1);
	ck_assert_uint_eq(en->spoiled, 0);
	spoil(en, PROT_READ | PROT_WRITE);
	((volatile char *)en->base)[12345] = 1;
	ck_assert_uint_eq(en->spoiled, 1);
	ck_assert_uint_eq(mem.sigbus_n, 2);
	ck_assert_int_eq(read(mem.spoiled_fd, &n, sizeof(n)), sizeof(n));
	ck_assert_uint_eq(n, 2);
	mem_seg_destroy(&mem, al);
	mem_seg_destroy(&mem, en);
}
END_TEST

START_TEST(mem_repair__a_fault_elsewhere_stays_fatal)
{
	int fd = memfd_create("empty", 0);
	volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	ck_assert_int_eq(p[0], 0);
}
END_TEST

START_TEST(mem_page_create__others_only_read)
{
	int fd = -1;
	char *p = mem_page_create(4096, &fd);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	p[0] = 5;
	ck_assert_int_eq(*(char *)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ka mem");
	TCase *tc = tcase_create("mem");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, mem_layout__areas_do_not_overlap);
	tcase_add_test(tc, mem_layout__refuses_what_does_not_fit);
	tcase_add_test(tc, mem_seg_create__is_sealed_against_resizing);
	tcase_add_test(tc, mem_seg_create__al_is_read_only_for_us_en_for_them);
	tcase_add_test(tc, mem_seg_create__en_chunks_are_free);
	tcase_add_test(tc, mem_ring_place__rings_do_not_overlap_and_end);
	tcase_add_test(tc, mem_repair__maps_zero_pages_and_tells);
	tcase_add_test_raise_signal(tc, mem_repair__a_fault_elsewhere_stays_fatal, SIGBUS);
	tcase_add_test(tc, mem_page_create__others_only_read);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
