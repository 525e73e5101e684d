"""The lab's own instruments: what the other cases take for granted."""

import disks
from case import ALL_KERNELS, case
from hvguard import Hvguard, sysctl
from story import boot_seconds, run
from vms import StandInVm
from waiting import expect, wait_for

RAMOOPS = ("memmap=2M$0x30000000",)


@case(kernels=ALL_KERNELS, disks={"data": "128M"}, deadline=120)
def lab_disks(story):
    """Disks get stuck, slow and broken on command, and the stand-in VM feels it."""
    vm = StandInVm("subject")
    stuck = disks.linear("stuck", disks.virtio("data"))
    vm.finish(vm.write(stuck.path, count=4))
    stuck.suspend()
    write = vm.write(stuck.path, count=4)
    wait_for("the VM's writer is in D", vm.blocked_threads, 10)
    expect(not vm.is_done(write), "a write on a suspended disk ended")
    stuck.resume()
    vm.finish(write)
    story.note("suspended and resumed")

    slow = disks.delayed("slow", disks.loop("slow", 32), 200)
    begin = boot_seconds()
    vm.finish(vm.read(slow.path, bytes_each=4096, count=5))
    expect(boot_seconds() - begin >= 1, "five reads of 200 ms took less than 1 s")
    story.note("slow")

    broken = disks.linear("broken", disks.scsi_debug(32))
    vm.finish(vm.read(broken.path, count=4))
    broken.load(disks.failing_table(disks.virtio("data")))
    read = vm.read(broken.path, count=4)
    wait_for("the read fails", lambda: vm.answers.get(read), 10)
    expect(vm.answers[read][0] == "error", f"a read of a broken disk: {vm.answers[read]}")
    vm.stop()


@case(kernels=ALL_KERNELS, arguments=RAMOOPS, deadline=60,
      expects=("Kernel panic", "sysrq triggered crash", "invoked oom-killer", "Oops: ", "BUG: "))
def lab_reboots(story):
    """After a panic and after a clean reboot the same host goes on, with its disk and its memory."""
    run("modprobe", "ramoops", "mem_address=0x30000000", "mem_size=0x200000", "record_size=0x20000")
    run("sh", "-c", "echo first >/var/first && sync /var/first")
    story.keep("hung_task_panic", sysctl("kernel.hung_task_panic"))
    story.mark("before")
    story.keep("panicked", boot_seconds())
    story.panic_now()


@lab_reboots.next_boot
def after_the_panic(story):
    expect("panicked" in story.kept, "what was kept is lost")
    expect(run("cat", "/var/first").stdout == "first\n", "the disk is another one")
    Hvguard().wait_until_ready()
    run("modprobe", "ramoops", "mem_address=0x30000000", "mem_size=0x200000", "record_size=0x20000")
    kept = run("sh", "-c", "cat /sys/fs/pstore/* /var/lib/systemd/pstore/*/* 2>/dev/null",
               check=False).stdout
    expect("lab: mark before" in kept, "pstore kept nothing of the panic")
    story.reboot()


@lab_reboots.next_boot
def after_the_reboot(story):
    expect(story.boot == 3, f"boot {story.boot}")


@lab_reboots.seen_from_outside
def the_panic_has_a_time(outside):
    error = outside.boottime_of_panic() - outside.kept["panicked"]
    outside.measure("panic's time on the console, against the host's clock", error, "s")
    expect(abs(error) < 2, f"the console's panic is {error:.1f} s off")
