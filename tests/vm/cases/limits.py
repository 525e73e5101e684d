"""Limits on VMs: set, kept, followed and taken back on a real host."""

import os
import pathlib
import shutil
import signal

from case import case
from hvguard import Hvguard, Unit
from story import boot_seconds, run
from vms import PAYLOAD, StandInVm
from waiting import expect, wait_for

MIB = 1 << 20
GIB = 1 << 30
APPLIED_SECONDS = 2.0  # from a VM's start until its baselines are in force
LATE = 0.5  # how much of that an emulated host may add
GUEST_MEGABYTES = 64
KILLS = 50
CGROUPS = pathlib.Path("/sys/fs/cgroup")
SETTINGS = ("memory.high", "memory.max", "memory.swap.max", "memory.low", "pids.max", "cpu.max",
            "cpu.weight", "io.max", "io.weight")

POLICY = """
[policy]
mode = "{mode}"

[[vm_class]]
name = "small"
vms = ["small-*"]
memory_high_overhead = "{overhead}"
swap_max = "64MiB"
pids_max = {pids}
"""
WANTED = {"memory.high": str(GUEST_MEGABYTES * MIB + GIB), "memory.swap.max": str(64 * MIB),
          "pids.max": "5000"}
CHANGED = {**WANTED, "memory.high": str(GUEST_MEGABYTES * MIB + 2 * GIB), "pids.max": "6000"}


def policy(mode="enforce", overhead="1GiB", pids=5000):
    return POLICY.format(mode=mode, overhead=overhead, pids=pids)


@case(deadline=300)
def limits_baselines(story):
    """A class's limits hold within 2 s of a VM's start wherever it lives, follow the configuration,
    stand against daemon-reload, and are gone when hvguardd stops."""
    guard = ready_guard(policy())
    begin = boot_seconds()
    vms = {"scope": StandInVm("small-scope", GUEST_MEGABYTES)}
    wait_for("the scope is limited", lambda: has(vms["scope"].cgroup(), WANTED), 20)
    took = boot_seconds() - begin
    story.measure("VM's start → baselines in force", took, "s")
    expect(took <= APPLIED_SECONDS + LATE, f"limited {took:.2f} s after it was started")

    vms["service"] = ServiceVm("small-service")
    vms["foreign"] = ForeignVm("small-foreign")
    for name, vm in vms.items():
        wait_for(f"the VM in a {name} is limited", lambda: has(vm.cgroup(), WANTED), 20)
    wait_for("all limits are in force", lambda: states(guard) == {"STATE_IN_FORCE"}, 20)
    levers = {limit["vm_name"]: limit["lever"] for limit in limits(guard)}
    expect(levers == {"small-scope": "LEVER_SYSTEMD", "small-service": "LEVER_SYSTEMD",
                      "small-foreign": "LEVER_CGROUPFS"}, f"levers {levers}")

    run("systemctl", "daemon-reload")
    guard.wait_for_ticks(3, 20)
    for name, vm in vms.items():
        expect(has(vm.cgroup(), WANTED), f"{name} after daemon-reload: {settings(vm.cgroup())}")

    guard.configure(policy(overhead="2GiB", pids=6000))
    for name, vm in vms.items():
        wait_for(f"the VM in a {name} follows the configuration",
                 lambda: has(vm.cgroup(), CHANGED), 20)

    run("systemctl", "stop", guard.daemon.name)
    for name, vm in vms.items():
        left = settings(vm.cgroup())
        expect(left["memory.high"] == "max" and left["memory.swap.max"] == "max" and
               left["pids.max"] not in (WANTED["pids.max"], CHANGED["pids.max"]),
               f"{name} after the stop: {left}")


@case(deadline=240)
def limits_dry_run(story):
    """Dry run says what it would do, everywhere, and touches nothing."""
    guard = ready_guard(policy(mode="dry_run"))
    vm = StandInVm("small-one", GUEST_MEGABYTES)
    wait_for("the VM is found", lambda: guard.vm_named("small-one"), 20)
    before = tree()
    wait_for("limits are said", lambda: states(guard) == {"STATE_DRY_RUN"}, 20)
    guard.wait_for_ticks(5, 20)
    after = tree()
    expect(before == after, f"changed: {difference(before, after)}")
    said = {limit["kind"] for limit in limits(guard)}
    expect(said == {"KIND_MEMORY_HIGH", "KIND_SWAP_MAX", "KIND_PIDS_MAX"}, f"said: {said}")
    story.note(f"{len(said)} limits of {vm.name} said, none set")
    expect(guard.status()["agent"]["mode"] == "MODE_DRY_RUN", guard.status()["agent"])


