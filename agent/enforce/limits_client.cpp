#include "enforce/limits_client.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include <fmt/format.h>

namespace hvguard::enforce {
namespace {

constexpr Nanoseconds kFirstBackOff = std::chrono::milliseconds(250);
constexpr std::uint32_t kMaxDoublings = 7;  // 32 s

std::vector<std::string> serve_arguments(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "serve");
  return arguments;
}

Result<> first_error(const LimitsAnswer& answer) {
  for (const SettingResult& result : answer.results) {
    if (!result.error.empty()) {
      return fail(answer.gone ? Errc::kGone : Errc::kInternal, result.error);
    }
  }
  return {};
}

}  // namespace

LimitsClient::LimitsClient(std::string program, std::vector<std::string> arguments)
    : process_(std::move(program), serve_arguments(std::move(arguments))),
      buffer_(kMaxLimitsMessageBytes) {}

void LimitsClient::request(LimitsRequest request, BootTime now, OnRead done) {
  if (queue_.size() >= kMaxLimitsQueue) {
    done(fail(Errc::kExhausted, "too many requests wait for hvguard-limits"));
    return;
  }
  request.id = next_id_++;
  queue_.push_back({std::move(request), std::move(done)});
  send_next(now);
}

void LimitsClient::send_next(BootTime now) {
  while (!active_ && !queue_.empty()) {
    Waiting next = std::move(queue_.front());
    queue_.pop_front();
    if (!process_.running() && now < next_start_) {
      next.done(fail(
          Errc::kUnavailable,
          process_.error().empty() ? "hvguard-limits is being started again" : process_.error()));
      continue;
    }
    active_ = Active{std::move(next), now + kLeverDeadline};
    if (!process_.running()) {
      ++start_count_;
      if (!process_.start()) {
        lost({Errc::kUnavailable, 0, process_.error()}, now);
        continue;
      }
    }
    // If it has died meanwhile the send fails, and the next read finds the end of the stream.
    const std::string message = encode(active_->waiting.request);
    static_cast<void>(
        ::send(process_.fd(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  }
}

// The helper is of no use any more, and what it worked on is answered with why.
void LimitsClient::lost(Error why, BootTime now) {
  process_.kill();
  next_start_ = now + kFirstBackOff * (1U << std::min(failures_, kMaxDoublings));
  ++failures_;
  if (auto active = std::exchange(active_, std::nullopt)) {
    active->waiting.done(fail(std::move(why)));
  }
}

void LimitsClient::take(std::string_view message, BootTime now) {
  auto answer = decode_limits_answer(message);
  const bool fits = answer && active_ && answer->id == active_->waiting.request.id &&
                    answer->results.size() == active_->waiting.request.settings.size();
  if (!fits) {
    lost({Errc::kInternal, 0, "hvguard-limits answered what was not asked"}, now);
    return;
  }
  failures_ = 0;
  process_.clear_error();
  const auto active = std::exchange(active_, std::nullopt);
  active->waiting.done(*std::move(answer));
}

void LimitsClient::read_answers(BootTime now) {
  while (process_.running()) {
    const ssize_t size = ::recv(process_.fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0 && errno == EAGAIN) {
      return;
    }
    if (size <= 0) {
      process_.ended();
      lost({Errc::kUnavailable,
            0,
            process_.error().empty() ? "hvguard-limits ended: an earlier restorer may still be at "
                                       "work (limits.lock)"
                                     : process_.error()},
           now);
      return;
    }
    take(std::string_view(buffer_.data(), static_cast<std::size_t>(size)), now);
  }
}

void LimitsClient::run(BootTime now) {
  process_.reap();
  read_answers(now);
  if (active_ && now >= active_->deadline) {
    ++killed_count_;
    const LimitsRequest& request = active_->waiting.request;
    lost({Errc::kTimeout,
          0,
          fmt::format("{} settings of {} took longer than {}; hvguard-limits was ended",
                      request.operation == LimitsOperation::kWrite ? "writing" : "reading",
                      request.cgroup_path,
                      format_duration(kLeverDeadline))},
         now);
  }
  send_next(now);
}

void CgroupLever::apply(LeverTask task, BootTime now, OnDone done) {
  client_.request({0,
                   LimitsOperation::kWrite,
                   std::move(task.target.cgroup_path),
                   task.target.cgroup,
                   std::move(task.changes)},
                  now,
                  [done = std::move(done)](Result<LimitsAnswer> answer) {
                    done(answer ? first_error(*answer) : Result<>(fail(std::move(answer).error())));
                  });
}

// Whose cgroup it is enables its controllers; for a unit that is systemd.
void CgroupLever::arm_io(const LimitTarget& /*target*/, BootTime /*now*/, OnDone done) {
  done(fail(Errc::kUnsupported,
            "the io controller of a cgroup that is no systemd unit is enabled by who made it"));
}

void CgroupLever::read(const LimitTarget& target,
                       const std::vector<SettingKey>& keys,
                       BootTime now,
                       OnRead done) {
  LimitsRequest request{0, LimitsOperation::kRead, target.cgroup_path, target.cgroup, {}};
  for (const SettingKey& key : keys) {
    request.settings.push_back({key, std::nullopt});
  }
  client_.request(std::move(request), now, std::move(done));
}

}  // namespace hvguard::enforce
