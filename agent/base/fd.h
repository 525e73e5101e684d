// Owned file descriptors and bounded reads through directory descriptors.
// A kept directory fd cannot be confused with a later directory of the same name, and no path is
// walked again. Used by every adapter, on any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"

namespace hvguard {

// Move-only owner of one descriptor; -1 means none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release();
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// A directory held open (O_PATH is not enough: entries are also listed).
class DirFd {
 public:
  DirFd() = default;
  explicit DirFd(UniqueFd fd) : fd_(std::move(fd)) {}

  static Result<DirFd> open(const std::string& path);
  [[nodiscard]] Result<DirFd> open_dir(const std::string& relative) const;
  [[nodiscard]] Result<UniqueFd> open_file(const std::string& relative, int flags) const;
  [[nodiscard]] int get() const { return fd_.get(); }
  [[nodiscard]] bool valid() const { return fd_.valid(); }

 private:
  UniqueFd fd_;
};

// Reads from offset 0 into the caller's buffer; the view ends at the data's end. A file longer than
// the buffer is kExhausted, never a silent truncation. kGone: the file's object has vanished.
Result<std::string_view> read_from_start(int fd, std::span<char> buffer);
// All of it; on failure some of it may have been written.
Result<> write_all(int fd, std::string_view bytes);

enum class Durability { kMemory, kDisk };  // kDisk: on the disk (fsync) before it returns
// The file `name` of the folder has the new content or, on failure, the old, never a part of it:
// NAME.new is written and renamed.
Result<> replace_file_at(int folder,
                         const std::string& name,
                         std::string_view bytes,
                         mode_t mode,
                         Durability durability);
// Opens, reads, closes: for what is read once.
Result<std::string_view> read_file_at(const DirFd& dir,
                                      const std::string& relative,
                                      std::span<char> buffer);

}  // namespace hvguard
