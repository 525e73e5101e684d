"""Whether the eBPF objects load and tell the truth on each kernel, with the unit's own rights."""

import pathlib

import disks
from case import case
from hvguard import Hvguard
from questions import duration, moment
from story import run
from vms import StandInVm
from waiting import Failed, expect, wait_for

BPF_SOURCES = ("tasks", "block_io", "lifecycle", "vm_finder")
OLD_KERNEL_SOURCES = ("tasks", "block_io")  # 5.10 has all that lifecycle and vm_finder need
NOTICE_SECONDS = 1.0  # BEHAVIOUR: found and dropped within that


@case(disks={"data": "256M"}, deadline=180)
def ebpf(story):
    """Every object loads under the unit's rights; a VM is found, counted and dropped in time."""
    guard = Hvguard()
    guard.wait_until_ready()
    all_sources_are_ok(guard, story)
    vm = StandInVm("counted", memory_megabytes=96)
    found_in_time(guard, vm, story)
    bytes_agree(guard, vm, disks.virtio("data"), story)
    dropped_in_time(guard, vm, story)
    all_sources_are_ok(guard, story)


def all_sources_are_ok(guard, story):
    def bad_ones():
        return {name: source for name, source in guard.sources().items()
                if source["state"] != "STATE_OK"}
    guard.wait_for_ticks(2, 20)
    try:
        wait_for("all sources are ok", lambda: not bad_ones(), 20, 0.3)
    except Failed:
        pass  # told by name below
    bad = bad_ones()
    for name, source in bad.items():
        story.note(f"{name}: {source['state']}: {source.get('detail', '')}")
    expect(not bad, f"not as designed: {', '.join(bad)}")


def found_in_time(guard, vm, story):
    """By hvguard's own clock: when it first saw the process, less when the process began."""
    def look():
        answer = guard.ask("vms")
        found = [seen for seen in answer.get("vms", []) if seen["name"] == vm.name]
        return found and (found[0], moment(answer["observe_time"]))
    seen, observed = wait_for(f"{vm.name} is found by name", look, 15)
    first_seen = observed - duration(seen.get("watched_duration", "0s"))
    took = first_seen - moment(seen["start_time"])
    story.measure("VM found after its start", took, "s")
    expect(-0.02 <= took <= NOTICE_SECONDS, f"found {took:.2f} s after its start")
    expect(seen["pid"] == vm.pid, f"pid {seen['pid']}, not {vm.pid}")
    expect(seen["unit"] == vm.scope, f"unit {seen['unit']}, not {vm.scope}")
    expect(int(seen["guest_memory_bytes"]) == 96 << 20, f"memory {seen['guest_memory_bytes']}")
    # systemd may turn the io controller on only after the program has begun.
    wait_for("IO is counted by cgroup", lambda: guard.vm_named(vm.name)["io_attribution"] ==
             "IO_ATTRIBUTION_CGROUP", 15)


def bytes_agree(guard, vm, disk, story):
    """What hvguard counted for the VM is what its cgroup's io.stat says."""
    vm.finish(vm.read(disk, bytes_each=65536, count=800))
    vm.finish(vm.write(disk, bytes_each=16384, count=200))
    guard.wait_for_ticks(2, 20)
    io_stat = vm.io_stat()[disks.device_number(disk)]
    device = next(io for io in guard.vm_with_devices(vm.name)["device_ios"]
                  if io["device"]["name"] == disk.name)
    for ours, theirs, what in (("read_totals", "rbytes", "read"), ("write_totals", "wbytes", "written")):
        counted = int(device[ours].get("bytes", 0))
        difference = abs(counted - io_stat[theirs]) / io_stat[theirs]
        story.measure(f"bytes {what}, difference to io.stat", difference * 100, "%")
        expect(difference <= 0.05, f"{what}: {counted} bytes, io.stat says {io_stat[theirs]}")
    expect(int(device["read_totals"]["operation_count"]) >= 800, "reads are missing")
    expect(sum(map(int, device["read_totals"].get("queue_time_buckets", []))) >= 800,
           "reads have no latency: they were not counted by eBPF")


def dropped_in_time(guard, vm, story):
    """By the time of the first data without it."""
    ended = vm.kill()
    def look():
        answer = guard.ask("vms")
        listed = any(seen["name"] == vm.name for seen in answer.get("vms", []))
        return None if listed else moment(answer["observe_time"])
    took = wait_for(f"{vm.name} is dropped", look, 15) - ended
    story.measure("VM dropped after its end", took, "s")
    expect(0 <= took <= NOTICE_SECONDS, f"dropped {took:.2f} s after its end")


# ---- fallbacks


@case(kernels=("6.1", "6.12"), disks={"data": "256M"}, deadline=150)
def ebpf_without_btf(story):
    """With the kernel's type information hidden, the documented fallbacks are used and told."""
    hide = pathlib.Path("/etc/systemd/system/hvguardd.service.d/lab.conf")
    hide.parent.mkdir(parents=True)
    hide.write_text("[Service]\nInaccessiblePaths=/sys/kernel/btf\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "hvguardd")
    falls_back(story, BPF_SOURCES)


@case(kernels=("5.10",), disks={"data": "256M"}, deadline=150)
def ebpf_old_kernel(story):
    """On 5.10 the documented fallbacks are used and told; VMs and their IO are seen all the same."""
    falls_back(story, OLD_KERNEL_SOURCES)


def falls_back(story, degraded):
    guard = Hvguard()
    guard.wait_until_ready()
    guard.wait_for_ticks(3, 30)
    sources = guard.sources()
    for name in degraded:
        story.note(f"{name}: {sources[name]['state']}: {sources[name].get('detail', '')}")
    for name in degraded:
        expect(sources[name]["state"] == "STATE_DEGRADED", f"{name} is {sources[name]['state']}")
        expect(sources[name].get("detail"), f"{name} does not say why")
    vm = StandInVm("fallback", memory_megabytes=96)
    wait_for("the VM is found by its executable's name", lambda: guard.vm_named(vm.name), 30, 0.3)
    disk = disks.virtio("data")
    vm.finish(vm.read(disk, bytes_each=65536, count=400))
    guard.wait_for_ticks(2, 20)
    io_stat = vm.io_stat()[disks.device_number(disk)]
    [device] = [io for io in guard.vm_with_devices(vm.name)["device_ios"]
                if io["device"]["name"] == disk.name]
    expect(device.get("counts_only"), "IO is not said to come from io.stat")
    counted = int(device["read_totals"]["bytes"])
    expect(abs(counted - io_stat["rbytes"]) <= 0.05 * io_stat["rbytes"],
           f"{counted} bytes read, io.stat says {io_stat['rbytes']}")
    vm.kill()
    wait_for("the VM is dropped", lambda: guard.vm_named(vm.name) is None, 30, 0.3)
    expect(guard.daemon.restart_count() == 0, "hvguardd has died meanwhile")