@case(deadline=500)
def limits_after_kills(story):
    """Killed at any moment, also in the middle of a change, hvguardd leaves no limit behind."""
    guard = ready_guard(policy())
    vm = StandInVm("small-one", GUEST_MEGABYTES)
    untouched = StandInVm("large-one", GUEST_MEGABYTES)
    plain = settings(untouched.cgroup())
    restart_soon(guard.daemon.name)
    for number in range(KILLS):
        # The wait differs from kill to kill, so that they fall on all steps of a change.
        pid = wait_for("a new hvguardd runs", lambda: running_pid(guard), 30, 0.01)
        pause = boot_seconds() + 0.03 * (number % 25)
        wait_for("its time", lambda: boot_seconds() >= pause, 5, 0.002)
        os.kill(pid, signal.SIGKILL)
        if number % 10 == 9:
            story.note(f"{number + 1} kills")
    guard.wait_until_ready()
    wait_for("limits hold again", lambda: has(vm.cgroup(), WANTED), 30)
    run("systemctl", "stop", guard.daemon.name)
    expect(settings(vm.cgroup()) == plain, f"left behind: {settings(vm.cgroup())}, plain {plain}")


def restart_soon(unit):
    """Not after seconds, as to a host in trouble."""
    folder = pathlib.Path(f"/run/systemd/system/{unit}.d")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lab.conf").write_text("[Service]\nRestartSec=100ms\n")
    run("systemctl", "daemon-reload")


# ---- VMs in other places


class ServiceVm:
    """A VM that is all of an ordinary service."""

    def __init__(self, name):
        self.unit = f"{name}.service"
        run("systemd-run", f"--unit={self.unit}", "--property=Type=exec",
            "--property=IOAccounting=yes", program_of(name), "-name", f"guest={name}",
            "-machine", "q35,accel=tcg", "-m", str(GUEST_MEGABYTES), "-smp", "1")

    def cgroup(self):
        return Unit(self.unit).cgroup()


class ForeignVm:
    """A VM in a cgroup that somebody made by hand, outside all units."""

    def __init__(self, name):
        (CGROUPS / "cgroup.subtree_control").write_text("+cpu +io +memory +pids")
        self.directory = CGROUPS / f"by-hand-{name}"
        self.directory.mkdir()
        words = [os.fspath(program_of(name)), "-name", f"guest={name}", "-machine",
                 "q35,accel=tcg", "-m", str(GUEST_MEGABYTES), "-smp", "1"]
        self.pid = os.fork()
        if self.pid == 0:
            (self.directory / "cgroup.procs").write_text("0")
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.execv(words[0], words)

    def cgroup(self):
        return self.directory


def program_of(name):
    folder = pathlib.Path(f"/run/{name}")
    folder.mkdir()
    return pathlib.Path(shutil.copy(PAYLOAD / "bin/stand_in_vm", folder / "qemu-system-x86_64"))


# ---- questions


def ready_guard(toml):
    guard = Hvguard()
    guard.wait_until_ready()
    guard.configure(toml)
    return guard


def running_pid(guard):
    return guard.daemon.main_pid() if guard.daemon.is_active() else 0


def limits(guard):
    return guard.ask("limits").get("limits", [])


def states(guard):
    return {limit["state"] for limit in limits(guard)}


def settings(cgroup):
    return {name: (cgroup / name).read_text().strip() for name in SETTINGS
            if (cgroup / name).exists()}


def has(cgroup, wanted):
    found = settings(cgroup)
    return all(found.get(name) == value for name, value in wanted.items())


def tree():
    """All settings of all cgroups."""
    found = {}
    for directory, _, files in os.walk(CGROUPS):
        for name in (*SETTINGS, "cgroup.subtree_control"):
            if name in files:
                path = pathlib.Path(directory) / name
                found[path] = path.read_text()
    return found


def difference(before, after):
    return {os.fspath(path): (before.get(path), after.get(path))
            for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
