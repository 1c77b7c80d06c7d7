/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TCX program and its maps, by bpf(2).
 *
 * The assembler: tcx_op() appends one instruction, tcx_jump() one that goes to a label, tcx_label() says where a label is; tcx_finish() fills the jump
 * offsets in. Registers as the BPF ABI has them: r0 result, r1-r5 arguments (lost in calls), r6-r9 kept, r10 frame pointer.
 *
 *   r6 = skb   r7 = ethertype   r8 = offset of the transport header   r9 = IPv6 next header
 *   stack: ST_HDR scratch for bytes of the frame, ST_TUPLE a struct ip_tuple, ST_LISTEN a struct tcx_listen_key
 */
#include "ka/tcx.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <eta/abi.h>

#include "ka/log.h"

#define TCX_ATTACH_INGRESS 46 /* BPF_TCX_INGRESS, Linux 6.6 */
#define TCX_INSNS_MAX 512
#define TCX_FIXES_MAX 128

#define ST_TUPLE (-40)
#define ST_LISTEN (-64)
#define ST_HDR (-112)

ETA_STATIC_ASSERT(sizeof(struct ip_tuple) == 40, "tuple key is 40 bytes, 4 of them padding");
ETA_STATIC_ASSERT(sizeof(struct tcx_listen_key) == 24, "listen key is 24 bytes, 4 of them padding");

enum tcx_label {
	L_NEXT,
	L_DROP,
	L_V4,
	L_V6,
	L_TCP,
	L_ANY_KEY,
	L_EXT, /* TCX_EXT_MAX + 1 of these, then as many for options and fragments */
	L_EXT_OPT = L_EXT + TCX_EXT_MAX + 1,
	L_EXT_FRAG = L_EXT_OPT + TCX_EXT_MAX + 1,
	L_N = L_EXT_FRAG + TCX_EXT_MAX + 1,
};

struct tcx_asm {
	struct bpf_insn insn[TCX_INSNS_MAX];
	int n;
	int label[L_N];
	struct {
		int at;
		int label;
	} fix[TCX_FIXES_MAX];
	int fix_n;
};

static void tcx_op(struct tcx_asm *a, int code, int dst, int src, int off, int32_t imm)
{
	if (a->n < TCX_INSNS_MAX)
		a->insn[a->n] = (struct bpf_insn){.code = (uint8_t)code,
				.dst_reg = (uint8_t)(dst & 15),
				.src_reg = (uint8_t)(src & 15),
				.off = (int16_t)off,
				.imm = imm};
	a->n++;
}

/* if (dst <cond> imm) goto label; cond = BPF_JEQ, ...; BPF_JA: always */
static void tcx_jump(struct tcx_asm *a, int cond, int dst, int32_t imm, int label)
{
	if (a->fix_n < TCX_FIXES_MAX) {
		a->fix[a->fix_n].at = a->n;
		a->fix[a->fix_n].label = label;
	}
	a->fix_n++;
	tcx_op(a, BPF_JMP | cond | BPF_K, dst, 0, 0, imm);
}

static void tcx_label(struct tcx_asm *a, int label)
{
	a->label[label] = a->n;
}

static int tcx_finish(struct tcx_asm *a)
{
	if (a->n > TCX_INSNS_MAX || a->fix_n > TCX_FIXES_MAX)
		return -E2BIG;
	for (int i = 0; i < a->fix_n; i++)
		a->insn[a->fix[i].at].off = (int16_t)(a->label[a->fix[i].label] - a->fix[i].at - 1);
	return 0;
}

