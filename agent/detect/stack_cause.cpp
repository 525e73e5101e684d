#include "detect/stack_cause.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <unordered_map>

namespace hvguard {
namespace {

// What one function on a stack says. The first group says what the task waits for; the second only
// says on whose behalf, and counts if a plain wait for IO was found further in.
enum class Sign {
  kNone,
  kWaitsForIo,
  kWaitsForIoSelfWaking,
  kWaitsForJournal,
  kWaitsForLock,
  kWaitsForPercpuLock,
  kWaitsForReclaim,
  kWaitsForFrozenFs,
  kWaitsForNetwork,
  kInKvm,
  kForSwapIn,
  kForNetwork,
  kForReclaim,
  kForCgroupReclaim,
};

using SignTable = std::unordered_map<std::string_view, Sign>;

const SignTable& signs() {
  static const SignTable table = {
      // mm/filemap.c, fs/buffer.c, fs/fs-writeback.c: a page, a buffer, writeback
      {"folio_wait_bit", Sign::kWaitsForIo},
      {"folio_wait_bit_common", Sign::kWaitsForIo},
      {"folio_wait_bit_killable", Sign::kWaitsForIo},
      {"folio_wait_writeback", Sign::kWaitsForIo},
      {"wait_on_page_bit", Sign::kWaitsForIo},
      {"wait_on_page_bit_common", Sign::kWaitsForIo},
      {"wait_on_page_writeback", Sign::kWaitsForIo},
      {"__folio_lock", Sign::kWaitsForIo},
      {"__lock_page", Sign::kWaitsForIo},
      {"__wait_on_buffer", Sign::kWaitsForIo},
      {"bit_wait_io", Sign::kWaitsForIo},
      // Who waits for a buffer: __wait_on_buffer() and __lock_buffer() end in a jump into the
      // scheduler's code, so that their callers are the innermost frames.
      {"__bread_gfp", Sign::kWaitsForIo},
      {"__bread_slow", Sign::kWaitsForIo},
      {"__bh_read", Sign::kWaitsForIo},
      {"__bh_read_batch", Sign::kWaitsForIo},
      {"__block_write_begin_int", Sign::kWaitsForIo},
      {"__lock_buffer", Sign::kWaitsForIo},
      {"__sync_dirty_buffer", Sign::kWaitsForIo},
      {"sync_dirty_buffer", Sign::kWaitsForIo},
      {"write_dirty_buffer", Sign::kWaitsForIo},
      {"ext4_read_bh", Sign::kWaitsForIo},
      {"ext4_bread_batch", Sign::kWaitsForIo},
      {"ext4_wait_block_bitmap", Sign::kWaitsForIo},
      {"__ext4_find_entry", Sign::kWaitsForIo},
      {"__ext4_get_inode_loc", Sign::kWaitsForIo},
      {"io_schedule", Sign::kWaitsForIo},
      {"inode_sleep_on_writeback", Sign::kWaitsForIo},
      {"__inode_wait_for_writeback", Sign::kWaitsForIo},
      {"wb_wait_for_completion", Sign::kWaitsForIo},
      {"sync_inodes_sb", Sign::kWaitsForIo},
      {"balance_dirty_pages", Sign::kWaitsForIo},
      {"__iomap_dio_rw", Sign::kWaitsForIo},
      {"inode_dio_wait", Sign::kWaitsForIo},
      {"__inode_dio_wait", Sign::kWaitsForIo},
      {"exit_aio", Sign::kWaitsForIo},
      {"xfs_buf_iowait", Sign::kWaitsForIo},
      // block/: tags, queue entry, write-back throttling, a frozen queue
      {"blk_mq_get_tag", Sign::kWaitsForIo},
      {"blk_mq_freeze_queue_wait", Sign::kWaitsForIo},
      {"blk_mq_freeze_queue_wait_timeout", Sign::kWaitsForIo},
      {"__bio_queue_enter", Sign::kWaitsForIo},
      {"blk_queue_enter", Sign::kWaitsForIo},
      {"rq_qos_wait", Sign::kWaitsForIo},
      {"wbt_wait", Sign::kWaitsForIo},
      {"mempool_alloc", Sign::kWaitsForIo},
      {"mempool_alloc_noprof", Sign::kWaitsForIo},
      {"dm_suspend", Sign::kWaitsForIo},
      {"dm_wait_for_completion", Sign::kWaitsForIo},
      {"dm_wait_for_bios_completion", Sign::kWaitsForIo},
      {"md_write_start", Sign::kWaitsForIo},
      {"submit_bio_wait", Sign::kWaitsForIoSelfWaking},
      {"blk_io_schedule", Sign::kWaitsForIoSelfWaking},
      {"blk_wait_io", Sign::kWaitsForIoSelfWaking},
      {"blk_execute_rq", Sign::kWaitsForIoSelfWaking},
      // journals: jbd2, xfs log, btrfs transactions
      {"jbd2_log_wait_commit", Sign::kWaitsForJournal},
      {"jbd2_journal_commit_transaction", Sign::kWaitsForJournal},
      {"jbd2_log_do_checkpoint", Sign::kWaitsForJournal},
      {"jbd2_journal_lock_updates", Sign::kWaitsForJournal},
      {"__jbd2_log_wait_for_space", Sign::kWaitsForJournal},
      {"jbd2_complete_transaction", Sign::kWaitsForJournal},
      {"wait_transaction_locked", Sign::kWaitsForJournal},
      {"wait_transaction_switching", Sign::kWaitsForJournal},
      {"add_transaction_credits", Sign::kWaitsForJournal},
      {"start_this_handle", Sign::kWaitsForJournal},
      {"do_get_write_access", Sign::kWaitsForJournal},
      {"xlog_wait_on_iclog", Sign::kWaitsForJournal},
      {"xlog_grant_head_wait", Sign::kWaitsForJournal},
      {"xlog_state_get_iclog_space", Sign::kWaitsForJournal},
      {"xfs_log_force", Sign::kWaitsForJournal},
      {"xfs_log_force_seq", Sign::kWaitsForJournal},
      {"xlog_cil_force_seq", Sign::kWaitsForJournal},
      {"wait_current_trans", Sign::kWaitsForJournal},
      {"btrfs_commit_transaction", Sign::kWaitsForJournal},
      {"wait_for_commit", Sign::kWaitsForJournal},
      // locks, where the kernel does not leave them out of the stack
      {"__mutex_lock", Sign::kWaitsForLock},
      {"mutex_lock", Sign::kWaitsForLock},
      {"__mutex_lock_slowpath", Sign::kWaitsForLock},
      {"rwsem_down_read_slowpath", Sign::kWaitsForLock},
      {"rwsem_down_write_slowpath", Sign::kWaitsForLock},
      {"down_read", Sign::kWaitsForLock},
      {"down_write", Sign::kWaitsForLock},
      {"__down_common", Sign::kWaitsForLock},
      {"__down", Sign::kWaitsForLock},
      {"percpu_rwsem_wait", Sign::kWaitsForPercpuLock},
      {"__percpu_down_read", Sign::kWaitsForPercpuLock},
      {"percpu_down_write", Sign::kWaitsForPercpuLock},
      // frozen file systems (fs/super.c)
      {"__sb_start_write", Sign::kWaitsForFrozenFs},
      {"sb_start_write", Sign::kWaitsForFrozenFs},
      {"mnt_want_write", Sign::kWaitsForFrozenFs},
      {"mnt_want_write_file", Sign::kWaitsForFrozenFs},
      {"freeze_super", Sign::kWaitsForFrozenFs},
      // mm/vmscan.c, mm/memcontrol.c
      {"reclaim_throttle", Sign::kWaitsForReclaim},
      {"congestion_wait", Sign::kWaitsForReclaim},
      {"throttle_direct_reclaim", Sign::kWaitsForReclaim},
      {"shrink_inactive_list", Sign::kForReclaim},
      {"shrink_folio_list", Sign::kForReclaim},
      {"shrink_page_list", Sign::kForReclaim},
      {"shrink_lruvec", Sign::kForReclaim},
      {"shrink_node", Sign::kForReclaim},
      {"try_to_free_pages", Sign::kForReclaim},
      {"try_to_free_mem_cgroup_pages", Sign::kForCgroupReclaim},
      // mm/memory.c, mm/swap_state.c, mm/page_io.c, mm/shmem.c
      {"do_swap_page", Sign::kForSwapIn},
      {"swapin_readahead", Sign::kForSwapIn},
      {"read_swap_cache_async", Sign::kForSwapIn},
      {"swap_cluster_readahead", Sign::kForSwapIn},
      {"swap_read_folio", Sign::kForSwapIn},
      {"swap_readpage", Sign::kForSwapIn},
      {"shmem_swapin_folio", Sign::kForSwapIn},
      // network and user-space file systems
      {"request_wait_answer", Sign::kWaitsForNetwork},
      {"rpc_wait_bit_killable", Sign::kWaitsForNetwork},
      {"wait_on_commit", Sign::kWaitsForNetwork},
  };
  return table;
}

struct PrefixSign {
  std::string_view prefix;
  Sign sign;
};
constexpr std::array kPrefixSigns = std::to_array<PrefixSign>({
    {"kvm_", Sign::kInKvm},
    {"vmx_", Sign::kInKvm},
    {"svm_", Sign::kInKvm},
    {"nfs_", Sign::kForNetwork},
    {"nfs4_", Sign::kForNetwork},
    {"rpc_", Sign::kForNetwork},
    {"ceph_", Sign::kForNetwork},
    {"cifs_", Sign::kForNetwork},
    {"smb2_", Sign::kForNetwork},
    {"fuse_", Sign::kForNetwork},
    {"gfs2_", Sign::kForNetwork},
    {"ocfs2_", Sign::kForNetwork},
});

// Who else uses per-CPU rwsems: without these around it, the wait is for a frozen file system.
constexpr std::array kPercpuLockUsers = std::to_array<std::string_view>({"cpus_read_lock",
                                                                         "cpus_write_lock",
                                                                         "exit_signals",
                                                                         "copy_process",
                                                                         "begin_new_exec",
                                                                         "dup_mmap",
                                                                         "uprobe_mmap"});

Sign sign_of(std::string_view name) {
  if (const auto at = signs().find(name); at != signs().end()) {
    return at->second;
  }
  for (const auto& [prefix, sign] : kPrefixSigns) {
    if (name.starts_with(prefix)) {
      return sign;
    }
  }
  return Sign::kNone;
}

bool uses_percpu_lock_otherwise(std::span<const std::string> stack) {
  return std::any_of(stack.begin(), stack.end(), [](const std::string& frame) {
    const auto name = function_name(frame);
    return name.starts_with("cgroup_") ||
           std::find(kPercpuLockUsers.begin(), kPercpuLockUsers.end(), name) !=
               kPercpuLockUsers.end();
  });
}

// On whose behalf the IO at the inner end of the stack is waited for.
void refine(StackCause& cause, std::span<const std::string> outer) {
  for (const std::string& frame : outer) {
    switch (sign_of(function_name(frame))) {
      case Sign::kForSwapIn:
        cause.cause = HungTaskCause::kSwapIn;
        return;
      case Sign::kForNetwork:
      case Sign::kWaitsForNetwork:
        cause.cause = HungTaskCause::kNetworkFs;
        return;
      case Sign::kForReclaim:
        cause.cause = HungTaskCause::kReclaim;
        break;  // further out it may turn out to be a cgroup's
      case Sign::kForCgroupReclaim:
        cause.cause = HungTaskCause::kReclaim;
        cause.cgroup_reclaim = true;
        return;
      default:
        break;
    }
  }
}

}  // namespace

std::string_view function_name(std::string_view frame) {
  return frame.substr(0, frame.find_first_of("+ ."));
}

StackCause classify_stack(std::span<const std::string> stack) {
  StackCause result;
  for (std::size_t i = 0; i < stack.size(); ++i) {
    const auto outer = stack.subspan(i + 1);
    switch (sign_of(function_name(stack[i]))) {
      case Sign::kNone:
        continue;
      case Sign::kWaitsForIoSelfWaking:
        result.self_waking = true;
        [[fallthrough]];
      case Sign::kWaitsForIo:
        result.cause = HungTaskCause::kBlockIo;
        // A wait for a bio may lie one frame further out than its io_schedule().
        for (const std::string& frame : outer.first(std::min<std::size_t>(outer.size(), 2))) {
          result.self_waking |= sign_of(function_name(frame)) == Sign::kWaitsForIoSelfWaking;
        }
        refine(result, outer);
        return result;
      case Sign::kWaitsForJournal:
        result.cause = HungTaskCause::kFilesystemJournal;
        return result;
      case Sign::kWaitsForLock:
        result.cause = HungTaskCause::kLock;
        return result;
      case Sign::kWaitsForPercpuLock:
        result.cause =
            uses_percpu_lock_otherwise(stack) ? HungTaskCause::kLock : HungTaskCause::kFrozenFs;
        return result;
      case Sign::kWaitsForFrozenFs:
        result.cause = HungTaskCause::kFrozenFs;
        return result;
      case Sign::kWaitsForReclaim:
      case Sign::kForReclaim:
      case Sign::kForCgroupReclaim:
        result.cause = HungTaskCause::kReclaim;
        refine(result, stack.subspan(i));
        result.cause = HungTaskCause::kReclaim;
        return result;
      case Sign::kForSwapIn:
        result.cause = HungTaskCause::kSwapIn;
        return result;
      case Sign::kWaitsForNetwork:
      case Sign::kForNetwork:
        result.cause = HungTaskCause::kNetworkFs;
        return result;
      case Sign::kInKvm:
        result.cause = HungTaskCause::kKvm;
        return result;
    }
  }
  return result;
}

std::uint64_t stack_fingerprint(std::span<const std::string> stack) {
  constexpr std::size_t depth = 8;
  std::uint64_t hash = 0;
  for (const std::string& frame : stack.first(std::min(stack.size(), depth))) {
    const std::uint64_t one = std::hash<std::string_view>()(function_name(frame));
    hash = (hash ^ one) * 0x9E3779B97F4A7C15ULL + 1;  // order counts
  }
  return stack.empty() ? 0 : hash | 1;
}

}  // namespace hvguard
