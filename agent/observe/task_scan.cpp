#include "observe/task_scan.h"

#include <fcntl.h>

#include <string>
#include <utility>

#include "observe/procfs.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kMaxThreadsPerProcess = 65536;
constexpr std::size_t kMaxCommBytes = 15;

BlockedTask blocked_task(const TaskStatus& status) {
  BlockedTask task;
  task.id.tid = status.pid;
  task.tgid = status.tgid;
  task.comm = status.comm.substr(0, kMaxCommBytes);
  task.kernel_thread = !status.has_memory;
  task.blocked_class = BlockedClass::kUnknown;
  task.switch_count = status.switch_count;
  return task;
}

class Scanner {
 public:
  Scanner(const HostRoot& root, std::span<char> buffer, TaskScan& scan)
      : root_(root), buffer_(buffer), scan_(scan) {}

  void scan_process(Pid pid) {
    const std::string directory = std::to_string(pid);
    const auto leader = read_status(directory + "/status");
    if (!leader) {
      return;  // it has ended meanwhile
    }
    if (leader->thread_count.value_or(1) <= 1) {
      take(*leader);
      return;
    }
    const auto tasks = root_.proc().open_dir(directory + "/task");
    const auto threads = tasks ? list_numeric(*tasks, kMaxThreadsPerProcess) : fail(tasks.error());
    if (!threads) {
      return;
    }
    scan_.dropped_count += threads->truncated ? 1U : 0U;
    for (const Pid tid : threads->ids) {
      if (const auto status = read_status(directory + "/task/" + std::to_string(tid) + "/status")) {
        take(*status);
      }
    }
  }

 private:
  std::optional<TaskStatus> read_status(const std::string& path) {
    const auto file = root_.proc().open_file(path, O_RDONLY);
    const auto text = file ? read_from_start(file->get(), buffer_) : fail(file.error());
    return text ? parse_task_status(*text) : std::nullopt;
  }

  void take(const TaskStatus& status) {
    ++scan_.pass.seen_count;
    if (status.state != 'D') {
      return;
    }
    if (scan_.pass.blocked.size() == kMaxBlockedTasks) {
      ++scan_.dropped_count;
      return;
    }
    scan_.pass.blocked.push_back(blocked_task(status));
  }

  const HostRoot& root_;
  std::span<char> buffer_;
  TaskScan& scan_;
};

}  // namespace

Result<TaskScan> scan_tasks(const HostRoot& root, std::span<char> buffer, BootTime now) {
  TaskScan scan;
  scan.pass.pass_time = now;
  const auto processes = list_numeric(root.proc(), kMaxScannedTasks);
  if (!processes) {
    return fail(processes.error());
  }
  scan.dropped_count += processes->truncated ? 1U : 0U;
  Scanner scanner(root, buffer, scan);
  for (const Pid pid : processes->ids) {
    if (scan.pass.seen_count >= kMaxScannedTasks) {
      ++scan.dropped_count;
      break;
    }
    scanner.scan_process(pid);
  }
  return scan;
}

}  // namespace hvguard::observe
