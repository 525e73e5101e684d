// The part of VmFinder that writes what it knows into a Snapshot.
#include <utility>

#include "observe/vm_finder.h"

namespace hvguard::observe {

std::vector<const VmReading*> VmFinder::shown() const {
  std::vector<const VmReading*> readings;
  for (const auto& [tgid, entry] : entries_) {
    if (entry.visible) {
      readings.push_back(&entry.reading);
    }
  }
  return readings;
}

void VmFinder::fill_io(const VmEntry& entry,
                       Snapshot& snapshot,
                       std::span<char> buffer,
                       SourceBook& book) const {
  const std::string subject = to_string(entry.reading.id);
  if (!entry.cgroup || entry.reading.io_attribution != IoAttribution::kCgroup) {
    book.gap(
        Source::kBlockIo,
        GapReason::kUnsupported,
        subject,
        "its cgroup is unknown, shared or has no io controller, so that io.stat cannot tell its "
        "IO");
    return;
  }
  const auto lines = entry.cgroup->read_io(buffer);
  if (!lines) {
    book.gap(Source::kBlockIo, lines.error(), subject);
    return;
  }
  for (const auto& line : *lines) {
    BlockIoReading reading;
    reading.vm = entry.reading.id;
    reading.device = line.device;
    reading.counts_only = true;
    const auto set = [&](IoOperation operation, Counter operations, Counter bytes) {
      auto& field = reading.by_operation.at(static_cast<std::size_t>(operation));
      field.operations = operations;
      field.bytes = bytes;
    };
    set(IoOperation::kRead, line.read_operations, line.read_bytes);
    set(IoOperation::kWrite, line.write_operations, line.write_bytes);
    set(IoOperation::kDiscard, line.discard_operations, line.discard_bytes);
    snapshot.block_io.push_back(reading);
  }
}

void VmFinder::fill_vm(VmEntry& entry,
                       Snapshot& snapshot,
                       std::span<char> buffer,
                       ReadOptions options,
                       SourceBook& book) {
  const std::string subject = to_string(entry.reading.id);
  const auto& identity = entry.reading.identity;
  if (!identity.probe_error.empty()) {
    book.gap(
        Source::kVmProbe,
        entry.failed_probes > 0 && identity.probe_error.find("took longer") != std::string::npos
            ? GapReason::kSlow
            : GapReason::kFailed,
        subject,
        identity.probe_error);
  }
  snapshot.vms.push_back(entry.reading);
  if (!entry.cgroup) {
    if (!entry.cgroup_error.empty()) {
      book.gap(Source::kVmCgroups, GapReason::kFailed, subject, entry.cgroup_error);
    }
  } else {
    read_cgroup(
        entry, snapshot.vms.back(), buffer, options.with_settings, snapshot.boot_time, book);
  }
  if (options.with_io_stat) {
    fill_io(entry, snapshot, buffer, book);
  }
}

void VmFinder::read_cgroup(VmEntry& entry,
                           VmReading& shown,
                           std::span<char> buffer,
                           bool with_settings,
                           BootTime now,
                           SourceBook& book) {
  const bool shared = neighbours_of(entry.reading) == Neighbours::kSome;
  auto reading = shared ? entry.cgroup->read_shared(buffer, with_settings)
                        : entry.cgroup->read(buffer, with_settings);
  if (reading) {
    shown.cgroup = *reading;
  } else if (reading.error().code == Errc::kGone) {
    // Its process was moved away or is about to end; the probe tells where it is now.
    entry.cgroup.reset();
    look_again(entry, now);
  } else {
    book.gap(Source::kVmCgroups, reading.error(), to_string(entry.reading.id));
  }
}

void VmFinder::report(SourceBook& book) {
  book.add_dropped(Source::kVmFinder, std::exchange(dropped_count_, 0));
  if (!scan_error_.empty()) {
    book.blind(Source::kVmFinder, scan_error_ + ". New VMs are not found");
  } else if (by_name_alone_) {
    book.degraded(
        Source::kVmFinder,
        "without eBPF, open files are not listed. VM managers that ran before hvguardd are "
        "found by the names in [vm_finder] executables only");
  } else {
    book.good(Source::kVmFinder);
  }
  if (!process_probe_->start_error().empty()) {
    book.blind(Source::kVmProbe,
               process_probe_->start_error() +
                   ". New VMs have no name, memory size, unit or cgroup readings");
  } else {
    book.good(Source::kVmProbe);
  }
  book.set_dropped(Source::kVmProbe, slow_probe_->killed_count());
  if (root_->cgroup() == nullptr) {
    book.blind(Source::kVmCgroups,
               "no cgroup v2 mount in /proc/self/mountinfo. CPU, memory and pressure of VMs are "
               "not watched");
  } else {
    book.good(Source::kVmCgroups);
  }
}

void VmFinder::fill(Snapshot& snapshot,
                    std::span<char> buffer,
                    ReadOptions options,
                    SourceBook& book) {
  report(book);
  for (auto& [tgid, entry] : entries_) {
    if (entry.visible) {
      fill_vm(entry, snapshot, buffer, options, book);
    }
  }
  snapshot.departed_vms = std::exchange(departures_, {});
  changed_ = false;
}

}  // namespace hvguard::observe
