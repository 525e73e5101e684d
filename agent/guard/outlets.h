// Opens all that results go to: core.sock, the journal, the state file; and reads what the run
// before left there. Main thread, once, before the sampler starts.
#pragma once

#include <memory>
#include <vector>

#include <systemd/sd-event.h>

#include "guard/config_reader.h"
#include "guard/publisher.h"
#include "guard/runtime_folder.h"

namespace hvguard::guard {

struct Outlets {
  std::unique_ptr<Publisher> publisher;
  std::vector<Incident> restored;  // for Pipeline::restore()
  BootId boot_id;
};

[[nodiscard]] Result<Outlets> open_outlets(sd_event* event,
                                           const RuntimeFolder& folder,
                                           const ReadConfig& config);

}  // namespace hvguard::guard
