"""Guests come, have names, and go."""

import time

from guest import Disk, Guest
from hvguard import Hvguard
from waiting import expect, wait_for

NOTICE_SECONDS = 1  # BEHAVIOUR: found and dropped within that


def two_guests(lab, build, note):
    """A busy and an idle guest are found by name and memory within 1 s, and dropped within 1 s."""
    guard = Hvguard(lab, build)
    busy = Guest(lab, "busy-guest", [Disk(lab.loop("busy.img", 64))], load="busy")
    found_in_time(guard, busy, note)
    idle = Guest(lab, "idle-guest", load="idle", memory_megabytes=160)
    found_in_time(guard, idle, note)

    busy.wait_for_output("^guest: round 3")
    idle.wait_until_ready()
    guard.wait_for_ticks(2, 5)
    rate = write_rate(guard.vm_of(busy))
    expect(rate > 1 << 20, f"the busy guest writes, yet hvguardd says {rate} B/s")
    expect(write_rate(guard.vm_of(idle)) == 0, "the idle guest has no disk, yet it writes")
    note(f"busy-guest writes {rate / 1e6:.1f} MB/s, idle-guest nothing")
    # Both live in the test's own cgroup here, so its figures are not theirs.
    for guest in (busy, idle):
        cores = guard.vm_of(guest).get("cpu_cores")
        expect(cores is None, f"{guest.name} has no cgroup of its own, yet uses {cores} cores")

    for guest in (busy, idle):
        begin = time.time()
        guest.kill()
        wait_for(f"{guest.name} is dropped", lambda: guard.vm_of(guest) is None, 5)
        note(f"{guest.name} dropped {time.time() - begin:.2f} s after its end")
        expect(time.time() - begin <= NOTICE_SECONDS, f"{guest.name} was dropped too late")


def found_in_time(guard, guest, note):
    vm = wait_for(f"{guest.name} is found with its name", lambda: with_name(guard.vm_of(guest)), 5)
    took = time.time() - guest.exec_time
    note(f"{guest.name} found {took:.2f} s after its exec")
    expect(vm["name"] == guest.name, f"name is {vm['name']!r}")
    expect(int(vm["guest_memory_bytes"]) == guest.memory_bytes,
           f"guest memory is {vm['guest_memory_bytes']}, not {guest.memory_bytes}")
    expect(vm["vcpu_count"] == 1, f"{vm['vcpu_count']} vCPUs")
    expect(vm["manager"] == "MANAGER_QEMU", f"manager is {vm['manager']}")
    expect(vm["accelerator"] == "ACCELERATOR_TCG", f"accelerator is {vm['accelerator']}")
    expect(took <= NOTICE_SECONDS, f"{guest.name} was found too late")


def write_rate(vm):
    return vm.get("write_rates", {}).get("bytes_per_second", 0)


def hostile_names(lab, build, note):
    """Names with escape codes, newlines, commas and kilobytes reach nobody raw."""
    guard = Hvguard(lab, build)
    names = ["evil\x1b[31m\nname, (with) \"all\"\t\x07", "x" * 4000, "plain"]
    guests = [Guest(lab, name, load="idle") for name in names]
    vms = [wait_for(f"{guest.name[:30]!r} is found with its name",
                    lambda guest=guest: with_name(guard.vm_of(guest)), 5) for guest in guests]
    for vm in vms:
        note(f"shown as {vm['name'][:60]!r}")
        expect(vm["name"].isprintable(), "a name has control characters")
        expect(len(vm["name"].encode()) <= 128, "a name has more than 128 bytes")
    expect(vms[0]["name"].startswith("evil"), "the first name does not begin as given")
    expect(vms[2]["name"] == "plain", "a plain name changed")
    for words in (["vms"], ["status"], ["vm", vms[0]["vm_id"]]):
        text = guard.run_ctl("--direct", *words).stdout
        expect(text, f"hvguardctl {' '.join(words)} says nothing")
        expect(text.replace("\n", "").isprintable(), f"hvguardctl {' '.join(words)}: raw {text!r}")


def with_name(vm):
    return vm if vm and vm["name_source"] == "NAME_SOURCE_COMMAND_LINE" else None
