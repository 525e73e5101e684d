#include "observe/thread_state.h"

#include <array>
#include <future>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "wait.h"

namespace hvguard::observe {
namespace {

// The parent of a vfork() child sleeps in D until the child ends (kernel/fork.c,
// wait_for_vfork_done).
TEST(ThreadState, TellsUninterruptibleSleep) {
  std::array<int, 2> end_child{};
  ASSERT_EQ(::pipe(end_child.data()), 0);
  std::promise<ThreadState> made;
  std::thread sleeper([&] {
    made.set_value(ThreadState::of_this_thread().value());
    if (::vfork() == 0) {
      char byte = 0;
      const auto ended = ::read(end_child[0], &byte, 1);
      ::_exit(static_cast<int>(ended));
    }
  });
  const ThreadState state = made.get_future().get();
  EXPECT_TRUE(test::wait_for(std::chrono::seconds(10), [&] { return state.uninterruptible(); }));
  EXPECT_EQ(::write(end_child[1], "x", 1), 1);
  sleeper.join();
  EXPECT_FALSE(state.uninterruptible());  // ended
  EXPECT_FALSE(ThreadState::of_this_thread().value().uninterruptible());
  ::close(end_child[0]);
  ::close(end_child[1]);
}

}  // namespace
}  // namespace hvguard::observe
