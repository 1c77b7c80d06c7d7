/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the words of shared memory lie. Each number here is part of ETA_ABI_VERSION: whoever has to change one raises that first.
 */
#include <check.h>
#include <stdlib.h>

#include <eta/ctl.h>
#include <eta/dti.h>
#include <eta/ring.h>
#include <eta/status.h>

#define AT(type, field) offsetof(struct type, field)

START_TEST(layout__version)
{
	ck_assert_uint_eq(ETA_ABI_VERSION, 0x00020000u);
	ck_assert_uint_eq(ETA_ABI_MAJOR(ETA_ABI_VERSION), 2);
}
END_TEST

START_TEST(layout__doorbell_and_event)
{
	ck_assert_uint_eq(AT(eta_doorbell, gen), 4);
	ck_assert_uint_eq(AT(eta_doorbell, op), 6);
	ck_assert_uint_eq(AT(eta_doorbell, phase), 7);
	ck_assert_uint_eq(AT(eta_doorbell, snd_tail), 8);
	ck_assert_uint_eq(AT(eta_doorbell, rcv_head), 12);
	ck_assert_uint_eq(AT(eta_doorbell, arg0), 16);
	ck_assert_uint_eq(AT(eta_event, flags), 6);
	ck_assert_uint_eq(AT(eta_event, phase), 7);
	ck_assert_uint_eq(AT(eta_event, rcv_tail), 8);
	ck_assert_uint_eq(AT(eta_event, ring_at), 16);
	ck_assert_uint_eq(AT(eta_event, state), 20);
	ck_assert_uint_eq(AT(eta_event, arg), 24);
	ck_assert_uint_eq(AT(eta_event, snd_limit), 28);
}
END_TEST

START_TEST(layout__record)
{
	ck_assert_uint_eq(AT(eta_dti_al, chunk), 8);
	ck_assert_uint_eq(AT(eta_dti_al, gen), 16);
	ck_assert_uint_eq(AT(eta_dti_al, snd_lock), 20);
	ck_assert_uint_eq(AT(eta_dti_al, rcv_lock), 44);
	ck_assert_uint_eq(AT(eta_dti_al, rport_be), 80);
	ck_assert_uint_eq(AT(eta_dti_en, gen), 16);
	ck_assert_uint_eq(AT(eta_dti_en, state), 18);
	ck_assert_uint_eq(AT(eta_dti_en, status), 19);
	ck_assert_uint_eq(AT(eta_dti_en, snd_limit), 24);
	ck_assert_uint_eq(AT(eta_dti_en, accept_n), 44);
	ck_assert_uint_eq(AT(eta_dti_al, param_seq), 52);
	ck_assert_uint_eq(AT(eta_dti_al, cookie), 56);
	ck_assert_uint_eq(AT(eta_dti_al, maxseg), 108);
	ck_assert_uint_eq(AT(eta_dti_al, pace_64), 116);
	ck_assert_uint_eq(AT(eta_dti_al, fastopen_qlen), 124);
	ck_assert_uint_eq(AT(eta_dti_al, defer_accept_s), 127);
	ck_assert_uint_eq(AT(eta_dti_en, mss), 100);
	ck_assert_uint_eq(AT(eta_doorbell_credit, info), 64);
	ck_assert_uint_eq(AT(eta_conn_info, ticket), 0);
	ck_assert_uint_eq(AT(eta_conn_info, rto_us), 32);
	ck_assert_uint_eq(AT(eta_conn_info, rcv_space_bytes), 124);
	ck_assert_uint_eq(AT(eta_conn_info, rto_n), 252);
	ck_assert_uint_eq(AT(eta_core_page, features), 192);
	ck_assert_uint_eq(AT(eta_core_page, cc_name), 256);
	ck_assert_uint_eq(ETA_DTI_WORD_MAKE(0xabcd, ETA_DTI_CLOSED, ETA_STATUS_RESET), 0x0205abcdu);
}
END_TEST

