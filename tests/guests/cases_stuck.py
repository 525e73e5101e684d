"""Tasks and disks that are really stuck, and what hvguardd makes of them."""

import pathlib
import shutil
import subprocess
import time

from guest import Disk, Guest
from hvguard import Hvguard, expect_steady_ticks, moment
from lab import attach_loop, expect, wait_for

ENDLESS_WRITES = "(while true; do direct_write vda 4k 0 1; done) &"


def hung_task(lab, build, note):
    """A guest that writes to a frozen file system: hung_task with true start, stack, cause, VM."""
    guard = Hvguard(lab, build)
    disk = lab.ext4("disk", 128)
    guest = Guest(lab, "frozen-out", [Disk(disk.file("image", 16), cache="writeback")])
    guest.wait_until_ready()
    guest.run(ENDLESS_WRITES)
    vm_id = wait_for("the guest is found", lambda: guard.vm_of(guest), 5)["vm_id"]

    disk.freeze()
    frozen = time.time()
    incident = guard.wait_for_incident("KIND_HUNG_TASK", 20, state="STATE_OPEN")
    opened = time.time()
    evidence = incident["evidence"]["hung_task"]
    note(f"open after {opened - frozen:.1f} s: {incident['summary']}")
    begin = moment(incident["event_time"])
    expect(abs(begin - frozen) <= 1, f"event_time is {begin - frozen:+.2f} s from the freeze")
    expect(10 <= opened - frozen <= 13, "it did not open when 10 s had passed")
    expect(evidence["cause"] == "CAUSE_FROZEN_FS", f"cause is {evidence['cause']}")
    expect(vm_id in evidence["vm_ids"], f"VMs are {evidence.get('vm_ids')}, not {vm_id}")
    expect(any("percpu_rwsem_wait" in frame or "write" in frame for frame in evidence["stack"]),
           f"stack is {evidence['stack']}")
    expect(all(task["pid"] == guest.pid for task in evidence["tasks"]),
           f"tasks are {evidence['tasks']}, not of {guest.pid}")
    expect(len(guard.incidents("KIND_HUNG_TASK")) == 1, "one cause made more than one incident")
    expect(not guard.incidents("KIND_PANIC_FORECAST"), "hung_task_panic is 0: no panic will come")
    tasks = [task for task in guard.tasks() if task["pid"] == guest.pid]
    expect([task["state"] for task in tasks] == ["STATE_HARD"] * len(tasks) and tasks,
           f"tasks are {tasks}")
    expect(guard.vm_of(guest)["open_incident_ids"] == [incident["incident_id"]],
           "the VM does not name its incident")

    thawed = time.time()
    disk.thaw()
    resolved = guard.wait_until_resolved(incident, 15)
    late = moment(resolved["resolve_time"]) - thawed
    note(f"resolved, seen {time.time() - thawed:.1f} s after the thaw, dated {late:+.1f} s from it")
    expect(-1 <= late <= 8, "resolve_time is not when it was over")


def killable_sleepers(lab, build, note):
    """Sleepers that only look like D raise nothing, beside one that is hard and does."""
    guard = Hvguard(lab, build, '[hung_task]\nopen_after = "2s"\n')
    fuse = mount_silent_fuse(lab)
    reader = lab.spawn([lab.helper, "read", fuse / "file"], "reader.log")
    parent = lab.spawn([lab.helper, "vfork"], "parent.log")
    for process in (reader, parent):
        wait_for("a killable sleeper sleeps", lambda process=process: is_in_d(process.pid), 5)
    frozen = lab.ext4("frozen", 32)
    frozen.freeze()
    writer = lab.spawn(["touch", frozen.mount_point / "file"], "writer.log")

    incident = guard.wait_for_incident("KIND_HUNG_TASK", 10, state="STATE_OPEN")
    stuck = [task["pid"] for task in incident["evidence"]["hung_task"]["tasks"]]
    expect(stuck == [writer.pid], f"stuck are {stuck}, not just {writer.pid}")
    guard.wait_for_ticks(3, 8)
    expect(len(guard.incidents("KIND_HUNG_TASK")) == 1, "a killable sleeper is called hung")
    expect(not guard.incidents("KIND_PANIC_FORECAST"), "there is a panic forecast")
    states = {task["pid"]: task["state"] for task in guard.tasks()}
    wanted = {reader.pid: "STATE_KILLABLE", parent.pid: "STATE_KILLABLE", writer.pid: "STATE_HARD"}
    seen = {pid: states.get(pid) for pid in wanted}
    expect(seen == wanted, f"tasks are {seen}, not {wanted}")
    note("a vfork parent and a reader of a silent FUSE server are killable, a frozen writer is not")


