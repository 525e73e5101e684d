// The pipeline as a whole over random lives of a host: the same input gives the same output, bounds
// hold, and what does not count raises nothing.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
// rapidcheck's gtest.h needs gtest's before it.
#include <rapidcheck/gtest.h>

#include "decide/pipeline.h"
#include "host/host.h"

namespace hvguard::test {
namespace {

using std::chrono::seconds;
using Snapshots = std::vector<std::shared_ptr<const Snapshot>>;

const std::vector<std::vector<std::string>> kStacks = {
    {"percpu_rwsem_wait", "__percpu_down_read", "vfs_write"},
    {"folio_wait_bit_common", "filemap_read"},
    {"jbd2_log_wait_commit", "ext4_sync_file"},
    {"submit_bio_wait", "blkdev_direct_IO"},
    {"kvm_vm_release", "__fput"},
    {"strange_function", "other_function"},
    {}};

void something_happens(Host& host, bool hard_tasks) {
  const Pid tid = 100 + *rc::gen::inRange(0, 12);
  switch (*rc::gen::inRange(0, 9)) {
    case 0:
    case 1:
    case 2: {
      const auto blocked_class =
          hard_tasks ? *rc::gen::element(BlockedClass::kHard, BlockedClass::kKillable)
                     : *rc::gen::element(BlockedClass::kFrozen, BlockedClass::kKillable);
      Sleeper& sleeper = host.block(tid, blocked_class, *rc::gen::elementOf(kStacks));
      if (*rc::gen::arbitrary<bool>()) {
        sleeper.task.lock =
            LockWait{.type = LockType::kMutex, .owner_tid = 100 + *rc::gen::inRange(0, 12)};
      }
      break;
    }
    case 3:
      host.unblock(tid);
      break;
    case 4:
      host.set_io(host.vms().empty() ? std::nullopt : std::optional(host.vms()[0].id),
                  {8, *rc::gen::inRange<std::uint32_t>(0, 3)},
                  *rc::gen::element(IoMotion::kIdle, IoMotion::kMoving, IoMotion::kStuck));
      break;
    case 5:
      host.set_source(
          *rc::gen::element(Source::kTasks, Source::kBlockIo, Source::kPressure),
          *rc::gen::element(SourceState::kOk, SourceState::kBlind, SourceState::kUnknown),
          "for no reason");
      break;
    case 6:
      host.reset_counters();
      break;
    case 7:
      host.forget_next_tasks();
      break;
    default:
      host.advance(seconds(*rc::gen::inRange(1, 20)));
  }
}

Snapshots arbitrary_life(bool hard_tasks) {
  Host host;
  host.set_sysctls(20, 0, 1);
  host.add_vm("web01", 4711);
  host.add_vm("web02", 4712);
  Snapshots snapshots;
  const int ticks = *rc::gen::inRange(5, 60);
  for (int i = 0; i < ticks; ++i) {
    for (int j = 0; j < *rc::gen::inRange(0, 3); ++j) {
      something_happens(host, hard_tasks);
    }
    snapshots.push_back(host.snapshot());
    host.advance(seconds(1));
  }
  return snapshots;
}

bool same(const Incident& a, const Incident& b) {
  return a.id == b.id && a.kind == b.kind && a.subject == b.subject && a.state == b.state &&
         a.severity == b.severity && a.summary == b.summary && a.evidence == b.evidence &&
         a.event_time == b.event_time && a.detect_time == b.detect_time &&
         a.resolve_time == b.resolve_time && a.revision == b.revision &&
         a.reopen_count == b.reopen_count;
}

RC_GTEST_PROP(Pipeline, TheSameInputGivesTheSameOutput, ()) {
  const Snapshots snapshots = arbitrary_life(true);
  Pipeline first{Config()};
  Pipeline second{Config()};
  for (const auto& snapshot : snapshots) {
    const TickResult a = first.step(snapshot);
    const TickResult b = second.step(snapshot);
    RC_ASSERT(a.incidents.size() == b.incidents.size());
    RC_ASSERT(a.changes.size() == b.changes.size());
    for (std::size_t i = 0; i < a.incidents.size(); ++i) {
      RC_ASSERT(same(a.incidents[i], b.incidents[i]));
    }
    for (std::size_t i = 0; i < a.conditions.size(); ++i) {
      RC_ASSERT(a.conditions[i].state == b.conditions[i].state);
      RC_ASSERT(a.conditions[i].message == b.conditions[i].message);
    }
  }
}

RC_GTEST_PROP(Pipeline, SleepersThatDoNotCountRaiseNothing, ()) {
  const Snapshots snapshots = arbitrary_life(false);
  Pipeline pipeline{Config()};
  for (const auto& snapshot : snapshots) {
    for (const Incident& incident : pipeline.step(snapshot).incidents) {
      RC_ASSERT(incident.kind != IncidentKind::kHungTask);
      RC_ASSERT(incident.kind != IncidentKind::kPanicForecast);
    }
  }
}

RC_GTEST_PROP(Pipeline, TheFourTimesAreInOrderAndIdsUnique, ()) {
  const Snapshots snapshots = arbitrary_life(true);
  Pipeline pipeline{Config()};
  for (const auto& snapshot : snapshots) {
    std::set<std::string> ids;
    std::set<std::pair<IncidentKind, std::string>> open;
    for (const Incident& incident : pipeline.step(snapshot).incidents) {
      RC_ASSERT(ids.insert(incident.id).second);
      RC_ASSERT(incident.event_time <= incident.detect_time);
      RC_ASSERT(incident.detect_time <= snapshot->boot_time);
      RC_ASSERT((incident.state == IncidentState::kResolved) == incident.resolve_time.has_value());
      RC_ASSERT((!incident.resolve_time || incident.detect_time <= *incident.resolve_time));
      RC_ASSERT(incident.severity <= incident.peak_severity);
      if (incident.state == IncidentState::kOpen) {
        RC_ASSERT(open.emplace(incident.kind, incident.subject.key).second);
      }
    }
  }
}

RC_GTEST_PROP(Pipeline, ARestartAnnouncesNothingAgain, ()) {
  const Snapshots snapshots = arbitrary_life(true);
  const auto cut = *rc::gen::inRange<std::size_t>(0, snapshots.size());
  Pipeline first{Config()};
  std::vector<Incident> left;
  for (std::size_t i = 0; i < cut; ++i) {
    left = first.step(snapshots[i]).incidents;
  }
  std::set<std::pair<IncidentKind, std::string>> open;
  for (const Incident& incident : left) {
    if (incident.state == IncidentState::kOpen) {
      open.emplace(incident.kind, incident.subject.key);
    }
  }
  Pipeline second{Config()};
  second.restore(left);
  if (cut < snapshots.size()) {
    for (const IncidentChange& change : second.step(snapshots[cut]).changes) {
      const bool was_open = open.contains({change.incident.kind, change.incident.subject.key});
      RC_ASSERT(change.what != IncidentChange::What::kResolved);
      RC_ASSERT((change.what != IncidentChange::What::kOpened || !was_open));
    }
  }
}

RC_GTEST_PROP(IncidentBook, StaysWithinItsBounds, ()) {
  IncidentBookConfig config;
  config.max_open = *rc::gen::inRange<std::uint32_t>(1, 20);
  config.max_resolved = *rc::gen::inRange<std::uint32_t>(0, 10);
  IncidentBook book(config);
  BootTime now{seconds(1000)};
  std::uint64_t dropped = 0;
  for (int tick = 0; tick < 40; ++tick) {
    std::vector<Finding> findings;
    for (int i = 0; i < *rc::gen::inRange(0, 40); ++i) {
      Finding finding;
      finding.kind = IncidentKind::kIoStall;
      finding.subject.key = std::to_string(*rc::gen::inRange(0, 60));
      finding.severity =
          *rc::gen::element(Severity::kInfo, Severity::kWarning, Severity::kCritical);
      finding.event_time = now;
      findings.push_back(finding);
    }
    now = now + seconds(*rc::gen::inRange(1, 10));
    static_cast<void>(book.update(now, "boot", findings, HeldKinds{}));
    RC_ASSERT(book.open_count() <= config.max_open);
    RC_ASSERT(book.incidents().size() <= config.max_open + config.max_resolved);
    RC_ASSERT(book.dropped_finding_count() >= dropped);
    dropped = book.dropped_finding_count();
  }
}

}  // namespace
}  // namespace hvguard::test
