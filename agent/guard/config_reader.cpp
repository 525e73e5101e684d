#include "guard/config_reader.h"

#include <array>
#include <system_error>
#include <thread>
#include <utility>

#include <pwd.h>

namespace hvguard::guard {
namespace {

void look_up_gateway(ReadConfig& read) {
  std::array<char, 16 * 1024> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  const std::string& user = read.loaded.config.core_socket.gateway_user;
  if (::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr) {
    read.gateway_uid = entry.pw_uid;
    read.gateway_gid = entry.pw_gid;
  }
}

}  // namespace

ReadConfig read_config(const std::string& path) {
  ReadConfig read;
  read.loaded = config::load(path);
  if (read.loaded.faults.empty()) {
    look_up_gateway(read);
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
