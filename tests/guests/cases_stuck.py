"""Tasks and disks that are really stuck, and what hvguardd makes of them."""

import pathlib
import shutil
import subprocess
import time

from guest import Disk, Guest
from hvguard import Hvguard, expect_steady_ticks
from lab import attach_loop
from questions import moment
from waiting import expect, wait_for

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
    named = guard.vm_of(guest)["open_incident_ids"]
    expect(incident["incident_id"] in named, f"the VM names {named}, not its hung_task")

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
    manager = lab.directory / "qemu-system-x86_64"
    shutil.copy(lab.helper, manager)
    # Stuck when hvguardd comes: even their command lines cannot be read.
    mapped = start_manager(lab, manager, "mmap", "found-in-mmap")
    wait_for("a manager is stuck in mmap", lambda: is_in_d(mapped.pid), 5)
    executing = start_manager(lab, manager, "exec", "found-in-exec")
    exec_now(lab, executing, "found-in-exec")

    guard = Hvguard(lab, build)
    note("two managers stuck before the start: " + expect_steady_ticks(guard))
    for process, what in ((mapped, "mmap"), (executing, "exec")):
        vm = wait_for(f"the manager stuck in {what} is listed", lambda: guard.vm_of(process), 12)
        note(f"stuck in {what}: listed as {vm['name']!r}; {vm['probe_error'] or 'probed'}")
    error = guard.vm_of(mapped)["probe_error"]
    expect(error, "the command line of a task that holds mmap_lock cannot have been read")

    # Known first, then stuck.
    later = start_manager(lab, manager, "exec", "known-then-stuck")
    wait_for("it is named", lambda: name_of(guard, later) == "known-then-stuck", 5)
    exec_now(lab, later, "known-then-stuck")
    note("a third one, stuck in exec after it was found: " + expect_steady_ticks(guard))
    expect(name_of(guard, later) == "known-then-stuck", "it is no longer listed by its name")

    guest = Guest(lab, "healthy", load="idle")
    wait_for("another VM is found", lambda: guard.vm_of(guest), 2)
    wait_for("it is named", lambda: name_of(guard, guest) == "healthy", 5)
    note(f"a healthy VM is found and named {time.time() - guest.exec_time:.1f} s after its exec")


def start_manager(lab, program, how, name):
    """A process that looks like a VM manager and has a silent FUSE server of its own to hang on."""
    fuse = mount_silent_fuse(lab, name)
    return lab.spawn([program, how, fuse / "file", "-name", f"guest={name}", "-m", "64"],
                     f"{name}.manager.log", stdin=subprocess.PIPE)


def exec_now(lab, process, name):
    process.stdin.write(b"x")
    process.stdin.flush()
    log = lab.logs / f"{name}.log"
    wait_for("a file that never closes is being closed", lambda: "flushing" in log.read_text(), 5)


def name_of(guard, process):
    vm = guard.vm_of(process)
    return vm and vm["name"]


def mount_silent_fuse(lab, name="fuse"):
    """A file system whose one file never answers; returns where it is mounted."""
    mount_point = lab.folder(name)
    lab.spawn([lab.helper, "serve", mount_point], f"{name}.log")
    wait_for("FUSE mounts", lambda: "mounted" in (lab.logs / f"{name}.log").read_text(), 5)
    return mount_point


def is_in_d(pid):
    # Not /proc/PID/stat: that one can block on a task stuck in exec.
    return "\nState:\tD" in pathlib.Path(f"/proc/{pid}/status").read_text()
