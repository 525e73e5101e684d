// Real trouble for the tests of the eBPF sources: loop devices, file systems in them, freezes,
// processes that block. Everything is undone by its destructor and, should the test die without
// running one (assertion, SIGKILL by the time limit), by the kernel or a watcher process: mounts
// live in a mount namespace of the test's own, loop devices clear themselves on last close, and a
// frozen file system is thawed by a child that waits for the test's death.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/ids.h"
#include "base/time.h"

namespace hvguard::lab {

// Until `condition` holds; false if it did not within the deadline.
template <class Condition>
bool wait_for(Condition condition, std::chrono::milliseconds deadline = std::chrono::seconds(10)) {
  const BootTime end = boot_time_now() + deadline;
  while (!condition()) {
    if (boot_time_now() > end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

// A tmpfs directory that nobody else sees; gone with the process.
class Directory {
 public:
  explicit Directory(const std::string& size = "2g");  // as mount's size= takes it
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A new sparse file.
std::string make_file(const std::string& path, std::uint64_t size);
// A new image with an empty ext4 in it.
std::string make_ext4_image(const std::string& path, std::uint64_t size);

class LoopDevice {
 public:
  explicit LoopDevice(const std::string& backing_file);
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice() = default;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string name() const { return path_.substr(path_.rfind('/') + 1); }
  [[nodiscard]] DeviceId id() const { return id_; }
  // Writes /sys/block/<name>/queue/scheduler.
  void set_scheduler(const std::string& scheduler) const;

 private:
  std::string path_;
  UniqueFd fd_;
  DeviceId id_;
};

class Mount {
 public:
  Mount(const std::string& device, const std::string& directory);
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  ~Mount();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Freezes a file system until thaw() or destruction.
class Freeze {
 public:
  explicit Freeze(const std::string& mount_point);
  Freeze(const Freeze&) = delete;
  Freeze& operator=(const Freeze&) = delete;
  ~Freeze() { thaw(); }
  void thaw();

 private:
  UniqueFd fd_;
  pid_t watcher_ = -1;
};

// A child process that runs `body` and exits; killed and reaped on destruction. It dies with the
// test, too.
class Process {
 public:
  explicit Process(const std::function<void()>& body);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { kill(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // Waits for its end; its exit status, or -1 after the deadline.
  int wait(std::chrono::milliseconds deadline = std::chrono::seconds(20));
  void kill();

 private:
  pid_t pid_ = -1;
};

// Memory shared with children: what a body wants to tell.
struct Shared {
  std::int64_t boot_nanoseconds = 0;
  int started = 0;
  int go = 0;
  int done = 0;
};
class SharedMemory {
 public:
  SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();
  Shared* operator->() const { return shared_; }

 private:
  Shared* shared_;
};

int load(const int& value);
void store(int& value, int next);

// Start time of a process as the kernel keeps it, to the clock tick (10 ms).
BootTime start_time(pid_t pid);

// Threads of a process whose state reads D.
int blocked_threads(pid_t pid);

// A loop device that has stopped answering: its backing file lies on a frozen ext4. Reads and
// writes that came before revive() hang until then.
class DeadDisk {
 public:
  explicit DeadDisk(const Directory& directory);
  [[nodiscard]] const LoopDevice& disk() const { return *disk_; }
  void freeze();
  void revive();

 private:
  std::unique_ptr<LoopDevice> outer_;
  std::unique_ptr<Mount> mount_;
  std::unique_ptr<LoopDevice> disk_;
  std::unique_ptr<Freeze> freeze_;
};

}  // namespace hvguard::lab
