/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The few kernel types our programs read, by hand, instead of a dumped vmlinux.h: what is used is
 * what is listed, and every drift between kernels stands beside the field. Layouts do not matter,
 * names do: each access is relocated (CO-RE) against the running kernel's BTF. A type whose name
 * ends in ___something stands for the kernel type without that suffix, as some kernels have it.
 *
 * Read against Debian 6.1.192, 6.12.107 and 6.18.44.
 */
#ifndef HVGUARD_KERNEL_TYPES_H
#define HVGUARD_KERNEL_TYPES_H

#include <linux/types.h>
#include <stdbool.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* ---- cgroups: kn->id is the v2 directory's inode number on 64-bit (since 5.5) ---- */

struct kernfs_node {
	u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp; /* the v2 cgroup, also where v1 hierarchies exist */
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

/* ---- files: enough for a base name and to know a KVM VM's anonymous inode ---- */

struct super_block {
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
};

struct qstr {
	u32 len; /* in an anonymous union with hash_len */
};

/* Names shorter than the array are stored inside the dentry; see ARRAY_WORD. */
union shortname_store {
	unsigned char string[40];
};

struct dentry {
	struct qstr d_name;
	union shortname_store d_shortname; /* since 6.14 */
};

struct dentry___inline {
	unsigned char d_iname[32]; /* to 6.13 */
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

struct linux_binprm {
	struct file *file;
};

/* ---- tasks ---- */

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads not yet in do_exit(); 0 when the last one is */
};

struct mm_struct {
	struct file *exe_file;
};

struct sched_info {
	unsigned long long last_arrival; /* rq clock, ns; CONFIG_SCHED_INFO */
};

struct sched_entity {
	u64 sum_exec_runtime;
	u64 prev_sum_exec_runtime; /* its value when last put on the CPU; fair class only */
};

struct task_struct {
	unsigned int __state; /* `state` before 5.14 */
	unsigned int flags;
	struct sched_entity se;
	unsigned int policy;
	struct sched_info sched_info;
	struct mm_struct *mm;
	unsigned int in_iowait : 1;
	int pid;
	int tgid;
	void *worker_private; /* a kthread's struct kthread; in set_child_tid before 5.17 */
	unsigned long nvcsw;
	unsigned long nivcsw;
	struct task_struct *group_leader;
	u64 start_boottime;
	char comm[16];
	/* CONFIG_DETECT_HUNG_TASK; written only by khungtaskd's scan. */
	unsigned long last_switch_count;
	unsigned long last_switch_time; /* jiffies */
	struct signal_struct *signal;
	/*
	 * CONFIG_DETECT_HUNG_TASK_BLOCKER, 6.16 and later: lock address, type in the low two bits.
	 * (6.15 had blocker_mutex, for mutexes alone: not used.)
	 */
	unsigned long blocker;
	struct css_set *cgroups;
};

/* kernel/kthread.c, private to it, but in BTF. */
struct kthread {
	void *data; /* a kworker's struct worker */
};

/* kernel/workqueue_internal.h */
struct worker {
	char desc[24]; /* WORKER_DESC_LEN; 32 since 6.10, we read the first 24 */
};

typedef struct {
	s64 counter;
} atomic64_t;
typedef atomic64_t atomic_long_t;

struct mutex {
	atomic_long_t owner; /* task, low three bits are flags */
};

struct rw_semaphore {
	atomic_long_t owner; /* task, low three bits are flags: 1 = owned by readers */
};

struct semaphore {
	unsigned long last_holder; /* CONFIG_DETECT_HUNG_TASK_BLOCKER */
};

/* ---- block layer ---- */

typedef u8 blk_status_t;
typedef u64 sector_t;

struct gendisk {
	int major;
	int first_minor;
	char disk_name[32];
};

struct request_queue {
	struct gendisk *disk; /* since 5.15 */
};

struct blkcg {
	struct cgroup_subsys_state css;
};

struct blkcg_gq {
	struct blkcg *blkcg;
};

struct block_device {
	struct gendisk *bd_disk;
};

struct bvec_iter {
	unsigned int bi_size;
};

struct bio {
	struct block_device *bi_bdev;
	u32 bi_opf;
	struct bvec_iter bi_iter;
	struct blkcg_gq *bi_blkg; /* CONFIG_BLK_CGROUP */
};

struct request {
	struct request_queue *q;
	u32 cmd_flags;
	u32 rq_flags;
	unsigned int __data_len; /* bytes left */
	struct bio *bio;	 /* first one not yet completed */
	u64 start_time_ns;	 /* allocation; 0 if the queue keeps no statistics at all */
	u64 io_start_time_ns;	 /* issue; 0 unless QUEUE_FLAG_STATS (wbt, iocost …) is on */
	atomic_t ref;		 /* 0 while the request is free; a refcount_t to 5.15 */
};

/* Bit numbers move between kernels: always through bpf_core_enum_value(). */
enum req_flag_bits {
	__REQ_FUA = 17,
	__REQ_PREFLUSH = 18,
};

/* Since 6.11; before, RQF_FLUSH_SEQ was a macro for bit 4. */
enum rqf_flags {
	__RQF_FLUSH_SEQ = 1,
};

/* ---- BPF ---- */

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

#pragma clang attribute pop

/*
 * A 64-bit word of a char array in a kernel struct. The relocation must be on the address: on the
 * load itself libbpf refuses it where the array has another length (d_iname: 32 in 6.1, 40
 * in 6.12).
 */
#define ARRAY_WORD(array, which)                                                                   \
	({                                                                                         \
		const unsigned char *start_ = (const unsigned char *)(array);                      \
		asm volatile("" : "+r"(start_));                                                   \
		*(u64 *)(start_ + (which) * 8);                                                    \
	})

/* include/linux/sched.h; numbers checked in 6.1, 6.12, 6.18. */
#define TASK_UNINTERRUPTIBLE 0x00000002
#define TASK_WAKEKILL 0x00000100
#define TASK_NOLOAD 0x00000400
#define TASK_FROZEN 0x00008000 /* since 6.1 */
#define PF_WQ_WORKER 0x00000020
#define PF_KTHREAD 0x00200000
#define SCHED_NORMAL 0
#define SCHED_BATCH 3
#define SCHED_IDLE 5

#define ANON_INODE_FS_MAGIC 0x09041934

/* include/linux/blk_types.h, enum req_op: these numbers have been the same since 4.10. */
#define REQ_OP_MASK 0xff
#define REQ_OP_READ 0
#define REQ_OP_WRITE 1
#define REQ_OP_DISCARD 3
#define REQ_OP_SECURE_ERASE 5
#define REQ_OP_ZONE_APPEND 7 /* 13 to 6.5: never a write to a conventional disk */
#define REQ_OP_WRITE_ZEROES 9

#endif
