"""Hung tasks: one incident for each cause, in time, with everything an operator needs."""

import time

import disks
from case import case
from freezing import freeze, thaw
from hvguard import Hvguard
from questions import moment
from vms import StandInVm, blocked_threads
from waiting import expect, wait_for

KIND = "KIND_HUNG_TASK"
OPEN_AFTER = 10.0  # packaging/hvguard.toml: [hung_task] open_after,
RESOLVE_AFTER = 5.0  # [incidents] resolve_after,
TICK = 1.0  # [sampler] interval
LATE = 0.3  # how late an emulated host's ticks may be
CLOCK = 0.1  # wall time seen from here against times that hvguardd turned into wall time
MANY = 20


@case(disks={"data": "128M"}, deadline=240)
def hung_tasks(story):
    """A VM's writer on a suspended disk: an incident within a tick, resolved when it is resumed."""
    guard = ready_guard()
    disk = disks.linear("stuck", disks.virtio("data"))
    vm = found_vm(guard, "victim")
    vm.finish(vm.write(disk.path, count=4))
    disk.suspend()
    before = time.time()
    write = vm.write(disk.path, count=4)
    wait_for("the VM's writer is in D", vm.blocked_threads, 10)
    after = time.time()

    incident = guard.wait_for_incident(KIND, 40)
    event, detect = moment(incident["event_time"]), moment(incident["detect_time"])
    expect(before - CLOCK <= event <= after + CLOCK,
           f"it blocked between {before:.3f} and {after:.3f}; event_time is {event:.3f}")
    story.measure("block → incident open", detect - event, "s")
    expect(OPEN_AFTER <= detect - event <= OPEN_AFTER + TICK + LATE,
           f"opened {detect - event:.2f} s after it blocked")
    tells_of(incident, guard, vm, disk, "CAUSE_SUSPENDED_DM")
    evidence = incident["evidence"]["hung_task"]
    expect(evidence["task_count"] == 1, f"{evidence['task_count']} tasks, not 1")
    expect([task["tid"] for task in evidence["tasks"]] == vm.blocked_threads(),
           f"tasks {evidence['tasks']}, blocked are {vm.blocked_threads()}")
    expect(any("blkdev" in frame for frame in evidence.get("stack", [])),
           f"not the stack of a writer on a disk: {evidence.get('stack')}")
    critical = guard.wait_for_incident(KIND, 40, severity="SEVERITY_CRITICAL")
    story.note(f"critical: {critical['summary']}")

    resumed = time.time()
    disk.resume()
    vm.finish(write)
    done = time.time()
    over = guard.wait_until_resolved(incident, 30)
    told = time.time()
    ended = moment(over["resolve_time"])
    story.measure("resume → resolve_time", ended - resumed, "s")
    story.measure("resume → incident resolved, asking included", told - resumed, "s")
    expect(resumed - CLOCK <= ended <= done + TICK + LATE,
           f"resumed at {resumed:.2f}, writing at {done:.2f}, resolved at {ended:.2f}")
    expect(told - done <= RESOLVE_AFTER + 2 * TICK + LATE + 1,
           f"told {told - done:.1f} s after the write had ended")
    expect(len(guard.incidents(KIND)) == 1, "there is a second incident")


@case(disks={"one": "128M", "two": "128M", "three": "128M"}, deadline=240)
def hung_tasks_apart(story):
    """Two suspended disks and a frozen file system: three incidents, one of them of many tasks."""
    guard = ready_guard()
    crowd, lone, writer = (found_vm(guard, name) for name in ("crowd", "lone", "writer"))
    one = disks.linear("one", disks.virtio("one"))
    two = disks.linear("two", disks.virtio("two"))
    for vm, disk in ((crowd, one), (lone, two)):
        vm.finish(vm.write(disk.path, count=4))
    mount_point = disks.ext4(disks.virtio("three"), "frozen")
    one.suspend()
    two.suspend()
    freeze(mount_point)
    writes = [crowd.write(one.path, count=1) for _ in range(MANY)]
    wait_for("all writers are in D", lambda: len(crowd.blocked_threads()) == MANY, 20)
    lone_write = lone.write(two.path, count=1)
    writer_write = writer.sync(mount_point / "file", bytes_each=4096, count=1)
    blocked = time.time()

    for vm, cause, count in ((crowd, "CAUSE_SUSPENDED_DM", MANY), (lone, "CAUSE_SUSPENDED_DM", 1),
                             (writer, "CAUSE_FROZEN_FS", 1)):
        incident = wait_for(f"an incident of VM {vm.name} alone, with {count} tasks",
                            lambda: of_vm(guard, vm, count), 30)
        evidence = incident["evidence"]["hung_task"]
        expect(evidence["cause"] == cause, f"VM {vm.name}: {incident['summary']}")
        if vm is not writer:
            tells_of(incident, guard, vm, one if vm is crowd else two, cause)
        story.note(incident["summary"])
    # Nothing may be split or merged later either, for instance when they turn critical.
    wait_for("all are critical", lambda: len(guard.incidents(
        KIND, severity="SEVERITY_CRITICAL")) >= 3, 40)
    expect(time.time() - blocked >= 29, "critical too soon")
    found = guard.incidents(KIND)
    expect(len(found) == 3, f"{len(found)} incidents: {[each['summary'] for each in found]}")

    one.resume()
    for write in writes:
        crowd.finish(write)
    first = of_vm(guard, crowd)
    guard.wait_until_resolved(first, 30)
    still = {each["vm_id"] for each in guard.incidents(KIND, state="STATE_OPEN")}
    expect(still == {vm_id(guard, lone), vm_id(guard, writer)}, f"still open: {still}")
    two.resume()
    thaw(mount_point)
    lone.finish(lone_write)
    writer.finish(writer_write)
    for vm in (lone, writer):
        guard.wait_until_resolved(of_vm(guard, vm), 30)


