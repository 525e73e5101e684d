#include "publish/core_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "publish/admin_reply.h"
#include "publish/core_request.h"

namespace hvguard::publish {
namespace {

constexpr int kBacklog = 16;
constexpr int kMaxAcceptsPerTurn = 8;  // other handlers get their turn in between
constexpr int kMaxDrainedPackets = 16;
constexpr mode_t kSocketMode = 0660;
constexpr int kSendBufferBytes = 4 * static_cast<int>(kMaxPacketBytes);

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return fail(Errc::kInvalid, "path is too long for a socket");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* as_sockaddr(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<UniqueFd> make_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    return fail_errno(errno, "make a socket");
  }
  return fd;
}

// A socket file may be left from a run that was killed, or be somebody's. Asking is the only way to
// know: nobody answers at a dead one.
Result<> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Result<>() : Result<>(fail_errno(errno, "look at it"));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return fail(Errc::kInvalid, "something else than a socket is in its place; remove it");
  }
  auto probe = make_socket();
  if (!probe) {
    return fail(std::move(probe).error());
  }
  if (::connect(probe->get(), as_sockaddr(address), sizeof(address)) == 0 || errno == EAGAIN) {
    return fail(Errc::kUnavailable, "another process serves it; stop that one first");
  }
  if (errno != ECONNREFUSED && errno != ENOENT) {
    return fail_errno(errno, "ask who serves it");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(errno, "remove the stale one");
  }
  return {};
}

Result<> bind_and_listen(int fd, const CoreServerOptions& options, const sockaddr_un& address) {
  // The file must never be open to others, not even between bind() and chmod().
  const mode_t old_mask = ::umask(0177);
  const int bound = ::bind(fd, as_sockaddr(address), sizeof(address));
  const int bind_errno = errno;
  ::umask(old_mask);
  if (bound != 0) {
    return fail_errno(bind_errno, "bind");
  }
  if (options.gateway_gid &&
      ::chown(options.path.c_str(), static_cast<uid_t>(-1), *options.gateway_gid) != 0) {
    return fail_errno(errno, "give it to the gateway's group (needs CAP_CHOWN, or that group)");
  }
  if (::chmod(options.path.c_str(), kSocketMode) != 0) {
    return fail_errno(errno, "set its mode");
  }
  if (::listen(fd, kBacklog) != 0) {
    return fail_errno(errno, "listen");
  }
  return {};
}

UniqueFd open_spare() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

// What is still unread at close() would reset the connection and take our answer with it.
void drain(int fd) {
  std::array<char, kMaxRequestBytes> buffer{};
  for (int i = 0; i < kMaxDrainedPackets; ++i) {
    if (::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT) <= 0) {
      return;
    }
  }
}

void send_refusal(int fd, std::string_view why) {
  const std::string packet = encode_error(why);
  drain(fd);
  // A client that does not even take this one loses it.
  static_cast<void>(::send(fd, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

}  // namespace

struct CoreServer::Client {
  std::uint64_t id = 0;
  UniqueFd fd;
  Peer peer = Peer::kRoot;
  CoreSender sender;
  bool requested = false;
  bool subscribed = false;
  std::shared_ptr<const Frame> sending;  // next_packet of it goes out next
  std::size_t next_packet = 0;
  std::shared_ptr<const Frame> waiting;
  EventSource source;    // after fd: it must go first
  EventSource deadline;  // for the request, then for progress while something waits
};

CoreServer::CoreServer(sd_event* event, CoreServerOptions options)
    : event_(sd_event_ref(event)), options_(std::move(options)) {}

CoreServer::~CoreServer() {
  if (listener_.valid()) {
    ::unlink(options_.path.c_str());
  }
  clients_.clear();
  listener_source_ = EventSource();
  resume_timer_ = EventSource();
  sd_event_unref(event_);
}

Result<std::unique_ptr<CoreServer>> CoreServer::listen(sd_event* event, CoreServerOptions options) {
  const auto in_context = [path = options.path](Error error) {
    return fail(std::move(error).context("socket " + path));
  };
  const auto address = address_of(options.path);
  if (!address) {
    return in_context(address.error());
  }
  if (auto removed = remove_stale(options.path, *address); !removed) {
    return in_context(std::move(removed).error());
  }
  auto fd = make_socket();
  if (!fd) {
    return in_context(std::move(fd).error());
  }
  if (auto bound = bind_and_listen(fd->get(), options, *address); !bound) {
    return in_context(std::move(bound).error());
  }
  std::unique_ptr<CoreServer> server(new CoreServer(event, std::move(options)));
  server->listener_ = *std::move(fd);
  server->spare_ = open_spare();
  CoreServer* const self = server.get();
  auto source = EventSource::io(
      event, server->listener_.get(), EPOLLIN, [self](std::uint32_t) { self->on_connection(); });
  auto timer =
      EventSource::unarmed_timer(event, [self] { self->listener_source_.set_enabled(true); });
  if (!source || !timer) {
    return in_context(source ? timer.error() : source.error());
  }
  server->listener_source_ = *std::move(source);
  server->listener_source_.set_low_priority();
  server->resume_timer_ = *std::move(timer);
  return server;
}

void CoreServer::on_connection() {
  for (int i = 0; i < kMaxAcceptsPerTurn; ++i) {
    if (!accept_one()) {
      return;
    }
  }
}

// False: no more for this turn.
bool CoreServer::accept_one() {
  const BootTime now = boot_time_now();
  if (now - accept_window_start_ >= std::chrono::seconds(1)) {
    accept_window_start_ = now;
    accepts_in_window_ = 0;
  }
  if (accepts_in_window_ >= kMaxAcceptsPerSecond) {
    pause_listening();
    return false;
  }
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      shed_connection();
      return false;
    }
    return errno == EINTR || errno == ECONNABORTED;
  }
  ++accepts_in_window_;
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    ++refused_request_count_;
    return true;
  }
  if (const auto why = refusal(peer.uid)) {
    ++refused_request_count_;
    send_refusal(fd.get(), *why);
    return true;
  }
  admit(std::move(fd), peer);
  return true;
}

