"""What looks stuck and brings no panic: killable, frozen and self-waking sleepers."""

import pathlib
import subprocess
import time

import disks
from case import case
from freezing import freeze, thaw
from hvguard import Hvguard, sysctl
from story import boot_seconds, run
from vms import StandInVm, blocked_threads
from waiting import expect, wait_for

FORECAST = "KIND_PANIC_FORECAST"
HUNG = "KIND_HUNG_TASK"
STUCK_TASK = "/run/lab/bin/stuck_task"
TIMEOUT = 10
# One scan stamps, one at least the timeout later counts; they are 10.24 s apart (timer wheel).
TWO_SCANS = 2 * 10.24 + 1


@case(disks={"data": "128M", "read": "64M", "other": "64M"}, deadline=240)
def no_forecast(story):
    """With hung_task_panic set, harmless sleepers bring neither a forecast nor a panic."""
    guard = Hvguard()
    guard.wait_until_ready()
    sysctl("kernel.hung_task_timeout_secs", TIMEOUT)
    sysctl("kernel.panic", 1)
    sysctl("kernel.hung_task_panic", 1)
    disk = disks.linear("stuck", disks.virtio("data"))
    # Its own: a writer would wait for the page that the reader wants, and that is not killable.
    read_disk = disks.linear("read", disks.virtio("read"))
    run("udevadm", "settle")  # nobody else reads there
    # Its mount point is made before, so that nothing else waits for it.
    mount_point = disks.ext4(disks.virtio("other"), "frozen")
    vm = StandInVm("patient")
    vm.finish(vm.write(disk.path, count=4))
    disk.suspend()
    read_disk.suspend()

    killable = {"a reader of the page cache": reader(read_disk.path),
                "a vfork parent": vfork_parent()}
    frozen = {"a task in the version 1 freezer": frozen_in_v1()}
    write = vm.write(disk.path, count=1)
    freeze_in_v2(story)
    wait_for("all are in D", lambda: vm.blocked_threads() and all(
        blocked_threads(pid) for pid in [*killable.values(), *frozen.values()]), 20)
    begin = boot_seconds()
    # Not overlooked, but told apart.
    for what, pid, state in [*((what, pid, "STATE_KILLABLE") for what, pid in killable.items()),
                             *((what, pid, "STATE_FROZEN") for what, pid in frozen.items())]:
        wait_for(f"{what} is listed as {state}", lambda: state_of(guard, pid) == state, 20)
    [writer] = vm.blocked_threads()
    wait_for("the VM's writer is listed as hard",
             lambda: state_of(guard, writer) == "STATE_HARD", 20)
    stay_quiet(story, guard, begin + TIMEOUT + TWO_SCANS)

    # hvguard's own clock sees the one that wakes itself; the killable ones are in no incident.
    [incident] = guard.incidents(HUNG)
    tids = [task["tid"] for task in incident["evidence"]["hung_task"]["tasks"]]
    expect(tids == [writer], f"hung are {tids}, not the VM's writer {writer} alone")
    story.note(incident["summary"])
    disk.resume()
    read_disk.resume()
    vm.finish(write)
    guard.wait_until_resolved(incident, 30)
    a_real_one(story, guard, vm, mount_point)


def stay_quiet(story, guard, until):
    """No forecast at any tick until then; a panic would be the end of the host."""
    while boot_seconds() < until:
        found = guard.incidents(FORECAST)
        expect(not found, f"a forecast: {[each['summary'] for each in found]}")
        time.sleep(0.5)
    story.note(f"no forecast and no panic in {TIMEOUT + TWO_SCANS:.0f} s with a timeout of "
               f"{TIMEOUT} s")


def a_real_one(story, guard, vm, mount_point):
    """The same host does forecast: a writer on a frozen file system, once a panic is armed."""
    sysctl("kernel.hung_task_panic", 0)
    # No panic before 40 s, and surely within the 90 s from which on it is forecast.
    sysctl("kernel.hung_task_timeout_secs", 40)
    freeze(mount_point)
    write = vm.sync(mount_point / "file", bytes_each=4096, count=1)
    incident = guard.wait_for_incident(HUNG, 30, state="STATE_OPEN")
    expect(incident["evidence"]["hung_task"]["cause"] == "CAUSE_FROZEN_FS", incident["summary"])
    expect(not guard.incidents(FORECAST), "a forecast with hung_task_panic=0")
    sysctl("kernel.hung_task_panic", 1)
    armed = boot_seconds()
    forecast = guard.wait_for_incident(FORECAST, 15)
    story.measure("hung_task_panic armed → forecast, asking included", boot_seconds() - armed, "s")
    thaw(mount_point)
    vm.finish(write)
    guard.wait_until_resolved(forecast, 30)


# ---- those who wait


def state_of(guard, tid):
    return next((task["state"] for task in guard.tasks() if task["tid"] == tid), None)


def reader(path):
    """Reads through the page cache: sleeps killably until the page is there (mm/filemap.c)."""
    return in_background("dd", f"if={path}", "of=/dev/null", "bs=4096", "count=1")


def vfork_parent():
    return in_background(STUCK_TASK, "vfork")


def frozen_in_v1():
    """A task in the freezer of cgroup v1, which shows it as D."""
    root = pathlib.Path("/run/freezer")
    root.mkdir()
    run("mount", "-t", "cgroup", "-o", "freezer", "none", root)
    group = root / "lab"
    group.mkdir()
    pid = in_background("sleep", "1000")
    (group / "cgroup.procs").write_text(str(pid))
    (group / "freezer.state").write_text("FROZEN")
    return pid


def freeze_in_v2(story):
    """A scope that systemd froze: it shows as sleeping."""
    sleeper = StandInVm("frozen")
    (sleeper.cgroup() / "cgroup.freeze").write_text("1")
    wait_for("the scope is frozen",
             lambda: "frozen 1" in (sleeper.cgroup() / "cgroup.events").read_text(), 10)
    story.note(f"frozen by cgroup v2: {len(blocked_threads(sleeper.pid))} threads in D")


def in_background(*words):
    return subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid
