"""hvguardd's counters of a VM's block IO beside QEMU's own (QMP query-blockstats)."""

import pathlib

from guest import Disk, Guest
from hvguard import Hvguard
from lab import command, device_number, limit_request_size
from waiting import expect, wait_for

TOLERANCE = 0.05
# Reads that are QEMU's own: when it opens an image it finds out what alignment that wants.
OWN_READS = 8

# Past the guest's page cache, one request at a time: 8 MiB each way in 64 KiB, then 256 blocks of
# 4 KiB each way, then 32 flushes.
LOAD = ("direct_write {0} 64k 0 64 && direct_write {0} 64k 64 64 && "
        "direct_read {0} 64k 0 128 && direct_read {0} 4k 1000 256 && "
        "direct_write {0} 4k 2000 256 && "
        "for i in 0 1 2 3 4 5 6 7; do for j in 0 1 2 3; do flush {0} 0 || exit 1; done; done")


def counters(lab, build, note):
    """Bytes and operations agree with QEMU's within 5 %, for each way of QEMU to do IO."""
    guard = Hvguard(lab, build)
    shared = lab.ext4("shared", 256)
    first_file = shared.file("first.img", 32)
    second_file = shared.file("second.img", 32)
    hammered_file = shared.file("hammered", 16)
    loops = [lab.loop(f"raw{number}.img", 32) for number in range(5)]
    disks = {
        "file, threads": (Disk(first_file, aio="threads"), shared.device),
        "threads": (Disk(loops[0], aio="threads"), loops[0]),
        "native": (Disk(loops[1], aio="native"), loops[1]),
        "io_uring": (Disk(loops[2], aio="io_uring"), loops[2]),
        "native, iothread": (Disk(loops[3], aio="native", iothread=True), loops[3]),
        "io_uring, iothread": (Disk(loops[4], aio="io_uring", iothread=True), loops[4]),
    }
    guest = Guest(lab, "counted", [disk for disk, _ in disks.values()])
    other = Guest(lab, "neighbour", [Disk(second_file, aio="io_uring")])
    guest.wait_until_ready()
    other.wait_until_ready()

    # Another process, of no VM, on the same disk all the while.
    before = written_bytes(shared.device)
    hammer = lab.spawn(["sh", "-c", "while dd if=/dev/zero of=$0 bs=64k count=256 oflag=direct "
                                    "conv=notrunc; do :; done", hammered_file], "hammer.log")
    answers = [guest.begin(LOAD.format(f"vd{letter}")) for letter in "abcdef"]
    other.run(LOAD.format("vda").replace("2000 256", "2000 128"))
    for answer in answers:
        guest.finish(answer)
    wait_for("the other process has written enough",
             lambda: written_bytes(shared.device) - before > 200 << 20, 20)
    hammer.kill()
    hammer.wait()
    guard.wait_for_ticks(2, 5)

    for number, (way, (_, device)) in enumerate(disks.items()):
        note(compare(guard, guest, number, device, way))
    note(compare(guard, other, 0, shared.device, "neighbour on the same disk"))
    everything = (written_bytes(shared.device) - before) / 1e6
    note(f"{everything:.0f} MB were written to that disk meanwhile, by others for the most part")


def compare(guard, guest, number, device, way, split=1):
    """Fails unless hvguardd's totals are QEMU's, with `split` requests for each of QEMU's."""
    asked = guest.disk_counters()[number]
    seen = totals(guard, guest, device)
    pairs = {
        "read operations": (seen["read"]["operations"], asked["rd_operations"] * split),
        "read bytes": (seen["read"]["bytes"], asked["rd_bytes"]),
        "write operations": (seen["write"]["operations"], asked["wr_operations"] * split),
        "write bytes": (seen["write"]["bytes"], asked["wr_bytes"]),
        "flush operations": (seen["flush"]["operations"], asked["flush_operations"]),
    }
    worst = 0.0
    for what, (have, want) in pairs.items():
        own = {"read operations": OWN_READS, "read bytes": OWN_READS * 4096}.get(what, 0)
        expect(want > 0, f"{way}: QEMU counted no {what}")
        expect(abs(have - want) <= TOLERANCE * want + own,
               f"{way}: hvguardd counted {have} {what}, QEMU {want}; all: {pairs}")
        worst = max(worst, abs(have - want) / want)
    return (f"{way}: {pairs['read operations'][0]} reads, {pairs['write operations'][0]} writes, "
            f"{pairs['flush operations'][0]} flushes, at most {worst:.1%} off")


