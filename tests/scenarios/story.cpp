#include "story.h"

#include <array>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/parse.h"
#include "decide/pipeline.h"
#include "host/host.h"
#include "model/names.h"

namespace hvguard::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Words = std::vector<std::string>;

struct Line {
  int number = 0;
  double at = 0;
  Words words;
};

std::optional<double> to_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

Nanoseconds to_span(double number) {
  return milliseconds(static_cast<std::int64_t>(number * 1000));
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    parts.emplace_back(next_field(text, separator));
  }
  return parts;
}

std::vector<Line> read_lines(const std::string& story) {
  std::vector<Line> lines;
  std::istringstream input(story);
  std::string text;
  double at = 0;
  for (int number = 1; std::getline(input, text); ++number) {
    Line line;
    line.number = number;
    std::istringstream words(text.substr(0, text.find('#')));
    for (std::string word; words >> word;) {
      line.words.push_back(word);
    }
    if (line.words.empty()) {
      continue;
    }
    if (line.words[0] == "at" && line.words.size() == 2) {
      at = to_number(line.words[1]).value_or(at);
      continue;
    }
    line.at = at;
    lines.push_back(std::move(line));
  }
  return lines;
}

class Teller {
 public:
  explicit Teller(const std::string& story) : lines_(read_lines(story)) {}

  std::string tell() {
    std::uint32_t hz = 250;
    std::size_t next = 0;
    if (!lines_.empty() && lines_[0].words[0] == "hz") {
      hz = static_cast<std::uint32_t>(to_number(lines_[0].words.at(1)).value_or(250));
      next = 1;
    }
    host_ = std::make_unique<Host>(hz);
    pipeline_ = std::make_unique<Pipeline>(Config());
    while (!ended_) {
      for (; next < lines_.size() && lines_[next].at <= to_seconds(host_->elapsed()); ++next) {
        if (!happen(lines_[next])) {
          return fmt::format("error: line {} does not read\n", lines_[next].number);
        }
      }
      if (next == lines_.size() && !ended_) {
        return "error: the story has no end\n";
      }
      one_tick();
      host_->advance(seconds(1));
      if (const auto panic = host_->khungtaskd().panicked_at()) {
        out_ += fmt::format("{:>6} the kernel panics\n", time_text(host_->boot_time_of(*panic)));
        ended_ = true;
      }
    }
    return out_;
  }

 private:
  using Handler = bool (Teller::*)(const Words&);

  bool happen(const Line& line) {
    static const std::map<std::string_view, Handler> kHandlers = {
        {"vm", &Teller::vm},
        {"vm-gone", &Teller::vm_gone},
        {"shell-vm", &Teller::shell_vm},
        {"device", &Teller::device},
        {"suspend", &Teller::suspend},
        {"resume", &Teller::suspend},
        {"io", &Teller::io},
        {"load", &Teller::load},
        {"counts-only", &Teller::counts_only},
        {"block", &Teller::block},
        {"run", &Teller::run},
        {"sysctl", &Teller::sysctl},
        {"source", &Teller::source},
        {"previous-boot", &Teller::previous_boot},
        {"proc-only", &Teller::proc_only},
        {"psi", &Teller::psi},
        {"pids", &Teller::pids},
        {"counters-reset", &Teller::counters_reset},
        {"no-tasks", &Teller::no_tasks},
        {"restart", &Teller::restart},
        {"late", &Teller::late},
        {"skip", &Teller::skip},
        {"end", &Teller::end},
    };
    const auto at = kHandlers.find(line.words[0]);
    return at != kHandlers.end() && (this->*at->second)(line.words);
  }

