"""What a test needs of the machine: processes, loop devices, file systems, freezes; all undone.

Everything lies below one scratch directory with a known prefix, so that undoing needs no notes:
clean_up() looks at what is mounted and attached below it. It is called at the end, by a small
process that outlives us when we are killed, and at the next start for what may still be there.
"""

import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from freezing import freeze, thaw
from waiting import Failed

PREFIX = "/tmp/hvguard-guests-"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LIBC = ctypes.CDLL(None)


class Lab:
    """One case's part of the machine. Use it as a context manager."""

    def __init__(self, logs):
        self.logs = pathlib.Path(logs)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
        self.processes = []
        self.watchdog = clean_up_after_our_death(self.directory)
        command("mount", "-t", "tmpfs", "-o", "size=4g,mode=755", "hvguard-guests", self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        thaw_below(self.directory)
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(timeout=20)
        clean_up(self.directory)
        os.close(self.watchdog)

    def spawn(self, arguments, log, stdin=subprocess.DEVNULL):
        """Starts a process that dies with us; output goes to the log file of that name."""
        with open(self.logs / log, "ab") as output:
            process = subprocess.Popen(
                [os.fspath(argument) for argument in arguments], stdin=stdin, stdout=output,
                stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.processes.append(process)
        return process

    def file(self, name, megabytes):
        """A file of the scratch directory, which is in memory."""
        path = self.directory / name
        with open(path, "wb") as file:
            file.truncate(megabytes << 20)
        return path

    def loop(self, name, megabytes):
        """A loop device over a new file."""
        return attach_loop(self.file(name, megabytes))

    def ext4(self, name, megabytes=None, device=None):
        """A new ext4 on a loop device of its own, or on the device given."""
        device = device or self.loop(f"{name}.img", megabytes)
        # No lazy initialisation: nothing but the test writes to it.
        command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", device)
        mount_point = self.directory / name
        mount_point.mkdir()
        command("mount", device, mount_point)
        return Ext4(device, mount_point)

    def folder(self, name):
        path = self.directory / name
        path.mkdir()
        return path


class Ext4:
    def __init__(self, device, mount_point):
        self.device = device
        self.mount_point = mount_point

    def file(self, name, megabytes):
        """A file whose blocks are all written: overwriting it changes no metadata but its time."""
        path = self.mount_point / name
        with open(path, "wb") as file:
            for _ in range(megabytes):
                file.write(b"\xa5" * (1 << 20))
            os.fsync(file.fileno())
        return path

    def freeze(self):
        freeze(self.mount_point)

    def thaw(self):
        thaw(self.mount_point)


def attach_loop(path):
    return command("losetup", "--find", "--show", path).strip()


def device_number(path):
    """(major, minor) of a block device."""
    number = os.stat(path).st_rdev
    return os.major(number), os.minor(number)


def command(*arguments):
    done = subprocess.run([os.fspath(argument) for argument in arguments],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def clean_up_after_our_death(directory):
    """Starts a process that cleans up when we are gone; returns what must be closed to end it."""
    reader, writer = os.pipe()
    if os.fork() != 0:
        os.close(reader)
        return writer
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.close(writer)
        for fd in (0, 1, 2):  # nobody waits for our output
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        os.read(reader, 1)
        clean_up(directory)
    finally:
        os._exit(0)


def wait_for_our_turn():
    """Loop devices, freezes and hvguardd's figures are the machine's: one run at a time."""
    lock = os.open(PREFIX.rstrip("-") + ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another run of the guest tests to end", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def clean_up_earlier_runs():
    """Undoes what runs left behind that were killed together with their cleaner."""
    for directory in pathlib.Path("/tmp").glob(pathlib.Path(PREFIX).name + "*"):
        clean_up(directory)


def clean_up(directory, seconds=60):
    """The deadline is for others on the machine who made a mount namespace while we had mounts."""
    deadline = time.monotonic() + seconds
    while True:
        thaw_below(directory)
        for _, mount_point in reversed(mounts_below(directory)):
            subprocess.run(["umount", mount_point], capture_output=True)
        for device in loops_below(directory):
            reset_request_size(device)
            subprocess.run(["losetup", "-d", device], capture_output=True)
        if not mounts_below(directory) and not loops_below(directory):
            shutil.rmtree(directory, ignore_errors=True)
            return
        if time.monotonic() > deadline:
            raise Failed(f"cannot clean up {directory}: still mounted "
                         f"{mounts_below(directory)}, attached {loops_below(directory)}")
        time.sleep(0.1)


def limit_request_size(device, kibibytes):
    """Makes a loop device take requests of at most that size, until it is cleaned up."""
    request_size(device).write_text(str(kibibytes))


def reset_request_size(device):
    # A loop device keeps the setting when it is detached. 0 is the default since 6.2, before that
    # the default has to be known (BLK_DEF_MAX_SECTORS).
    for value in ("0", "1280"):
        try:
            request_size(device).write_text(value)
            return
        except OSError:
            continue


def request_size(device):
    return pathlib.Path(f"/sys/block/{pathlib.Path(device).name}/queue/max_sectors_kb")


def thaw_below(directory):
    for kind, mount_point in mounts_below(directory):
        if kind == "ext4":
            try:
                thaw(mount_point)
            except OSError:
                pass  # was not frozen


def mounts_below(directory):
    """(file system type, mount point), in the order in which they were mounted."""
    found = []
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, mount_point, kind, *_ = line.split()
        if (mount_point + "/").startswith(f"{directory}/"):
            found.append((kind, mount_point))
    return found


def loops_below(directory):
    found = []
    for backing in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            # A file that was removed, or whose file system was, ends in " (deleted)".
            if backing.read_text().startswith(f"{directory}/"):
                found.append(f"/dev/{backing.parent.parent.name}")
        except OSError:
            pass  # detached meanwhile
    return found
