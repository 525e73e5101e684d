"""Disks that are slow, stuck or failing on command. Nothing is undone: the host is thrown away."""

import ctypes
import os
import pathlib

from story import run
from waiting import wait_for

LIBC = ctypes.CDLL(None, use_errno=True)


def virtio(name):
    """A disk that the case declared: disks={"data": "256M"}."""
    path = pathlib.Path(f"/dev/disk/by-id/virtio-{name}")
    wait_for(f"disk {name}", path.exists, 30)
    return path.resolve()


def loop(name, megabytes, directory="/run"):
    """A loop device over a new file, in memory unless said otherwise."""
    path = pathlib.Path(directory) / f"{name}.img"
    with open(path, "wb") as file:
        file.truncate(megabytes << 20)
    run("modprobe", "loop")
    return pathlib.Path(run("losetup", "--find", "--show", path).stdout.strip())


def device_number(path):
    """"major:minor" of a block device, as in io.stat."""
    number = os.stat(path).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def sectors(path):
    return int(run("blockdev", "--getsz", path).stdout)


class Mapped:
    """A device-mapper disk over another one; its table can be changed while it is in use."""

    def __init__(self, name, table):
        run("modprobe", "dm_mod")
        self.name = name
        self.path = pathlib.Path(f"/dev/mapper/{name}")
        run("dmsetup", "create", name, "--table", table)
        wait_for(f"{self.path}", self.path.exists, 20)
        self.number = device_number(self.path)

    def suspend(self):
        """From now on its IO waits, without end. noflush: what is in flight waits too."""
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)

    def resume(self):
        run("dmsetup", "resume", self.name)

    def load(self, table):
        """Another table, from the next moment on."""
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)
        run("dmsetup", "load", self.name, "--table", table)
        run("dmsetup", "resume", self.name)


def linear(name, device):
    """Passes everything through: a disk that can be suspended."""
    return Mapped(name, f"0 {sectors(device)} linear {device} 0")


def delayed(name, device, milliseconds):
    """A slow disk."""
    run("modprobe", "dm_delay")
    return Mapped(name, f"0 {sectors(device)} delay {device} 0 {milliseconds}")


def flaky(name, device, good_seconds, bad_seconds):
    """Works and fails in turns."""
    run("modprobe", "dm_flakey")
    return Mapped(name, f"0 {sectors(device)} flakey {device} 0 {good_seconds} {bad_seconds}")


def failing_table(device):
    """For Mapped.load(): every request fails at once."""
    return f"0 {sectors(device)} error"


def scsi_debug(megabytes=64, **parameters):
    """A SCSI disk in memory; parameters are the module's (delay=, every_nth=, opts= …). One a host."""
    before = set(pathlib.Path("/sys/block").glob("sd*"))
    run("modprobe", "scsi_debug", f"dev_size_mb={megabytes}",
        *[f"{name}={value}" for name, value in parameters.items()])
    new = wait_for("the scsi_debug disk",
                   lambda: set(pathlib.Path("/sys/block").glob("sd*")) - before, 30)
    path = pathlib.Path("/dev") / new.pop().name
    wait_for(f"{path}", path.exists, 20)
    return path


def set_scsi_debug(name, value):
    pathlib.Path(f"/sys/bus/pseudo/drivers/scsi_debug/{name}").write_text(str(value))


def ext4(device, name):
    """A new ext4, mounted; returns the mount point."""
    # No background initialisation: nothing but the test writes to it.
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", device)
    return mounted(device, name)


def xfs(device, name):
    run("mkfs.xfs", "-q", "-f", device)
    return mounted(device, name)


def mounted(device, name):
    mount_point = pathlib.Path(f"/mnt/{name}")
    mount_point.mkdir(parents=True, exist_ok=True)
    run("mount", device, mount_point)
    return mount_point


def written_file(path, megabytes):
    """A file whose blocks are all on the disk: overwriting it changes no metadata but its time."""
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(b"\xa5" * (1 << 20))
        os.fsync(file.fileno())
    return pathlib.Path(path)


def swap_on(device):
    """Swap on a disk, for instance a slow one."""
    run("mkswap", device)
    run("swapon", device)


def swap_on_zram(megabytes):
    run("modprobe", "zram", "num_devices=1")
    pathlib.Path("/sys/block/zram0/disksize").write_text(f"{megabytes}M")
    wait_for("/dev/zram0", pathlib.Path("/dev/zram0").exists, 20)
    swap_on("/dev/zram0")