def dead_disk(lab, build, note):
    """A disk that takes requests and completes none: io_stall, though no task of the VM is in D."""
    guard = Hvguard(lab, build)
    host = lab.ext4("host", 128)
    device = attach_loop(host.file("disk", 16))
    guest = Guest(lab, "stalled", [Disk(device, aio="io_uring")]).wait_until_ready()
    guest.run(ENDLESS_WRITES)
    vm_id = wait_for("the guest is found", lambda: guard.vm_of(guest), 5)["vm_id"]

    host.freeze()
    frozen = time.time()
    incident = guard.wait_for_incident("KIND_IO_STALL", 12, state="STATE_OPEN")
    opened = time.time()
    note(f"open after {opened - frozen:.1f} s: {incident['summary']}")
    expect(5 <= opened - frozen <= 7.5, "it did not open within 5 to 7 s")
    begin = moment(incident["event_time"])
    expect(abs(begin - frozen) <= 1, f"event_time is {begin - frozen:+.2f} s from the freeze")
    expect(incident["vm_id"] == vm_id, f"VM is {incident['vm_id']}, not {vm_id}")
    expect(incident["device"]["name"] == pathlib.Path(device).name, f"{incident['device']}")
    in_flight = int(incident["evidence"]["io_stall"]["in_flight_count"])
    expect(in_flight >= 1, f"{in_flight} in flight")
    hard = [task for task in guard.tasks()
            if task["pid"] == guest.pid and task["state"] == "STATE_HARD"]
    expect(not hard, f"tasks of the VM are in D: {hard}")

    thawed = time.time()
    host.thaw()
    resolved = guard.wait_until_resolved(incident, 15)
    late = moment(resolved["resolve_time"]) - thawed
    note(f"resolved, dated {late:+.1f} s from the thaw")
    expect(-1 <= late <= 8, "resolve_time is not when it was over")


def stuck_managers(lab, build, note):
    """VM managers that hold mmap_lock or exec_update_lock for ever stop no tick."""
    guard = Hvguard(lab, build)
    manager = lab.directory / "qemu-system-x86_64"
    shutil.copy(lab.helper, manager)

    mapped = lab.spawn([manager, "mmap", mount_silent_fuse(lab, "first") / "file", "-name",
                        "guest=stuck-in-mmap", "-m", "64"], "mapped.log")
    wait_for("a manager is stuck in mmap", lambda: is_in_d(mapped.pid), 5)
    note("stuck in mmap: " + expect_steady_ticks(guard))
    vm = wait_for("the manager stuck in mmap is listed", lambda: guard.vm_of(mapped), 5)
    note(f"it is listed as {vm['name']!r}, {vm.get('probe_error', 'probed in time')!r}")

    fuse = mount_silent_fuse(lab, "second")
    executing = lab.spawn([manager, "exec", fuse / "file", "-name", "guest=stuck-in-exec",
                           "-m", "64"], "executing.log", stdin=subprocess.PIPE)
    vm = wait_for("it is listed", lambda: guard.vm_of(executing), 5)
    wait_for("it is named", lambda: guard.vm_of(executing)["name"] == "stuck-in-exec", 5)
    executing.stdin.write(b"x")
    executing.stdin.flush()
    server_log = lab.logs / "second.log"
    wait_for("it closes its file", lambda: "flushing" in server_log.read_text(), 5)
    note("stuck in exec: " + expect_steady_ticks(guard))
    expect(guard.vm_of(executing), "the manager stuck in exec is no longer listed")

    guest = Guest(lab, "healthy", load="idle")
    wait_for("another VM is found", lambda: guard.vm_of(guest), 2)
    wait_for("it is named", lambda: guard.vm_of(guest)["name"] == "healthy", 5)
    note(f"another VM is found and named {time.time() - guest.exec_time:.1f} s after its exec")


def mount_silent_fuse(lab, name="fuse"):
    """A file system whose one file never answers; returns where it is mounted."""
    mount_point = lab.folder(name)
    lab.spawn([lab.helper, "serve", mount_point], f"{name}.log")
    wait_for("FUSE mounts", lambda: "mounted" in (lab.logs / f"{name}.log").read_text(), 5)
    return mount_point


def is_in_d(pid):
    # Not /proc/PID/stat: that one can block on a task stuck in exec.
    return "\nState:\tD" in pathlib.Path(f"/proc/{pid}/status").read_text()
