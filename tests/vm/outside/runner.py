"""Runs one case on one kernel: disks, boots, lines, verdict, logs."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import traceback

import payload
from cache import CACHE
from machine import Machine, MachineError
from verdict import Outside, Verdict, complaints
from waiting import Failed

BOOT_SECONDS = 300  # with a margin for a machine that does other things
LOGS = CACHE / "logs"


class Lab:
    """What all cases of a run share."""

    def __init__(self, image, installed, package, kernels, progress, slots):
        self.image = image  # HostImage
        self.installed = installed  # path of the disk with hvguard on it, over the image
        self.package = package
        self.kernels = kernels  # by series
        self.progress = progress
        self.slots = slots
        self.machines = set()

    def end(self):
        """Ends all cases soon, running and waiting ones: they fail. From another thread."""
        self.slots.ending.set()
        for machine in list(self.machines):
            machine.kill()


def run_case(lab, case, module, series, told):
    """The Verdict. Never raises: whatever goes wrong is this case's failure."""
    verdict = Verdict()
    logs = LOGS / f"{case.name}-{series}"
    shutil.rmtree(logs, ignore_errors=True)
    begin = time.monotonic()
    with lab.slots.one(told), tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as directory:
        directory = pathlib.Path(directory)
        begin = time.monotonic()
        try:
            machine = make_machine(lab, case, series, directory)
            lab.machines.add(machine)
            try:
                follow(machine, lab, case, module, series, verdict, told)
            finally:
                lab.machines.discard(machine)
                machine.stop()
            judge(machine, case, verdict, told)
        except (MachineError, Failed, OSError, subprocess.SubprocessError) as fault:
            verdict.fail(str(fault))
        except Exception:  # a mistake of ours is the case's failure too, with its place
            verdict.fail("the lab itself is broken")
            verdict.files["lab-traceback.txt"] = traceback.format_exc().encode()
        verdict.seconds = time.monotonic() - begin
        if not verdict.passed:
            keep_logs(directory, verdict, logs)
    return verdict


def make_machine(lab, case, series, directory, shell=False):
    kernel = lab.kernels[series]
    if case.package:
        root = overlay(directory / "root.qcow2", lab.installed, "qcow2")
    else:
        root = overlay(directory / "root.qcow2", lab.image.disk, "raw")
    payload_disk = directory / "payload.img"
    payload.make(payload_disk, lab.package, {}, lab.progress)
    disks = {
        "root": f"file={root},format=qcow2,cache=unsafe",
        "modules": f"file={kernel.modules},format=raw,read-only=on",
        "payload": f"file={payload_disk},format=raw,read-only=on",
    }
    for name, size in case.disks.items():
        path = directory / f"{name}.img"
        subprocess.run(["qemu-img", "create", "-q", "-f", "raw", path, size], check=True)
        disks[name] = f"file={path},format=raw,cache=unsafe"
    return Machine(directory, kernel, disks, case.memory, case.arguments, shell)


def shell(lab, case, series):
    """A host whose console is this terminal, until the person ends it."""
    with tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as directory:
        machine = make_machine(lab, case, series, pathlib.Path(directory), shell=True)
        try:
            machine.start()
            for line in machine.lines(lambda: time.monotonic() + case.deadline):
                if line and "hello" in line:
                    machine.order({"case": "", "module": "", "boot": 1, "kernel": series,
                                   "kept": {}, "deadline": case.deadline})
        except MachineError:
            pass  # its end is how a shell ends
        finally:
            machine.stop()
    return 0


def overlay(path, backing, kind):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", kind, path],
                   check=True)
    return path


