"""One QEMU with a lab host in it: started, listened to, and ended."""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import host_clock

QEMU = "/usr/bin/qemu-system-x86_64"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LIBC = ctypes.CDLL(None)
KERNEL_ARGUMENTS = ["rw", "console=ttyS0", "loglevel=7", "mitigations=off", "audit=0",
                    "sysrq_always_enabled", "systemd.show_status=auto",
                    # The clock of an emulated host that waits for a CPU is not broken.
                    "tsc=reliable", "no_timer_check"]


class MachineError(Exception):
    pass


class Machine:
    """Not started when made. `disks`: QEMU -drive options by serial, in their order."""

    def __init__(self, directory, kernel, disks, memory=1024, arguments=(), shell=False):
        self.directory = pathlib.Path(directory)
        self.kernel = kernel
        self.disks = disks
        self.memory = memory
        self.arguments = arguments
        self.shell = shell
        self.process = None
        self.port = None
        self.received = b""
        self.console = self.directory / "console.log"

    def start(self):
        with open(self.directory / "qemu.log", "wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=None if self.shell else subprocess.DEVNULL,
                stdout=None if self.shell else log, stderr=None if self.shell else log,
                preexec_fn=die_with_parent)
        self.port = self.connect("lab.sock")

    def command(self):
        directory = self.directory
        append = [*KERNEL_ARGUMENTS, f"tsc_early_khz={host_clock.kilohertz()}", *self.arguments,
                  *(["lab.shell"] if self.shell else [])]
        words = [QEMU, "-name", f"hvguard-lab-{directory.name}", "-nodefaults", "-no-user-config",
                 "-machine", "q35,hpet=off,sata=off,usb=off", "-accel", "tcg,thread=multi",
                 # Five-level paging only slows emulation down.
                 "-cpu", "max,la57=off",
                 "-smp", "2", "-m", str(self.memory), "-display", "none", "-vga", "none",
                 "-kernel", self.kernel.image, "-initrd", self.kernel.initrd,
                 "-append", " ".join(append),
                 "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
                 "-qmp", f"unix:{directory}/qmp.sock,server=on,wait=off"]
        if self.shell:
            words += ["-chardev", f"stdio,id=console,mux=on,signal=off,logfile={self.console}",
                      "-mon", "chardev=console"]
        else:
            words += ["-chardev", f"socket,id=console,path={directory}/console.sock,server=on,"
                      f"wait=off,logfile={self.console}"]
        words += ["-serial", "chardev:console"]
        words += ["-chardev", f"socket,id=lab,path={directory}/lab.sock,server=on,wait=off",
                  "-device", "virtserialport,chardev=lab,name=lab",
                  "-chardev", f"file,id=journal,path={directory}/journal.log",
                  "-device", "virtserialport,chardev=journal,name=journal"]
        for number, (serial, options) in enumerate(self.disks.items()):
            words += ["-drive", f"if=none,id=disk{number},{options}",
                      "-device", f"virtio-blk-pci,drive=disk{number},serial={serial}"]
        return [os.fspath(word) for word in words]

    def connect(self, name, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(os.fspath(self.directory / name))
                return connection
            except OSError:
                connection.close()
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise MachineError(f"QEMU did not start: {self.last_words()}")
            time.sleep(0.02)

    # ---- the lab's port

    def lines(self, deadline):
        """Parsed lines of the case, as they come; ends at the deadline with None."""
        while True:
            while b"\n" in self.received:
                line, self.received = self.received.split(b"\n", 1)
                # A panic or a reset may cut a line short.
                with contextlib.suppress(ValueError):
                    yield json.loads(line)
            left = deadline() - time.monotonic()
            if left <= 0:
                yield None
                return
            self.port.settimeout(min(left, 1))
            try:
                part = self.port.recv(65536)
            except TimeoutError:
                continue
            if not part:
                raise MachineError(f"QEMU ended: {self.last_words()}")
            self.received += part

    def order(self, words):
        self.port.settimeout(10)
        self.port.sendall(json.dumps(words).encode() + b"\n")

    # ---- the monitor

    def ask_monitor(self, *commands):
        """Gives QMP commands (name, arguments); returns the last one's answer."""
        with self.connect("qmp.sock", 5) as connection, connection.makefile("rw") as stream:
            connection.settimeout(120)
            stream.readline()  # greeting
            for name, arguments in [("qmp_capabilities", {}), *commands]:
                stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                stream.flush()
                answer = {}
                while "return" not in answer and "error" not in answer:
                    answer = json.loads(stream.readline())  # events come between
                if "error" in answer:
                    raise MachineError(f"QEMU, {name}: {answer['error']['desc']}")
            return answer["return"]

    def human(self, line):
        return self.ask_monitor(("human-monitor-command", {"command-line": line}))

    def show_blocked_tasks(self, seconds=5):
        """Lets the kernel write its blocked tasks to the console (SysRq-w), for a case that hangs."""
        try:
            with self.connect("console.sock", 2) as console:
                before = self.console.stat().st_size
                self.ask_monitor(("chardev-send-break", {"id": "console"}))
                console.sendall(b"w")
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline:
                    time.sleep(0.5)
                    after = self.console.stat().st_size
                    if after == before:
                        break
                    before = after
        except (MachineError, OSError, ValueError):
            pass  # a host that cannot even do that has said so by its silence

    # ---- the end

    def last_words(self):
        log = self.directory / "qemu.log"
        text = log.read_text(errors="replace").strip() if log.exists() else ""
        return text[-400:] or f"exit code {self.process.poll()}"

    def wait(self, seconds=None):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=seconds)
        return None

    def kill(self):
        """From any thread: whoever listens learns that QEMU has ended."""
        if self.process is not None:
            self.process.kill()

    def stop(self):
        if self.process is None:
            return
        if self.port is not None:
            self.port.close()
        if self.process.poll() is None:
            self.process.kill()  # its disks are thrown away
        self.process.wait(timeout=20)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)
