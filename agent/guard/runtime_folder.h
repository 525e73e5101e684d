// /run/hvguard: where the socket and the saved state live, and the lock that keeps a second
// hvguardd away. Opened once, held as long as the process lives.
#pragma once

#include <string>

#include "base/fd.h"

namespace hvguard::guard {

inline constexpr std::string_view kDefaultRuntimeFolder = "/run/hvguard";

class RuntimeFolder {
 public:
  // Makes the folder if it is missing (its parent must exist), mode 0755. kUnavailable: another
  // hvguardd holds the lock; the message names its PID.
  static Result<RuntimeFolder> claim(const std::string& path);

  [[nodiscard]] const DirFd& dir() const { return dir_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  RuntimeFolder(DirFd dir, UniqueFd lock, std::string path)
      : dir_(std::move(dir)), lock_(std::move(lock)), path_(std::move(path)) {}

  DirFd dir_;
  UniqueFd lock_;
  std::string path_;
};

}  // namespace hvguard::guard
