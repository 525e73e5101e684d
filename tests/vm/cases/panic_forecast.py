"""The panic forecast against real panics: khungtaskd decides, the console's clock is witness."""

import pathlib
import statistics
import time

import disks
from case import case
from hvguard import Hvguard, sysctl
from questions import moment
from story import boot_seconds
from vms import StandInVm
from waiting import Failed, expect, wait_for

KIND = "KIND_PANIC_FORECAST"
# (hung_task_timeout_secs, hung_task_check_interval_secs, when the VM's disk gets stuck: as part of
# the time from one scan of khungtaskd to the next)
FEW = ((12, 0, 0.3), (14, 5, 0.7))
MANY = ((12, 0, 0.05), (12, 0, 0.5), (12, 0, 0.95), (10, 3, 0.2), (10, 3, 0.8), (16, 4, 0.4),
        (16, 4, 0.6), (15, 7, 0.1), (15, 7, 0.9), (30, 10, 0.35), (30, 0, 0.75), (20, 1, 0.5))
COMPLAINTS = ("Kernel panic - not syncing: hung_task: blocked tasks",)
# After the moment from which on a task is looked at: a tick, and as much again and more on an
# emulated host that waits for a CPU.
NOTICE_SECONDS = 3.0
# The window's end allows this for the scan itself and its words on the console.
SCAN_SECONDS = 1.0
MOST_WIDTH = SCAN_SECONDS + 0.5


@case(disks={"data": "128M"}, deadline=240, expects=COMPLAINTS)
def forecast(story):
    """A disk stays suspended until the kernel panics: within the forecast window, told early."""
    until_the_panic(story, FEW)


@case(disks={"data": "128M"}, deadline=240, expects=COMPLAINTS)
def forecast_phases(story):
    """The same for twelve moments between two scans, with several timeouts and check intervals."""
    until_the_panic(story, MANY)


def until_the_panic(story, phases):
    """Boot number N has phase N; the one after the last panic has nothing to do."""
    if story.boot > len(phases):
        return
    timeout, interval, part = phases[story.boot - 1]
    guard = Hvguard()
    guard.wait_until_ready()
    disk = disks.linear("stuck", disks.virtio("data"))
    mount_point = disks.ext4(disk.path, "stuck")
    file = disks.written_file(mount_point / "file", 1)
    vm = StandInVm("victim")
    vm.finish(vm.sync(file, bytes_each=4096, count=1))
    wait_for("the VM is found", lambda: vm.name in [
        seen["name"] for seen in (guard.try_ctl("--direct", "vms") or {}).get("vms", [])], 60, 0.3)

    sysctl("kernel.panic", 1)
    sysctl("kernel.hung_task_check_interval_secs", interval)
    sysctl("kernel.hung_task_panic", 1)
    thread = khungtaskd()
    before = switches(thread)
    sysctl("kernel.hung_task_timeout_secs", timeout)
    wait_for("khungtaskd notices", lambda: switches(thread) != before, 5, interval=0.01)
    wait_for_phase(thread, interval or timeout, part)
    disk.suspend()
    vm.sync(file, bytes_each=4096, count=0)
    blocked = boot_seconds()
    story.mark(f"blocked-{story.boot}")
    story.keep(f"blocked {story.boot}", blocked)
    listen = Listener(story, guard)
    story.expect_panic(3 * timeout + 60, listen)


def wait_for_phase(thread, interval, part):
    """Returns that part of khungtaskd's sleep after a scan, seen by its switch count."""
    before = switches(thread)
    wait_for("a scan", lambda: switches(thread) != before, 1.3 * interval + 5, interval=0.01)
    end = time.monotonic() + part * interval
    wait_for("the phase", lambda: time.monotonic() >= end, interval + 1, interval=0.01)


def khungtaskd():
    """Its directory in /proc."""
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text() == "khungtaskd\n":
                return path.parent
        except OSError:
            pass  # ended meanwhile
    return None


def switches(thread):
    text = (thread / "status").read_text()
    return text[text.index("voluntary_ctxt_switches"):]


