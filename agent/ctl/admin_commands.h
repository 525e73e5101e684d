// Commands that change something: limit set and release, mode, cordon, uncordon, ack, reload, and
// release --all, which needs no daemon.
#pragma once

#include "ctl/commands.h"

namespace hvguard::ctl {

[[nodiscard]] bool is_admin_command(Command command);
// Only those for which is_admin_command() is true. Gives the exit code.
int run_admin(const Options& options, const Context& context);

// "sda" or "8:0" as a device of this host. kNotFound names those there are.
Result<v1::Device> find_device(std::string_view wanted, const v1::Status& status);

}  // namespace hvguard::ctl
