#include "enforce/systemd_lever.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace hvguard::enforce {
namespace {

constexpr Nanoseconds kFirstBackOff = std::chrono::seconds(1);
constexpr std::uint32_t kMaxDoublings = 5;  // 32 s
// Authentication and Hello take milliseconds; a dbus-daemon that stands still takes for ever.
constexpr Nanoseconds kConnectDeadline = std::chrono::seconds(5);

std::uint64_t microseconds(Nanoseconds duration) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

// "org.freedesktop.systemd1.NoSuchUnit: Unit x.scope not found."
Error error_of(const sd_bus_error& failure) {
  const std::string text = fmt::format("systemd: {} ({})",
                                       failure.message != nullptr ? failure.message : "refused",
                                       failure.name != nullptr ? failure.name : "no name");
  const int number = sd_bus_error_get_errno(&failure);
  // An errno that says that nobody answered; ENOENT here is an answer.
  const bool silence = sd_bus_error_has_name(&failure, SD_BUS_ERROR_NO_REPLY) != 0 ||
                       sd_bus_error_has_name(&failure, SD_BUS_ERROR_TIMEOUT) != 0 ||
                       sd_bus_error_has_name(&failure, SD_BUS_ERROR_DISCONNECTED) != 0 ||
                       sd_bus_error_has_name(&failure, SD_BUS_ERROR_SERVICE_UNKNOWN) != 0 ||
                       sd_bus_error_has_name(&failure, SD_BUS_ERROR_NAME_HAS_NO_OWNER) != 0;
  return {silence ? Errc::kTimeout : errc_from_errno(number), number, safe_text(text, 256)};
}

}  // namespace

SystemdLever::SystemdLever(sd_event* event, Connect connect)
    : event_(event), connect_(std::move(connect)) {}

SystemdLever::~SystemdLever() {
  calls_.clear();
  if (bus_) {
    sd_bus_detach_event(bus_.get());
  }
}

bool SystemdLever::connected() const {
  return bus_ && sd_bus_is_ready(bus_.get()) > 0;
}

Error SystemdLever::not_connected() const {
  return {Errc::kUnavailable, 0, why_not_};
}

void SystemdLever::run(BootTime now) {
  std::vector<std::uint64_t> late;
  for (const auto& [id, call] : calls_) {
    if (now >= call->deadline) {
      late.push_back(id);
    }
  }
  for (const std::uint64_t id : late) {
    finish(id,
           fail(Errc::kTimeout, "systemd has not answered for " + format_duration(kLeverDeadline)));
  }
  if (bus_ && sd_bus_is_open(bus_.get()) <= 0) {
    disconnect("the system bus has closed the connection", now);
  } else if (connected()) {
    failures_ = 0;
  } else if (bus_ && now - connecting_since_ > kConnectDeadline) {
    disconnect("the system bus does not answer", now);
  }
  if (!bus_ && now >= next_connect_) {
    connecting_since_ = now;
    auto bus = connect_();
    if (bus && sd_bus_attach_event(bus->get(), event_, SD_EVENT_PRIORITY_NORMAL) >= 0) {
      bus_ = *std::move(bus);
      why_not_ = "still connecting to the system bus";
    } else {
      disconnect(bus ? "cannot watch the system bus" : bus.error().message, now);
    }
  }
}

void SystemdLever::disconnect(const std::string& why, BootTime now) {
  why_not_ = why;
  next_connect_ = now + kFirstBackOff * (1U << std::min(failures_, kMaxDoublings));
  ++failures_;
  const auto calls = std::exchange(calls_, {});
  for (const auto& [id, call] : calls) {
    sd_bus_slot_unref(std::exchange(call->slot, nullptr));
  }
  if (bus_) {
    sd_bus_detach_event(bus_.get());
    bus_.reset();
  }
  for (const auto& [id, call] : calls) {
    call->done(fail(not_connected()));
  }
}

void SystemdLever::finish(std::uint64_t id, Result<> result) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) {
    return;
  }
  const auto call = std::move(found->second);
  calls_.erase(found);
  call->done(std::move(result));
}

int SystemdLever::on_reply(sd_bus_message* reply, void* data, sd_bus_error* /*error*/) {
  const Call& call = *static_cast<Call*>(data);
  const sd_bus_error* const failure = sd_bus_message_get_error(reply);
  call.lever->finish(call.id, failure != nullptr ? Result<>(fail(error_of(*failure))) : Result<>());
  return 0;
}

void SystemdLever::send(Result<BusMessage> message, BootTime now, OnDone done) {
  if (!message) {
    done(fail(std::move(message).error()));
    return;
  }
  if (calls_.size() >= kMaxBusCalls) {
    done(fail(Errc::kExhausted, "too many calls to systemd are under way"));
    return;
  }
  auto call = std::make_unique<Call>();
  call->lever = this;
  call->id = next_id_++;
  call->done = std::move(done);
  call->deadline = now + kLeverDeadline;
  const int status = sd_bus_call_async(
      bus_.get(), &call->slot, message->get(), on_reply, call.get(), microseconds(kLeverDeadline));
  if (status < 0) {
    call->done(fail_errno(-status, "ask systemd"));
    return;
  }
  calls_[call->id] = std::move(call);
}

void SystemdLever::apply(LeverTask task, BootTime now, OnDone done) {
  if (!connected()) {
    done(fail(not_connected()));
    return;
  }
  send(
      set_properties_call(bus_.get(), task.target.unit, unit_properties(task.changes, task.io_max)),
      now,
      std::move(done));
}

void SystemdLever::arm_io(const LimitTarget& target, BootTime now, OnDone done) {
  if (!connected()) {
    done(fail(not_connected()));
    return;
  }
  send(arm_io_call(bus_.get(), target.unit), now, std::move(done));
}

Result<Bus> open_system_bus() {
  sd_bus* raw = nullptr;
  const int opened = sd_bus_open_system(&raw);
  if (opened < 0) {
    return fail_errno(-opened, "connect to the system bus");
  }
  return Bus(raw);
}

}  // namespace hvguard::enforce
