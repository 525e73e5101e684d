#include "observe/previous_boot_input.h"

#include <array>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace hvguard::observe {
namespace {

std::string utc_text(WallTime time) {
  const auto seconds = static_cast<std::time_t>(
      std::chrono::duration_cast<std::chrono::seconds>(time.since_epoch).count());
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return {text.data(), size};
}

// Why nothing can be said of how the boot before ended; empty if something can.
std::string unknown_because(const BootRecord& record) {
  if (record.state == BootState::kStopped) {
    return fmt::format(
        "hvguard-spool was stopped{} and did not see how the boot before this one ended",
        record.last_seen ? " at " + utc_text(*record.last_seen) : "");
  }
  if (record.state == BootState::kUnreadable) {
    return fmt::format("the record of the boot before this one is damaged: {}", record.detail);
  }
  return {};
}

}  // namespace

void PreviousBootInput::set(SpoolReport report) {
  auto record = std::make_shared<const BootRecord>(std::move(report.previous_boot));
  const std::lock_guard lock(mutex_);
  record_ = std::move(record);
  record_error_ = std::move(report.record_error);
}

void PreviousBootInput::fill(BootTime now, Snapshot& snapshot, SourceBook& book) {
  if (!first_fill_) {
    first_fill_ = now;
  }
  std::string record_error;
  {
    const std::lock_guard lock(mutex_);
    snapshot.previous_boot = record_;
    record_error = record_error_;
  }
  if (!snapshot.previous_boot) {
    if (now - *first_fill_ < kSpoolGrace) {
      book.unknown(Source::kPreviousBoot, "hvguard-spool has not spoken yet");
    } else {
      book.blind(Source::kPreviousBoot,
                 "hvguard-spool says nothing: `systemctl status hvguard-spool`");
    }
    return;
  }
  if (!record_error.empty()) {
    book.degraded(Source::kPreviousBoot,
                  "hvguard-spool cannot record this boot, so the next one will not know how it "
                  "ended: " +
                      record_error);
  } else if (auto why = unknown_because(*snapshot.previous_boot); !why.empty()) {
    book.unknown(Source::kPreviousBoot, std::move(why));
  } else {
    book.good(Source::kPreviousBoot);
  }
}

}  // namespace hvguard::observe
