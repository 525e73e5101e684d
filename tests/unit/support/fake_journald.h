// A datagram socket in place of journald's, for tests of what is audited.
#pragma once

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"

namespace hvguard::tests {

class FakeJournald {
 public:
  FakeJournald() {
    std::string pattern = testing::TempDir() + "hvguard-journal-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path().data(), path().size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ~FakeJournald() { std::filesystem::remove_all(folder_); }
  FakeJournald(const FakeJournald&) = delete;
  FakeJournald& operator=(const FakeJournald&) = delete;

  [[nodiscard]] std::string path() const { return folder_ + "/socket"; }
  // The oldest record as it came; empty if there is none.
  [[nodiscard]] std::string receive() const {
    std::array<char, 65536> buffer{};
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    return size < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(size));
  }
  // The MESSAGE of each record since the last call.
  [[nodiscard]] std::vector<std::string> messages() const {
    std::vector<std::string> out;
    for (std::string record = receive(); !record.empty(); record = receive()) {
      out.emplace_back(record.substr(8, record.find('\n') - 8));
    }
    return out;
  }

 private:
  std::string folder_;
  UniqueFd fd_;
};

}  // namespace hvguard::tests
