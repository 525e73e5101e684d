// WatchReactor: a streaming answer fed by a hub's watch, with one write under way at a time. What
// the peer does not read stays in the hub, where it is bounded.
//
// gRPC calls OnWriteDone, OnCancel, OnDone on its threads; the hub calls pump() on the link thread.
// The reactor lives until OnDone and until the last wake that found it has returned.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "base/result.h"
#include "gateway/grpc_status.h"

namespace hvguard::gateway {

template <class Response, class Watch>
class WatchReactor final : public grpc::ServerWriteReactor<Response>,
                           public std::enable_shared_from_this<WatchReactor<Response, Watch>> {
 public:
  using Subscribe = std::function<Result<std::shared_ptr<Watch>>(std::function<void()> wake)>;
  // Puts the watch's next event into the response; false if there is none.
  using Fill = std::function<bool(Watch&, Response&)>;

  static WatchReactor* start(const Subscribe& subscribe, Fill fill) {
    auto reactor = std::make_shared<WatchReactor>(std::move(fill));
    reactor->self_ = reactor;
    std::weak_ptr<WatchReactor> weak = reactor;
    auto watch = subscribe([weak] {
      if (const auto self = weak.lock()) {
        self->pump();
      }
    });
    if (watch) {
      {
        const std::lock_guard lock(reactor->mutex_);
        reactor->watch_ = std::move(*watch);
      }
      reactor->pump();
    } else {
      reactor->finished_ = true;
      reactor->Finish(to_status(watch.error()));
    }
    return reactor.get();
  }

  explicit WatchReactor(Fill fill) : fill_(std::move(fill)) {}

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      cancelled_ = cancelled_ || !ok;
    }
    pump();
  }

  void OnCancel() override {
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
    }
    pump();
  }

  void OnDone() override {
    std::shared_ptr<Watch> ended;  // ends after the lock: its destructor takes the hub's
    {
      const std::lock_guard lock(mutex_);
      ended.swap(watch_);
    }
    self_.reset();
  }

 private:
  enum class Next { kNothing, kWrite, kFinish };

  // Does the next thing if there is one. gRPC is called without our lock, because it may call back
  // at once; writing_ and finished_ keep others from coming in between.
  void pump() {
    grpc::Status status;
    switch (choose(status)) {
      case Next::kWrite:
        this->StartWrite(&response_);
        break;
      case Next::kFinish:
        this->Finish(status);
        break;
      case Next::kNothing:
        break;
    }
  }

  Next choose(grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    if (finished_ || writing_ || watch_ == nullptr) {
      return Next::kNothing;
    }
    if (cancelled_) {
      finished_ = true;
      status = {grpc::StatusCode::CANCELLED, "the watcher has gone"};
      return Next::kFinish;
    }
    if (watch_->closed()) {
      finished_ = true;
      status = {grpc::StatusCode::UNAVAILABLE, "hvguard-gateway is stopping: watch again"};
      return Next::kFinish;
    }
    response_.Clear();
    if (!fill_(*watch_, response_)) {
      return Next::kNothing;
    }
    writing_ = true;
    return Next::kWrite;
  }

  const Fill fill_;
  std::mutex mutex_;
  std::shared_ptr<Watch> watch_;
  Response response_;  // of the write under way
  bool writing_ = false;
  bool cancelled_ = false;
  bool finished_ = false;
  std::shared_ptr<WatchReactor> self_;  // until OnDone
};

}  // namespace hvguard::gateway
