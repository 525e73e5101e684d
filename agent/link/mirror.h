// Mirror: one frame of hvguardd, sorted and indexed for questions. Immutable once built, so threads
// share it by pointer. Built by the gateway's link thread per frame, and by hvguardctl --direct.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "hvguard/v1/incident.pb.h"
#include "hvguard/v1/limit.pb.h"
#include "hvguard/v1/status.pb.h"
#include "hvguard/v1/vm.pb.h"
#include "link/frame_assembler.h"

namespace hvguard::link {

// A VM as lists show it, and its devices apart, since only GetVm shows them.
struct MirroredVm {
  v1::Vm vm;  // without device_ios
  google::protobuf::RepeatedPtrField<v1::VmDeviceIo> device_ios;
};

// An incident without its evidence. Shared by all mirrors in which it did not change, so that a
// reader who holds an old list holds little.
using SharedIncident = std::shared_ptr<const v1::Incident>;
using IncidentList = std::vector<SharedIncident>;

struct Mirror {
  std::uint64_t epoch = 0;
  std::uint64_t tick = 0;
  v1::Status status;
  std::vector<MirroredVm> vms;                    // by name, then id
  std::vector<v1::BlockedTask> blocked_tasks;     // longest blocked first; unknown since when last
  std::vector<v1::Limit> limits;                  // by VM name, then id, kind and device
  std::vector<v1::Decision> decisions;            // newest first
  std::shared_ptr<const IncidentList> incidents;  // open first, newest first in each group
  std::map<std::string, std::size_t, std::less<>> incident_by_id;  // index into incidents
  std::map<std::string, v1::IncidentEvidence, std::less<>> evidence_by_incident;
};

// previous: the mirror before, if any; its unchanged incidents are shared.
[[nodiscard]] std::shared_ptr<const Mirror> build_mirror(Frame&& frame, const Mirror* previous);

// The one place where the link thread leaves what it has and all others pick it up.
class MirrorSlot {
 public:
  struct View {
    std::shared_ptr<const Mirror> mirror;  // null before the first frame
    BootTime fresh_time;                   // when the data last moved on
    std::string link_error;                // why there is no connection now; empty if there is
  };

  [[nodiscard]] View view() const;
  void set_mirror(std::shared_ptr<const Mirror> mirror, BootTime fresh_time);
  void set_link_error(std::string error);

 private:
  mutable std::mutex mutex_;
  View view_;
};

}  // namespace hvguard::link
