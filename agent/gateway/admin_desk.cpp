#include "gateway/admin_desk.h"

#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <sys/eventfd.h>

#include "link/core_connection.h"

namespace hvguard::gateway {
namespace {

tl::unexpected<Error> stopping() {
  return fail(Errc::kUnavailable, "hvguard-gateway is stopping: nothing was done, try again");
}

}  // namespace

Result<> AdminDesk::start() {
  stop_event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event_.valid()) {
    return fail_errno(errno, "make an eventfd");
  }
  open_ = true;
  thread_ = std::thread([this] { run(); });
  return {};
}

void AdminDesk::stop() {
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  if (thread_.joinable()) {
    ::eventfd_write(stop_event_.get(), 1);
    changed_.notify_all();
    thread_.join();
  }
}

void AdminDesk::ask(v1::AdminCall call, Answer answer) {
  bool open = false;
  {
    const std::lock_guard lock(mutex_);
    open = open_;
    if (open && waiting_.size() < kMaxWaitingAdminCalls) {
      waiting_.push_back({std::move(call), std::move(answer), boot_time_now() + kAdminDeadline});
      changed_.notify_all();
      return;
    }
  }
  if (!open) {
    answer(stopping());
    return;
  }
  answer(fail(Errc::kExhausted,
              fmt::format("{} requests wait for hvguardd already: nothing was done, try again",
                          kMaxWaitingAdminCalls)));
}

void AdminDesk::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !open_ || !waiting_.empty(); });
    if (waiting_.empty()) {
      return;
    }
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const bool open = open_;
    lock.unlock();
    if (open) {
      serve(next);
    } else {
      next.answer(stopping());
    }
    lock.lock();
  }
}

void AdminDesk::serve(const Waiting& waiting) {
  if (boot_time_now() >= waiting.deadline) {
    waiting.answer(fail(Errc::kUnavailable,
                        "hvguardd had no time for it: nothing was done, try again; `systemctl "
                        "status hvguardd`"));
    return;
  }
  waiting.answer(link::call_admin(core_socket_, waiting.call, waiting.deadline, stop_event_.get()));
}

}  // namespace hvguard::gateway