def follow(machine, lab, case, module, series, verdict, told):
    """Boots the host and listens until it has said the last word."""
    clock = Clock(BOOT_SECONDS)
    boot = 0
    may_boot = True
    begin = time.monotonic()
    with told.step("booting"):
        machine.start()
        lines = machine.lines(lambda: clock.deadline)
        waiting = [next(lines)]
    while True:
        line = waiting.pop() if waiting else next(lines)
        if line is None:
            machine.show_blocked_tasks()
            verdict.fail(f"no word within {clock.seconds:g} s {clock.what}")
            return
        if "hello" in line:
            boot += 1
            if not may_boot or boot > len(case.boots):
                verdict.fail(f"the host booted again on its own (boot {boot})")
                return
            may_boot = False
            told.say(f"boot {boot}: Linux {line['hello']}, {time.monotonic() - begin:.0f} s")
            machine.order({"case": case.name, "module": module, "boot": boot, "kernel": series,
                           "kept": verdict.kept, "deadline": case.deadline})
            # The case itself tells when it takes too long, unless the host cannot.
            clock.set(case.deadline + 20, "for the case")
        elif "reboot" in line:
            may_boot = True
            begin = time.monotonic()
            told.say(f"the host reboots ({line['reboot']})")
            if line["reboot"] == "power cut":
                machine.ask_monitor(("system_reset", {}))
            clock.set(line["seconds"] + BOOT_SECONDS, f"after the announced {line['reboot']}")
        elif take(line, verdict, told):
            if "failed" in line:
                collect_pictures(lines, clock, verdict)
            return


def collect_pictures(lines, clock, verdict):
    clock.set(90, "for pictures")
    for line in lines:
        if line is None or "pictures" in line:
            return
        if "file" in line:
            verdict.take_file(line)


def take(line, verdict, told):
    """One line of the case; true if it was the verdict."""
    if "note" in line:
        told.say(line["note"])
    elif "measure" in line:
        verdict.measures.append((line["measure"], line["value"], line["unit"]))
        told.say(f"{line['measure']}: {line['value']:g} {line['unit']}".rstrip())
    elif "keep" in line:
        verdict.kept[line["keep"]] = line["value"]
        verdict.heard[line["keep"]] = time.monotonic()
    elif "file" in line:
        verdict.take_file(line)
    elif "passed" in line:
        verdict.passed = True
        verdict.why = ""
        return True
    elif "failed" in line:
        verdict.fail(line["failed"])
        return True
    return False


def judge(machine, case, verdict, told):
    """What only the outside can see: the kernel's complaints, and the case's own check."""
    console = machine.console.read_text(errors="replace").replace("\r", "")
    found = complaints(console, case.expects)
    if found and verdict.passed:
        verdict.fail(f"the kernel complained: {found[0][:160]}")
    elif found:
        verdict.why += f" (and the kernel complained: {found[0][:160]})"
    if verdict.passed and case.check:
        try:
            case.check(Outside(verdict, console, told.say))
        except (Failed, LookupError, ValueError, TypeError) as fault:
            verdict.fail(f"seen from outside: {type(fault).__name__}: {fault}")


def keep_logs(directory, verdict, logs):
    logs.mkdir(parents=True, exist_ok=True)
    for name in ("console.log", "journal.log", "qemu.log"):
        if (directory / name).exists():
            shutil.copy(directory / name, logs / name)
    for name, data in verdict.files.items():
        (logs / pathlib.PurePath(name).name).write_bytes(data)
    (logs / "why.txt").write_text(verdict.why + "\n")


class Clock:
    """A deadline that moves with the story."""

    def __init__(self, seconds):
        self.set(seconds, "for the boot")

    def set(self, seconds, what):
        self.seconds = seconds
        self.what = what
        self.deadline = time.monotonic() + seconds


class Slots:
    """As many hosts at once on this machine as asked for, over all runs: others wait."""

    def __init__(self, count):
        self.paths = [CACHE / f".slot{number}.lock" for number in range(count)]
        self.ending = threading.Event()

    @contextlib.contextmanager
    def one(self, told):
        lock = self.try_one()
        if lock is None:
            with told.step("waiting for another run's host to end"):
                while lock is None and not self.ending.wait(0.3):
                    lock = self.try_one()
        if self.ending.is_set():
            raise MachineError("ended before it began")
        try:
            yield
        finally:
            os.close(lock)

    def try_one(self):
        for path in self.paths:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                os.close(fd)
        return None
