// How low a limit may be. Pure. The floor of an io limit is what drains everything a VM can have in
// flight on a device well before the kernel's hung-task timeout: a manager that is killed or
// stopped while its queue is throttled waits in D for the last request (exit_aio, drain of QMP
// `stop`), and with hung_task_panic that ends the host (facts 0.1, B.4, B.5).
#pragma once

#include <cstdint>
#include <optional>

#include "base/ids.h"
#include "model/config.h"
#include "model/limit.h"
#include "model/snapshot.h"

namespace hvguard {

// What one virtio disk can have in flight at worst (facts B.5). Requests held back by io.max are
// not counted by the block layer yet, so that a measured depth says nothing of a throttled VM, and
// only a greater one counts.
inline constexpr std::uint64_t kWorstInFlight = 256;
inline constexpr std::uint64_t kLargestRequestBytes = 1ULL << 20U;
// The kernel's own default, where the setting cannot be read.
inline constexpr std::uint64_t kDefaultHungTaskSeconds = 120;

// hung_task_timeout_secs; none if the kernel looks for no hung tasks.
[[nodiscard]] std::optional<std::uint64_t> hung_task_timeout(const Snapshot* snapshot);

// The least value of a limit of io.max; other kinds have none (0). `in_flight`: requests of that VM
// on that device, none if not known. Of both limits of a direction the kernel takes the longer wait
// (block/blk-throttle.c, tg_may_dispatch), so that each is judged alone. Applies to baselines as
// well: what hangs does not ask who wanted the limit.
[[nodiscard]] std::uint64_t io_floor(const SafetyConfig& config,
                                     LimitKind kind,
                                     std::optional<std::uint64_t> timeout_seconds,
                                     std::optional<std::uint64_t> in_flight);

// The least cpu.max in microseconds of CPU time per second: a thread that is throttled while it
// holds a lock of the kernel holds up the host (facts B.8).
[[nodiscard]] std::uint64_t cpu_floor(const SafetyConfig& config, std::uint32_t vcpu_count);

}  // namespace hvguard