@case(disks={"data": "256M"}, deadline=240)
def hung_tasks_filesystem(story):
    """A file system on a suspended disk: VM, journal and write-back are stuck, in one incident."""
    guard = ready_guard()
    disk = disks.linear("under", disks.virtio("data"))
    mount_point = disks.ext4(disk.path, "under")
    vm = found_vm(guard, "victim")
    files = [disks.written_file(mount_point / f"file{number}", 1) for number in range(MANY)]
    disk.suspend()
    writes = [vm.sync(file, bytes_each=65536, count=1) for file in files]
    wait_for("all writers are in D", lambda: len(vm.blocked_threads()) == MANY, 30)
    journal = wait_for("the journal's thread is in D", lambda: [
        task["pid"] for task in guard.tasks()
        if task["comm"].startswith("jbd2/") and blocked_threads(task["pid"])], 30)

    incident = wait_for("one incident of all", lambda: next(
        (each for each in guard.incidents(KIND)
         if each["evidence"]["hung_task"]["task_count"] > MANY), None), 40)
    tells_of(incident, guard, vm, disk, "CAUSE_SUSPENDED_DM")
    wait_for("critical", lambda: guard.incidents(KIND, severity="SEVERITY_CRITICAL"), 40)
    found = guard.incidents(KIND)
    expect(len(found) == 1, f"{len(found)} incidents: {[each['summary'] for each in found]}")
    tids = {task["tid"] for task in found[0]["evidence"]["hung_task"]["tasks"]}
    expect(set(journal) | set(vm.blocked_threads()) <= tids, f"missing in {tids}")
    story.note(found[0]["summary"])
    disk.resume()
    for write in writes:
        vm.finish(write)
    guard.wait_until_resolved(incident, 30)


# ---- what all of them need


def ready_guard():
    guard = Hvguard()
    guard.wait_until_ready()
    return guard


def found_vm(guard, name):
    """A VM whose IO hvguard counts. Its first one loads a program: on a busy machine that may take
    seconds, and until then hvguardd does not answer."""
    vm = StandInVm(name)
    wait_for(f"VM {name} is found", lambda: any(
        seen["name"] == name and seen["io_attribution"] == "IO_ATTRIBUTION_CGROUP"
        for seen in (guard.try_ctl("--direct", "vms") or {}).get("vms", [])), 60)
    return vm


def vm_id(guard, vm):
    return guard.vm_named(vm.name)["vm_id"]


def of_vm(guard, vm, count=None):
    """The hung tasks of that VM alone; None if there is no such incident, or of another count."""
    wanted = vm_id(guard, vm)
    return next((each for each in guard.incidents(KIND, vm_id=wanted)
                 if count in (None, each["evidence"]["hung_task"]["task_count"])), None)


def tells_of(incident, guard, vm, disk, cause):
    """VM, device and cause are right, and the sentence for people names them."""
    evidence = incident["evidence"]["hung_task"]
    device = incident.get("device", {})
    number = f"{device.get('major', 0)}:{device.get('minor', 0)}"
    name = disk.path.resolve().name
    expect(evidence["cause"] == cause, f"cause {evidence['cause']}: {evidence.get('stack')}")
    expect(number == disk.number and device.get("name") == name,
           f"device {device}, not {name} ({disk.number})")
    expect(incident.get("vm_id") == vm_id(guard, vm), f"VM {incident.get('vm_id')}: {incident}")
    expect(evidence.get("stack"), "no stack")
    expect(vm.name in incident["summary"] and name in incident["summary"], incident["summary"])
