#include "publish/event_source.h"

#include <memory>

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"

namespace hvguard::publish {
namespace {

struct Loop {
  Loop() { sd_event_new(&event); }
  ~Loop() { sd_event_unref(event); }
  sd_event* event = nullptr;
};

TEST(EventSource, MayDestroyItselfInItsOwnFunction) {
  const Loop loop;
  const UniqueFd fd(::eventfd(1, EFD_NONBLOCK));
  auto holder = std::make_unique<EventSource>();
  int calls = 0;
  *holder = EventSource::io(
                loop.event,
                fd.get(),
                EPOLLIN,
                [&, captured = std::string(100, 'x')](std::uint32_t) {
                  holder.reset();
                  calls += captured.size() == 100 ? 1 : 0;  // ASan: the captures are still there
                })
                .value();
  sd_event_run(loop.event, 1'000'000);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(sd_event_run(loop.event, 0), 0);
}

TEST(EventSource, TimerFiresOncePerArming) {
  const Loop loop;
  int calls = 0;
  auto timer = EventSource::unarmed_timer(loop.event, [&] { ++calls; }).value();
  EXPECT_EQ(sd_event_run(loop.event, 1000), 0);
  timer.arm(Nanoseconds(0));
  EXPECT_GT(sd_event_run(loop.event, 1'000'000), 0);
  EXPECT_EQ(sd_event_run(loop.event, 1000), 0);
  EXPECT_EQ(calls, 1);
  timer.arm(Nanoseconds(0));
  EXPECT_GT(sd_event_run(loop.event, 1'000'000), 0);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace hvguard::publish