def totals(guard, guest, device):
    """Totals of a VM on a device by operation; zeros if it has none there."""
    vm = guard.vm_with_devices(guard.vm_of(guest)["vm_id"])
    result = {name: {"operations": 0, "bytes": 0, "errors": 0}
              for name in ("read", "write", "discard", "flush")}
    for entry in vm.get("device_ios", []):
        number = (entry["device"].get("major", 0), entry["device"].get("minor", 0))
        if number != device_number(device):
            continue
        expect(not entry.get("counts_only"), "hvguardd has fallen back from eBPF")
        for name, result_of_name in result.items():
            found = entry.get(f"{name}_totals", {})
            result_of_name["operations"] = int(found.get("operation_count", 0))
            result_of_name["bytes"] = int(found.get("bytes", 0))
            result_of_name["errors"] = int(found.get("error_count", 0))
    return result


def written_bytes(device):
    fields = pathlib.Path(f"/sys/block/{pathlib.Path(device).name}/stat").read_text().split()
    return int(fields[6]) * 512  # Documentation/block/stat.rst: write sectors


def counters_split(lab, build, note):
    """A disk that takes only small requests gets more of them than QEMU counts, of the same bytes."""
    guard = Hvguard(lab, build)
    device = lab.loop("small.img", 32)
    limit_request_size(device, 16)
    guest = Guest(lab, "split", [Disk(device)]).wait_until_ready()
    guest.run("direct_write vda 64k 0 64 && direct_read vda 64k 0 64 && flush vda 0")
    guard.wait_for_ticks(2, 5)
    note(compare(guard, guest, 0, device, "64 KiB in pieces of 16 KiB", split=4))


def counters_host_cache(lab, build, note):
    """With cache=writeback QEMU counts what the guest asks, hvguardd what reaches the disk for it."""
    guard = Hvguard(lab, build)
    device = lab.loop("cached.img", 32)
    guest = Guest(lab, "cached", [Disk(device, cache="writeback")]).wait_until_ready()
    guard.wait_for_ticks(1, 5)
    idle = totals(guard, guest, device)

    guest.run("direct_write vda 64k 0 64 && direct_read vda 64k 0 64")
    command("blockdev", "--flushbufs", device)  # written back, and by us rather than by QEMU
    guard.wait_for_ticks(2, 5)
    asked = guest.disk_counters()[0]
    seen = totals(guard, guest, device)
    expect(asked["rd_bytes"] >= 4 << 20 and asked["wr_bytes"] >= 4 << 20, f"QEMU counted {asked}")
    expect(written_bytes(device) >= 4 << 20, "nothing was written back")
    read = seen["read"]["bytes"] - idle["read"]["bytes"]
    expect(read <= 64 << 10, f"{read} B read for the VM, though the host had it all cached")
    vm = guard.vm_of(guest)
    if vm["io_attribution"] == "IO_ATTRIBUTION_SUBMITTER":
        written = seen["write"]["bytes"] - idle["write"]["bytes"]
        expect(written <= 64 << 10, f"{written} B written by the VM, though others wrote it back")
    note(f"QEMU counted {asked['rd_bytes'] >> 20} MiB read and {asked['wr_bytes'] >> 20} MiB written; "
         f"the host's cache took the reads, another process wrote the data back")

    guest.run("direct_write vda 64k 0 64 && flush vda 0")
    guard.wait_for_ticks(2, 5)
    written = totals(guard, guest, device)["write"]["bytes"] - seen["write"]["bytes"]
    expect(abs(written - (4 << 20)) <= TOLERANCE * (4 << 20),
           f"{written} B written by the VM, which flushed 4 MiB itself")
    note("what the guest flushes is written by QEMU itself, and is the VM's")