class Listener:
    """Keeps each report that says something new, with the moment at which it was read."""

    def __init__(self, story, guard):
        self.story = story
        self.guard = guard
        self.reports = []
        self.marked = 0.0

    def __call__(self):
        try:
            self.take(self.guard.incidents(KIND, state="STATE_OPEN"))
            self.story.keep(f"answered {self.story.boot}", boot_seconds())
        except Failed as failed:
            self.story.note(str(failed))  # on a busy machine; what it said before must hold
        # The console's clock and CLOCK_BOOTTIME drift apart: the newest mark is the best one.
        if boot_seconds() - self.marked > 3:
            self.marked = boot_seconds()
            self.story.mark("listening")
        time.sleep(0.1)

    def take(self, incidents):
        wall_at_boot = time.time() - boot_seconds()
        for incident in incidents:
            evidence = incident["evidence"]["panic_forecast"]
            report = {
                "earliest": moment(evidence["earliest_time"]) - wall_at_boot,
                "latest": moment(evidence["latest_time"]) - wall_at_boot,
                "detect": moment(incident["detect_time"]) - wall_at_boot,
                "phase_known": evidence.get("scan_phase_known", False),
                "reboots": evidence.get("reboots", False),
                "revision": incident["revision"],
                "at": boot_seconds(),
            }
            if not self.reports or self.reports[-1]["revision"] != report["revision"]:
                self.reports.append(report)
                self.story.keep(f"reports {self.story.boot}", self.reports)
                self.story.note(
                    f"in {report['earliest'] - report['at']:.1f} to "
                    f"{report['latest'] - report['at']:.1f} s, "
                    f"{'by known scans' if report['phase_known'] else 'phase unknown'}")


# ---- seen from outside


class Phase:
    """What one boot came to."""

    def __init__(self, outside, number, panic, phase):
        self.timeout, interval, part = phase
        self.what = f"timeout {self.timeout} s, check interval {interval} s, phase {part}"
        self.panic = panic
        self.blocked = outside.kept[f"blocked {number}"]
        self.answered = outside.kept.get(f"answered {number}", self.blocked)
        self.reports = outside.kept.get(f"reports {number}", [])
        expect(self.reports, f"{self.what}: no forecast at all")
        self.first, self.last = self.reports[0], self.reports[-1]
        self.lead = panic - self.first["detect"]
        # No task is looked at before (agent/detect/panic_forecast.cpp).
        self.late = self.first["detect"] - self.blocked - max(2, self.timeout / 4)

    def text(self):
        return (f"{self.what}: panic {self.panic - self.blocked:.2f} s after blocking; "
                f"{len(self.reports)} reports, the first {self.lead:.2f} s early; windows begin "
                f"{self.distances('earliest')} and end {self.distances('latest')} s from it")

    def distances(self, which):
        return " ".join(f"{report[which] - self.panic:+.2f}" for report in self.reports)

    def check(self):
        expect(holds(self.last, self.panic),
               f"{self.what}: panic at {self.panic:.3f} s, forecast from "
               f"{self.last['earliest']:.3f} to {self.last['latest']:.3f} s")
        expect(self.last["reboots"], f"{self.what}: says that the host stays down")
        expect(self.last["phase_known"], f"{self.what}: the last report does not know the scans")
        expect(width(self.last) <= MOST_WIDTH,
               f"{self.what}: the last window is {width(self.last):.1f} s wide")
        expect(self.late <= NOTICE_SECONDS, f"{self.what}: first told {self.late:.1f} s late")


def holds(report, panic):
    return report["earliest"] <= panic <= report["latest"]


def width(report):
    return report["latest"] - report["earliest"]


def the_panics_were_foretold(outside, phases):
    panics = outside.boottimes_of_panics()
    expect(len(panics) == len(phases), f"{len(panics)} panics on the console, not {len(phases)}")
    found = [Phase(outside, number, *both) for number, both in
             enumerate(zip(panics, phases), 1)]
    for each in found:
        outside.note(each.text())
    for each in found:
        each.check()
    parts = [each.lead / each.timeout * 100 for each in found]
    errors = [each.panic - each.last["earliest"] for each in found]
    held = [holds(report, each.panic) for each in found for report in each.reports]
    outside.measure("phases", len(found), "")
    outside.measure("reports, not only the last ones, that held", sum(held) / len(held) * 100, "%")
    outside.measure("forecast lead, least", min(each.lead for each in found), "s")
    outside.measure("forecast lead, least (of the timeout)", min(parts), "%")
    outside.measure("forecast lead, median (of the timeout)", statistics.median(parts), "%")
    outside.measure("first window, widest", max(width(each.first) for each in found), "s")
    outside.measure("last window, widest", max(width(each.last) for each in found), "s")
    outside.measure("panic after the last window's begin, least", min(errors), "s")
    outside.measure("panic after the last window's begin, most", max(errors), "s")
    outside.measure("last answer before the panic, at worst",
                    max(each.panic - each.answered for each in found), "s")


def tell(made, phases):
    """All boots after the first, and the check."""
    for _ in phases:
        made.next_boot(lambda story: until_the_panic(story, phases))
    made.seen_from_outside(lambda outside: the_panics_were_foretold(outside, phases))


tell(forecast, FEW)
tell(forecast_phases, MANY)
