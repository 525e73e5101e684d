#include "guard/outlets.h"

#include <algorithm>
#include <array>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/parse.h"
#include "guard/log.h"

namespace hvguard::guard {
namespace {

Result<BootId> read_boot_id() {
  std::array<char, 64> buffer{};
  const auto folder = DirFd::open("/proc/sys/kernel/random");
  if (!folder) {
    return fail(folder.error());
  }
  const auto text = read_file_at(*folder, "boot_id", buffer);
  if (!text) {
    return fail(text.error());
  }
  return BootId(trimmed(*text));
}

// The socket lies in the runtime folder, unless the configuration names another place.
std::string socket_path(const config::Loaded& loaded, const std::string& runtime_folder) {
  return loaded.origins.contains("core_socket.path") ? loaded.config.core_socket.path
                                                     : runtime_folder + "/core.sock";
}

// Later than every epoch before, also where the file with the last one is lost.
std::uint64_t next_epoch(std::uint64_t last) {
  const auto wall_seconds =
      std::chrono::duration_cast<std::chrono::seconds>(wall_time_now().since_epoch).count();
  return std::max(last + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(1, wall_seconds)));
}

}  // namespace

Result<Outlets> open_outlets(sd_event* event,
                             const RuntimeFolder& folder,
                             const ReadConfig& config) {
  const auto boot_id = read_boot_id();
  auto journal = publish::Journal::open(std::string(publish::kJournalSocket));
  if (!boot_id || !journal) {
    return fail(!boot_id ? boot_id.error() : journal.error());
  }
  auto server = publish::CoreServer::listen(event,
                                            {.path = socket_path(config.loaded, folder.path()),
                                             .gateway_uid = config.gateway_uid,
                                             .gateway_gid = config.gateway_gid,
                                             .spool_uid = config.spool_uid});
  if (!server) {
    return fail(std::move(server).error());
  }
  if (!config.gateway_uid) {
    spdlog::warn("user {} does not exist: only root can use the socket",
                 config.loaded.config.core_socket.gateway_user);
  }
  publish::StateFile state_file(folder.dir().get(), "state.pb");
  publish::RestoredState restored = state_file.load(*boot_id);
  if (!restored.note.empty()) {
    spdlog::warn("{}/state.pb: {}", folder.path(), restored.note);
  }
  Audit audit(*std::move(journal), !stderr_is_journal());
  audit.restored(restored.incidents);
  return Outlets{std::make_unique<Publisher>(std::move(audit),
                                             *std::move(server),
                                             std::move(state_file),
                                             *boot_id,
                                             next_epoch(restored.epoch)),
                 std::move(restored.incidents),
                 *boot_id};
}

}  // namespace hvguard::guard