#define LOAD(size, dst, src, off) tcx_op(a, BPF_LDX | BPF_MEM | (size), dst, src, off, 0)
#define STORE(size, off, src) tcx_op(a, BPF_STX | BPF_MEM | (size), BPF_REG_10, src, off, 0)
#define STORE_IMM(size, off, imm) tcx_op(a, BPF_ST | BPF_MEM | (size), BPF_REG_10, 0, off, imm)
#define MOV_IMM(dst, imm) tcx_op(a, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define MOV(dst, src) tcx_op(a, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define ALU_IMM(op, dst, imm) tcx_op(a, BPF_ALU64 | (op) | BPF_K, dst, 0, 0, imm)
#define ALU(op, dst, src) tcx_op(a, BPF_ALU64 | (op) | BPF_X, dst, src, 0, 0)
#define CALL(helper) tcx_op(a, BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT() tcx_op(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* Copy @len bytes at frame offset r8 to ST_HDR; a frame that is too short: NEXT. */
static void tcx_load_bytes(struct tcx_asm *a, int len)
{
	MOV(BPF_REG_1, BPF_REG_6);
	MOV(BPF_REG_2, BPF_REG_8);
	MOV(BPF_REG_3, BPF_REG_10);
	ALU_IMM(BPF_ADD, BPF_REG_3, ST_HDR);
	MOV_IMM(BPF_REG_4, len);
	CALL(BPF_FUNC_skb_load_bytes);
	tcx_jump(a, BPF_JSLT, BPF_REG_0, 0, L_NEXT);
}

/* If the map has the key at stack offset @key: DROP. */
static void tcx_lookup(struct tcx_asm *a, int map_fd, int key)
{
	tcx_op(a, BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_fd);
	tcx_op(a, 0, 0, 0, 0, 0);
	MOV(BPF_REG_2, BPF_REG_10);
	ALU_IMM(BPF_ADD, BPF_REG_2, key);
	CALL(BPF_FUNC_map_lookup_elem);
	tcx_jump(a, BPF_JNE, BPF_REG_0, 0, L_DROP);
}

/* Copy 16 bytes from stack offset @from to @to. */
static void tcx_copy_addr(struct tcx_asm *a, int to, int from)
{
	LOAD(BPF_DW, BPF_REG_0, BPF_REG_10, from);
	STORE(BPF_DW, to, BPF_REG_0);
	LOAD(BPF_DW, BPF_REG_0, BPF_REG_10, from + 8);
	STORE(BPF_DW, to + 8, BPF_REG_0);
}

/* Frames for this host, without VLAN tag, by ethertype. */
static void tcx_emit_entry(struct tcx_asm *a)
{
	MOV(BPF_REG_6, BPF_REG_1);
	LOAD(BPF_W, BPF_REG_0, BPF_REG_6, offsetof(struct __sk_buff, pkt_type));
	tcx_jump(a, BPF_JNE, BPF_REG_0, 0, L_NEXT); /* PACKET_HOST */
	LOAD(BPF_W, BPF_REG_0, BPF_REG_6, offsetof(struct __sk_buff, vlan_present));
	tcx_jump(a, BPF_JNE, BPF_REG_0, 0, L_NEXT);
	LOAD(BPF_W, BPF_REG_7, BPF_REG_6, offsetof(struct __sk_buff, protocol));
	MOV_IMM(BPF_REG_8, ETH_HLEN);
	tcx_jump(a, BPF_JEQ, BPF_REG_7, htons(ETH_P_IP), L_V4);
	tcx_jump(a, BPF_JEQ, BPF_REG_7, htons(ETH_P_IPV6), L_V6);
	tcx_jump(a, BPF_JA, 0, 0, L_NEXT);
}

