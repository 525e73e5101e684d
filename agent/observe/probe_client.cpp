#include "observe/probe_client.h"

#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include <fmt/format.h>

#include "base/text.h"

namespace hvguard::observe {
namespace {

// USER_HZ, in which /proc gives start times, is 100 on every architecture that Debian has.
constexpr Nanoseconds kClockTick = std::chrono::milliseconds(10);

bool is_final(ProbeStage stage) {
  return stage == ProbeStage::kCommandLine || stage == ProbeStage::kBus;
}

std::string_view reading_after(const ProbeResult& result) {
  if (!result.cgroup_path) {
    return "cgroup";
  }
  return result.executable ? "cmdline" : "stat and exe";
}

}  // namespace

ProbeClient::ProbeClient(ProbeKind kind, std::string probe_path, const std::string& root)
    : kind_(kind),
      process_(std::move(probe_path), {kind == ProbeKind::kBus ? "bus" : "process", root}),
      buffer_(kMaxProbeMessageBytes + 1) {}

bool ProbeClient::request(Pid tgid, std::string unit) {
  if (queue_.size() >= kMaxProbeQueue) {
    return false;
  }
  queue_.push_back({next_id_++, tgid, std::move(unit)});
  return true;
}

void ProbeClient::cancel(Pid tgid) {
  std::erase_if(queue_, [&](const ProbeRequest& request) { return request.tgid == tgid; });
}

std::optional<BootTime> ProbeClient::next_deadline() const {
  return active_ ? std::optional(active_->deadline) : std::nullopt;
}

void ProbeClient::take(const ProbeAnswer& answer) {
  if (!active_ || answer.id != active_->id) {
    return;
  }
  auto& result = active_->result;
  result.gone |= answer.gone;
  if (!answer.error.empty() && result.error.empty()) {
    result.error = safe_text(answer.error, 256);
  }
  active_->final_stage_seen = is_final(answer.stage);
  if (!answer.error.empty() && answer.stage != ProbeStage::kProcess &&
      answer.stage != ProbeStage::kBus) {
    return;
  }
  switch (answer.stage) {
    case ProbeStage::kCgroup:
      result.cgroup_path = answer.text;
      break;
    case ProbeStage::kProcess:
      if (answer.number >= 0 && answer.number < (std::int64_t{1} << 50)) {
        result.start = BootTime{kClockTick * answer.number};
      }
      if (answer.error.empty()) {
        result.executable = answer.text;
        result.holds_kvm_vm = answer.flag;
      }
      break;
    case ProbeStage::kCommandLine:
      result.command_line = answer.text;
      break;
    case ProbeStage::kBus:
      result.kill_mode = answer.text;
      result.machine_name = answer.second;
      break;
  }
}

void ProbeClient::finish_active(std::string error,
                                bool timed_out,
                                std::vector<ProbeResult>& results) {
  if (!active_) {
    return;
  }
  if (!error.empty()) {
    active_->result.error = std::move(error);
  }
  active_->result.timed_out = timed_out;
  results.push_back(std::move(active_->result));
  active_.reset();
}

void ProbeClient::read_answers(std::vector<ProbeResult>& results) {
  while (process_.running()) {
    const ssize_t size = ::recv(process_.fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0 && errno == EAGAIN) {
      return;
    }
    if (size <= 0) {  // it has ended, or could not be started
      process_.ended();
      finish_active(
          process_.error().empty() ? "hvguard-probe ended before it answered" : process_.error(),
          false,
          results);
      return;
    }
    const auto answer =
        decode_answer(std::string_view(buffer_.data(), static_cast<std::size_t>(size)));
    if (!answer) {
      process_.kill();
      finish_active(answer.error().message, false, results);
      return;
    }
    process_.clear_error();
    take(*answer);
    if (active_ && active_->final_stage_seen) {
      finish_active({}, false, results);
    }
  }
}

void ProbeClient::send_next(BootTime now, Nanoseconds timeout, std::vector<ProbeResult>& results) {
  const ProbeRequest request = std::move(queue_.front());
  queue_.pop_front();
  active_.emplace();
  active_->id = request.id;
  active_->result.tgid = request.tgid;
  active_->deadline = now + timeout;
  if (!process_.running() && !process_.start()) {
    finish_active(process_.error(), false, results);
    return;
  }
  // If it has died meanwhile the send fails, and the next read finds the end of the stream and why;
  // if it does not take the message, the deadline ends it.
  const std::string message = encode(request);
  static_cast<void>(
      ::send(process_.fd(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

std::vector<ProbeResult> ProbeClient::run(BootTime now, Nanoseconds timeout) {
  std::vector<ProbeResult> results;
  process_.reap();
  read_answers(results);
  if (active_ && now >= active_->deadline) {
    ++killed_count_;
    process_.kill();
    finish_active(
        fmt::format("reading {} of process {} took longer than {}; the probe was ended",
                    kind_ == ProbeKind::kBus ? "D-Bus properties" : reading_after(active_->result),
                    active_->result.tgid,
                    format_duration(timeout)),
        true,
        results);
  }
  while (!active_ && !queue_.empty()) {
    send_next(now, timeout, results);
  }
  return results;
}

}  // namespace hvguard::observe
