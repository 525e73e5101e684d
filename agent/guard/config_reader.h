// Reads the configuration and looks up the users of the
// gateway and the spool: both may touch a dead disk or a slow
// directory service. At the start it runs on the main thread; for a reload on a thread of its own
// that posts what it got into the loop's inbox.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <sys/types.h>

#include "config/load.h"
#include "guard/inbox.h"

namespace hvguard::guard {

struct ReadConfig {
  config::Loaded loaded;
  std::optional<uid_t> gateway_uid;  // none: there is no such user, so only root may connect
  std::optional<gid_t> gateway_gid;
  std::optional<uid_t> spool_uid;  // none: there is no such user
};

[[nodiscard]] ReadConfig read_config(const std::string& path);

// Loop thread only.
class ConfigReader {
 public:
  ConfigReader(std::shared_ptr<Inbox> inbox, std::string path)
      : inbox_(std::move(inbox)), path_(std::move(path)) {}

  // `done` runs on the loop. False: a read is under way already, and nothing was started.
  [[nodiscard]] Result<bool> start(std::function<void(ReadConfig)> done);
  // A read is under way: its thread is left behind if the process ends now.
  [[nodiscard]] bool busy() const { return *busy_; }

 private:
  std::shared_ptr<Inbox> inbox_;
  std::string path_;
  std::shared_ptr<bool> busy_ = std::make_shared<bool>(false);  // loop thread only
};

}  // namespace hvguard::guard
