// Child processes of tests: started, watched, and ended with the object.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <sys/types.h>

#include "base/time.h"

namespace hvguard::test {

struct ProcessSetup {
  std::optional<uid_t> uid;  // root only: run as this user, without groups
  std::optional<rlim_t> max_open_files;
  std::vector<std::string> environment;  // "NAME=value"
};

class Process {
 public:
  // stderr goes to the file err_path, stdout to out_path; empty: to nowhere.
  Process(const std::vector<std::string>& arguments,
          const std::string& out_path,
          const std::string& err_path,
          const ProcessSetup& setup = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const;
  // Exit code, or 128 + signal; none if it still runs at the deadline.
  std::optional<int> wait(Nanoseconds within);
  [[nodiscard]] bool running();
  // VmRSS in bytes; 0 if it has gone.
  [[nodiscard]] std::uint64_t resident_bytes() const;
  [[nodiscard]] std::uint64_t thread_count() const;
  // CPU time so far.
  [[nodiscard]] Nanoseconds cpu_time() const;

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

[[nodiscard]] std::string read_whole_file(const std::string& path);

}  // namespace hvguard::test
