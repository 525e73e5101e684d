#include "observe/source_book.h"

#include <utility>

namespace hvguard::observe {

SourceBook::SourceBook() {
  for (std::size_t i = 0; i < kSourceCount; ++i) {
    sources_.at(i).source = static_cast<Source>(i);
    sources_.at(i).detail = "not read yet";
  }
}

void SourceBook::begin_tick(BootTime now) {
  now_ = now;
  gaps_.clear();
  dropped_gap_count_ = 0;
}

void SourceBook::good(Source source) {
  auto& status = at(source);
  status.state = SourceState::kOk;
  status.detail.clear();
  status.last_good = now_;
}

void SourceBook::degraded(Source source, std::string detail) {
  auto& status = at(source);
  status.state = SourceState::kDegraded;
  status.detail = std::move(detail);
  status.last_good = now_;
}

void SourceBook::blind(Source source, std::string detail) {
  auto& status = at(source);
  status.state = SourceState::kBlind;
  status.detail = std::move(detail);
}

void SourceBook::unknown(Source source, std::string detail) {
  auto& status = at(source);
  status.state = SourceState::kUnknown;
  status.detail = std::move(detail);
}

void SourceBook::add_dropped(Source source, std::uint64_t count) {
  at(source).dropped_count += count;
}

void SourceBook::set_dropped(Source source, std::uint64_t total) {
  at(source).dropped_count = total;
}

void SourceBook::gap(Source source, GapReason reason, std::string subject, std::string detail) {
  if (gaps_.size() == kMaxGaps) {
    ++dropped_gap_count_;
    return;
  }
  gaps_.push_back({source, reason, std::move(subject), std::move(detail)});
}

void SourceBook::gap(Source source, const Error& error, std::string subject) {
  gap(source, gap_reason(error.code), std::move(subject), error.message);
}

void SourceBook::fill(Snapshot& snapshot) const {
  snapshot.sources = sources_;
  snapshot.gaps = gaps_;
  snapshot.dropped_gap_count = dropped_gap_count_;
}

GapReason gap_reason(Errc code) {
  switch (code) {
    case Errc::kDenied:
      return GapReason::kDenied;
    case Errc::kUnsupported:
    case Errc::kNotFound:
    case Errc::kGone:
      return GapReason::kUnsupported;
    case Errc::kTimeout:
      return GapReason::kSlow;
    case Errc::kExhausted:
      return GapReason::kOverflow;
    case Errc::kInvalid:
    case Errc::kUnavailable:
    case Errc::kInternal:
      break;
  }
  return GapReason::kFailed;
}

}  // namespace hvguard::observe
