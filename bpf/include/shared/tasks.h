/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What tasks.bpf.c and agent/observe/ebpf/tasks.cpp share. */
#ifndef HVGUARD_TASKS_H
#define HVGUARD_TASKS_H

#include <linux/types.h>

#define TASK_RECORD_MAGIC 0x4b534154u /* "TASK" */
#define TASK_STACK_DEPTH 16
#define TASK_COMM_SIZE 16
#define TASK_WORKER_SIZE 24

enum task_class {
	TASK_CLASS_HARD,
	TASK_CLASS_KILLABLE,
	TASK_CLASS_FROZEN,
	TASK_CLASS_IDLE, /* counted, never returned */
	TASK_CLASS_COUNT,
};

enum task_flags {
	TASK_FLAG_KERNEL_THREAD = 1,
	TASK_FLAG_IN_IOWAIT = 2,
	TASK_FLAG_HUNG_MARKS = 4, /* last_switch_* exist in this kernel */
	TASK_FLAG_LOCK = 8,	  /* lock_type and lock_owner_tid are set */
};

/* Followed by frame_count lines of text, one kernel function each, innermost first. */
struct task_record {
	__u32 magic;
	__u32 task_class;
	__u32 flags;
	__u32 frame_count;
	__s32 tid;
	__s32 tgid;
	__u64 start_boottime;
	__u64 cgroup;
	__u64 switch_count;
	__u64 last_switch_count;
	__u64 last_switch_jiffies;
	__u64 last_arrival;   /* rq clock: when it last got a CPU; 0 if the kernel does not tell */
	__u64 ran_ns;	      /* how long it ran then, as far as known */
	__u32 lock_type;      /* low two bits of task_struct.blocker */
	__s32 lock_owner_tid; /* 0: held by readers, or unknown */
	char comm[TASK_COMM_SIZE];
	char worker[TASK_WORKER_SIZE];
};

/* Zeroed by the reader before each pass, filled in as the pass goes. */
struct task_totals {
	__u64 seen;
	__u64 by_class[TASK_CLASS_COUNT];
	__u64 jiffies;
	__u64 ktime_ns;	       /* CLOCK_MONOTONIC of the first program run */
	__u64 boottime_ns;     /* CLOCK_BOOTTIME of the same moment */
	__u64 reader_arrival;  /* rq clock: when the reading thread last got its CPU */
	__u64 reader_switches; /* its nvcsw + nivcsw: did it sleep just before the pass? */
	__u64 khungtaskd_arrival;
	__u32 started;
	__s32 last_tid; /* the task of the previous program run */
};

#endif
