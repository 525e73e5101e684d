/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What lifecycle.bpf.c and agent/observe/ebpf/lifecycle.cpp share. */
#ifndef HVGUARD_LIFECYCLE_H
#define HVGUARD_LIFECYCLE_H

#include <linux/types.h>

#define NAME_PREFIX_COUNT 32
#define NAME_WORDS 4 /* names are compared as four 64-bit words: at most 32 bytes matter */
#define COMM_SIZE 16

/* A name begins with the prefix if (name & mask) == value in each word. */
struct name_prefix {
	__u64 value[NAME_WORDS];
	__u64 mask[NAME_WORDS];
};

struct manager_record {
	__s32 tgid;
	__u32 has_kvm;
	__u64 start_boottime;
	__u64 cgroup;
	char comm[COMM_SIZE];
	/* The executable's base name, not ended if it fills the array; empty if too long to tell.
	 */
	char executable[NAME_WORDS * 8];
};

enum lifecycle_event_type {
	LIFECYCLE_EXEC,
	LIFECYCLE_STOP_SIGNAL,
};

struct lifecycle_event {
	__u32 type;
	__u32 pad;
	__u64 boottime_ns;
	struct manager_record manager;
};

#endif
