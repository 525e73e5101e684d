// FakeCore: a stand-in for hvguardd on a core.sock of its own. Speaks core_link.proto; tells what
// the test says, when it says so.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
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
  // How requests to change something are answered; none: not at all, and the connection stays open.
  using OnAdmin = std::function<std::optional<v1::AdminReply>(const v1::AdminCall&)>;
  void on_admin(OnAdmin answer);
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
  std::vector<UniqueFd> unanswered_;
  OnAdmin on_admin_;
  std::thread thread_;
};

}  // namespace hvguard::test
