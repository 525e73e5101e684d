// A made-up host as hvguardd would tell of it, for tests of everything behind core.sock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "link/frame_assembler.h"

namespace hvguard::test {

// 2026-11-21 07:00:00 UTC: the moment that sample frames tell of.
inline constexpr WallTime kSampleTime{std::chrono::seconds(1'795'244'400)};

// One of each kind.
inline constexpr std::size_t kSampleIncidents = v1::Incident::Kind_MAX;

[[nodiscard]] google::protobuf::Timestamp timestamp(WallTime time);

[[nodiscard]] v1::Vm sample_vm(int number, WallTime now);
[[nodiscard]] v1::BlockedTask sample_task(int number, WallTime now);
[[nodiscard]] v1::Incident sample_incident(int number, v1::Incident::Kind kind, WallTime now);

// Of vm01: number 1 in force by a guard rule, 2 only said, 3 failed by an operator, 4 foreign.
[[nodiscard]] v1::Limit sample_limit(int number, WallTime now);
// Of vm01 and its io_contention: number 1 set, 2 tightened, 3 refused again and again.
[[nodiscard]] v1::Decision sample_decision(int number, WallTime now);

// vm01 … with two disks each, one hard and one killable task, one incident of each kind,
// four limits and three decisions.
[[nodiscard]] link::Frame sample_frame(std::uint64_t tick, WallTime now, int vm_count = 3);

// As hvguardd sends it: serialized CorePackets, items_per_part items each.
[[nodiscard]] std::vector<std::string> to_packets(const link::Frame& frame,
                                                  int items_per_part = 20);

}  // namespace hvguard::test
