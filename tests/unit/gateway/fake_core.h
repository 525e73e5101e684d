// FakeCore: a stand-in for hvguardd on a core.sock of its own. Speaks core_link.proto; tells what
// the test says, when it says so.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "link/frame_assembler.h"

namespace hvguard::test {

class FakeCore {
 public:
  explicit FakeCore(std::string path);
  ~FakeCore();
  FakeCore(const FakeCore&) = delete;
  FakeCore& operator=(const FakeCore&) = delete;

  // To all subscribers now, and to those who come later.
  void tell(const link::Frame& frame);
  // Sends these packets to all subscribers, whatever they are.
  void tell_packets(const std::vector<std::string>& packets);
  // How many have subscribed and are still there.
  [[nodiscard]] std::size_t subscriber_count();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void run();
  void serve(UniqueFd client);

  const std::string path_;
  UniqueFd listener_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::vector<std::string> packets_;
  std::vector<UniqueFd> subscribers_;
  std::thread thread_;
};

}  // namespace hvguard::test
