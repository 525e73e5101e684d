#include "base/fd.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace hvguard {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    reset(other.release());
  }
  return *this;
}

int UniqueFd::release() {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) {
    ::close(fd_);
  }
  fd_ = fd;
}

Result<DirFd> DirFd::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    return fail_errno(errno, "open directory " + path);
  }
  return DirFd(std::move(fd));
}

Result<DirFd> DirFd::open_dir(const std::string& relative) const {
  UniqueFd fd(::openat(fd_.get(), relative.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    return fail_errno(errno, "open directory " + relative);
  }
  return DirFd(std::move(fd));
}

Result<UniqueFd> DirFd::open_file(const std::string& relative, int flags) const {
  UniqueFd fd(::openat(fd_.get(), relative.c_str(), flags | O_CLOEXEC));
  if (!fd.valid()) {
    return fail_errno(errno, "open " + relative);
  }
  return fd;
}

Result<std::string_view> read_from_start(int fd, std::span<char> buffer) {
  std::size_t used = 0;
  while (used < buffer.size()) {
    const ssize_t count =
        ::pread(fd, buffer.data() + used, buffer.size() - used, static_cast<off_t>(used));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return fail_errno(errno, "read");
    }
    if (count == 0) {
      return std::string_view(buffer.data(), used);
    }
    used += static_cast<std::size_t>(count);
  }
  return fail(Errc::kExhausted, "read: longer than the buffer of " + std::to_string(buffer.size()));
}

Result<> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return fail_errno(errno, "write");
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<> replace_file_at(int folder,
                         const std::string& name,
                         std::string_view bytes,
                         mode_t mode,
                         Durability durability) {
  const std::string temporary = name + ".new";
  const UniqueFd file(::openat(
      folder, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!file.valid()) {
    return fail_errno(errno, "create " + temporary);
  }
  if (auto written = write_all(file.get(), bytes); !written) {
    return fail(std::move(written).error().context(temporary));
  }
  const bool sync = durability == Durability::kDisk;
  if (sync && ::fsync(file.get()) != 0) {
    return fail_errno(errno, "flush " + temporary);
  }
  if (::renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) {
    return fail_errno(errno, "rename " + temporary);
  }
  if (sync && ::fsync(folder) != 0) {
    return fail_errno(errno, "flush the folder of " + name);
  }
  return {};
}

Result<std::string_view> read_file_at(const DirFd& dir,
                                      const std::string& relative,
                                      std::span<char> buffer) {
  auto file = dir.open_file(relative, O_RDONLY);
  if (!file) {
    return fail(std::move(file).error());
  }
  auto text = read_from_start(file->get(), buffer);
  if (!text) {
    return fail(std::move(text).error().context(relative));
  }
  return text;
}

}  // namespace hvguard
