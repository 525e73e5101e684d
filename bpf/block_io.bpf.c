// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Block IO by owner and disk, counted where a request meets its driver: request events fire only at
 * the bottom of a stack (dm, md and other bio-based devices have none), so nothing counts twice.
 *
 * Owner: the cgroup that the bio carries (bi_blkg). The block layer set it in the submitter's
 * context or, for writeback and swap, from the page's owner; it is right when io-wq, kblockd or
 * dm-crypt issue the request later, where `current` means nothing. VMs without a cgroup of their
 * own that has the io controller are known by their process instead: looked up in the submitter's
 * context at the first of insert and issue, and kept with the request until it completes.
 *
 * What is on its way stands in one bounded table (struct io_pending). It is the only truth about
 * "in flight": issue adds the entry, completion takes it away, and requests that were already under
 * way at attach, that changed owner, or that found no room simply have no entry. Counters of issued
 * and completed requests would drift for ever after one such case.
 *
 * No event may be relied upon to come. The kernel leaves a program out while the same program runs
 * on that CPU (__bpf_trace_run, prog->active: an interrupt that completes one disk's request amid
 * the completion of another's; counted as recursion_misses), and a kernel may have further reasons
 * that it counts nowhere: on one 6.18 neither ours nor an empty program ran for 1 in 1000 to 10000
 * completions, while the tracepoint's perf event saw every one. An entry whose completion was
 * missed used to stay in flight until its request was used again, which on an idle disk is never:
 * a stall that was none. So old entries are looked up (find_ended): the request itself says whether
 * it is free or has begun another life. What was missed is counted as stale, and its bytes are
 * lost for the counters.
 */
#include "kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "shared/block_io.h"
#include "block_io_ended.h"
#include "block_io_tables.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define OWNER_OTHER 0

/* The blkio controller is on the v2 hierarchy; else a bio's cgroup id says nothing of v2. */
const volatile __u8 use_cgroup = 1;

/* ---- owners ---- */

static __always_inline u32 owner_of_cgroup(struct bio *bio)
{
	u64 id;
	u32 *owner;

	if (!use_cgroup || !bpf_core_field_exists(bio->bi_blkg))
		return OWNER_OTHER;
	/* NULLs on the way read as 0, which no cgroup has. */
	id = bio->bi_blkg->blkcg->css.cgroup->kn->id;
	owner = bpf_map_lookup_elem(&owner_by_cgroup, &id);
	return owner ? *owner : OWNER_OTHER;
}

/* "vhost-4711": a kernel thread that works for process 4711 (to 6.3; a thread of it since). */
static __always_inline u32 vhost_owner_process(struct task_struct *task)
{
	u32 process = 0;
	int i;

	if (task->comm[0] != 'v' || task->comm[1] != 'h' || task->comm[2] != 'o' ||
	    task->comm[3] != 's' || task->comm[4] != 't' || task->comm[5] != '-')
		return 0;
	for (i = 6; i < 15; i++) {
		u8 digit = task->comm[i] - '0';

		if (digit > 9)
			break;
		process = process * 10 + digit;
	}
	return process;
}

/* Of the running task, which must be the submitter: iothreads and io_uring workers share its tgid.
 */
static __always_inline u32 owner_of_submitter(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 process = task->tgid;
	u32 *owner;

	if (task->flags & PF_KTHREAD) {
		process = vhost_owner_process(task);
		if (!process)
			return OWNER_OTHER;
	}
	owner = bpf_map_lookup_elem(&owner_by_process, &process);
	return owner ? *owner : OWNER_OTHER;
}

static __always_inline u32 find_owner(struct bio *bio)
{
	u32 owner = owner_of_cgroup(bio);

	if (owner == OWNER_OTHER && submitter_count)
		owner = owner_of_submitter();
	return owner;
}

/* ---- requests ---- */

static __always_inline int operation_of(u32 flags)
{
	switch (flags & REQ_OP_MASK) {
	case REQ_OP_READ:
		return IO_READ;
	case REQ_OP_WRITE:
	case REQ_OP_WRITE_ZEROES:
	case REQ_OP_ZONE_APPEND:
		return IO_WRITE;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		return IO_DISCARD;
	default:
		/* Zone management, pass-through, and the flush machinery's own request. */
		return -1;
	}
}

/*
 * The disk to charge, NULL for none. Request-based dm (multipath) sends each request through two
 * queues; the lower one is the disk.
 */
static __always_inline struct gendisk *disk_of(struct gendisk *disk)
{
	if (!disk)
		return NULL;
	if (disk->disk_name[0] == 'd' && disk->disk_name[1] == 'm' && disk->disk_name[2] == '-')
		return NULL;
	return disk;
}

static __always_inline bool in_flush_sequence(struct request *request)
{
	u32 bit = 4;

	if (bpf_core_enum_value_exists(enum rqf_flags, __RQF_FLUSH_SEQ))
		bit = bpf_core_enum_value(enum rqf_flags, __RQF_FLUSH_SEQ);
	return request->rq_flags & (1U << bit);
}

static __always_inline u64 detail_of(u64 state, u64 account, u64 generation)
{
	return state << 62 | account << 48 | (generation & 0xffff) << 32 | coarse_time();
}

static __always_inline u64 make_detail(u32 state, int account)
{
	struct io_account *shard = account_shard(account);

	return detail_of(state, account, shard ? shard->generation : 0);
}

/* This CPU's shard of the account in a detail word; NULL if the account has since been closed. */
static __always_inline struct io_account *shard_of(u64 detail)
{
	struct io_account *shard = account_shard(IO_DETAIL_ACCOUNT(detail));

	if (!shard || (shard->generation & 0xffff) != IO_DETAIL_GENERATION(detail))
		return NULL;
	return shard;
}

/* The owner found when a bio asked for a flush: its data part is issued by a kworker. */
static __always_inline int flush_account(struct bio *bio)
{
	struct io_pending_set *set;
	struct io_pending *entry;

	if (!(bio->bi_opf & flush_flags()))
		return -1;
	set = pending_set(identity(bio));
	if (!set)
		return -1;
	entry = find_pending(set, identity(bio));
	if (!entry || !shard_of(entry->detail))
		return -1;
	return IO_DETAIL_ACCOUNT(entry->detail);
}

static __always_inline int follow(struct request *request, u32 state)
{
	struct io_pending *entry;
	struct io_pending_set *set;
	struct gendisk *disk;
	struct bio *bio = request->bio;
	int account;

	/* No bio: the flush machinery, driver-internal commands. */
	if (!bio || operation_of(request->cmd_flags) < 0)
		return 0;
	disk = disk_of(request->q->disk);
	if (!disk)
		return 0;
	set = pending_set(identity(request));
	if (!set)
		return 0;
	entry = find_pending(set, identity(request));
	if (entry) {
		u64 detail = *(volatile u64 *)&entry->detail;

		if (!is_stale(IO_DETAIL_TIME(detail), request->start_time_ns)) {
			/* Inserted before, or issued before and requeued by the driver. */
			if (state == IO_PENDING_ISSUED &&
			    IO_DETAIL_STATE(detail) == IO_PENDING_QUEUED)
				*(volatile u64 *)&entry->detail =
					detail_of(state, IO_DETAIL_ACCOUNT(detail),
						  IO_DETAIL_GENERATION(detail));
			return 0;
		}
		if (remove_pending(entry, detail))
			COUNT(stale);
	}
	account = flush_account(bio);
	if (account < 0)
		account = find_account(find_owner(bio), disk);
	if (account < 0)
		return 0;
	add_pending(set, identity(request), make_detail(state, account));
	return 0;
}

/*
 * Hook: block_getrq, which fires once when a bio gets its request, in the submitter's context (bio
 * alone since 5.11). A flush never reaches issue by itself: the block layer pools flushes of many
 * submitters into one request without a bio. Here it still has its owner, so that a disk which no
 * longer answers flushes is seen as one with something in flight.
 */
SEC("tp_btf/block_getrq")
int BPF_PROG(flush_begin, struct bio *bio)
{
	struct io_pending *entry;
	struct io_pending_set *set;
	struct gendisk *disk;
	int account;

	if (!(bio->bi_opf & flush_flags()))
		return 0;
	disk = disk_of(bio->bi_bdev->bd_disk);
	if (!disk)
		return 0;
	set = pending_set(identity(bio));
	if (!set)
		return 0;
	entry = find_pending(set, identity(bio));
	if (entry && remove_pending(entry, entry->detail))
		COUNT(stale);
	account = find_account(find_owner(bio), disk);
	if (account < 0)
		return 0;
	/* With data it is also issued as a request; then this entry only keeps the owner. */
	add_pending(
		set, identity(bio),
		make_detail(bio->bi_iter.bi_size ? IO_PENDING_QUEUED : IO_PENDING_FLUSH, account));
	return 0;
}

/*
 * Hook: block_rq_insert, in the submitter's context (the plug is flushed by the task that filled
 * it, even from schedule()). Attached once a VM is known by its process: every request is then
 * noted, others' as well, because a VM's thread may later issue what somebody else inserted.
 * Argument: request alone since 5.11.
 */
SEC("tp_btf/block_rq_insert")
int BPF_PROG(request_insert, struct request *request)
{
	if (!submitter_count)
		return 0;
	return follow(request, IO_PENDING_QUEUED);
}

/*
 * Hook: block_rq_merge, when a request vanishes into its neighbour without a completion: one that
 * was inserted, or was issued and came back from a driver without room for it. Since 5.11.
 */
SEC("tp_btf/block_rq_merge")
int BPF_PROG(request_merge, struct request *request)
{
	struct io_pending_set *set;
	struct io_pending *entry;

	set = pending_set(identity(request));
	if (!set)
		return 0;
	entry = find_pending(set, identity(request));
	if (entry)
		remove_pending(entry, entry->detail);
	return 0;
}

/*
 * Hook: block_rq_issue, where the driver takes the request: from here the device owes an answer.
 * Argument: request alone since 5.11.
 */
SEC("tp_btf/block_rq_issue")
int BPF_PROG(request_issue, struct request *request)
{
	return follow(request, IO_PENDING_ISSUED);
}

static __always_inline u32 log2_microseconds(u64 nanoseconds)
{
	u64 value = nanoseconds / 1000;
	u32 result = 0;

	if (value >> 32)
		return IO_LATENCY_BUCKETS - 1;
	if (value >> 16) {
		value >>= 16;
		result += 16;
	}
	if (value >> 8) {
		value >>= 8;
		result += 8;
	}
	if (value >> 4) {
		value >>= 4;
		result += 4;
	}
	if (value >> 2) {
		value >>= 2;
		result += 2;
	}
	result += value >> 1;
	return result < IO_LATENCY_BUCKETS ? result : IO_LATENCY_BUCKETS - 1;
}

static __always_inline void count_times(struct io_counts *counts, struct request *request, u64 now,
					bool flush)
{
	u64 allocated = request->start_time_ns;
	u64 issued = request->io_start_time_ns;
	u32 bucket;

	if (allocated && now > allocated) {
		bucket = log2_microseconds(now - allocated);
		if (bucket < IO_LATENCY_BUCKETS)
			__sync_fetch_and_add(&counts->queue_time[bucket], 1);
	}
	if (flush) /* never issued by itself */
		return;
	if (issued && now > issued) {
		bucket = log2_microseconds(now - issued);
		if (bucket < IO_LATENCY_BUCKETS)
			__sync_fetch_and_add(&counts->device_time[bucket], 1);
	} else {
		COUNT(untimed);
	}
}

/* Takes the entry away; its account, or NULL if there is none or it has since been closed. */
static __always_inline struct io_account *take_pending(u64 key)
{
	struct io_pending_set *set = pending_set(key);
	struct io_pending *entry;
	u64 detail;

	if (!set)
		return NULL;
	entry = find_pending(set, key);
	if (!entry)
		return NULL;
	detail = *(volatile u64 *)&entry->detail;
	return remove_pending(entry, detail) ? shard_of(detail) : NULL;
}

/*
 * Hook: block_rq_complete, once per completed part of a request, before its bios are taken off it
 * (error is an int to 5.15, blk_status_t since). nr_bytes is the part's size. A flush shows here as
 * a part of 0 bytes with a bio: the parent of the pooled flush request, or the last step of a write
 * with FUA on a disk that has none; `current` means nothing.
 */
SEC("tp_btf/block_rq_complete")
int BPF_PROG(request_complete, struct request *request, blk_status_t error, unsigned int nr_bytes)
{
	struct bio *bio = request->bio;
	struct io_account *shard = NULL;
	struct io_counts *counts;
	struct gendisk *disk;
	bool flush, last, asked_flush;
	int operation, account;
	u64 now;

	if (!bio)
		return 0;
	operation = operation_of(request->cmd_flags);
	if (operation < 0)
		return 0;
	disk = disk_of(request->q->disk);
	if (!disk)
		return 0;

	asked_flush = bio->bi_opf & flush_flags();
	flush = asked_flush && nr_bytes == 0 && request->__data_len == 0;
	last = flush || nr_bytes >= request->__data_len;
	if (flush) {
		shard = take_pending(identity(bio));
		operation = IO_FLUSH;
	} else if (last) {
		shard = take_pending(identity(request));
		if (asked_flush && !in_flush_sequence(request))
			take_pending(identity(bio));
	} else {
		struct io_pending_set *set = pending_set(identity(request));
		struct io_pending *entry = set ? find_pending(set, identity(request)) : NULL;

		if (entry)
			shard = shard_of(entry->detail);
	}
	if (!shard) {
		COUNT(unseen);
		account = find_account(owner_of_cgroup(bio), disk);
		if (account < 0)
			return 0;
		shard = account_shard(account);
		if (!shard)
			return 0;
	}

	counts = &shard->by_operation[operation & 3];
	now = bpf_ktime_get_ns();
	*(volatile u64 *)&shard->last_completion_ns = now;
	if (error)
		__sync_fetch_and_add(&counts->errors, 1);
	else if (nr_bytes)
		__sync_fetch_and_add(&counts->bytes, nr_bytes);
	if (!last)
		return 0;
	__sync_fetch_and_add(&counts->operations, 1);
	count_times(counts, request, now, flush);
	return 0;
}

/* A function of its own, which the verifier checks once and not in each round of the loop. */
__noinline int answer(u32 index, u64 base)
{
	struct io_question *question = &questions[index & (IO_MAX_QUESTIONS - 1)];
	u64 address = base + question->key;

	if (question->is_bio)
		question->ended = flush_ended((struct bio *)address, question);
	else
		question->ended = request_ended((struct request *)address, question->time);
	return 0;
}

/*
 * Run by the reader, and by nobody else, after it has filled in questions. These reads are probing
 * ones, since an entry's pointer proves nothing: not loaded under lockdown=confidentiality, where
 * only the next use of a request finds what was missed. Program type: since 5.14.
 */
SEC("syscall")
int find_ended(void *unused)
{
	u64 base = identity_base();
	u32 i;

	for (i = 0; i < IO_MAX_QUESTIONS; i++) {
		if (i >= question_count)
			break;
		answer(i, base);
	}
	return 0;
}
