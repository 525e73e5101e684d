// Limits as properties of systemd's units, over one D-Bus connection that is kept. Loop thread
// only; no call waits: sd_bus_call() is never used, since it waits for the connection as long as
// that takes (90 s in authentication, whatever its own time-out).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "enforce/bus_call.h"
#include "enforce/lever.h"

namespace hvguard::enforce {

inline constexpr std::size_t kMaxBusCalls = 1024;  // under way

class SystemdLever final : public Lever {
 public:
  // Makes a connection that is not yet ready, without waiting for its other end.
  using Connect = std::function<Result<Bus>()>;

  // `event` outlives it. Connects with the first run(), and again with back-off when it is lost.
  SystemdLever(sd_event* event, Connect connect);
  ~SystemdLever() override;
  SystemdLever(const SystemdLever&) = delete;
  SystemdLever& operator=(const SystemdLever&) = delete;

  [[nodiscard]] LeverKind kind() const override { return LeverKind::kSystemd; }
  // kUnavailable at once while there is no connection.
  void apply(LeverTask task, BootTime now, OnDone done) override;
  void arm_io(const LimitTarget& target, BootTime now, OnDone done) override;
  // Connects if it is time to, and ends what is past its deadline. With each tick.
  void run(BootTime now);

  [[nodiscard]] bool connected() const;

 private:
  struct Call {
    SystemdLever* lever = nullptr;
    std::uint64_t id = 0;
    OnDone done;
    BootTime deadline;
    sd_bus_slot* slot = nullptr;

    ~Call() { sd_bus_slot_unref(slot); }
  };

  static int on_reply(sd_bus_message* reply, void* data, sd_bus_error* error);
  void send(Result<BusMessage> message, BootTime now, OnDone done);
  void finish(std::uint64_t id, Result<> result);
  void disconnect(const std::string& why, BootTime now);
  [[nodiscard]] Error not_connected() const;

  sd_event* event_;
  Connect connect_;
  Bus bus_;
  std::map<std::uint64_t, std::unique_ptr<Call>> calls_;
  std::uint64_t next_id_ = 1;
  std::uint32_t failures_ = 0;  // connections in a row that never answered
  BootTime next_connect_;
  BootTime connecting_since_;
  std::string why_not_ = "not connected to the system bus yet";
};

// The system bus. Connecting to a socket of this host does not wait; what is said there comes
// later.
[[nodiscard]] Result<Bus> open_system_bus();

}  // namespace hvguard::enforce