/* IPv4 (RFC 791): protocol TCP, first fragment; addresses to ST_TUPLE as ::ffff:a.b.c.d; r8 past the options. */
static void tcx_emit_v4(struct tcx_asm *a)
{
	tcx_label(a, L_V4);
	tcx_load_bytes(a, 20);
	LOAD(BPF_B, BPF_REG_0, BPF_REG_10, ST_HDR + 9);
	tcx_jump(a, BPF_JNE, BPF_REG_0, IPPROTO_TCP, L_NEXT);
	LOAD(BPF_H, BPF_REG_0, BPF_REG_10, ST_HDR + 6);
	ALU_IMM(BPF_AND, BPF_REG_0, htons(0x1fff));
	tcx_jump(a, BPF_JNE, BPF_REG_0, 0, L_NEXT);
	LOAD(BPF_B, BPF_REG_0, BPF_REG_10, ST_HDR);
	ALU_IMM(BPF_AND, BPF_REG_0, 0x0f);
	tcx_jump(a, BPF_JLT, BPF_REG_0, 5, L_NEXT);
	ALU_IMM(BPF_LSH, BPF_REG_0, 2);
	ALU(BPF_ADD, BPF_REG_8, BPF_REG_0);
	STORE_IMM(BPF_DW, ST_TUPLE, 0);
	STORE_IMM(BPF_W, ST_TUPLE + 8, (int32_t)0xffff0000);
	LOAD(BPF_W, BPF_REG_0, BPF_REG_10, ST_HDR + 16);
	STORE(BPF_W, ST_TUPLE + 12, BPF_REG_0);
	STORE_IMM(BPF_DW, ST_TUPLE + 16, 0);
	STORE_IMM(BPF_W, ST_TUPLE + 24, (int32_t)0xffff0000);
	LOAD(BPF_W, BPF_REG_0, BPF_REG_10, ST_HDR + 12);
	STORE(BPF_W, ST_TUPLE + 28, BPF_REG_0);
	tcx_jump(a, BPF_JA, 0, 0, L_TCP);
}

/* One extension header (RFC 8200 4), unrolled: TCP: done; fragment: the first only; options and routing: skip; else NEXT. */
static void tcx_emit_ext(struct tcx_asm *a, int i)
{
	tcx_label(a, L_EXT + i);
	tcx_jump(a, BPF_JEQ, BPF_REG_9, IPPROTO_TCP, L_TCP);
	tcx_jump(a, BPF_JEQ, BPF_REG_9, IPPROTO_FRAGMENT, L_EXT_FRAG + i);
	tcx_jump(a, BPF_JEQ, BPF_REG_9, IPPROTO_HOPOPTS, L_EXT_OPT + i);
	tcx_jump(a, BPF_JEQ, BPF_REG_9, IPPROTO_ROUTING, L_EXT_OPT + i);
	tcx_jump(a, BPF_JEQ, BPF_REG_9, IPPROTO_DSTOPTS, L_EXT_OPT + i);
	tcx_jump(a, BPF_JA, 0, 0, L_NEXT);

	tcx_label(a, L_EXT_FRAG + i);
	tcx_load_bytes(a, 8);
	LOAD(BPF_H, BPF_REG_0, BPF_REG_10, ST_HDR + 2);
	ALU_IMM(BPF_AND, BPF_REG_0, htons(0xfff8));
	tcx_jump(a, BPF_JNE, BPF_REG_0, 0, L_NEXT);
	LOAD(BPF_B, BPF_REG_9, BPF_REG_10, ST_HDR);
	ALU_IMM(BPF_ADD, BPF_REG_8, 8);
	tcx_jump(a, BPF_JA, 0, 0, L_EXT + i + 1);

	tcx_label(a, L_EXT_OPT + i);
	tcx_load_bytes(a, 8);
	LOAD(BPF_B, BPF_REG_9, BPF_REG_10, ST_HDR);
	LOAD(BPF_B, BPF_REG_0, BPF_REG_10, ST_HDR + 1);
	ALU_IMM(BPF_ADD, BPF_REG_0, 1);
	ALU_IMM(BPF_LSH, BPF_REG_0, 3);
	ALU(BPF_ADD, BPF_REG_8, BPF_REG_0);
	tcx_jump(a, BPF_JA, 0, 0, L_EXT + i + 1);
}

static void tcx_emit_v6(struct tcx_asm *a)
{
	tcx_label(a, L_V6);
	tcx_load_bytes(a, 40);
	tcx_copy_addr(a, ST_TUPLE, ST_HDR + 24);
	tcx_copy_addr(a, ST_TUPLE + 16, ST_HDR + 8);
	LOAD(BPF_B, BPF_REG_9, BPF_REG_10, ST_HDR + 6);
	ALU_IMM(BPF_ADD, BPF_REG_8, 40);
	for (int i = 0; i < TCX_EXT_MAX; i++)
		tcx_emit_ext(a, i);
	tcx_label(a, L_EXT + TCX_EXT_MAX);
	tcx_jump(a, BPF_JEQ, BPF_REG_9, IPPROTO_TCP, L_TCP);
	tcx_jump(a, BPF_JA, 0, 0, L_NEXT);
}