/* No line is written by both sides: halves, credits and pages are whole lines. */
START_TEST(layout__one_writer_per_line)
{
	ck_assert_uint_eq(sizeof(struct eta_dti_al) % ETA_CACHELINE, 0);
	ck_assert_uint_eq(sizeof(struct eta_dti_en) % ETA_CACHELINE, 0);
	ck_assert_uint_eq(sizeof(struct eta_ring_credit) % ETA_CACHELINE, 0);
	ck_assert_uint_eq(sizeof(struct eta_doorbell_credit) % ETA_CACHELINE, 0);
	ck_assert_uint_eq(sizeof(struct eta_conn_info) % ETA_CACHELINE, 0);
	ck_assert_uint_eq(sizeof(struct eta_core_page) % ETA_CACHELINE, 0);
	/* An idle connection's share of the record. */
	ck_assert_uint_le(sizeof(struct eta_dti_al) + sizeof(struct eta_dti_en), 256);
}
END_TEST

START_TEST(layout__numbers)
{
	ck_assert_uint_eq(ETA_DTI_MAKE(3, 5), 0x03000005u);
	ck_assert_uint_eq(ETA_DTI_OWNER(ETA_DTI_NONE), 0xffu);
	ck_assert_uint_gt(ETA_DTI_OWNER(ETA_DTI_NONE), ETA_INHERIT_MAX);
	ck_assert_uint_eq(ETA_CHUNK_MAKE(2, 7), 0x00200007u);
	ck_assert_uint_eq(ETA_CHUNK_SEG(ETA_CHUNK_NONE), 0xffu);
	ck_assert_uint_ge(ETA_CHUNK_SEG(ETA_CHUNK_NONE), ETA_SEGS_MAX);
	ck_assert_uint_eq(ETA_CHUNK_BYTES(ETA_CHUNK_ORDER_LARGE), 65536);
	ck_assert_uint_le(ETA_STREAM_BYTES_MAX / ETA_CHUNK_BYTES(ETA_CHUNK_ORDER_SMALL),
			ETA_STREAM_CHUNKS_MAX);
	ck_assert_uint_lt(ETA_DB_OP_N, ETA_DB_OP_MASK);
}
END_TEST

START_TEST(layout__messages)
{
	ck_assert_uint_eq(sizeof(struct eta_ctl_attach), 16);
	ck_assert_uint_le(sizeof(struct eta_ctl_attach_reply), ETA_CTL_BYTES_MAX);
	ck_assert_uint_le(sizeof(struct eta_ctl_share), ETA_CTL_BYTES_MAX);
	ck_assert_uint_eq(AT(eta_ctl_share, item), 16);
	ck_assert_uint_eq(AT(eta_ctl_attach_reply, seg) % 8, 0);
}
END_TEST

START_TEST(eta_counter_after__modulo)
{
	ck_assert(eta_counter_after(1, 0));
	ck_assert(eta_counter_after(0, 0xffffffffu));
	ck_assert(!eta_counter_after(7, 7));
	ck_assert(!eta_counter_after(0xfffffff0u, 5));
	ck_assert(eta_counter_after(0x7fffffffu, 0));
	ck_assert(!eta_counter_after(0x80000001u, 0));
}
END_TEST

/* Every status has an errno and a sentence; a number that no version defines has both as well. */
START_TEST(eta_status_errno__total)
{
	for (unsigned int i = 1; i < ETA_STATUS_N; i++) {
		ck_assert_int_gt(eta_status_errno(i), 0);
		ck_assert_str_ne(eta_status_text(i), "unknown status");
	}
	ck_assert_int_eq(eta_status_errno(ETA_STATUS_OK), 0);
	ck_assert_int_eq(eta_status_errno(ETA_STATUS_N), EPROTO);
	ck_assert_int_eq(eta_status_errno(255), EPROTO);
	ck_assert_str_eq(eta_status_text(255), "unknown status");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("abi layout");
	TCase *tc = tcase_create("layout");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, layout__version);
	tcase_add_test(tc, layout__doorbell_and_event);
	tcase_add_test(tc, layout__record);
	tcase_add_test(tc, layout__one_writer_per_line);
	tcase_add_test(tc, layout__numbers);
	tcase_add_test(tc, layout__messages);
	tcase_add_test(tc, eta_counter_after__modulo);
	tcase_add_test(tc, eta_status_errno__total);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
