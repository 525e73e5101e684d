// core.sock: a SEQPACKET listener on the loop. Serves frames to the gateway and to root, never
// waits for any of them, and takes every client for hostile. Loop thread only; no function here
// blocks.
//
// Rules
// - Only root, the gateway's user and the spool's may connect (SO_PEERCRED). At most kMaxClients at
//   a time, of which the gateway's user has at most kMaxGatewayClients and the spool's at most
//   kMaxSpoolClients, so that root always finds a place.
// - A client sends one request within kRequestDeadline. Anything else is refused with a CoreError,
//   counted, and closed.
// - A request to change something is answered at once and the connection closed. Of each kind of
//   client at most kAdminBurst at once, then one in kAdminInterval: the rest is refused and
//   counted.
// - Each client has at most one frame under way and one waiting. A frame that would wait behind
//   another replaces it, and is counted. A client that takes no packet for kStallDeadline while one
//   waits is closed.
// - More connections than kMaxAcceptsPerSecond, or no descriptors left (EMFILE, ENFILE): the
//   listener pauses for kAcceptPause; connections wait in the backlog meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <sys/socket.h>
#include <sys/types.h>

#include "base/fd.h"
#include "base/time.h"
#include "model/admin_request.h"
#include "model/boot_record.h"
#include "publish/event_source.h"
#include "publish/frame.h"

namespace hvguard::publish {

inline constexpr std::size_t kMaxClients = 10;
inline constexpr std::size_t kMaxGatewayClients = 6;
inline constexpr std::size_t kMaxSpoolClients = 2;  // one that hangs with its disk, and a new one
inline constexpr std::uint32_t kMaxAcceptsPerSecond = 64;
inline constexpr int kAdminBurst = 20;
inline constexpr Nanoseconds kAdminInterval = std::chrono::milliseconds(500);

struct CoreServerOptions {
  std::string path = {};
  std::optional<uid_t> gateway_uid = std::nullopt;  // none: only root
  std::optional<gid_t> gateway_gid = std::nullopt;  // group of the socket file
  std::optional<uid_t> spool_uid = std::nullopt;    // none: only root may attach as the spool
  // For tests; the defaults are the contract.
  Nanoseconds request_deadline = std::chrono::seconds(10);
  Nanoseconds stall_deadline = std::chrono::seconds(30);
  Nanoseconds accept_pause = std::chrono::milliseconds(500);
};

class CoreServer {
 public:
  // Fails with kUnavailable if another process answers at that path; a socket that nobody serves is
  // replaced. The caller holds the runtime folder's lock, so nobody does the same meanwhile.
  static Result<std::unique_ptr<CoreServer>> listen(sd_event* event, CoreServerOptions options);
  ~CoreServer();
  CoreServer(const CoreServer&) = delete;
  CoreServer& operator=(const CoreServer&) = delete;

  // To every subscriber, and to those that wait for their first frame.
  void publish(std::shared_ptr<const Frame> frame);

  // Called with each report of the spool, checked; a later one takes the place of all before.
  void on_spool_report(std::function<void(SpoolReport)> handler) {
    spool_handler_ = std::move(handler);
  }

  // Called with each request to change something, parsed and bounded; must not block. Without it
  // they are refused.
  void on_admin(std::function<v1::AdminReply(const AdminRequest&)> handler) {
    admin_handler_ = std::move(handler);
  }

  [[nodiscard]] std::uint64_t skipped_frame_count() const { return skipped_frame_count_; }
  [[nodiscard]] std::uint64_t refused_request_count() const { return refused_request_count_; }
  [[nodiscard]] std::size_t client_count() const { return clients_.size(); }

 private:
  enum class Peer { kRoot, kGateway, kSpool };
  struct Client;

  CoreServer(sd_event* event, CoreServerOptions options);
  void on_connection();
  [[nodiscard]] bool accept_one();
  void shed_connection();
  void pause_listening();
  [[nodiscard]] std::optional<Peer> peer_of(uid_t uid) const;
  [[nodiscard]] std::optional<std::string> refusal(uid_t uid) const;
  void admit(UniqueFd fd, const ucred& peer);
  void on_client(std::uint64_t id, std::uint32_t revents);
  void on_request(Client& client);
  void on_admin_request(Client& client, const Result<AdminRequest>& request);
  [[nodiscard]] bool allow_admin(Peer peer);
  void refuse(Client& client, std::string_view why);
  void offer(Client& client, const std::shared_ptr<const Frame>& frame);
  void send_pending(Client& client);
  void close_client(std::uint64_t id);

  sd_event* event_;
  CoreServerOptions options_;
  UniqueFd listener_;
  UniqueFd spare_;  // given up for a moment to refuse a connection when no descriptor is left
  EventSource listener_source_;
  EventSource resume_timer_;
  std::map<std::uint64_t, std::unique_ptr<Client>> clients_;
  std::uint64_t next_client_id_ = 1;
  BootTime accept_window_start_;
  std::uint32_t accepts_in_window_ = 0;
  std::function<void(SpoolReport)> spool_handler_;
  std::function<v1::AdminReply(const AdminRequest&)> admin_handler_;
  std::map<Peer, BootTime> admin_full_time_;  // when the burst of that kind is whole again
  std::shared_ptr<const Frame> latest_;
  std::uint64_t skipped_frame_count_ = 0;
  std::uint64_t refused_request_count_ = 0;
};

}  // namespace hvguard::publish
