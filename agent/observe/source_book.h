// SourceBook: the state of every source over time, and the gaps of the tick under way. Each reader
// reports into it; the sampler copies it into the Snapshot. Sampler thread only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/snapshot.h"

namespace hvguard::observe {

class SourceBook {
 public:
  SourceBook();

  // Begins a tick: `now` becomes last_good of what reports good or degraded; gaps start empty.
  void begin_tick(BootTime now);
  void good(Source source);
  void degraded(Source source, std::string detail);
  void blind(Source source, std::string detail);
  // Nothing is known, and that is no fault.
  void unknown(Source source, std::string detail);
  void add_dropped(Source source, std::uint64_t count);
  // Sources that count for themselves (BPF maps) give their total.
  void set_dropped(Source source, std::uint64_t total);
  // One missing reading. A kGone error is no gap: the caller must not report it.
  void gap(Source source, GapReason reason, std::string subject, std::string detail);
  void gap(Source source, const Error& error, std::string subject);

  void fill(Snapshot& snapshot) const;

 private:
  SourceStatus& at(Source source) { return sources_.at(static_cast<std::size_t>(source)); }

  BootTime now_;
  std::array<SourceStatus, kSourceCount> sources_;
  std::vector<Gap> gaps_;
  std::uint64_t dropped_gap_count_ = 0;
};

[[nodiscard]] GapReason gap_reason(Errc code);

}  // namespace hvguard::observe
