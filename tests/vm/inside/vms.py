"""VMs of a lab host: stand-ins that do as they are told, and small real guests under libvirt."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

from story import run
from waiting import Failed, expect, wait_for

PAYLOAD = pathlib.Path("/run/lab")
PROGRAMS = pathlib.Path("/run/lab-vms")
MANAGER = "qemu-system-x86_64"


class StandInVm:
    """A process that hvguard takes for a VM: a VM manager's name and options, in a scope of its own
    in machine.slice as libvirt makes them. What it does is programs/stand_in_vm.c.

    scope: "" runs it where we are ourselves, for a VM that lives in a foreign unit.
    """

    count = 0

    def __init__(self, name, memory_megabytes=64, scope=None, properties=()):
        StandInVm.count += 1
        self.name = name
        self.scope = rf"machine-qemu\x2d{StandInVm.count}\x2d{name}.scope" if scope is None else scope
        self.answers = {}
        self.commands = 0
        program = self.copy_program()
        words = [program, "-name", f"guest={name},debug-threads=on", "-machine", "q35,accel=tcg",
                 "-m", str(memory_megabytes), "-smp", "1"]
        if self.scope:
            # A scope's program is our own child: systemd-run becomes it.
            words = ["systemd-run", "--quiet", "--scope", "--slice=machine.slice",
                     f"--unit={self.scope}", "--property=IOAccounting=yes",
                     "--property=MemoryAccounting=yes", "--property=TasksAccounting=yes",
                     *[f"--property={text}" for text in properties], "--", *words]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.pid = self.process.pid
        self.ready = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()
        if not self.ready.wait(30):
            raise Failed(f"VM {name}: not ready within 30 s")
        self.start_time = start_time(self.pid)

    def copy_program(self):
        # Of its own inode, in memory: it runs even when the root disk does not.
        directory = PROGRAMS / f"{StandInVm.count}-{self.name}"
        directory.mkdir(parents=True)
        shutil.copy(PAYLOAD / "bin/stand_in_vm", directory / MANAGER)
        return directory / MANAGER

    def listen(self):
        for line in self.process.stdout:
            if line.startswith("ready"):
                self.ready.set()
            else:
                verdict, number, *rest = line.split(maxsplit=2)
                self.answers[int(number)] = (verdict, " ".join(rest).strip())

    # ---- what it does

    def begin(self, line):
        """Starts a command (programs/stand_in_vm.c) and returns its number."""
        self.commands += 1
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.commands

    def read(self, path, bytes_each=65536, count=0, pause_ms=0):
        return self.begin(f"read {path} {bytes_each} {count} {pause_ms}")

    def write(self, path, bytes_each=65536, count=0, pause_ms=0):
        return self.begin(f"write {path} {bytes_each} {count} {pause_ms}")

    def sync(self, path, bytes_each=65536, count=0, pause_ms=0):
        """Writes through the page cache and fsync: what sits in a file system's journal."""
        return self.begin(f"sync {path} {bytes_each} {count} {pause_ms}")

    def is_done(self, number):
        """Whether a command has ended; Failed if it failed."""
        verdict, text = self.answers.get(number, (None, ""))
        expect(verdict != "error", f"VM {self.name}: {text}")
        return verdict == "ok"

    def finish(self, number, seconds=60):
        wait_for(f"VM {self.name} has done command {number}", lambda: self.is_done(number), seconds)

    def blocked_threads(self):
        """Ids of its threads in D."""
        return blocked_threads(self.pid)

    # ---- what the kernel says of it

    def cgroup(self):
        text = pathlib.Path(f"/proc/{self.pid}/cgroup").read_text()
        return pathlib.Path("/sys/fs/cgroup" + re.search(r"^0::(.*)$", text, re.M)[1])

    def io_stat(self):
        """Counters of io.stat by "major:minor"."""
        return io_stat(self.cgroup())

    # ---- its end

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return time.time()

    def stop(self, seconds=20):
        self.process.terminate()
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"VM {self.name} does not end (is it stuck?)") from None


def io_stat(cgroup):
    found = {}
    for line in (cgroup / "io.stat").read_text().splitlines():
        device, *fields = line.split()
        found[device] = {name: int(value) for name, value in
                         (field.split("=") for field in fields) if value.isdigit()}
    return found


def start_time(pid):
    """Wall time at which a process began, to the kernel's 10 ms."""
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + since_boot


def blocked_threads(pid):
    found = []
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            if re.search(r"^State:\s+D", path.read_text(), re.M):
                found.append(int(path.parent.name))
        except OSError:
            pass  # ended meanwhile
    return found


class LibvirtGuest:
    """A real guest under libvirt and KVM (emulated by QEMU outside, yet KVM to this host): the small
    Linux of tests/guests. Its console is a file."""

    def __init__(self, name, memory_megabytes=144, disks=(), load="idle"):
        self.name = name
        self.console = pathlib.Path(f"/run/{name}.console")
        start_libvirt()
        drives = "".join(
            f"<disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/>"
            f"<source dev='{path}'/><target dev='vd{chr(ord('a') + number)}' bus='virtio'/></disk>"
            for number, path in enumerate(disks))
        text = f"""<domain type='kvm'><name>{name}</name><memory unit='MiB'>{memory_megabytes}</memory>
<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type>
<kernel>{PAYLOAD}/guest/kernel</kernel><initrd>{PAYLOAD}/guest/initrd</initrd>
<cmdline>console=ttyS0 quiet load={load}</cmdline></os><features><acpi/></features>
<cpu mode='host-passthrough'/><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{drives}
<serial type='file'><source path='{self.console}'/><target port='0'/></serial>
<memballoon model='none'/></devices></domain>"""
        definition = pathlib.Path(f"/run/{name}.xml")
        definition.write_text(text)
        run("virsh", "define", definition, seconds=60)
        run("virsh", "start", name, seconds=120)
        self.pid = int(pathlib.Path(f"/run/libvirt/qemu/{name}.pid").read_text())
        self.start_time = start_time(self.pid)

    def wait_until_ready(self, seconds=120):
        wait_for(f"guest {self.name} has booted",
                 lambda: self.console.exists() and
                 "guest: ready" in self.console.read_text(errors="replace"), seconds, 0.5)

    def destroy(self):
        run("virsh", "destroy", self.name, seconds=60)


def start_libvirt():
    run("modprobe", "kvm_amd")
    run("systemctl", "start", "virtlogd.socket", "libvirtd.socket", "libvirtd.service", seconds=120)
    wait_for("libvirtd answers",
             lambda: run("virsh", "list", check=False, seconds=30).returncode == 0, 60, 0.5)
