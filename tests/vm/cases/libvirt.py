"""VMs by their names and places: a guest of libvirt's, and one that lives where it should not."""

import pathlib
import shutil
import time

from case import case
from hvguard import Hvguard
from questions import duration, moment
from story import run
from ticks import TickWatch
from vms import PAYLOAD, LibvirtGuest, StandInVm
from waiting import expect, wait_for

NOTICE_SECONDS = 1.0  # BEHAVIOUR: found and dropped within that
GUEST_MEGABYTES = 144
TOPOLOGY = "KIND_VM_TOPOLOGY"


@case(memory=2048, deadline=300)
def libvirt_guest(story):
    """A real KVM guest of libvirt's: found by its name, in its scope, through machined, in time."""
    guard = Hvguard()
    guard.wait_until_ready()
    ticks = TickWatch()
    guest = LibvirtGuest("web01", memory_megabytes=GUEST_MEGABYTES)
    seen = wait_for("the guest is named by machined", lambda: named_by_machined(guard, guest), 20)
    took = first_seen(guard, guest) - begin_of(seen["unit"])
    story.measure("libvirt guest found after its scope began", took, "s")
    story.note(f"found {first_seen(guard, guest) - moment(seen['start_time']):.2f} s after libvirtd "
               "forked it")
    late = ticks.stop().host_lateness
    expect(took <= NOTICE_SECONDS + late,
           f"found {took:.2f} s after its scope began (the host stood still for {late:.2f} s)")
    identity_is_right(guest, seen, story)
    guest.wait_until_ready()
    guard.wait_for_ticks(2, 20)
    busy = vm_of(guard, guest)
    expect(busy["io_attribution"] == "IO_ATTRIBUTION_CGROUP", busy["io_attribution"])
    expect(int(busy["memory_bytes"]) > GUEST_MEGABYTES << 18, f"memory {busy['memory_bytes']}")
    lint = guard.incidents(TOPOLOGY)
    expect(not lint, f"libvirt's own layout is blamed: {[one['summary'] for one in lint]}")
    dropped_in_time(guard, guest, story)


def vm_of(guard, guest):
    return next((vm for vm in guard.vms() if vm["pid"] == guest.pid), None)


def named_by_machined(guard, guest):
    seen = vm_of(guard, guest)
    return seen if seen and seen["name_source"] == "NAME_SOURCE_MACHINED" else None


def first_seen(guard, guest):
    """Wall time, by hvguard's own clock."""
    answer = guard.ask("vms")
    seen = next(vm for vm in answer["vms"] if vm["pid"] == guest.pid)
    return moment(answer["observe_time"]) - duration(seen.get("watched_duration", "0s"))


def begin_of(unit):
    """Wall time. Until libvirt has made the scope, the process is a copy of libvirtd that waits;
    then it becomes QEMU."""
    text = run("systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", unit)
    return time.time() - time.monotonic() + int(text.stdout) / 1e6


def identity_is_right(guest, seen, story):
    """By what libvirt, machined and systemd say of it themselves."""
    [name] = [words.split()[0] for words in
              run("machinectl", "list", "--no-legend").stdout.splitlines()]
    story.note(f"machined's name is {name}, its unit {seen['unit']}")
    expect(seen["name"] == name and guest.name in name, f"name {seen['name']}, not {name}")
    unit = run("systemctl", "show", "--value", "--property=Id",
               run("machinectl", "show", "--value", "--property=Unit", name).stdout.strip()).stdout
    expect(seen["unit"] == unit.strip(), f"unit {seen['unit']}, not {unit.strip()}")
    expect(seen["unit"].startswith("machine-qemu") and seen["unit"].endswith(".scope"), seen["unit"])
    uuid = run("virsh", "domuuid", guest.name).stdout.strip()
    expect(seen["uuid"] == uuid, f"uuid {seen['uuid']}, not {uuid}")
    expect(int(seen["guest_memory_bytes"]) == GUEST_MEGABYTES << 20,
           f"guest memory {seen['guest_memory_bytes']}")
    expect(seen["accelerator"] == "ACCELERATOR_KVM", seen["accelerator"])
    expect(seen["manager"] == "MANAGER_QEMU", seen["manager"])
    expect(int(seen["vcpu_count"]) == 1, f"{seen['vcpu_count']} CPUs")


