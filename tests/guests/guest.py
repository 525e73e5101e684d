"""A real QEMU guest with a real kernel, its disks and QEMU's own counters of them."""

import dataclasses
import json
import os
import re
import socket
import subprocess
import time

import image
from waiting import Failed, wait_for

QEMU = "/usr/bin/qemu-system-x86_64"


@dataclasses.dataclass
class Disk:
    path: str
    cache: str = "none"
    aio: str = "threads"
    iothread: bool = False


class Guest:
    """Started when made. Its paths carry a number, since names may be anything. Less memory than the
    default does not boot."""

    count = 0

    def __init__(self, lab, name, disks=(), load="shell", memory_megabytes=144):
        Guest.count += 1
        self.name = name
        self.memory_bytes = memory_megabytes << 20
        self.label = f"guest{Guest.count}"
        self.log = lab.logs / f"{self.label}.log"
        self.qmp_path = lab.directory / f"{self.label}.qmp"
        self.question = 0
        arguments = [QEMU, *base_arguments(name, load, memory_megabytes),
                     "-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial",
                     "-qmp", f"unix:{self.qmp_path},server=on,wait=off"]
        for number, disk in enumerate(disks):
            arguments += disk_arguments(number, disk)
        self.process = lab.spawn(arguments, f"{self.label}.log", stdin=subprocess.PIPE)
        self.exec_time = time.time()  # Popen returns after the exec
        self.pid = self.process.pid

    def wait_for_output(self, pattern, seconds=30):
        """The match of a regular expression in the serial output."""
        def look():
            if self.process.poll() is not None:
                raise Failed(f"guest {self.name!r} ended with {self.process.returncode}")
            return re.search(pattern, self.output(), re.MULTILINE)
        return wait_for(f"guest {self.name!r} says {pattern!r}", look, seconds)

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_until_ready(self):
        self.wait_for_output("^guest: ready")
        return self

    def begin(self, line):
        """Gives a line to the guest's shell; returns what finish() waits for."""
        self.question += 1
        self.process.stdin.write(f"{self.question} {line}\n".encode())
        self.process.stdin.flush()
        return self.question

    def finish(self, question, seconds=60):
        answer = self.wait_for_output(rf"^guest: answer {question} (\d+)", seconds)
        if answer[1] != "0":
            raise Failed(f"guest {self.name!r}: line {question} ended with {answer[1]}")

    def run(self, line, seconds=60):
        self.finish(self.begin(line), seconds)

    def disk_counters(self):
        """QEMU's own counters, by disk: what the guest asked for."""
        return [disk["stats"] for disk in self.qmp("query-blockstats") if disk.get("qdev")]

    def qmp(self, name):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            wait_for("QMP socket", self.qmp_path.exists, 10)
            connection.connect(os.fspath(self.qmp_path))
            with connection.makefile("rw") as stream:
                stream.readline()  # greeting
                ask(stream, "qmp_capabilities")
                return ask(stream, name)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=10)


def ask(stream, name):
    stream.write(json.dumps({"execute": name}) + "\n")
    stream.flush()
    while True:
        answer = json.loads(stream.readline())
        if "error" in answer:
            raise Failed(f"QMP {name}: {answer['error']['desc']}")
        if "return" in answer:
            return answer["return"]


def base_arguments(name, load, memory_megabytes):
    kernel, initrd = image.build()
    # Five-level paging only slows emulation down.
    return ["-name", f"guest={name.replace(',', ',,')},debug-threads=on",
            "-M", "q35", "-accel", "tcg", "-cpu", "max,la57=off", "-smp", "1",
            "-m", str(memory_megabytes), "-nodefaults", "-nographic", "-no-reboot",
            "-kernel", kernel, "-initrd", initrd,
            "-append", f"console=ttyS0 quiet panic=-1 load={load}"]


def disk_arguments(number, disk):
    drive = (f"file={disk.path},format=raw,if=none,id=disk{number},"
             f"cache={disk.cache},aio={disk.aio}")
    device = f"virtio-blk-pci,drive=disk{number}"
    arguments = []
    if disk.iothread:
        arguments += ["-object", f"iothread,id=io{number}"]
        device += f",iothread=io{number}"
    return [*arguments, "-drive", drive, "-device", device]
