"""The disk of a lab host: Debian 12, made by mmdebstrap from Debian packages, built once."""

import pathlib
import re
import shutil
import subprocess
import tempfile

import distribution
from cache import CACHE, VM, kept, key
from kernels import make_ext4

FILES = VM / "image"
RELEASE = "bookworm"
DISK_MEGABYTES = 3072
# Slow at boot or useless here. systemd-pstore stays: cases look at what it keeps.
MASKED = [
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "getty@tty1.service", "logrotate.timer",
    "serial-getty@ttyS0.service", "systemd-firstboot.service", "systemd-machine-id-commit.service",
    "xfs_scrub_all.timer",
]
# Left to the cases that need them: they take seconds of every boot.
NOT_STARTED = re.compile(r"(libvirt|virtlo|virtq).*")


class HostImage:
    def __init__(self, directory):
        self.disk = directory / "root.img"
        self.busybox = directory / "busybox"
        self.key = directory.name


def get(needed, progress):
    """The image with these packages besides; built if it is not there."""
    packages = sorted({*own_packages(), *needed})
    files = sorted(path for path in FILES.iterdir() if path.name != "initrd-init")
    name = key(RELEASE, *packages, *MASKED, *files, pathlib.Path(__file__))
    return HostImage(kept("image", name, lambda aside: build(packages, aside, progress), progress))


def own_packages():
    lines = (FILES / "packages").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def build(packages, directory, progress):
    progress.say(f"host image: Debian {RELEASE} with {len(packages)} packages (once)")
    with progress.step("host image"), \
            tempfile.TemporaryDirectory(prefix="root-", dir=CACHE) as scratch:
        root = pathlib.Path(scratch) / "root"
        debootstrap(packages, root)
        prepare(root)
        shutil.copy(root / "bin/busybox", directory / "busybox")
        make_ext4(root, directory / "root.img", DISK_MEGABYTES, "root")


def debootstrap(packages, root):
    exclude = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "info",
                                                                             "locale", "man")]
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
               '--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Retries "3"',
               *exclude, f"--include={','.join(packages)}", RELEASE, root,
               distribution.source_line(RELEASE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise distribution.DistributionError(f"mmdebstrap: {done.stderr.strip()[-800:]}")


def prepare(root):
    """What makes a tree of packages a host that boots fast and speaks to the lab."""
    system = root / "etc/systemd/system"
    for unit in MASKED:
        link(system / unit, "/dev/null")
    for wanted in [*system.glob("*.wants/*"), *system.glob("*.requires/*")]:
        if NOT_STARTED.fullmatch(wanted.name):
            wanted.unlink()
    for unit in FILES.glob("*.service"):
        shutil.copy(unit, system / unit.name)
        wants = system / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        link(wants / unit.name, f"/etc/systemd/system/{unit.name}")
    (root / "usr/lib/lab").mkdir()
    shutil.copy(FILES / "agent", root / "usr/lib/lab/agent")
    (root / "usr/lib/modules").mkdir(exist_ok=True)
    (root / "var/log/journal").mkdir(exist_ok=True)
    write(root / "etc/hostname", "lab-host\n")
    write(root / "etc/hosts", "127.0.0.1 localhost lab-host\n")
    write(root / "etc/machine-id", key("lab-host")[:16] * 2 + "\n")
    write(root / "etc/fstab", "")
    write(root / "etc/systemd/journald.conf.d/lab.conf",
          "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSystemMaxUse=64M\n")
    # What is installed later is installed whole.
    (root / "etc/dpkg/dpkg.cfg.d/99mmdebstrap").unlink(missing_ok=True)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def link(path, target):
    path.unlink(missing_ok=True)
    path.symlink_to(target)
