// HostRoot: the three kernel trees, held open as directories under an injected root, and small
// helpers that read in them. Opened once by the sampler and by the probe; used on their own thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"

namespace hvguard::observe {

class HostRoot {
 public:
  // Fails only without proc/. sys/ and the cgroup v2 mount (found by /proc/self/mountinfo) may be
  // missing: sys().valid() is then false, cgroup() null.
  static Result<HostRoot> open(const std::string& root);

  [[nodiscard]] const DirFd& proc() const { return proc_; }
  [[nodiscard]] const DirFd& sys() const { return sys_; }
  [[nodiscard]] const DirFd* cgroup() const { return cgroup_.valid() ? &cgroup_ : nullptr; }
  // True for "/": PIDs in proc/ are processes of this machine, so pidfds make sense.
  [[nodiscard]] bool live() const { return live_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  DirFd proc_;
  DirFd sys_;
  DirFd cgroup_;
  bool live_ = false;
  std::string path_;
};

// A file opened once and read many times from its start. What cannot be opened stays closed until
// open() is called again, so that a missing file costs nothing per tick.
class KeptFile {
 public:
  KeptFile() = default;
  explicit KeptFile(std::string path) : path_(std::move(path)) {}

  // Does nothing if it is open. The error is kept and returned by the reads until then.
  void open(const DirFd& dir);
  [[nodiscard]] bool is_open() const { return fd_.valid(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  // The whole file.
  [[nodiscard]] Result<std::string_view> read(std::span<char> buffer) const;
  // The same with a single pread, for kernel files that are written as one record (seq_file's
  // single_open; cgroup files but for lists): a second pread would make the kernel build the whole
  // text again only to say that it has ended.
  [[nodiscard]] Result<std::string_view> read_record(std::span<char> buffer) const;

 private:
  std::string path_;
  UniqueFd fd_;
  int open_errno_ = 0;
};

// Names in a directory without "." and "..", read anew from its start; at most max_count, the rest
// is left out.
struct DirectoryList {
  std::vector<std::string> names;
  bool truncated = false;
};
[[nodiscard]] Result<DirectoryList> list_directory(const DirFd& dir, std::size_t max_count);
// The numeric names: processes of proc/, threads of PID/task/.
struct NumericList {
  std::vector<Pid> ids;
  bool truncated = false;
};
[[nodiscard]] Result<NumericList> list_numeric(const DirFd& dir, std::size_t max_count);

}  // namespace hvguard::observe
