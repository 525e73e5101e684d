// VmLimits: all settings of one VM on their way to what is wanted, one step at a time: read the
// kernel, write the journal, ask a lever, read the kernel again. Loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "enforce/lease_journal.h"
#include "enforce/lever.h"
#include "enforce/limit_entry.h"

namespace hvguard::enforce {

struct LimitPorts {
  Lever* systemd = nullptr;
  Lever* cgroupfs = nullptr;
  SettingReader* reader = nullptr;
  LeaseJournal* journal = nullptr;
};

struct LimitOptions {
  // Limits of a unit may be written to its files when systemd does not answer; what is given back
  // always may.
  bool write_when_systemd_is_silent = false;
  // The io controller is turned on for each VM that has none.
  bool arm_io = false;
};

// How often what holds is read again, to notice who else changes it.
inline constexpr Nanoseconds kLimitReadInterval = std::chrono::seconds(10);
// After failures in a row: doubled from the first to the last.
inline constexpr Nanoseconds kFirstRetry = std::chrono::seconds(1);
inline constexpr Nanoseconds kLastRetry = std::chrono::seconds(60);

class VmLimits : public std::enable_shared_from_this<VmLimits> {
 public:
  VmLimits(LimitPorts ports, LimitTarget target);

  // All that is wanted of this VM. A target elsewhere is taken when nothing is held at the old one.
  void want(const std::map<SettingKey, WantedLimit>& wanted,
            const LimitTarget& target,
            BootTime now);
  // The VM is not there any more: give back what its unit keeps, forget the rest.
  void depart(BootTime now);
  // Begins what is due; answers go on by themselves.
  void drive(const LimitOptions& options, BootTime now);

  [[nodiscard]] const std::map<SettingKey, LimitEntry>& entries() const { return entries_; }
  [[nodiscard]] const LimitTarget& target() const { return target_; }
  // Nothing wanted, held, or under way.
  [[nodiscard]] bool finished() const;

 private:
  enum class Phase { kIdle, kReading, kApplying, kVerifying };
  struct Batch {
    Lever* lever = nullptr;
    std::map<SettingKey, SettingValue> changes;
    std::string error;
  };

  void arm_io(BootTime now);
  [[nodiscard]] bool due(BootTime now) const;
  void read(Phase phase);
  void on_read(Result<LimitsAnswer> answer);
  void on_gone();
  void note(const LimitsAnswer& answer);
  void choose();
  void write(Batch batch);
  [[nodiscard]] Result<> record(const Batch& batch);
  void apply();
  void on_applied(Result<> result);
  [[nodiscard]] bool may_write_files() const;
  void on_verified();
  void settle(bool progress);

  LimitPorts ports_;
  LimitTarget target_;
  std::map<SettingKey, LimitEntry> entries_;
  std::vector<DeviceLimits> io_max_;
  LimitOptions options_;
  BootTime now_;
  Phase phase_ = Phase::kIdle;
  Batch batch_;
  BootTime next_try_;
  BootTime next_read_;
  std::uint32_t failures_ = 0;
  bool departed_ = false;
  bool io_asked_ = false;
};

}  // namespace hvguard::enforce