def dropped_in_time(guard, guest, story):
    """From the end of its process, which destroy waits for, or a little before."""
    process = pathlib.Path(f"/proc/{guest.pid}")
    begin = time.time()
    guest.destroy()
    expect(not process.exists(), "virsh destroy left the process behind")
    def look():
        answer = guard.ask("vms")
        listed = any(vm["pid"] == guest.pid for vm in answer.get("vms", []))
        return None if listed else moment(answer["observe_time"])
    dropped = wait_for("the guest is dropped", look, 15)
    story.measure("libvirt guest dropped after the order to end it", dropped - begin, "s")
    # begin is before its end, so that this is no stricter than the promise only by virsh's own time.
    expect(dropped <= time.time() and dropped - begin <= NOTICE_SECONDS + 2,
           f"dropped {dropped - begin:.2f} s after the order to end it")


# ---- topology


@case(deadline=180)
def vm_topology(story):
    """A VM in another program's service is an incident with the remedy; in its own scope it is none."""
    guard = Hvguard()
    guard.wait_until_ready()
    proper = StandInVm("proper")
    agent_with_vm("agent", "guest-of-agent", "control-group")
    incident = guard.wait_for_incident(TOPOLOGY, 20, subject_label="VM guest-of-agent")
    story.note(incident["summary"])
    tells(incident, {"PROBLEM_SHARED_UNIT", "PROBLEM_KILL_MODE"}, "SEVERITY_WARNING",
          ("systemd-run --scope --slice=machine.slice", "systemctl edit agent.service",
           "KillMode=process"))
    vm = guard.vm_named("guest-of-agent")
    expect(vm["unit"] == "agent.service", f"unit {vm['unit']}")
    expect(vm["open_incident_ids"] == [incident["incident_id"]], "the VM does not name its incident")

    # It is true: a restart of that service ends the VM. With it ends the incident.
    run("systemctl", "stop", "agent")
    expect(not pathlib.Path(f"/proc/{vm['pid']}").exists(), "the VM survived its service")
    guard.wait_until_resolved(incident, 30)

    # With the one remedy it survives, and only the other problem is left.
    agent_with_vm("lenient", "guest-of-lenient", "process")
    incident = guard.wait_for_incident(TOPOLOGY, 20, subject_label="VM guest-of-lenient")
    tells(incident, {"PROBLEM_SHARED_UNIT"}, "SEVERITY_INFO", ("systemd-run --scope",))

    # As long as all that, the one in its own scope was watched.
    expect(guard.vm_named("proper")["unit"] == proper.scope, "the proper VM is not known")
    blamed = guard.incidents(TOPOLOGY, subject_label="VM proper")
    expect(not blamed, f"a VM in its own scope is blamed: {[one['summary'] for one in blamed]}")


def agent_with_vm(unit, name, kill_mode):
    """A service of two processes, one of which is a VM manager."""
    folder = pathlib.Path(f"/run/{unit}")
    folder.mkdir()
    program = folder / "qemu-system-x86_64"
    shutil.copy(PAYLOAD / "bin/stand_in_vm", program)
    run("systemd-run", f"--unit={unit}", "--property=Type=exec", f"--property=KillMode={kill_mode}",
        "--property=IOAccounting=yes", "--property=MemoryAccounting=yes", "/bin/sh", "-c",
        f"{program} -name guest={name} -machine q35,accel=tcg -m 64 & exec sleep infinity")


def tells(incident, problems, severity, remedies):
    evidence = incident["evidence"]["vm_topology"]
    expect(set(evidence["problems"]) == problems,
           f"problems {evidence['problems']}, not {sorted(problems)}: {incident['summary']}")
    expect(incident["severity"] == severity, incident["severity"])
    for remedy in remedies:
        expect(remedy in evidence["remedy"], f"no word of '{remedy}': {evidence['remedy']}")
