#include "gateway/gateway.h"

#include <algorithm>
#include <array>
#include <future>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <grp.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/service_manager.h"
#include "gateway/log.h"

namespace hvguard::gateway {
namespace {

// Calls have this long to end by themselves, then gRPC cancels them, then we cut their connections.
constexpr Nanoseconds kCallsEndWithin = std::chrono::milliseconds(800);
constexpr Nanoseconds kCutAfter = std::chrono::milliseconds(1000);

// Asked once, at the start: name services may block.
std::optional<gid_t> find_group(const std::string& name) {
  if (const auto number = parse_number<gid_t>(name)) {
    return number;
  }
  std::array<char, 16384> buffer{};
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    log_line(
        Level::kWarning,
        fmt::format(
            "there is no group '{}': only root may read (`groupadd --system {}`)", name, name));
    return std::nullopt;
  }
  return found->gr_gid;
}

std::uint64_t random_instance() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

Gateway::Gateway(const Options& options)
    : options_(options),
      watcher_slots_(options.max_watchers),
      incidents_(watcher_slots_, random_instance()),
      statuses_(watcher_slots_),
      service_(slot_, incidents_, statuses_),
      desk_(options.core_socket),
      admin_service_(desk_, [this] { return acceptor_->root_pids(); }) {}

Gateway::~Gateway() {
  stop();
}

Result<std::unique_ptr<Gateway>> Gateway::start(const Options& options) {
  std::unique_ptr<Gateway> gateway(new Gateway(options));
  const PeerPolicy policy{::geteuid(), find_group(options.viewer_group)};
  auto listener = listen_on(options.listen, policy.viewer_gid);
  if (!listener) {
    return fail(std::move(listener.error()));
  }
  gateway->lock_ = std::move(listener->lock);

  if (auto started = gateway->desk_.start(); !started) {
    return fail(std::move(started.error()));
  }
  auto server = Server::start({&gateway->service_, &gateway->admin_service_}, options.reflection);
  if (!server) {
    return fail(std::move(server.error()));
  }
  gateway->server_ = std::move(*server);

  Gateway* const self = gateway.get();
  CoreLink::Events events;
  events.on_mirror = [self](const std::shared_ptr<const link::Mirror>& mirror, BootTime now) {
    self->incidents_.publish(mirror);
    self->statuses_.publish(mirror, now);
  };
  events.on_time = [self](BootTime now) { self->statuses_.on_time(now); };
  events.next_due = [self] { return self->statuses_.next_due(); };
  events.on_freshness = [self](bool fresh) {
    self->server_->set_serving(fresh);
    tell_service_manager(fresh ? "STATUS=serving" : "STATUS=no new data from hvguardd");
  };
  gateway->core_link_ =
      std::make_unique<CoreLink>(options.core_socket, gateway->slot_, std::move(events));
  if (auto started = gateway->core_link_->start(); !started) {
    return fail(std::move(started.error()));
  }

  gateway->acceptor_ = std::make_unique<Acceptor>(
      std::move(listener->fd),
      AcceptorLimits{options.max_connections, options.max_connections_per_uid},
      policy,
      [self](Role role, UniqueFd fd) { self->server_->take(role, std::move(fd)); });
  if (auto started = gateway->acceptor_->start(); !started) {
    return fail(std::move(started.error()));
  }
  return gateway;
}

void Gateway::stop() {
  if (std::exchange(stopped_, true)) {
    return;
  }
  if (acceptor_ != nullptr) {
    acceptor_->stop();
    ::unlink(options_.listen.c_str());  // we still hold its lock
  }
  if (core_link_ != nullptr) {
    core_link_->stop();
  }
  desk_.stop();
  incidents_.close();
  statuses_.close();
  if (server_ != nullptr) {
    end_calls();
  }
  if (acceptor_ != nullptr) {
    const AcceptorCounts counts = acceptor_->counts();
    log_line(Level::kInfo,
             fmt::format("stopped; connections accepted {}, denied {}, over limit {}, without "
                         "descriptors {}",
                         counts.accepted,
                         counts.denied,
                         counts.over_limit,
                         counts.out_of_fds));
  }
}

void Gateway::end_calls() {
  std::promise<void> ended;
  std::thread cutter([this, done = ended.get_future()] {
    if (done.wait_for(kCutAfter) == std::future_status::timeout && acceptor_ != nullptr) {
      acceptor_->cut_connections();
    }
  });
  server_->shutdown(kCallsEndWithin);
  ended.set_value();
  cutter.join();
}

BootTime Gateway::progress_time() const {
  return std::min(core_link_->progress_time(), acceptor_->progress_time());
}

}  // namespace hvguard::gateway
