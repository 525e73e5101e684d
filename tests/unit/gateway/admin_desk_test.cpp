#include "gateway/admin_desk.h"

#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

#include "fake_core.h"
#include "link/core_connection.h"
#include "temp_dir.h"

namespace hvguard::gateway {
namespace {

using test::FakeCore;
using test::TempDir;

// Answers as they come, from whatever thread.
class Answers {
 public:
  AdminDesk::Answer taker() {
    return [this](Result<v1::AdminReply> reply) {
      const std::lock_guard lock(mutex_);
      replies_.push_back(std::move(reply));
      changed_.notify_all();
    };
  }
  // True when there are as many.
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(
        lock, std::chrono::seconds(20), [&] { return replies_.size() >= count; });
  }
  std::vector<Result<v1::AdminReply>> replies() {
    const std::lock_guard lock(mutex_);
    return replies_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Result<v1::AdminReply>> replies_;
};

v1::AdminCall cordon() {
  v1::AdminCall call;
  call.mutable_set_cordon()->set_cordoned(true);
  call.mutable_set_cordon()->set_reason("test");
  return call;
}

class AdminDeskTest : public ::testing::Test {
 protected:
  std::string path() { return dir.file("core.sock"); }

  TempDir dir;
  Answers answers;
};

TEST_F(AdminDeskTest, HandsOnTheRequestAndTheReply) {
  FakeCore core(path());
  std::string reason;
  core.on_admin([&](const v1::AdminCall& call) {
    reason = call.set_cordon().reason();
    v1::AdminReply reply;
    reply.mutable_set_cordon()->set_cordoned(true);
    return std::optional(reply);
  });
  AdminDesk desk(path());
  ASSERT_TRUE(desk.start());
  desk.ask(cordon(), answers.taker());
  ASSERT_TRUE(answers.wait_for(1));
  ASSERT_TRUE(answers.replies()[0]);
  EXPECT_TRUE(answers.replies()[0]->set_cordon().cordoned());
  EXPECT_EQ(reason, "test");
}

TEST_F(AdminDeskTest, TheGuardsErrorKeepsItsKindAndWords) {
  FakeCore core(path());
  core.on_admin([](const v1::AdminCall&) {
    v1::AdminReply reply;
    reply.mutable_error()->set_code("not found");
    reply.mutable_error()->set_message("no such VM");
    return std::optional(reply);
  });
  AdminDesk desk(path());
  ASSERT_TRUE(desk.start());
  desk.ask(cordon(), answers.taker());
  ASSERT_TRUE(answers.wait_for(1));
  EXPECT_EQ(answers.replies()[0].error().code, Errc::kNotFound);
  EXPECT_EQ(answers.replies()[0].error().message, "no such VM");
}

TEST_F(AdminDeskTest, NoGuardIsUnavailableWithTheRemedy) {
  AdminDesk desk(path());
  ASSERT_TRUE(desk.start());
  desk.ask(cordon(), answers.taker());
  ASSERT_TRUE(answers.wait_for(1));
  EXPECT_EQ(answers.replies()[0].error().code, Errc::kUnavailable);
  EXPECT_NE(answers.replies()[0].error().message.find("systemctl status hvguardd"),
            std::string::npos);
}

// A guard that takes requests and says nothing: the first one times out; those behind it had no
// chance, and are told that nothing was done; those beyond the bound are told at once.
TEST_F(AdminDeskTest, ASilentGuardHoldsNobodyLongerThanTheDeadline) {
  FakeCore core(path());
  AdminDesk desk(path());
  ASSERT_TRUE(desk.start());
  const BootTime start = boot_time_now();
  const std::size_t asked = kMaxWaitingAdminCalls + 4;
  for (std::size_t i = 0; i < asked; ++i) {
    desk.ask(cordon(), answers.taker());
  }
  ASSERT_TRUE(answers.wait_for(asked));
  EXPECT_LT(boot_time_now() - start, 4 * kAdminDeadline);
  const auto replies = answers.replies();
  const auto count = [&](Errc code) {
    return std::ranges::count_if(replies,
                                 [&](const auto& reply) { return reply.error().code == code; });
  };
  EXPECT_GE(count(Errc::kTimeout), 1);
  EXPECT_GE(count(Errc::kExhausted), 3);
  EXPECT_EQ(count(Errc::kTimeout) + count(Errc::kExhausted) + count(Errc::kUnavailable),
            static_cast<std::ptrdiff_t>(asked));
}

TEST_F(AdminDeskTest, StoppingAnswersAllThatWait) {
  FakeCore core(path());
  AdminDesk desk(path());
  ASSERT_TRUE(desk.start());
  for (int i = 0; i < 3; ++i) {
    desk.ask(cordon(), answers.taker());
  }
  const BootTime start = boot_time_now();
  desk.stop();
  EXPECT_LT(boot_time_now() - start, kAdminDeadline);
  EXPECT_EQ(answers.replies().size(), 3U);
  desk.ask(cordon(), answers.taker());
  EXPECT_EQ(answers.replies().back().error().code, Errc::kUnavailable);
}

TEST_F(AdminDeskTest, ARequestThatTheGuardWouldNotReadIsNotSent) {
  v1::AdminCall call = cordon();
  call.mutable_set_cordon()->set_reason(std::string(8000, 'x'));
  const auto reply = link::call_admin(path(), call, boot_time_now() + kAdminDeadline);
  EXPECT_EQ(reply.error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace hvguard::gateway
