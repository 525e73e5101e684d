// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What our BPF programs are measured against: the least an iterator and a tracepoint can cost, and
 * the usual way to measure block IO, a hash of start times between issue and completion.
 */
#include "kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 blocked;

struct latency_key {
	u32 major;
	u32 minor;
};

struct latency_histogram {
	u32 slots[28];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u64);
	__type(value, u64);
} started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct latency_key);
	__type(value, struct latency_histogram);
} histograms SEC(".maps");

/* The least that still looks at every task's state. */
SEC("iter/task")
int bare_iterator(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && task->__state & TASK_UNINTERRUPTIBLE)
		blocked++;
	return 0;
}

SEC("tp_btf/block_rq_issue")
int empty_issue(void *ctx)
{
	return 0;
}

SEC("tp_btf/block_rq_complete")
int empty_complete(void *ctx)
{
	return 0;
}

static __always_inline u64 identity(const void *pointer)
{
	u64 number = (u64)pointer;

	asm volatile("%0 -= %1" : "+r"(number) : "r"(&blocked));
	return number;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(pair_issue, struct request *request)
{
	u64 key = identity(request);
	u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&started, &key, &now, BPF_ANY);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(pair_complete, struct request *request)
{
	u64 now = bpf_ktime_get_ns();
	u64 number = identity(request), *start;
	struct latency_histogram zero = {}, *histogram;
	struct latency_key key = {};
	u64 microseconds;
	u32 slot = 0;

	start = bpf_map_lookup_elem(&started, &number);
	if (!start)
		return 0;
	microseconds = (now - *start) / 1000;
	key.major = request->q->disk->major;
	key.minor = request->q->disk->first_minor;
	histogram = bpf_map_lookup_elem(&histograms, &key);
	if (!histogram) {
		bpf_map_update_elem(&histograms, &key, &zero, BPF_NOEXIST);
		histogram = bpf_map_lookup_elem(&histograms, &key);
	}
	if (histogram) {
		while (slot < 27 && microseconds > 1) {
			microseconds >>= 1;
			slot++;
		}
		__sync_fetch_and_add(&histogram->slots[slot], 1);
	}
	bpf_map_delete_elem(&started, &number);
	return 0;
}
