// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Blocked tasks by khungtaskd's own rule. One read() pass of an iterator looks at every task and
 * returns only those asleep in D: the state is a plain load in task_struct, which /proc cannot show
 * (killable, frozen and idle sleepers all read "D" there).
 *
 * A pass belongs to one reader: totals are plain globals that it zeroes before and reads after.
 */
#include "kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "shared/tasks.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Off under lockdown=confidentiality, where a program with probe reads in it does not load. */
const volatile __u8 may_probe_read = 1;
/* Most records a pass returns of each class; more are only counted. */
const volatile __u32 record_limit[TASK_CLASS_COUNT] = {4096, 1024, 1024, 0};
/* Most killable sleepers whose stack is taken: thousands of them are normal under NFS or FUSE. */
const volatile __u32 killable_stack_limit = 128;

struct task_totals totals;
/* Where khungtaskd was found; kept between passes so that names are compared once. */
int khungtaskd_tid;

/* kernel/hung_task.c: task_is_hung() in 7.x, check_hung_uninterruptible_tasks() before. */
static __always_inline int blocked_class(unsigned int state)
{
	if (state & TASK_FROZEN)
		return TASK_CLASS_FROZEN;
	if (!(state & TASK_UNINTERRUPTIBLE))
		return -1;
	if (state & TASK_WAKEKILL)
		return TASK_CLASS_KILLABLE;
	if (state & TASK_NOLOAD)
		return TASK_CLASS_IDLE;
	return TASK_CLASS_HARD;
}

static __always_inline u64 comm_word(struct task_struct *task, int which)
{
	return ARRAY_WORD(task->comm, which);
}

static __always_inline bool is_khungtaskd(struct task_struct *task)
{
	/* "khungtas" and "kd\0" as little-endian words. */
	return task->flags & PF_KTHREAD && comm_word(task, 0) == 0x736174676e75686bULL &&
	       (comm_word(task, 1) & 0xffffff) == 0x646bULL;
}

static __always_inline void note_khungtaskd(struct task_struct *task, int tid)
{
	if (khungtaskd_tid && khungtaskd_tid != tid)
		return;
	if (is_khungtaskd(task)) {
		khungtaskd_tid = tid;
		totals.khungtaskd_arrival = task->sched_info.last_arrival;
	} else {
		khungtaskd_tid = 0;
	}
}

static __always_inline void note_start(void)
{
	struct task_struct *reader = bpf_get_current_task_btf();

	totals.started = 1;
	totals.jiffies = bpf_jiffies64();
	totals.ktime_ns = bpf_ktime_get_ns();
	totals.boottime_ns = bpf_ktime_get_boot_ns();
	if (bpf_core_field_exists(reader->sched_info.last_arrival))
		totals.reader_arrival = reader->sched_info.last_arrival;
	totals.reader_switches = reader->nvcsw + reader->nivcsw;
}

static __always_inline void fill_sleep_start(struct task_record *record, struct task_struct *task)
{
	unsigned int policy = task->policy;

	if (!bpf_core_field_exists(task->sched_info.last_arrival))
		return;
	record->last_arrival = task->sched_info.last_arrival;
	/* Only the fair class sets prev_sum_exec_runtime anew each time it puts a task on. */
	if (policy != SCHED_NORMAL && policy != SCHED_BATCH && policy != SCHED_IDLE)
		return;
	if (bpf_core_field_exists(task->se.prev_sum_exec_runtime))
		record->ran_ns = task->se.sum_exec_runtime - task->se.prev_sum_exec_runtime;
}

/* A kworker's description, e.g. "flush-253:0". Probe reads: the way there leads over void *. */
static __always_inline void fill_worker(struct task_record *record, struct task_struct *task)
{
	struct kthread *kthread = NULL;
	struct worker *worker = NULL;

	if (!bpf_core_field_exists(task->worker_private) || !bpf_core_field_exists(kthread->data) ||
	    !bpf_core_field_exists(worker->desc))
		return;
	kthread = task->worker_private;
	bpf_core_read(&worker, sizeof(worker), &kthread->data);
	if (!worker)
		return;
	bpf_core_read(record->worker, TASK_WORKER_SIZE, &worker->desc);
}

