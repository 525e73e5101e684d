#include "observe/probe_facts.h"

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "observe/cgroupfs.h"
#include "observe/host_root.h"
#include "observe/procfs.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kMaxThreads = 256;
constexpr std::size_t kMaxFds = 4096;

ProbeAnswer answer_to(const ProbeRequest& request, ProbeStage stage) {
  ProbeAnswer answer;
  answer.id = request.id;
  answer.stage = stage;
  return answer;
}

void set_error(ProbeAnswer& answer, const Error& error) {
  answer.error = error.message;
  answer.gone = error.code == Errc::kGone;
}

std::optional<std::string> read_link(const DirFd& dir, const std::string& name) {
  std::array<char, 4096> target;
  const ssize_t size = ::readlinkat(dir.get(), name.c_str(), target.data(), target.size());
  if (size < 0) {
    return std::nullopt;
  }
  return std::string(target.data(), static_cast<std::size_t>(size));
}

Result<std::string> read_cgroup_path(const DirFd& process, const std::string& relative) {
  std::array<char, 16384> buffer;
  const auto text = read_file_at(process, relative, buffer);
  if (!text) {
    return fail(text.error());
  }
  return std::string(parse_cgroup2_path(*text).value_or(std::string_view()));
}

// The deepest cgroup that holds all threads: libvirt gives vCPUs threaded cgroups of their own.
Result<std::string> shared_cgroup_path(const DirFd& process) {
  auto path = read_cgroup_path(process, "cgroup");
  const auto tasks = process.open_dir("task");
  if (!path || path->empty() || !tasks) {
    return path;
  }
  const auto threads = list_numeric(*tasks, kMaxThreads);
  if (!threads) {
    return path;
  }
  for (const Pid tid : threads->ids) {
    const auto of_thread = read_cgroup_path(*tasks, std::to_string(tid) + "/cgroup");
    if (of_thread && !of_thread->empty()) {
      path = std::string(common_parent(*path, *of_thread));
    }
  }
  return path;
}

bool holds_kvm_vm(const DirFd& process) {
  const auto fds = process.open_dir("fd");
  if (!fds) {
    return false;
  }
  const auto list = list_directory(*fds, kMaxFds);
  if (!list) {
    return false;
  }
  for (const auto& name : list->names) {
    if (read_link(*fds, name) == "anon_inode:kvm-vm") {
      return true;
    }
  }
  return false;
}

ProbeAnswer process_answer(const DirFd& process, const ProbeRequest& request) {
  auto answer = answer_to(request, ProbeStage::kProcess);
  std::array<char, 4096> buffer;
  const auto stat = read_file_at(process, "stat", buffer);
  if (!stat) {
    set_error(answer, stat.error());
    return answer;
  }
  if (const auto ticks = parse_stat_start_ticks(*stat)) {
    answer.number = static_cast<std::int64_t>(*ticks);
  }
  if (auto exe = read_link(process, "exe")) {
    static constexpr std::string_view deleted_mark = " (deleted)";
    std::string_view path = *exe;
    path.remove_suffix(path.ends_with(deleted_mark) ? deleted_mark.size() : 0);
    answer.text = path.substr(path.rfind('/') + 1);
  } else {
    set_error(answer, fail_errno(errno, "read link exe").value());
  }
  answer.flag = holds_kvm_vm(process);
  return answer;
}

ProbeAnswer command_line_answer(const DirFd& process, const ProbeRequest& request) {
  auto answer = answer_to(request, ProbeStage::kCommandLine);
  const auto file = process.open_file("cmdline", O_RDONLY);
  if (!file) {
    set_error(answer, file.error());
    return answer;
  }
  std::vector<char> buffer(kMaxCommandLineBytes);
  std::size_t used = 0;
  while (used < buffer.size()) {  // what is longer is cut: names and sizes stand early
    const ssize_t count = ::read(file->get(), buffer.data() + used, buffer.size() - used);
    if (count < 0) {
      set_error(answer, fail_errno(errno, "read cmdline").value());
      return answer;
    }
    if (count == 0) {
      break;
    }
    used += static_cast<std::size_t>(count);
  }
  answer.text.assign(buffer.data(), used);
  return answer;
}

}  // namespace

void probe_process(const DirFd& proc, const ProbeRequest& request, const SendAnswer& send) {
  const auto process = proc.open_dir(std::to_string(request.tgid));
  if (!process) {
    auto answer = answer_to(request, ProbeStage::kCommandLine);
    set_error(answer, process.error());
    send(answer);
    return;
  }
  auto cgroup = answer_to(request, ProbeStage::kCgroup);
  if (auto path = shared_cgroup_path(*process)) {
    cgroup.text = std::move(*path);
  } else {
    set_error(cgroup, path.error());
  }
  send(cgroup);
  send(process_answer(*process, request));
  send(command_line_answer(*process, request));
}

}  // namespace hvguard::observe
