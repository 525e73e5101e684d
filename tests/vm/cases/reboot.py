"""How the boot before ended, as the next one tells it: a clean reboot, a panic, a power cut."""

import pathlib
import time

import disks
from case import case
from hvguard import Hvguard
from questions import duration, moment
from story import boot_seconds, run
from vms import StandInVm
from waiting import expect, wait_for

KIND = "KIND_UNCLEAN_REBOOT"
RECORD = pathlib.Path("/var/lib/hvguard/boot-record")
BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")
MODULES = pathlib.Path("/etc/modules-load.d/ramoops.conf")
ORDER = pathlib.Path("/etc/systemd/system/systemd-pstore.service.d/after-ramoops.conf")
PANIC = "Kernel panic - not syncing: sysrq triggered crash"
# 2 MiB of the host's memory that no boot uses.
RAMOOPS = ("memmap=2M$0x30000000", "ramoops.mem_address=0x30000000", "ramoops.mem_size=0x200000",
           "ramoops.record_size=0x20000")
RECORD_SECONDS = 60  # the record is no older
# The host begins with the wall clock of a chip that counts whole seconds, before and after.
CLOCK_SECONDS = 3


@case(disks={"data": "64M"}, arguments=RAMOOPS, deadline=240,
      expects=("Kernel panic", "sysrq triggered crash"))
def unclean_reboot(story):
    """A clean reboot opens nothing; a panic and a power cut open an incident that tells of each."""
    keep_panics()
    # The boot before was that of the installation: not our story.
    Hvguard().wait_until_ready()
    wait_for_record()
    keep_boot_id(story)
    story.reboot()


@unclean_reboot.next_boot
def after_the_clean_reboot(story):
    guard, _ = ready(story)
    expect_clean(guard)
    trouble_on_record(guard)
    end(story, story.panic_now)


@unclean_reboot.next_boot
def after_the_panic(story):
    guard, began = ready(story)
    evidence = what_it_tells(story, guard, began, "panic")
    record = evidence["previous_boot"]
    expect([one["kind"] for one in record["incidents"]] == ["hung_task"],
           f"open then: {record['incidents']}")
    expect(record["figures"]["vm_count"] == 1, f"figures: {record['figures']}")
    pstore = record["pstore"]
    expect(pstore["telling_line"] == PANIC, f"pstore: {pstore}")
    text = pathlib.Path(pstore["files"][0]["path"]).read_text(errors="replace")
    expect("lab: mark the-end-of-2" in text, f"{pstore['files'][0]['path']} is of another panic")
    end(story, story.power_cut)


@unclean_reboot.next_boot
def after_the_power_cut(story):
    guard, began = ready(story)
    evidence = what_it_tells(story, guard, began, "power cut")
    record = evidence["previous_boot"]
    expect([one["kind"] for one in record["incidents"]] == ["unclean_reboot"],
           f"open then: {record['incidents']}")
    # What systemd-pstore kept of the panic is still there, and tells nothing of this end.
    kept = run("grep", "--recursive", "--files-with-matches", PANIC, "/var/lib/systemd/pstore").stdout
    expect(kept, "the panic's files are gone")
    pstore = record["pstore"]
    expect(not pstore["telling_line"], f"pstore: {pstore}")


def keep_panics():
    """From the next boot on ramoops is there before systemd-pstore moves what it holds."""
    for path, text in ((MODULES, "ramoops\n"), (ORDER, "[Unit]\nAfter=systemd-modules-load.service\n")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def ready(story):
    """hvguard, once hvguard-spool has said how the boot before ended, and that moment's clock."""
    began = boot_seconds()
    story.keep(f"began {story.boot}", began)
    wall_at_boot = time.time() - began
    guard = Hvguard()
    guard.wait_until_ready()
    wait_for("hvguard-spool has spoken of the boot before", lambda: has_spoken(guard), 30, 0.3)
    guard.wait_for_ticks(2, 20)
    wait_for_record()
    return guard, wall_at_boot


def wait_for_record():
    wait_for("this boot's record", lambda: recorded(BOOT_ID.read_text().strip()), 20, 0.3)


def has_spoken(guard):
    answer = guard.try_ctl("--direct", "status")
    return answer and any(source["source"] == "previous_boot" and source["state"] == "STATE_OK"
                          for source in answer["status"]["sources"])


def recorded(text):
    return RECORD.exists() and text.encode() in RECORD.read_bytes()


def expect_clean(guard):
    told = guard.spool.journal()
    expect(any("ended with a clean shutdown" in line for line in told), f"hvguard-spool: {told}")
    expect(not guard.incidents(KIND), "an incident after a clean shutdown")


def trouble_on_record(guard):
    """A VM on a stuck disk, which the record tells of before the host dies."""
    disk = disks.linear("stuck", disks.virtio("data"))
    vm = StandInVm("victim")
    vm.finish(vm.write(disk.path, count=1))
    disk.suspend()
    vm.write(disk.path, count=1)
    guard.wait_for_incident("KIND_HUNG_TASK", 60)
    wait_for("the record tells of it", lambda: recorded("hung_task"), 20, 0.3)


def keep_boot_id(story):
    story.keep(f"boot id {story.boot}", BOOT_ID.read_text().strip())


def end(story, how):
    keep_boot_id(story)
    story.mark(f"the-end-of-{story.boot}")
    story.keep(f"ended {story.boot}", time.time())
    how()


def what_it_tells(story, guard, wall_at_boot, what):
    """The incident's evidence, checked against what this host and the boot before know themselves."""
    incident = guard.wait_for_incident(KIND, 20, state="STATE_OPEN")
    story.note(incident["summary"])
    evidence = incident["evidence"]["unclean_reboot"]
    record = evidence["previous_boot"]
    before = story.boot - 1
    expect(record["boot_id"] == story.kept[f"boot id {before}"], f"of boot {record['boot_id']}")
    last_seen = moment(record["last_seen_time"])
    age = story.kept[f"ended {before}"] - last_seen
    story.measure(f"age of the record at the end, {what}", age, "s")
    expect(0 <= age <= RECORD_SECONDS, f"the record was {age:.1f} s old at the end")
    down = duration(evidence["down_duration"])
    story.keep(f"dead {before}", down - age)
    expect(abs(down - (wall_at_boot - last_seen)) < 1, f"down for {down:.1f} s")
    error = moment(incident["event_time"]) - last_seen
    expect(abs(error) < 1, f"the event is {error:.1f} s off the last record")
    return evidence


@unclean_reboot.seen_from_outside
def the_down_time_is_true(outside):
    """By the clock of the machine around: from the last word before the end to the next kernel's start."""
    for boot, what in ((2, "panic"), (3, "power cut")):
        began = outside.heard[f"began {boot + 1}"] - outside.kept[f"began {boot + 1}"]
        truth = began - outside.heard[f"ended {boot}"]
        error = outside.kept[f"dead {boot}"] - truth
        outside.measure(f"host was down, {what}", truth, "s")
        outside.measure(f"down time told, against the machine's clock, {what}", error, "s")
        expect(abs(error) <= CLOCK_SECONDS, f"{what}: down for {truth:.1f} s, told {error:+.1f} s")