static __always_inline u64 lock_owner(u32 type, u64 lock)
{
	u64 owner = 0;

	switch (type) {
	case 0:
		if (bpf_core_field_exists(((struct mutex *)0)->owner))
			bpf_core_read(&owner, sizeof(owner), &((struct mutex *)lock)->owner);
		break;
	case 1:
		if (bpf_core_field_exists(((struct semaphore *)0)->last_holder))
			bpf_core_read(&owner, sizeof(owner),
				      &((struct semaphore *)lock)->last_holder);
		break;
	default:
		if (bpf_core_field_exists(((struct rw_semaphore *)0)->owner))
			bpf_core_read(&owner, sizeof(owner), &((struct rw_semaphore *)lock)->owner);
		if (owner & 1) /* RWSEM_READER_OWNED: at most a hint of one reader of many */
			return 0;
		break;
	}
	return owner & ~7ULL;
}

static __always_inline void fill_lock(struct task_record *record, struct task_struct *task)
{
	u64 blocker, owner;

	if (!bpf_core_field_exists(task->blocker))
		return;
	blocker = task->blocker;
	if (!blocker)
		return;
	record->flags |= TASK_FLAG_LOCK;
	record->lock_type = blocker & 3;
	owner = lock_owner(blocker & 3, blocker & ~3ULL);
	if (owner)
		bpf_core_read(&record->lock_owner_tid, sizeof(record->lock_owner_tid),
			      &((struct task_struct *)owner)->pid);
}

static __always_inline void fill_record(struct task_record *record, struct task_struct *task)
{
	u32 flags = task->flags;

	record->magic = TASK_RECORD_MAGIC;
	record->tid = task->pid;
	record->tgid = task->tgid;
	record->start_boottime = task->start_boottime;
	record->cgroup = task->cgroups->dfl_cgrp->kn->id;
	record->switch_count = task->nvcsw + task->nivcsw;
	*(u64 *)&record->comm[0] = comm_word(task, 0);
	*(u64 *)&record->comm[8] = comm_word(task, 1);
	if (flags & PF_KTHREAD)
		record->flags |= TASK_FLAG_KERNEL_THREAD;
	if (BPF_CORE_READ_BITFIELD(task, in_iowait))
		record->flags |= TASK_FLAG_IN_IOWAIT;
	if (bpf_core_field_exists(task->last_switch_count)) {
		record->flags |= TASK_FLAG_HUNG_MARKS;
		record->last_switch_count = task->last_switch_count;
		record->last_switch_jiffies = task->last_switch_time;
	}
	fill_sleep_start(record, task);
	if (may_probe_read) {
		fill_lock(record, task);
		if (flags & PF_WQ_WORKER)
			fill_worker(record, task);
	}
}

static __always_inline bool wants_stack(int class, u64 ordinal)
{
	return class == TASK_CLASS_HARD ||
	       (class == TASK_CLASS_KILLABLE && ordinal <= killable_stack_limit);
}

/*
 * Hook: iter/task (5.8; bpf_get_task_stack in it 5.9). It takes none of the locks that a stuck task
 * can hold (mmap_lock, exec_update_lock, cgroup_mutex), unlike most of /proc/PID, and costs a tenth
 * of it. When a record does not fit into the seq buffer the kernel throws it away and runs the
 * program again for the same task: nothing may be counted twice then, and the choice whether to
 * return the task must come out the same.
 */
SEC("iter/task")
int blocked_tasks(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct task_record record = {};
	u64 frames[TASK_STACK_DEPTH];
	bool again;
	long bytes;
	int class, tid;
	u32 i;

	if (!task)
		return 0;
	if (!totals.started)
		note_start();
	tid = task->pid;
	again = tid == totals.last_tid;
	totals.last_tid = tid;
	if (!again)
		totals.seen++;

	class = blocked_class(task->__state);
	if (class < 0) {
		note_khungtaskd(task, tid);
		return 0;
	}
	if (!again)
		totals.by_class[class & 3]++;
	if (totals.by_class[class & 3] > record_limit[class & 3])
		return 0;

	record.task_class = class;
	fill_record(&record, task);
	if (wants_stack(class, totals.by_class[class & 3])) {
		bytes = bpf_get_task_stack(task, frames, sizeof(frames), 0);
		if (bytes > 0)
			record.frame_count = (u64)bytes / sizeof(frames[0]);
	}
	/* A wake-up since the first look makes stack and counts those of something else. */
	if (blocked_class(task->__state) != class ||
	    task->nvcsw + task->nivcsw != record.switch_count)
		record.frame_count = 0;
	bpf_seq_write(seq, &record, sizeof(record));
	for (i = 0; i < TASK_STACK_DEPTH; i++) {
		if (i >= record.frame_count)
			break;
		/* Symbols from the kernel itself: not hidden by kptr_restrict or lockdown. */
		BPF_SEQ_PRINTF(seq, "%ps\n", frames[i]);
	}
	return 0;
}
