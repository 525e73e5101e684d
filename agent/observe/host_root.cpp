#include "observe/host_root.h"

#include <array>
#include <cerrno>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/parse.h"
#include "observe/procfs.h"

namespace hvguard::observe {
namespace {

constexpr std::size_t kMountinfoBytes = std::size_t{1} << 20;

// Calls take(name) until it returns false or the directory ends.
template <class Take>
Result<> for_each_name(const DirFd& dir, Take take) {
  if (::lseek(dir.get(), 0, SEEK_SET) < 0) {
    return fail_errno(errno, "rewind directory");
  }
  alignas(dirent64) std::array<char, 32768> buffer;
  while (true) {
    const ssize_t count = ::getdents64(dir.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return fail_errno(errno, "list directory");
    }
    if (count == 0) {
      return {};
    }
    for (ssize_t at = 0; at < count;) {
      // The kernel writes records one behind the other, each aligned as the struct needs.
      const auto* const entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += entry->d_reclen;
      const std::string_view name(&entry->d_name[0]);
      if (name != "." && name != ".." && !take(name)) {
        return {};
      }
    }
  }
}

}  // namespace

Result<HostRoot> HostRoot::open(const std::string& root) {
  const std::string prefix = root == "/" ? std::string() : root;
  HostRoot host;
  host.path_ = root;
  host.live_ = root == "/";
  auto proc = DirFd::open(prefix + "/proc");
  if (!proc) {
    return fail(std::move(proc).error());
  }
  host.proc_ = std::move(*proc);
  if (auto sys = DirFd::open(prefix + "/sys")) {
    host.sys_ = std::move(*sys);
  }
  std::vector<char> buffer(kMountinfoBytes);
  if (const auto mountinfo = read_file_at(host.proc_, "self/mountinfo", buffer)) {
    const std::string mount = parse_cgroup2_mount(*mountinfo);
    if (!mount.empty()) {
      if (auto cgroup = DirFd::open(prefix + mount)) {
        host.cgroup_ = std::move(*cgroup);
      }
    }
  }
  return host;
}

void KeptFile::open(const DirFd& dir) {
  if (fd_.valid()) {
    return;
  }
  auto fd = dir.open_file(path_, O_RDONLY);
  if (fd) {
    fd_ = std::move(*fd);
    open_errno_ = 0;
  } else {
    open_errno_ = fd.error().sys_errno;
  }
}

Result<std::string_view> KeptFile::read(std::span<char> buffer) const {
  if (!fd_.valid()) {
    return fail_errno(open_errno_ != 0 ? open_errno_ : ENOENT, path_);
  }
  auto text = read_from_start(fd_.get(), buffer);
  if (!text) {
    return fail(std::move(text).error().context(path_));
  }
  return text;
}

Result<std::string_view> KeptFile::read_record(std::span<char> buffer) const {
  if (!fd_.valid()) {
    return fail_errno(open_errno_ != 0 ? open_errno_ : ENOENT, path_);
  }
  ssize_t count = 0;
  do {
    count = ::pread(fd_.get(), buffer.data(), buffer.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    return fail_errno(errno, path_);
  }
  if (static_cast<std::size_t>(count) == buffer.size()) {
    return fail(Errc::kExhausted, path_ + ": longer than the buffer");
  }
  return std::string_view(buffer.data(), static_cast<std::size_t>(count));
}

Result<DirectoryList> list_directory(const DirFd& dir, std::size_t max_count) {
  DirectoryList list;
  auto done = for_each_name(dir, [&](std::string_view name) {
    if (list.names.size() == max_count) {
      list.truncated = true;
      return false;
    }
    list.names.emplace_back(name);
    return true;
  });
  if (!done) {
    return fail(std::move(done).error());
  }
  return list;
}

Result<NumericList> list_numeric(const DirFd& dir, std::size_t max_count) {
  NumericList list;
  auto done = for_each_name(dir, [&](std::string_view name) {
    const auto id = parse_number<Pid>(name);
    if (!id || *id <= 0) {
      return true;
    }
    if (list.ids.size() == max_count) {
      list.truncated = true;
      return false;
    }
    list.ids.push_back(*id);
    return true;
  });
  if (!done) {
    return fail(std::move(done).error());
  }
  return list;
}

}  // namespace hvguard::observe
