#include "guard/config_reader.h"

#include <array>
#include <system_error>
#include <thread>
#include <utility>

#include <pwd.h>

namespace hvguard::guard {
namespace {

struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;
};

std::optional<UserIds> look_up(const std::string& user) {
  std::array<char, 16 * 1024> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return UserIds{.uid = entry.pw_uid, .gid = entry.pw_gid};
}

}  // namespace

ReadConfig read_config(const std::string& path) {
  ReadConfig read;
  read.loaded = config::load(path);
  if (read.loaded.faults.empty()) {
    const CoreSocketConfig& socket = read.loaded.config.core_socket;
    if (const auto gateway = look_up(socket.gateway_user)) {
      read.gateway_uid = gateway->uid;
      read.gateway_gid = gateway->gid;
    }
    if (const auto spool = look_up(socket.spool_user)) {
      read.spool_uid = spool->uid;
    }
  }
  return read;
}

Result<bool> ConfigReader::start(std::function<void(ReadConfig)> done) {
  if (*busy_) {
    return false;
  }
  // The thread is never joined, since it may hang; so it owns all that it touches.
  auto work = [inbox = inbox_, path = path_, busy = busy_, done = std::move(done)] {
    auto read = std::make_shared<ReadConfig>(read_config(path));
    const Inbox::Item item = [busy, done, read] {
      *busy = false;
      done(std::move(*read));
    };
    while (!inbox->post(item)) {  // full: the loop is behind, and will take it soon
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  };
  try {
    std::thread(std::move(work)).detach();
  } catch (const std::system_error& error) {
    return fail(Errc::kExhausted,
                std::string("start the reader of the configuration: ") + error.what());
  }
  *busy_ = true;
  return true;
}

}  // namespace hvguard::guard
