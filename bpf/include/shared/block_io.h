/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What block_io.bpf.c and agent/observe/ebpf/block_io.cpp share. */
#ifndef HVGUARD_BLOCK_IO_H
#define HVGUARD_BLOCK_IO_H

#include <linux/types.h>

enum io_operation {
	IO_READ,
	IO_WRITE,
	IO_DISCARD,
	IO_FLUSH,
	IO_OPERATION_COUNT,
};

/* Bucket i: [2^i, 2^(i+1)) microseconds; 0 also holds what is shorter, the last what is longer. */
#define IO_LATENCY_BUCKETS 28

struct io_counts {
	__u64 operations;
	__u64 bytes;
	__u64 errors;
	__u64 queue_time[IO_LATENCY_BUCKETS];  /* allocated to completed */
	__u64 device_time[IO_LATENCY_BUCKETS]; /* issued to completed */
};

/* Whose IO, on which disk. Owner 0 is everything that belongs to no VM; others are never reused. */
struct io_account_key {
	__u32 owner;
	__u32 major;
	__u32 minor;
};

/*
 * One account's counters on one shard of the CPUs. An account is shard_count of these in a row.
 * Written by the programs; the reader zeroes it, with generation + 1, before it is used again.
 */
struct io_account {
	__u32 generation; /* the same in every shard */
	__u32 pad;
	__u64 last_completion_ns; /* CLOCK_MONOTONIC; 0 = none yet */
	struct io_counts by_operation[IO_OPERATION_COUNT];
} __attribute__((aligned(64)));

/*
 * What is on its way: one entry per request (or per flush, keyed by its bio), from insertion or
 * issue to completion. A set is searched whole, so that its place follows from the key alone.
 * detail is written in one store: a reader sees all of it or none.
 */
#define IO_PENDING_SETS 4096
#define IO_PENDING_WAYS 4

enum io_pending_state {
	IO_PENDING_NONE,
	IO_PENDING_QUEUED, /* inserted into the scheduler, not yet issued */
	IO_PENDING_ISSUED,
	IO_PENDING_FLUSH, /* a bio that asked for a flush */
};

struct io_pending {
	__u64 key;
	__u64 detail;
};

struct io_pending_set {
	struct io_pending way[IO_PENDING_WAYS];
};

/* detail: state 2 bits, account 14, generation 16, time 32 (CLOCK_MONOTONIC >> 20, about 1 ms) */
#define IO_MAX_ACCOUNTS (1u << 14)
#define IO_TIME_SHIFT 20
#define IO_DETAIL_STATE(detail) ((detail) >> 62)
#define IO_DETAIL_ACCOUNT(detail) ((detail) >> 48 & 0x3fff)
#define IO_DETAIL_GENERATION(detail) ((detail) >> 32 & 0xffff)
#define IO_DETAIL_TIME(detail) ((detail) & 0xffffffff)

/*
 * "Has this entry's request ended without our seeing it?" The reader asks about entries that are
 * old (find_ended in block_io.bpf.c).
 */
#define IO_MAX_QUESTIONS 256

struct io_question {
	__u64 key;
	__u32 time; /* IO_DETAIL_TIME of the entry */
	__u32 major;
	__u32 minor;
	__u8 is_bio; /* IO_PENDING_FLUSH: the key is that of a bio, else of a request */
	__u8 ended;  /* the answer */
	__u16 pad;
};

/* Losses at the bounds and other things worth knowing, summed over all CPUs. */
struct io_statistics {
	__u64 no_account; /* IO not counted: all accounts are taken */
	__u64 no_pending; /* requests not followed: their set is full (counted all the same) */
	__u64 unseen;	  /* completions of requests that were not seen being issued */
	__u64 stale;	  /* entries found old when their request or bio was used again */
	__u64 untimed;	  /* completions whose queue gives no time of issue */
};

#endif