/* Ports, then the three tables. */
static void tcx_emit_tcp(
		struct tcx_asm *a, const struct tcx *tcx, uint16_t port_lo, uint16_t port_hi)
{
	tcx_label(a, L_TCP);
	tcx_load_bytes(a, 4);
	LOAD(BPF_H, BPF_REG_0, BPF_REG_10, ST_HDR);
	STORE(BPF_H, ST_TUPLE + 34, BPF_REG_0); /* rport */
	LOAD(BPF_H, BPF_REG_8, BPF_REG_10, ST_HDR + 2);
	STORE(BPF_H, ST_TUPLE + 32, BPF_REG_8); /* lport */
	STORE_IMM(BPF_W, ST_TUPLE + 36, 0);
	tcx_copy_addr(a, ST_LISTEN, ST_TUPLE);
	STORE_IMM(BPF_DW, ST_LISTEN + 16, 0);
	STORE(BPF_H, ST_LISTEN + 16, BPF_REG_8);
	tcx_lookup(a, tcx->listen_fd, ST_LISTEN);
	/* Any-address of the family: ::ffff:0.0.0.0 differs from an address in its last word only, :: in all. */
	STORE_IMM(BPF_W, ST_LISTEN + 12, 0);
	tcx_jump(a, BPF_JEQ, BPF_REG_7, htons(ETH_P_IP), L_ANY_KEY);
	STORE_IMM(BPF_DW, ST_LISTEN, 0);
	STORE_IMM(BPF_DW, ST_LISTEN + 8, 0);
	tcx_label(a, L_ANY_KEY);
	tcx_lookup(a, tcx->listen_fd, ST_LISTEN);
	tcx_lookup(a, tcx->tuple_fd, ST_TUPLE);
	tcx_op(a, BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_8, 0, 0, 16);
	tcx_jump(a, BPF_JLT, BPF_REG_8, port_lo, L_NEXT);
	tcx_jump(a, BPF_JGT, BPF_REG_8, port_hi, L_NEXT);
	tcx_lookup(a, tcx->local_fd, ST_TUPLE);
	tcx_label(a, L_NEXT);
	MOV_IMM(BPF_REG_0, TCX_NEXT);
	EXIT();
	tcx_label(a, L_DROP);
	MOV_IMM(BPF_REG_0, TCX_DROP);
	EXIT();
}

static int tcx_assemble(struct tcx_asm *a, const struct tcx *tcx, enum tcx_mode mode,
		uint16_t port_lo, uint16_t port_hi)
{
	memset(a, 0, sizeof(*a));
	switch (mode) {
	case TCX_ALL:
		MOV_IMM(BPF_REG_0, TCX_DROP);
		EXIT();
		break;
	case TCX_OWNED:
		tcx_emit_entry(a);
		tcx_emit_v4(a);
		tcx_emit_v6(a);
		tcx_emit_tcp(a, tcx, port_lo, port_hi);
		break;
	}
	return tcx_finish(a);
}

static int tcx_bpf(int cmd, union bpf_attr *attr)
{
	long rc = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return rc < 0 ? -errno : (int)rc;
}

static int tcx_map(uint32_t key_bytes, uint32_t entries)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = key_bytes;
	attr.value_size = sizeof(uint32_t);
	attr.max_entries = entries;
	attr.map_flags = BPF_F_NO_PREALLOC;
	return tcx_bpf(BPF_MAP_CREATE, &attr);
}