// With no descriptor left a waiting connection can be neither taken nor refused, and the listener
// would be ready without end. The spare one makes room for refusing it; then it pauses.
void CoreServer::shed_connection() {
  ++refused_request_count_;
  spare_.reset();
  const UniqueFd shed(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (shed.valid()) {
    send_refusal(shed.get(), "hvguardd has no file descriptors left; try again later");
  }
  pause_listening();
}

void CoreServer::pause_listening() {
  if (!spare_.valid()) {
    spare_ = open_spare();
  }
  listener_source_.set_enabled(false);
  resume_timer_.arm(options_.accept_pause);
}

std::optional<CoreServer::Peer> CoreServer::peer_of(uid_t uid) const {
  if (uid == 0) {
    return Peer::kRoot;
  }
  if (options_.gateway_uid == uid) {
    return Peer::kGateway;
  }
  return options_.spool_uid == uid ? std::optional(Peer::kSpool) : std::nullopt;
}

std::optional<std::string> CoreServer::refusal(uid_t uid) const {
  const auto peer = peer_of(uid);
  if (!peer) {
    return fmt::format("user {} may not use this socket: only root, the gateway and the spool may",
                       uid);
  }
  if (clients_.size() >= kMaxClients) {
    return fmt::format("{} clients are connected already", kMaxClients);
  }
  const auto count = static_cast<std::size_t>(
      std::count_if(clients_.begin(), clients_.end(), [&](const auto& entry) {
        return entry.second->peer == *peer;
      }));
  if (*peer == Peer::kGateway && count >= kMaxGatewayClients) {
    return fmt::format("the gateway has {} connections already", kMaxGatewayClients);
  }
  if (*peer == Peer::kSpool && count >= kMaxSpoolClients) {
    return fmt::format("the spool has {} connections already", kMaxSpoolClients);
  }
  return std::nullopt;
}

void CoreServer::admit(UniqueFd fd, const ucred& peer) {
  // A host may be tuned to less than one packet; where the limit is lower still, so be it.
  static_cast<void>(
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes)));
  const std::uint64_t id = next_client_id_++;
  auto client = std::make_unique<Client>();
  client->id = id;
  client->fd = std::move(fd);
  client->peer = peer_of(peer.uid).value_or(Peer::kSpool);
  client->sender = {.may_attach = peer.uid == 0 || options_.spool_uid == peer.uid,
                    .may_change = peer.uid == 0 || options_.gateway_uid == peer.uid,
                    .name = fmt::format("uid {}, pid {}", peer.uid, peer.pid)};
  auto source =
      EventSource::io(event_, client->fd.get(), EPOLLIN, [this, id](std::uint32_t events) {
        on_client(id, events);
      });
  auto deadline = EventSource::timer(event_, options_.request_deadline, [this, id] {
    ++refused_request_count_;
    close_client(id);
  });
  if (!source || !deadline) {
    ++refused_request_count_;
    return;
  }
  client->source = *std::move(source);
  client->source.set_low_priority();
  client->deadline = *std::move(deadline);
  clients_.emplace(id, std::move(client));
}