  bool vm(const Words& words) {
    if (words.size() != 3) {
      return false;
    }
    vms_[words[1]] = host_->add_vm(words[1], static_cast<Pid>(*to_number(words[2])));
    return true;
  }
  bool shell_vm(const Words& words) {
    if (!vm(words)) {
      return false;
    }
    VmReading& reading = host_->vm(words[1]);
    reading.identity.unit.clear();
    reading.identity.cgroup_path = "/";
    reading.identity.kill_mode.reset();
    reading.cgroups.clear();
    reading.topology.foreign_process_count = 40;
    reading.topology.missing_controllers = {"cpu", "io", "memory", "pids"};
    return true;
  }
  bool vm_gone(const Words& words) {
    host_->remove_vm(words.at(1));
    return true;
  }
  bool device(const Words& words) {
    DeviceReading reading;
    const auto id = parse_device_id(words.at(1));
    if (!id) {
      return false;
    }
    reading.id = *id;
    reading.name = words.at(2);
    if (words.size() > 3 && words[3].starts_with("on=")) {
      for (const std::string& below : split(words[3].substr(3), ',')) {
        reading.beneath.push_back(parse_device_id(below).value_or(DeviceId{}));
      }
    }
    if (reading.name.starts_with("dm-")) {
      reading.suspended = false;
    }
    host_->devices().push_back(reading);
    return true;
  }
  bool suspend(const Words& words) {
    for (DeviceReading& reading : host_->devices()) {
      if (to_string(reading.id) == words.at(1)) {
        reading.suspended = words[0] == "suspend";
        return true;
      }
    }
    return false;
  }
  bool io(const Words& words) {
    const auto device = parse_device_id(words.at(2));
    const auto vm = words.at(1) == "host" ? std::nullopt : std::optional(vms_.at(words[1]));
    static const std::map<std::string, IoMotion> kMotions = {
        {"idle", IoMotion::kIdle}, {"moving", IoMotion::kMoving}, {"stuck", IoMotion::kStuck}};
    host_->set_io(vm, *device, kMotions.at(words.at(3)));
    return true;
  }
  bool load(const Words& words) {
    const auto device = parse_device_id(words.at(2));
    const auto vm = words.at(1) == "host" ? std::nullopt : std::optional(vms_.at(words[1]));
    static const std::map<std::string, IoOperation> kOperations = {{"reads", IoOperation::kRead},
                                                                   {"writes", IoOperation::kWrite}};
    const auto milliseconds_of = [&](std::size_t i) {
      return to_span(to_number(words.at(i)).value_or(0) / 1000);
    };
    host_->set_load(vm,
                    *device,
                    kOperations.at(words.at(3)),
                    {.per_second = to_number(words.at(4)).value_or(0),
                     .queue_time = milliseconds_of(5),
                     .device_time = milliseconds_of(6)});
    return true;
  }
  bool counts_only(const Words& words) {
    host_->set_counts_only(words.at(1) == "on");
    return true;
  }
  bool block(const Words& words) {
    static const std::map<std::string, BlockedClass> kClasses = {
        {"hard", BlockedClass::kHard},
        {"killable", BlockedClass::kKillable},
        {"frozen", BlockedClass::kFrozen}};
    const Pid tid = static_cast<Pid>(to_number(words.at(1)).value_or(0));
    Sleeper& sleeper = host_->block(tid, kClasses.at(words.at(2)), {});
    for (std::size_t i = 3; i < words.size(); ++i) {
      std::string_view value = words[i];
      const std::string name(next_field(value, '='));
      if (!set_option(sleeper, tid, name, std::string(value))) {
        return false;
      }
    }
    return true;
  }
  bool set_option(Sleeper& sleeper, Pid tid, const std::string& name, const std::string& value) {
    BlockedTask& task = sleeper.task;
    if (name == "vm") {
      task.tgid = vms_.at(value).tgid;
      task.cgroup = vms_.at(value).cgroup;
    } else if (name == "comm") {
      task.comm = value;
    } else if (name == "stack") {
      task.stack = split(value, ',');
    } else if (name == "lock") {
      const auto owner = parse_number<Pid>(std::string_view(value).substr(value.find(':') + 1));
      task.lock =
          LockWait{.type = value.starts_with("mutex") ? LockType::kMutex : LockType::kRwsemWriter,
                   .owner_tid = owner};
    } else if (name == "worker") {
      task.worker_description = value;
      task.kernel_thread = true;
    } else if (name == "kthread") {
      task.kernel_thread = true;
    } else if (name == "wakes") {
      host_->set_wakes(tid, to_span(to_number(value).value_or(60)));
    } else {
      return false;
    }
    return true;
  }
  bool run(const Words& words) {
    host_->unblock(static_cast<Pid>(to_number(words.at(1)).value_or(0)));
    return true;
  }
  bool sysctl(const Words& words) {
    const auto number = [&](std::size_t i) {
      return static_cast<std::uint64_t>(to_number(words.at(i)).value_or(0));
    };
    host_->set_sysctls(number(1), number(2), number(3));
    return true;
  }
  bool source(const Words& words) {
    static const std::map<std::string, SourceState> kStates = {{"ok", SourceState::kOk},
                                                               {"degraded", SourceState::kDegraded},
                                                               {"blind", SourceState::kBlind},
                                                               {"unknown", SourceState::kUnknown}};
    std::string detail;
    for (std::size_t i = 3; i < words.size(); ++i) {
      detail += (detail.empty() ? "" : " ") + words[i];
    }
    for (std::size_t i = 0; i < kSourceCount; ++i) {
      if (to_string(static_cast<Source>(i)) == words.at(1)) {
        host_->set_source(static_cast<Source>(i), kStates.at(words.at(2)), detail);
        return true;
      }
    }
    return false;
  }
  bool previous_boot(const Words& words) {
    static const std::map<std::string, BootState> kStates = {{"running", BootState::kRunning},
                                                             {"shutdown", BootState::kShutdown},
                                                             {"none", BootState::kNoRecord}};
    auto record = std::make_shared<BootRecord>();
    record->state = kStates.at(words.at(1));
    record->boot_id = "aaaaaaaa-0000-4000-8000-000000000000";
    // The wall clock of the story is the boot clock, 1.7e9 s on.
    record->last_seen = WallTime{seconds(1'700'000'000) - to_span(*to_number(words.at(2)))};
    for (std::size_t i = 3; i < words.size(); ++i) {
      record->pstore.telling_line += (i == 3 ? "" : " ") + words[i];
    }
    host_->set_previous_boot(std::move(record));
    return true;
  }
  bool proc_only(const Words& words) {
    host_->set_proc_only(words.at(1) == "on");
    return true;
  }
  bool psi(const Words& words) {
    const double ratio = to_number(words.at(2)).value_or(0);
    if (words.at(1) == "io") {
      host_->set_io_stall_ratio(ratio);
    } else {
      host_->set_memory_stall_ratio(ratio);
    }
    return true;
  }
  bool pids(const Words& words) {
    VmCgroupReading reading;
    reading.pids_count = parse_number<std::uint64_t>(words.at(2));
    reading.pids_max = parse_number<std::uint64_t>(words.at(3));
    host_->vm(words.at(1)).cgroup = reading;
    return true;
  }
  bool counters_reset(const Words& /*words*/) {
    host_->reset_counters();
    return true;
  }
  bool no_tasks(const Words& /*words*/) {
    host_->forget_next_tasks();
    return true;
  }
  bool restart(const Words& /*words*/) {
    pipeline_ = std::make_unique<Pipeline>(Config());
    for (Incident& incident : last_.incidents) {
      incident.evidence = std::monostate();
    }
    pipeline_->restore(last_.incidents);
    note("restart");
    return true;
  }
  bool late(const Words& words) {
    std::string breadcrumb;
    for (std::size_t i = 2; i < words.size(); ++i) {
      breadcrumb += (breadcrumb.empty() ? "" : " ") + words[i];
    }
    for (int i = 0; i < static_cast<int>(*to_number(words.at(1))); ++i) {
      say(pipeline_->sampler_late(host_->now(), WallTime(), breadcrumb));
      host_->advance(seconds(1));
    }
    return true;
  }
  bool skip(const Words& words) {
    host_->advance(to_span(*to_number(words.at(1))));
    return true;
  }
  bool end(const Words& /*words*/) {
    ended_ = true;
    return true;
  }

  void one_tick() { say(pipeline_->step(host_->snapshot())); }

  [[nodiscard]] static std::string time_text(BootTime moment) {
    return fmt::format("{:.1f}", to_seconds(moment - Host::kStart));
  }
  void note(const std::string& text) {
    out_ += fmt::format("{:>6} {}\n", time_text(host_->now()), text);
  }

  void say(TickResult result) {
    for (const IncidentChange& change : result.changes) {
      say_change(change);
    }
    for (const Condition& condition : result.conditions) {
      auto& said = conditions_[condition.kind];
      static constexpr std::array<std::string_view, 3> kStates = {"Unknown", "False", "True"};
      const std::string text = fmt::format(
          "{} ({})", kStates.at(static_cast<std::size_t>(condition.state)), condition.reason);
      if (said != text && condition.reason != "NotWatched") {
        note(fmt::format("condition {} {}", to_string(condition.kind), text));
      }
      said = text;
    }
    static constexpr std::array<std::string_view, 4> kAdvice = {
        "unknown", "yes", "no", "drain advised"};
    const std::string advice(
        kAdvice.at(static_cast<std::size_t>(result.schedule_advice.schedulable)));
    if (advice != advice_) {
      note("schedulable " + advice);
      advice_ = advice;
    }
    last_ = std::move(result);
  }

  void say_change(const IncidentChange& change) {
    static constexpr std::array<std::string_view, 3> kWhats = {"opened", "updated", "resolved"};
    const Incident& incident = change.incident;
    std::string times = fmt::format(
        "event {} detect {}", time_text(incident.event_time), time_text(incident.detect_time));
    if (incident.resolve_time) {
      times += " resolve " + time_text(*incident.resolve_time);
    }
    note(fmt::format(
        "{} {} [{}] {} {} r{}{}",
        kWhats.at(static_cast<std::size_t>(change.what)),
        to_string(incident.kind),
        incident.subject.key,
        to_string(incident.severity),
        times,
        incident.revision,
        incident.reopen_count > 0 ? fmt::format(" flap {}", incident.reopen_count) : ""));
    if (change.what == IncidentChange::What::kResolved) {
      return;
    }
    out_ += fmt::format("       {}\n", incident.summary);
    if (const auto* forecast = std::get_if<PanicForecastEvidence>(&incident.evidence)) {
      out_ += fmt::format("       panic between {} and {}{}\n",
                          time_text(forecast->earliest),
                          time_text(forecast->latest),
                          forecast->phase_known ? "" : ", phase unknown");
    }
  }

  std::vector<Line> lines_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<Pipeline> pipeline_;
  std::map<std::string, VmId> vms_;
  TickResult last_;
  std::map<ConditionKind, std::string> conditions_;
  std::string advice_;
  std::string out_;
  bool ended_ = false;
};

}  // namespace

std::string tell(const std::string& story) {
  return Teller(story).tell();
}

}  // namespace hvguard::test