static int tcx_prog(const struct tcx_asm *a)
{
	static const char license[] = "Dual BSD/GPL";
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uintptr_t)a->insn;
	attr.insn_cnt = (uint32_t)a->n;
	attr.license = (uintptr_t)license;
	memcpy(attr.prog_name, "eta_owned", sizeof("eta_owned"));
	return tcx_bpf(BPF_PROG_LOAD, &attr);
}

int tcx_load(struct tcx *tcx, enum tcx_mode mode, uint16_t port_lo, uint16_t port_hi, char *err,
		size_t err_len)
{
	struct tcx_asm a;
	int rc;

	*tcx = (struct tcx){.listen_fd = -1,
			.local_fd = -1,
			.tuple_fd = -1,
			.prog_fd = -1,
			.link_fd = -1};
	if (mode == TCX_OWNED) {
		tcx->listen_fd = tcx_map(sizeof(struct tcx_listen_key), TCX_LISTEN_MAX);
		tcx->local_fd = tcx_map(sizeof(struct ip_addr), TCX_LOCAL_MAX);
		tcx->tuple_fd = tcx_map(sizeof(struct ip_tuple), TCX_TUPLE_MAX);
		rc = tcx->listen_fd < 0  ? tcx->listen_fd
		     : tcx->local_fd < 0 ? tcx->local_fd
		     : tcx->tuple_fd < 0 ? tcx->tuple_fd
					 : 0;
		if (rc < 0)
			goto fail;
	}
	rc = tcx_assemble(&a, tcx, mode, port_lo, port_hi);
	if (rc == 0)
		rc = tcx->prog_fd = tcx_prog(&a);
	if (rc >= 0)
		return 0;
fail:
	(void)snprintf(err, err_len, "TCX program: %s%s", strerror(-rc),
			rc == -EPERM ? " (needs CAP_BPF and CAP_NET_ADMIN)" : " (needs Linux 6.6)");
	tcx_close(tcx);
	return rc;
}

int tcx_attach(struct tcx *tcx, int ifindex)
{
	union bpf_attr attr;
	int rc;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)tcx->prog_fd;
	attr.link_create.target_ifindex = (uint32_t)ifindex;
	attr.link_create.attach_type = TCX_ATTACH_INGRESS;
	rc = tcx_bpf(BPF_LINK_CREATE, &attr);
	if (rc < 0)
		return rc;
	tcx->link_fd = rc;
	return 0;
}

void tcx_close(struct tcx *tcx)
{
	int *fds[] = {&tcx->link_fd, &tcx->prog_fd, &tcx->listen_fd, &tcx->local_fd,
			&tcx->tuple_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			(void)close(*fds[i]);
		*fds[i] = -1;
	}
}

static int tcx_map_set(int fd, const void *key, bool is_del)
{
	const uint32_t one = 1;
	union bpf_attr attr;
	int rc;

	if (fd < 0)
		return 0; /* TCX_ALL has no tables */
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)&one;
	attr.flags = BPF_ANY;
	if (is_del)
		attr.value = 0;
	rc = tcx_bpf(is_del ? BPF_MAP_DELETE_ELEM : BPF_MAP_UPDATE_ELEM, &attr);
	return is_del && rc == -ENOENT ? 0 : rc;
}

int tcx_listen_set(struct tcx *tcx, const struct ip_addr *addr, uint16_t port_be, bool is_del)
{
	struct tcx_listen_key key;

	memset(&key, 0, sizeof(key));
	key.addr = *addr;
	key.port_be = port_be;
	return tcx_map_set(tcx->listen_fd, &key, is_del);
}

int tcx_local_set(struct tcx *tcx, const struct ip_addr *addr, bool is_del)
{
	return tcx_map_set(tcx->local_fd, addr, is_del);
}

int tcx_tuple_set(struct tcx *tcx, const struct ip_tuple *tuple, bool is_del)
{
	struct ip_tuple key;

	memset(&key, 0, sizeof(key));
	key.laddr = tuple->laddr;
	key.raddr = tuple->raddr;
	key.lport_be = tuple->lport_be;
	key.rport_be = tuple->rport_be;
	return tcx_map_set(tcx->tuple_fd, &key, is_del);
}
