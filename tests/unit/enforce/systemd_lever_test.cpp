// The lever against a systemd in libsystemd's own words, at the other end of a socketpair: answers,
// refusals, silence, an end in the middle, a peer that never finishes the authentication.
#include "enforce/systemd_lever.h"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <systemd/sd-id128.h>

#include "cgroup_fixture.h"

namespace hvguard::enforce {
namespace {

using namespace std::chrono_literals;

enum class Manner { kAnswer, kRefuse, kSilent, kGibberish };

// What came in, and how it is answered.
struct FakeSystemd {
  Manner manner = Manner::kAnswer;
  std::vector<std::string> units;
  std::vector<std::string> properties;
  bool runtime = false;

  static int on_message(sd_bus_message* message, void* data, sd_bus_error* /*error*/) {
    auto& self = *static_cast<FakeSystemd*>(data);
    if (sd_bus_message_is_method_call(
            message, "org.freedesktop.systemd1.Manager", "SetUnitProperties") <= 0) {
      return 0;
    }
    self.note(message);
    switch (self.manner) {
      case Manner::kAnswer:
        return sd_bus_reply_method_return(message, "");
      case Manner::kGibberish:
        return sd_bus_reply_method_return(message, "sat", "what?", 1, std::uint64_t{7});
      case Manner::kRefuse:
        return sd_bus_reply_method_errorf(
            message, "org.freedesktop.systemd1.NoSuchUnit", "Unit \x1b[31mvm.scope not found.");
      case Manner::kSilent:
        break;
    }
    return 1;
  }

  void note(sd_bus_message* message) {
    const char* unit = nullptr;
    int now = 0;
    sd_bus_message_read(message, "sb", &unit, &now);
    units.emplace_back(unit);
    runtime = now != 0;
    sd_bus_message_enter_container(message, 'a', "(sv)");
    while (sd_bus_message_enter_container(message, 'r', "sv") > 0) {
      const char* name = nullptr;
      sd_bus_message_read(message, "s", &name);
      properties.push_back(std::string(name) + value(message));
      sd_bus_message_exit_container(message);
    }
  }
  static std::string value(sd_bus_message* message) {
    const char* type = nullptr;
    sd_bus_message_peek_type(message, nullptr, &type);
    std::uint64_t number = 0;
    if (std::string_view(type) == "t") {
      sd_bus_message_read(message, "v", "t", &number);
      return "=" + std::to_string(number);
    }
    if (std::string_view(type) == "b") {
      int flag = 0;
      sd_bus_message_read(message, "v", "b", &flag);
      return flag != 0 ? "=yes" : "=no";
    }
    std::string list = "=[";
    sd_bus_message_enter_container(message, 'v', type);
    sd_bus_message_enter_container(message, 'a', "(st)");
    const char* path = nullptr;
    while (sd_bus_message_read(message, "(st)", &path, &number) > 0) {
      list += std::string(path) + " " + std::to_string(number) + ";";
    }
    sd_bus_message_exit_container(message);
    sd_bus_message_exit_container(message);
    return list + "]";
  }
};

class SystemdLeverTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GE(sd_event_new(&event_), 0);
    lever_ = std::make_unique<SystemdLever>(event_, [this] { return connect(); });
    target_.unit = "vm.scope";
  }
  void TearDown() override {
    lever_.reset();
    server_.reset();
    sd_event_unref(event_);
  }

  // A new pair of ends each time; ours is the client, with a systemd behind the other one.
  Result<Bus> connect() {
    ++connects_;
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
      return fail_errno(errno, "socketpair");
    }
    if (peer_answers_) {
      sd_bus* server = nullptr;
      sd_id128_t id{};
      sd_id128_randomize(&id);
      EXPECT_GE(sd_bus_new(&server), 0);
      EXPECT_GE(sd_bus_set_fd(server, ends[1], ends[1]), 0);
      EXPECT_GE(sd_bus_set_server(server, 1, id), 0);
      EXPECT_GE(sd_bus_set_trusted(server, 1), 0);
      EXPECT_GE(sd_bus_add_filter(server, nullptr, FakeSystemd::on_message, &systemd_), 0);
      EXPECT_GE(sd_bus_start(server), 0);
      EXPECT_GE(sd_bus_attach_event(server, event_, 0), 0);
      server_.reset(server);
    } else {
      mute_ = UniqueFd(ends[1]);
    }
    sd_bus* client = nullptr;
    EXPECT_GE(sd_bus_new(&client), 0);
    EXPECT_GE(sd_bus_set_fd(client, ends[0], ends[0]), 0);
    EXPECT_GE(sd_bus_start(client), 0);
    return Bus(client);
  }
  // Handlers run until `done`, or 20 s of the real clock.
  template <class Done>
  bool loop_until(Done done) {
    const BootTime end = boot_time_now() + 20s;
    while (!done() && boot_time_now() < end) {
      sd_event_run(event_, 20'000);
      lever_->run(now_);
    }
    return done();
  }
  void connect_now() {
    lever_->run(now_);
    ASSERT_TRUE(loop_until([this] { return lever_->connected(); }));
  }
  std::optional<Result<>> apply(std::vector<Setting> changes) {
    result_.reset();
    lever_->apply({target_, std::move(changes), {}}, now_, [this](Result<> result) {
      result_ = std::move(result);
    });
    return result_;
  }
  Result<> answer() {
    EXPECT_TRUE(loop_until([this] { return result_.has_value(); }));
    return result_.value_or(Result<>(fail(Errc::kInternal, "none")));
  }

  sd_event* event_ = nullptr;
  FakeSystemd systemd_;
  Bus server_;
  UniqueFd mute_;
  bool peer_answers_ = true;
  int connects_ = 0;
  std::unique_ptr<SystemdLever> lever_;
  LimitTarget target_;
  BootTime now_{1000s};
  std::optional<Result<>> result_;
};

