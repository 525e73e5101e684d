"""Hosts in trouble: a root disk that answers nothing, a PID 1 that stands still, and what a case needs
to go on in such a host itself."""

import contextlib
import ctypes
import mmap
import os
import pathlib
import re
import signal
import socket
import time

import disks
from freezing import freeze, thaw
from story import run
from waiting import expect, wait_for

CGROUPS = pathlib.Path("/sys/fs/cgroup")
LIBC = ctypes.CDLL(None, use_errno=True)
MCL_CURRENT_AND_FUTURE = 3
NOTIFY_SOCKET = "/run/systemd/notify"


def lock_memory():
    """This process: what it has mapped is read now and stays, so that no page of it waits for the
    disk. Import all you need before."""
    expect(LIBC.mlockall(MCL_CURRENT_AND_FUTURE) == 0, "the case cannot lock its memory")


def in_memory(program):
    """A copy of a program, libraries included, that no disk holds; returns what to run."""
    path = pathlib.Path(run("sh", "-c", f"command -v {program}").stdout.strip())
    folder = pathlib.Path("/run/lab-in-memory") / path.name
    folder.mkdir(parents=True, exist_ok=True)
    libraries = re.findall(r"(/\S+) \(0x", run("ldd", path).stdout)
    run("cp", "--dereference", path, *libraries, folder)
    loader = next(library for library in libraries if "ld-linux" in library)
    return [folder / pathlib.Path(loader).name, "--library-path", folder, folder / path.name]


# ---- the root disk


class StuckRoot:
    """The disk that / lies on: from now on no read of it ends and no write to it begins.

    Its file system is frozen, so that writers wait. Its IO is throttled to 2 bytes a second for all
    that systemd started, PID 1 included, so that readers wait too, where the page cache does not
    have what they want.
    """

    # system.slice has this case too.
    CGROUPS = ("init.scope", "system.slice", "machine.slice", "user.slice")

    def __init__(self):
        number = os.stat("/").st_dev
        self.device = f"{os.major(number)}:{os.minor(number)}"
        self.root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.limits = [path for name in self.CGROUPS
                       if (path := CGROUPS / name / "io.max").exists()]
        expect(CGROUPS / "system.slice/io.max" in self.limits, "system.slice has no io controller")
        expect(CGROUPS / "init.scope/io.max" in self.limits, "PID 1 has no io controller")

    def __enter__(self):
        os.sync()
        freeze("/")
        self.limit("2")  # the least that the kernel takes
        return self

    def limit(self, value):
        words = " ".join(f"{key}={value}" for key in ("rbps", "wbps", "riops", "wiops"))
        for path in self.limits:
            path.write_text(f"{self.device} {words}")

    def forget_pages(self, *cgroups):
        """Drops what the page cache holds of files that nobody has mapped; of these cgroups' also
        what is mapped, unless it is locked."""
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
        for cgroup in cgroups:
            # It never has that much to give.
            with contextlib.suppress(BlockingIOError):
                (cgroup / "memory.reclaim").write_text("1G")

    def __exit__(self, *_):
        self.limit("max")
        thaw("/")


def var_on(disk):
    """/var and /tmp on a disk of their own, journal included, as from the boot on."""
    mount_point = disks.ext4(disk.path, "var")
    run("cp", "-a", "/var/.", mount_point)
    (mount_point / "lab-tmp").mkdir(mode=0o1777)
    run("umount", mount_point)
    run("mount", disk.path, "/var")
    run("mount", "--bind", "/var/lab-tmp", "/tmp")
    run("mkdir", "-p", "/var/log/journal")
    run("systemctl", "restart", "systemd-journald", "hvguardd", "hvguard-gateway")
    run("journalctl", "--flush")
    run("sync")


class Victim:
    """A process that does something in that moment, to see that it can't."""

    def __init__(self, action, *arguments):
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(OSError):
                action(*arguments)
            os._exit(0)

    def is_stuck(self):
        pid, _ = os.waitpid(self.pid, os.WNOHANG)
        expect(pid == 0, "what should hang has ended: the disk is not stuck")
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return re.search(r"^State:\s+D", status, re.M) is not None

    def wait_until_stuck(self, seconds=30):
        wait_for("a victim of the disk hangs", self.is_stuck, seconds)


def write_directly(path):
    os.writev(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT), [mmap.mmap(-1, mmap.PAGESIZE)])


def read_directly(path):
    os.preadv(os.open(path, os.O_RDONLY | os.O_DIRECT), [mmap.mmap(-1, mmap.PAGESIZE)], 0)


def make_folders(path):
    """Hangs once the file system's journal does."""
    if os.fork() == 0:
        os.sync()
        os._exit(0)
    for number in range(10 ** 9):
        os.mkdir(f"{path}/lab-{number}")


def blocked_tasks():
    """What each task in D waits in, for people."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if re.search(r"^State:\s+D", (folder / "status").read_text(), re.M):
                calls = [line.split()[-1].split("+")[0]
                         for line in (folder / "stack").read_text().splitlines()]
                name = (folder / "comm").read_text().strip()
                found.append(f"{name} ({folder.name}): {' < '.join(calls)}")
    return "\n".join(found)


# ---- PID 1 and D-Bus


@contextlib.contextmanager
def init_frozen():
    """PID 1 does nothing meanwhile."""
    freeze = CGROUPS / "init.scope/cgroup.freeze"
    events = CGROUPS / "init.scope/cgroup.events"
    freeze.write_text("1")
    try:
        wait_for("PID 1 stands still", lambda: "frozen 1" in events.read_text(), 10)
        yield
    finally:
        freeze.write_text("0")


@contextlib.contextmanager
def stopped(pid):
    """A process under SIGSTOP."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def fill_notify_socket():
    """What PID 1 reads no more: any process may write there, until it is full. Returns how many
    messages it took."""
    sent = 0
    while True:
        before = sent
        # Each of them may send only so much; what it sent stays when it is closed.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sender.sendto(b"X_LAB=1", NOTIFY_SOCKET)
                    sent += 1
        if sent == before:
            return sent


def sleep_until(moment):
    """A point of CLOCK_BOOTTIME."""
    while (left := moment - time.clock_gettime(time.CLOCK_BOOTTIME)) > 0:
        time.sleep(left)