void CoreServer::on_client(std::uint64_t id, std::uint32_t revents) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) {
    return;
  }
  if ((revents & EPOLLIN) != 0) {
    on_request(*found->second);
  } else if ((revents & (EPOLLHUP | EPOLLERR)) != 0) {
    close_client(id);
  } else if ((revents & EPOLLOUT) != 0) {
    send_pending(*found->second);
  }
}

void CoreServer::on_request(Client& client) {
  std::array<char, kMaxSpoolRequestBytes + 1> buffer{};
  const ssize_t size =
      ::recv(client.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (size <= 0) {  // gone; an empty packet cannot be told from that, and is no request either
    close_client(client.id);
    return;
  }
  if (client.requested) {
    refuse(client, "one request for each connection");
    return;
  }
  const auto kept = std::min(static_cast<std::size_t>(size), buffer.size());
  auto request = parse_core_request({buffer.data(), kept}, client.sender);
  if (!request) {
    refuse(client, request.error().message);
    return;
  }
  client.requested = true;
  client.deadline.set_enabled(false);
  if (request->admin) {
    on_admin_request(client, *request->admin);
    return;
  }
  client.subscribed = request->kind != CoreRequestKind::kGetFrame;
  if (request->report && spool_handler_) {
    spool_handler_(*std::move(request->report));
  }
  if (latest_) {
    offer(client, latest_);
  }
}

// Answers and closes. A client that does not take its one packet is closed like any other.
void CoreServer::on_admin_request(Client& client, const Result<AdminRequest>& request) {
  v1::AdminReply reply;
  if (!allow_admin(client.peer)) {
    reply = admin_error({Errc::kExhausted, 0, "too many requests: try again in some seconds"});
  } else if (!request) {
    reply = admin_error(request.error());
  } else if (!admin_handler_) {
    reply = admin_error({Errc::kUnavailable, 0, "hvguardd is only starting: try again"});
  } else {
    reply = admin_handler_(*request);
  }
  refused_request_count_ += !request || reply.error().code() == to_string(Errc::kExhausted);
  offer(client,
        std::make_shared<const Frame>(
            Frame{.packets = {encode_admin_reply(std::move(reply))}, .trimmed_count = 0}));
}

// One bucket for each kind of client: the gateway cannot use up what root has.
bool CoreServer::allow_admin(Peer peer) {
  const BootTime now = boot_time_now();
  BootTime& full = admin_full_time_[peer];
  const BootTime next = std::max(full, now) + kAdminInterval;
  if (next - now > kAdminBurst * kAdminInterval) {
    return false;
  }
  full = next;
  return true;
}

void CoreServer::refuse(Client& client, std::string_view why) {
  ++refused_request_count_;
  send_refusal(client.fd.get(), why);
  close_client(client.id);
}

void CoreServer::publish(std::shared_ptr<const Frame> frame) {
  latest_ = std::move(frame);
  // Sending may close a client, which takes it out of the map.
  for (auto next = clients_.begin(); next != clients_.end();) {
    Client& client = *(next++)->second;
    const bool wants_first = client.requested && !client.sending;
    if (client.subscribed || wants_first) {
      offer(client, latest_);
    }
  }
}

void CoreServer::offer(Client& client, const std::shared_ptr<const Frame>& frame) {
  if (client.sending) {
    skipped_frame_count_ += client.waiting ? 1U : 0U;
    client.waiting = frame;
    return;
  }
  client.sending = frame;
  client.next_packet = 0;
  send_pending(client);
}

// Sends as much as fits. May close the client: the reference is then dead.
void CoreServer::send_pending(Client& client) {
  bool progress = false;
  while (client.sending) {
    const std::string& packet = client.sending->packets[client.next_packet];
    const ssize_t sent =
        ::send(client.fd.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
      client.source.set_events(EPOLLIN | EPOLLOUT);
      if (progress || client.next_packet == 0) {
        const std::uint64_t id = client.id;
        auto deadline =
            EventSource::timer(event_, options_.stall_deadline, [this, id] { close_client(id); });
        if (deadline) {
          client.deadline = *std::move(deadline);
        }
      }
      return;
    }
    if (sent < 0) {
      close_client(client.id);
      return;
    }
    progress = true;
    if (++client.next_packet < client.sending->packets.size()) {
      continue;
    }
    if (!client.subscribed) {
      close_client(client.id);
      return;
    }
    client.sending = std::exchange(client.waiting, nullptr);
    client.next_packet = 0;
  }
  client.deadline.set_enabled(false);
  client.source.set_events(EPOLLIN);
}

void CoreServer::close_client(std::uint64_t id) {
  clients_.erase(id);
}

}  // namespace hvguard::publish