TEST_F(SystemdLeverTest, SetsPropertiesOfTheUnitUntilItsEnd) {
  connect_now();
  EXPECT_FALSE(apply({{test::kReadBytes, 5}, {test::kPids, 4096}})) << "nobody waits";
  EXPECT_TRUE(answer());
  EXPECT_EQ(systemd_.units, std::vector<std::string>{"vm.scope"});
  EXPECT_TRUE(systemd_.runtime);
  EXPECT_EQ(
      systemd_.properties,
      (std::vector<std::string>{
          "TasksMax=4096", "IOReadBandwidthMax=[]", "IOReadBandwidthMax=[/dev/block/8:0 5;]"}));
}

TEST_F(SystemdLeverTest, NeverAnEmptyNameNorWhatIsNoServiceOrScope) {
  connect_now();
  for (const char* const unit : {"", "machine.slice", "hvguard", "x.scope "}) {
    target_.unit = unit;
    const auto refused = apply({{test::kPids, 4096}});
    ASSERT_TRUE(refused) << unit;
    EXPECT_EQ(refused->error().code, Errc::kInvalid);
  }
  EXPECT_TRUE(systemd_.units.empty());
}

TEST_F(SystemdLeverTest, ARefusalIsSaidInSafeWords) {
  connect_now();
  systemd_.manner = Manner::kRefuse;
  apply({{test::kPids, 4096}});
  const auto refused = answer();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().code, Errc::kTimeout) << "an answer";
  EXPECT_NE(refused.error().message.find("not found"), std::string::npos);
  EXPECT_EQ(refused.error().message.find('\x1b'), std::string::npos);
}

TEST_F(SystemdLeverTest, AnAnswerOfAnotherFormIsAnAnswer) {
  connect_now();
  systemd_.manner = Manner::kGibberish;
  apply({{test::kPids, 4096}});
  EXPECT_TRUE(answer()) << "whether it holds is read from the kernel";
}

TEST_F(SystemdLeverTest, SilenceEndsWithTheDeadlineAndNobodyWaited) {
  connect_now();
  systemd_.manner = Manner::kSilent;
  apply({{test::kPids, 4096}});
  ASSERT_TRUE(loop_until([this] { return !systemd_.units.empty(); }));
  EXPECT_FALSE(result_);
  now_ = now_ + kLeverDeadline;
  lever_->run(now_);
  ASSERT_TRUE(result_);
  EXPECT_EQ(result_->error().code, Errc::kTimeout);
  EXPECT_TRUE(lever_->connected()) << "PID 1 is slow, the bus is not";
}

TEST_F(SystemdLeverTest, APeerThatNeverAuthenticatesIsLeftAndTriedAgain) {
  peer_answers_ = false;
  const BootTime begin = boot_time_now();
  lever_->run(now_);
  const auto refused = apply({{test::kPids, 4096}});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error().code, Errc::kUnavailable);
  for (int i = 0; i < 60; ++i) {
    now_ = now_ + 1s;
    sd_event_run(event_, 0);
    lever_->run(now_);
  }
  EXPECT_GE(connects_, 2);
  EXPECT_LE(connects_, 10) << "with back-off";
  EXPECT_LT(boot_time_now() - begin, 20s) << "nothing waits for the 90 s of sd-bus";
  peer_answers_ = true;
  now_ = now_ + 60s;
  connect_now();
}

TEST_F(SystemdLeverTest, TheEndOfTheConnectionAnswersWhatWaits) {
  connect_now();
  systemd_.manner = Manner::kSilent;
  apply({{test::kPids, 4096}});
  ASSERT_TRUE(loop_until([this] { return !systemd_.units.empty(); }));
  server_.reset();
  EXPECT_FALSE(answer());
  now_ = now_ + 60s;
  ASSERT_TRUE(loop_until([this] { return lever_->connected() && connects_ == 2; }));
  systemd_.manner = Manner::kAnswer;
  apply({{test::kPids, 2048}});
  EXPECT_TRUE(answer());
}

TEST_F(SystemdLeverTest, ArmsTheIoController) {
  connect_now();
  lever_->arm_io(target_, now_, [this](Result<> result) { result_ = std::move(result); });
  EXPECT_TRUE(answer());
  EXPECT_EQ(systemd_.properties, std::vector<std::string>{"IOAccounting=yes"});
}

}  // namespace
}  // namespace hvguard::enforce
