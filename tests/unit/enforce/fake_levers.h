// A kernel and a systemd in memory: the files of cgroups, a lever and a reader over them that fail,
// fall silent or answer late as a test says. Answers come from deliver(), in the order asked.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "enforce/lever.h"

namespace hvguard::enforce::test {

class FakeHost {
 public:
  using Values = std::map<SettingKey, SettingValue>;

  [[nodiscard]] SettingValue get(const std::string& cgroup, const SettingKey& key) const {
    const auto values = values_.find(cgroup);
    if (values != values_.end()) {
      if (const auto value = values->second.find(key); value != values->second.end()) {
        return value->second;
      }
    }
    return unset_value(key.kind);
  }
  void set(const std::string& cgroup, const SettingKey& key, SettingValue value) {
    if (value == unset_value(key.kind)) {
      values_[cgroup].erase(key);
    } else {
      values_[cgroup][key] = value;
    }
  }
  // All that is not as a fresh cgroup has it.
  [[nodiscard]] std::map<std::string, Values> tree() const {
    auto all = values_;
    std::erase_if(all, [](const auto& cgroup) { return cgroup.second.empty(); });
    return all;
  }
  void remove(const std::string& cgroup) { gone_[cgroup] = true; }
  [[nodiscard]] bool gone(const std::string& cgroup) const { return gone_.contains(cgroup); }

  void later(std::function<void()> answer) { answers_.push_back(std::move(answer)); }
  // Those asked before this call; false: none waited.
  bool deliver() {
    auto answers = std::exchange(answers_, {});
    for (const auto& answer : answers) {
      answer();
    }
    return !answers.empty();
  }
  void deliver_all() {
    while (deliver()) {
    }
  }

 private:
  std::map<std::string, Values> values_;
  std::map<std::string, bool> gone_;
  std::deque<std::function<void()>> answers_;
};

enum class Mood { kWell, kRefuses, kSilent, kSilentButDoes, kIgnores };

class FakeLever final : public Lever, public SettingReader {
 public:
  FakeLever(FakeHost& host, LeverKind kind) : host_(host), kind_(kind) {}
  [[nodiscard]] LeverKind kind() const override { return kind_; }

  void apply(LeverTask task, BootTime /*now*/, OnDone done) override {
    tasks.push_back(task);
    const Mood now = mood;
    host_.later([this, now, task = std::move(task), done = std::move(done)] {
      if (now == Mood::kWell || now == Mood::kSilentButDoes) {
        for (const Setting& change : task.changes) {
          host_.set(task.target.cgroup_path, change.key, change.value);
        }
      }
      switch (now) {
        case Mood::kRefuses:
          done(fail(Errc::kInvalid, "refused"));
          break;
        case Mood::kSilent:
        case Mood::kSilentButDoes:
          done(fail(Errc::kTimeout, "no answer"));
          break;
        default:
          done({});
      }
    });
  }
  void arm_io(const LimitTarget& target, BootTime /*now*/, OnDone done) override {
    armed.push_back(target.unit);
    host_.later([done = std::move(done)] { done({}); });
  }
  void read(const LimitTarget& target,
            const std::vector<SettingKey>& keys,
            BootTime /*now*/,
            OnRead done) override {
    ++reads;
    host_.later([this, now = mood, path = target.cgroup_path, keys, done = std::move(done)] {
      if (now == Mood::kSilent) {
        done(fail(Errc::kTimeout, "the helper hangs"));
        return;
      }
      LimitsAnswer answer;
      answer.gone = host_.gone(path);
      for (const SettingKey& key : keys) {
        answer.results.push_back(
            {.key = key, .known = !answer.gone, .value = host_.get(path, key)});
      }
      done(std::move(answer));
    });
  }

  Mood mood = Mood::kWell;
  std::vector<LeverTask> tasks;
  std::vector<std::string> armed;
  int reads = 0;

 private:
  FakeHost& host_;
  LeverKind kind_;
};

}  // namespace hvguard::enforce::test
