// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Which processes are VM managers: events when one starts or is told to end, and two iterators that
 * find those already running. Nothing here takes a lock that a stuck process can hold, as
 * readlink() on /proc/PID/exe or /proc/PID/fd would.
 */
#include "kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "shared/lifecycle.h"

/* SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGTERM: QEMU ends in order on the first, second and
 * last of them, the others end anything. */
#define STOP_SIGNALS (1U << 1 | 1U << 2 | 1U << 3 | 1U << 6 | 1U << 9 | 1U << 15)

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by the reader before attach and on reload; entries with a zero mask are unused. */
struct name_prefix prefixes[NAME_PREFIX_COUNT];
/* A glob that begins with a wildcard: the reader looks at every name itself. */
__u8 match_any_name;

/* The scan's memory: the descriptor that gave the last KVM record. The reader zeroes it. */
int last_kvm_tgid;
__u32 last_kvm_fd;

__u64 dropped; /* events that found the ring full */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

/* VM managers of whose end it matters to know early, by tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, u64); /* start_boottime */
} watched SEC(".maps");

static __always_inline void copy_inline_name(u64 *name, struct dentry *dentry)
{
	struct dentry___inline *older = (void *)dentry;
	int i;

	/* A longer name lives elsewhere, and the array holds nothing of it. */
	if (dentry->d_name.len >= NAME_WORDS * 8)
		return;
	if (bpf_core_field_exists(dentry->d_shortname)) {
#pragma unroll
		for (i = 0; i < NAME_WORDS; i++)
			name[i] = ARRAY_WORD(dentry->d_shortname.string, i);
	} else {
#pragma unroll
		for (i = 0; i < NAME_WORDS; i++)
			name[i] = ARRAY_WORD(older->d_iname, i);
	}
}

static __always_inline bool name_matches(const u64 *name)
{
	int i;

	if (match_any_name)
		return true;
	for (i = 0; i < NAME_PREFIX_COUNT; i++) {
		const struct name_prefix *prefix = &prefixes[i];

		if (!prefix->mask[0])
			break;
		if ((name[0] & prefix->mask[0]) == prefix->value[0] &&
		    (name[1] & prefix->mask[1]) == prefix->value[1] &&
		    (name[2] & prefix->mask[2]) == prefix->value[2] &&
		    (name[3] & prefix->mask[3]) == prefix->value[3])
			return true;
	}
	return false;
}

static __always_inline void fill_manager(struct manager_record *manager, struct task_struct *task)
{
	manager->tgid = task->tgid;
	manager->start_boottime = task->group_leader->start_boottime;
	manager->cgroup = task->cgroups->dfl_cgrp->kn->id;
	*(u64 *)&manager->comm[0] = ARRAY_WORD(task->comm, 0);
	*(u64 *)&manager->comm[8] = ARRAY_WORD(task->comm, 1);
}

/* By the executable's name; by comm, which anyone can set, only where that name is too long. */
static __always_inline bool manager_matches(struct manager_record *manager)
{
	u64 comm[NAME_WORDS] = {};

	if (manager->executable[0])
		return name_matches((u64 *)manager->executable);
	comm[0] = *(u64 *)&manager->comm[0];
	comm[1] = *(u64 *)&manager->comm[8];
	return name_matches(comm);
}

static __always_inline void send_event(u32 type, struct manager_record *manager)
{
	struct lifecycle_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		__sync_fetch_and_add(&dropped, 1);
		return;
	}
	event->type = type;
	event->pad = 0;
	event->boottime_ns = bpf_ktime_get_boot_ns();
	event->manager = *manager;
	bpf_ringbuf_submit(event, 0);
}

/*
 * Hook: sched_process_exec, after the point of no return: comm and the file are the new ones, and
 * it is the new program's process whatever thread called exec. (task, old_pid, bprm) in all kernels
 * with BTF.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *binprm)
{
	struct manager_record manager = {};

	copy_inline_name((u64 *)manager.executable, binprm->file->f_path.dentry);
	fill_manager(&manager, task);
	if (manager_matches(&manager))
		send_event(LIFECYCLE_EXEC, &manager);
	return 0;
}

/*
 * Hook: signal_generate, wherever a signal is sent to a task or its process (kernel/signal.c):
 * kill(2), a unit that systemd stops, cgroup.kill, the OOM killer. (sig, info, task, group, result)
 * in all kernels with BTF. The process may ignore it, or take its time: what it means is the
 * reader's business.
 */
SEC("tp_btf/signal_generate")
int BPF_PROG(stop_signal, int signal, void *info, struct task_struct *task)
{
	struct manager_record manager = {};
	u32 tgid;

	if (signal < 1 || signal > 31 || !(STOP_SIGNALS & (1U << signal)))
		return 0;
	tgid = task->tgid;
	if (!bpf_map_lookup_elem(&watched, &tgid))
		return 0;
	fill_manager(&manager, task);
	send_event(LIFECYCLE_STOP_SIGNAL, &manager);
	return 0;
}

/* Hook: iter/task (5.8): processes by the name of their executable. */
SEC("iter/task")
int managers_by_name(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct manager_record manager = {};
	struct file *executable;

	if (!task || task->pid != task->tgid || task->flags & PF_KTHREAD)
		return 0;
	executable = task->mm->exe_file;
	if (!executable) /* no memory any more: exiting */
		return 0;
	copy_inline_name((u64 *)manager.executable, executable->f_path.dentry);
	fill_manager(&manager, task);
	if (manager_matches(&manager))
		bpf_seq_write(seq, &manager, sizeof(manager));
	return 0;
}

/*
 * Hook: iter/task_file (5.8): processes that hold a KVM VM, an anonymous inode by the name of
 * "kvm-vm" (virt/kvm/kvm_main.c, kvm_dev_ioctl_create_vm). One record per process, however many it
 * holds; the same descriptor again means that the record did not fit and the kernel runs it anew.
 */
SEC("iter/task_file")
int managers_by_kvm(struct bpf_iter__task_file *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct manager_record manager = {};
	u64 name[NAME_WORDS] = {};

	if (!task || !file)
		return 0;
	if (file->f_inode->i_sb->s_magic != ANON_INODE_FS_MAGIC)
		return 0;
	copy_inline_name(name, file->f_path.dentry);
	/* "kvm-vm\0" as a little-endian word. */
	if ((name[0] & 0xffffffffffffffULL) != 0x6d762d6d766bULL)
		return 0;
	if (task->tgid == last_kvm_tgid && ctx->fd != last_kvm_fd)
		return 0;
	last_kvm_tgid = task->tgid;
	last_kvm_fd = ctx->fd;

	if (task->mm && task->mm->exe_file)
		copy_inline_name((u64 *)manager.executable, task->mm->exe_file->f_path.dentry);
	fill_manager(&manager, task);
	manager.has_kvm = 1;
	bpf_seq_write(seq, &manager, sizeof(manager));
	return 0;
}
