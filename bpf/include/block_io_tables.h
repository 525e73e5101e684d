/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The maps of block_io.bpf.c and how they are used: who owns what, the counters (accounts), and the
 * table of requests on their way (pending). Included by that file alone; it defines maps.
 */
#ifndef HVGUARD_BLOCK_IO_TABLES_H
#define HVGUARD_BLOCK_IO_TABLES_H

#include "kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "shared/block_io.h"

/* Counters of one account are spread over this many CPU groups, less one; a power of two less 1. */
const volatile __u32 shard_mask = 0;

/* How many processes are in owner_by_process; with 0 nobody asks who submits. */
__u32 submitter_count;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64); /* cgroup v2 id */
	__type(value, u32);
} owner_by_cgroup SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32); /* tgid */
	__type(value, u32);
} owner_by_process SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct io_account_key);
	__type(value, u32); /* account number */
} account_by_key SEC(".maps");

/* A stack, so that the same few accounts (and their pages) are used again and again. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 2048);
	__type(value, u32);
} free_accounts SEC(".maps");

/* Index: account number * (shard_mask + 1) + shard. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2048);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct io_account);
} accounts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IO_PENDING_SETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct io_pending_set);
} pending SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct io_statistics);
} statistics SEC(".maps");

#define COUNT(what)                                                                                \
	do {                                                                                       \
		u32 zero_ = 0;                                                                     \
		struct io_statistics *statistics_ = bpf_map_lookup_elem(&statistics, &zero_);      \
		if (statistics_)                                                                   \
			__sync_fetch_and_add(&statistics_->what, 1);                               \
	} while (0)

static __always_inline u32 coarse_time(void)
{
	return bpf_ktime_get_ns() >> IO_TIME_SHIFT;
}

/*
 * A kernel pointer as a number that is unique and the same each time. The verifier lets typed
 * pointers be neither shifted nor multiplied, but the distance of two pointers is a number.
 */
static __always_inline u64 identity(const void *pointer)
{
	u64 number = (u64)pointer;

	asm volatile("%0 -= %1" : "+r"(number) : "r"(&submitter_count));
	return number;
}

/* What to add to an identity to have the pointer again, as a number. */
static __always_inline u64 identity_base(void)
{
	return bpf_get_current_task() - identity(bpf_get_current_task_btf());
}

/* ---- pending ---- */

static __always_inline struct io_pending_set *pending_set(u64 key)
{
	/* Requests are cache-line aligned; the golden ratio spreads their regular distances. */
	u32 set = ((key >> 6) * 0x9e3779b97f4a7c15ULL) >> 52;

	return bpf_map_lookup_elem(&pending, &set);
}

static __always_inline struct io_pending *find_pending(struct io_pending_set *set, u64 key)
{
	int i;

#pragma unroll
	for (i = 0; i < IO_PENDING_WAYS; i++)
		if (set->way[i].key == key)
			return &set->way[i];
	return NULL;
}

static __always_inline bool add_pending(struct io_pending_set *set, u64 key, u64 detail)
{
	int i;

#pragma unroll
	for (i = 0; i < IO_PENDING_WAYS; i++) {
		if (set->way[i].key == 0 &&
		    __sync_val_compare_and_swap(&set->way[i].key, 0, key) == 0) {
			*(volatile u64 *)&set->way[i].detail = detail;
			return true;
		}
	}
	COUNT(no_pending);
	return false;
}

/*
 * Completion, the next use of a request and the reader (which forgets what has ended unseen) may
 * meet at one entry: it is freed by the one that takes the detail, as it was read, away.
 */
static __always_inline bool remove_pending(struct io_pending *entry, u64 detail)
{
	if (!detail || __sync_val_compare_and_swap(&entry->detail, detail, 0) != detail)
		return false;
	*(volatile u64 *)&entry->key = 0;
	return true;
}

/* ---- accounts ---- */

static __always_inline struct io_account *account_shard(u32 account)
{
	u32 index = account * (shard_mask + 1) + (bpf_get_smp_processor_id() & shard_mask);

	return bpf_map_lookup_elem(&accounts, &index);
}

static __noinline int open_account(struct io_account_key *key)
{
	u32 account, *other;

	if (!key)
		return -1;
	if (bpf_map_pop_elem(&free_accounts, &account)) {
		COUNT(no_account);
		return -1;
	}
	if (bpf_map_update_elem(&account_by_key, key, &account, BPF_NOEXIST)) {
		bpf_map_push_elem(&free_accounts, &account, BPF_ANY);
		/* Another CPU was first, or the map is full. */
		other = bpf_map_lookup_elem(&account_by_key, key);
		if (other)
			return *other & (IO_MAX_ACCOUNTS - 1);
		COUNT(no_account);
		return -1;
	}
	return account & (IO_MAX_ACCOUNTS - 1);
}

static __always_inline int find_account(u32 owner, struct gendisk *disk)
{
	struct io_account_key key = {
		.owner = owner,
		.major = disk->major,
		.minor = disk->first_minor,
	};
	u32 *account = bpf_map_lookup_elem(&account_by_key, &key);

	if (account)
		return *account & (IO_MAX_ACCOUNTS - 1);
	return open_account(&key);
}

#endif
