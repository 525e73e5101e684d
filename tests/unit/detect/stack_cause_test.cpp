#include "detect/stack_cause.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace hvguard {
namespace {

using Stack = std::vector<std::string>;

HungTaskCause cause_of(const Stack& stack) {
  return classify_stack(stack).cause;
}

TEST(StackCause, FunctionNamesLoseOffsetsModulesAndSuffixes) {
  EXPECT_EQ(function_name("jbd2_log_wait_commit+0x93/0x160 [jbd2]"), "jbd2_log_wait_commit");
  EXPECT_EQ(function_name("rq_qos_wait [blk]"), "rq_qos_wait");
  EXPECT_EQ(function_name("submit_bio_wait.isra.0"), "submit_bio_wait");
  EXPECT_EQ(function_name(""), "");
}

TEST(StackCause, TheInnermostKnownFunctionDecides) {
  EXPECT_EQ(cause_of({"folio_wait_bit_common+0x1/0x2", "filemap_read"}), HungTaskCause::kBlockIo);
  EXPECT_EQ(cause_of({"blk_mq_freeze_queue_wait", "elevator_switch"}), HungTaskCause::kBlockIo);
  EXPECT_EQ(cause_of({"jbd2_log_wait_commit", "ext4_sync_file"}),
            HungTaskCause::kFilesystemJournal);
  EXPECT_EQ(cause_of({"rwsem_down_write_slowpath", "ext4_file_write_iter"}), HungTaskCause::kLock);
  EXPECT_EQ(cause_of({"unknown_wait", "kvm_destroy_vm", "kvm_vm_release"}), HungTaskCause::kKvm);
  EXPECT_EQ(cause_of({"request_wait_answer", "fuse_simple_request"}), HungTaskCause::kNetworkFs);
  EXPECT_EQ(cause_of({"strange", "stranger"}), HungTaskCause::kOther);
  EXPECT_EQ(cause_of({}), HungTaskCause::kOther);
}

// As the kernel shows it, with ext4 mounted on a suspended disk.
TEST(StackCause, AWaitForABufferShowsOnlyWhoWaits) {
  EXPECT_EQ(cause_of({"ext4_wait_block_bitmap [ext4]",
                      "ext4_mb_init_cache [ext4]",
                      "ext4_lazyinit_thread [ext4]",
                      "kthread"}),
            HungTaskCause::kBlockIo);
  EXPECT_EQ(cause_of({"__bread_gfp", "ext4_sb_bread", "ext4_get_branch"}), HungTaskCause::kBlockIo);
}

TEST(StackCause, AKernelThreadOfTheJournalWaitsForItsDisk) {
  EXPECT_EQ(cause_of({"folio_wait_bit", "jbd2_journal_commit_transaction", "kjournald2"}),
            HungTaskCause::kBlockIo);
}

TEST(StackCause, APlainWaitIsRefinedByWhoWaits) {
  EXPECT_EQ(cause_of({"folio_wait_bit_common", "do_swap_page", "kvm_mmu_page_fault"}),
            HungTaskCause::kSwapIn);
  EXPECT_EQ(cause_of({"folio_wait_bit", "nfs_wb_folio"}), HungTaskCause::kNetworkFs);
  EXPECT_EQ(cause_of({"folio_wait_writeback", "shrink_folio_list", "try_to_free_pages"}),
            HungTaskCause::kReclaim);
  const auto cgroup = classify_stack(
      Stack{"folio_wait_writeback", "shrink_folio_list", "try_to_free_mem_cgroup_pages"});
  EXPECT_EQ(cgroup.cause, HungTaskCause::kReclaim);
  EXPECT_TRUE(cgroup.cgroup_reclaim);
}

TEST(StackCause, PercpuLocksAreFrozenFileSystemsUnlessUsedOtherwise) {
  EXPECT_EQ(cause_of({"percpu_rwsem_wait", "__percpu_down_read", "vfs_write"}),
            HungTaskCause::kFrozenFs);
  EXPECT_EQ(cause_of({"percpu_rwsem_wait", "__percpu_down_read", "cgroup_procs_write_start"}),
            HungTaskCause::kLock);
  EXPECT_EQ(cause_of({"percpu_rwsem_wait", "cpus_read_lock"}), HungTaskCause::kLock);
}

TEST(StackCause, SelfWakingWaitsAreKnown) {
  EXPECT_TRUE(classify_stack(Stack{"submit_bio_wait", "blkdev_issue_flush"}).self_waking);
  EXPECT_TRUE(classify_stack(Stack{"blk_io_schedule", "__iomap_dio_rw"}).self_waking);
  EXPECT_TRUE(classify_stack(Stack{"io_schedule", "blk_wait_io"}).self_waking);
  EXPECT_FALSE(classify_stack(Stack{"folio_wait_bit_common", "filemap_read"}).self_waking);
}

TEST(StackCause, FingerprintsIgnoreOffsetsAndHeedOrder) {
  EXPECT_EQ(stack_fingerprint(Stack{"a+0x1", "b"}), stack_fingerprint(Stack{"a+0x9", "b"}));
  EXPECT_NE(stack_fingerprint(Stack{"a", "b"}), stack_fingerprint(Stack{"b", "a"}));
  EXPECT_NE(stack_fingerprint(Stack{"a"}), stack_fingerprint(Stack{"a", "a"}));
  EXPECT_EQ(stack_fingerprint(Stack{}), 0U);
}

}  // namespace
}  // namespace hvguard
