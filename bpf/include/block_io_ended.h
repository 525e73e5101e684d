/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How block_io.bpf.c knows that a request or a flush has ended although its completion was missed.
 * Included by that file alone; it defines globals.
 */
#ifndef HVGUARD_BLOCK_IO_ENDED_H
#define HVGUARD_BLOCK_IO_ENDED_H

#include "kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "shared/block_io.h"

/* Filled in by the reader before it runs find_ended. */
struct io_question questions[IO_MAX_QUESTIONS];
__u32 question_count;

static __always_inline u32 flush_flags(void)
{
	return 1U << bpf_core_enum_value(enum req_flag_bits, __REQ_PREFLUSH) |
	       1U << bpf_core_enum_value(enum req_flag_bits, __REQ_FUA);
}

/*
 * Is an entry of that time from an earlier life of its request, which ended without our seeing it?
 * The time of allocation tells, where the queue keeps it.
 */
static __always_inline bool is_stale(u32 entry_time, u64 start_time_ns)
{
	u32 allocated = start_time_ns >> IO_TIME_SHIFT;

	return start_time_ns && (int)(allocated - entry_time) > 0;
}

/*
 * A request is free when nobody refers to it; one that waits for the driver to take it again is
 * not. It lies in its tag set: if that cannot be read the disk is gone.
 */
static __always_inline bool request_ended(struct request *request, u32 entry_time)
{
	int references = 1;
	u64 allocated = 0;

	if (!bpf_core_field_exists(request->ref))
		return false;
	if (bpf_core_read(&references, sizeof(references), &request->ref) ||
	    bpf_core_read(&allocated, sizeof(allocated), &request->start_time_ns))
		return true;
	return references == 0 || is_stale(entry_time, allocated);
}

/*
 * bio_endio() takes a bio's cgroup away before it tells the submitter, and a bio on its way always
 * has one. Afterwards the memory is anything, so it must still look like a flush of that disk.
 */
static __always_inline bool flush_ended(struct bio *bio, struct io_question *question)
{
	struct block_device *device = NULL;
	struct blkcg_gq *group = NULL;
	struct gendisk *disk = NULL;
	int major = 0, minor = 0;
	u32 flags = 0;

	if (!bpf_core_field_exists(bio->bi_blkg))
		return false;
	if (bpf_core_read(&group, sizeof(group), &bio->bi_blkg) ||
	    bpf_core_read(&flags, sizeof(flags), &bio->bi_opf) ||
	    bpf_core_read(&device, sizeof(device), &bio->bi_bdev) ||
	    bpf_core_read(&disk, sizeof(disk), &device->bd_disk) ||
	    bpf_core_read(&major, sizeof(major), &disk->major) ||
	    bpf_core_read(&minor, sizeof(minor), &disk->first_minor))
		return true;
	return !group || !(flags & flush_flags()) || (u32)major != question->major ||
	       (u32)minor != question->minor;
}

#endif
