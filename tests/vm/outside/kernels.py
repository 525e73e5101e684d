"""Kernels of several Debian releases, each with its modules as a disk and an initrd of ours."""

import lzma
import pathlib
import shutil
import subprocess
import tempfile

import image as guest_image  # of tests/guests
from cache import CACHE, VM, kept, key
from distribution import Release

# Series and the release whose linux-image-amd64 it is.
RELEASES = {"6.1": "bookworm", "6.12": "trixie", "5.10": "bullseye"}
INIT = VM / "image" / "initrd-init"
# What the initrd needs to mount the root disk; their own needs are looked up.
BOOT_MODULES = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"]


class Kernel:
    """A kernel that can boot the image."""

    def __init__(self, series, directory):
        self.series = series
        self.image = directory / "vmlinuz"
        self.initrd = directory / "initrd"
        self.modules = directory / "modules.img"
        self.release = (directory / "release").read_text().strip()
        self.key = directory.name


def get(series, busybox, progress):
    """Downloads and prepares the kernel if that was not done yet."""
    parts = [series, INIT, *BOOT_MODULES, pathlib.Path(__file__), pathlib.Path(guest_image.__file__)]
    directory = kept(f"kernel-{series}", key(*parts),
                     lambda aside: build(series, busybox, aside, progress), progress)
    return Kernel(series, directory)


def build(series, busybox, directory, progress):
    release = Release(RELEASES[series])
    progress.say(f"kernel {series}: downloading from Debian {release.codename}")
    with progress.step(f"kernel {series}"), \
            tempfile.TemporaryDirectory(prefix="unpacked-", dir=CACHE) as unpacked:
        unpacked = pathlib.Path(unpacked)
        release.update()
        [package] = [name for name in release.depends("linux-image-amd64")
                     if name.startswith("linux-image-")]
        release.unpack(package, unpacked)
        [kernel] = unpacked.glob("boot/vmlinuz-*")
        version = kernel.name.removeprefix("vmlinuz-")
        shutil.copy(kernel, directory / "vmlinuz")
        (directory / "release").write_text(version + "\n")
        modules = find_modules(unpacked, version)
        archive = initrd(modules, busybox)
        (directory / "initrd").write_bytes(archive)
        make_ext4(modules.parent, directory / "modules.img", 640, "modules")


def find_modules(unpacked, version):
    """The folder with the modules, indexed. Where it lies depends on the release."""
    if (unpacked / "usr/lib/modules").is_dir():
        (unpacked / "lib").mkdir(exist_ok=True)
        (unpacked / "usr/lib/modules").rename(unpacked / "lib/modules")
    subprocess.run(["/sbin/depmod", "--basedir", unpacked, version], check=True)
    return unpacked / "lib/modules" / version


def initrd(modules, busybox):
    archive = guest_image.CpioArchive()
    for name in ["bin", "dev", "proc", "sys", "modules", "host"]:
        archive.add_directory(name)
    archive.add_file("init", INIT.read_bytes())
    archive.add_file("bin/busybox", busybox.read_bytes())
    for number, path in enumerate(load_order(modules)):
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        # busybox knows no dependencies: the names say the order.
        archive.add_file(f"modules/{number:02}-{path.name.split('.')[0]}.ko", data)
    return archive.bytes()


def load_order(modules):
    """Paths of the boot modules and of what they need, each after its needs; none for built-in."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    by_name = {module_name(path): path for path in needs}
    order = []

    def add(path):
        for other in needs[path]:
            add(other)
        if path not in order:
            order.append(path)

    for name in BOOT_MODULES:
        if name in by_name:
            add(by_name[name])
    return [modules / path for path in order]


def module_name(path):
    return pathlib.PurePath(path).name.split(".")[0].replace("-", "_")


def make_ext4(tree, image, megabytes, label):
    """A file with an ext4 that holds the tree; sparse."""
    subprocess.run(
        ["/sbin/mke2fs", "-q", "-t", "ext4", "-L", label, "-d", tree, "-E",
         # No background initialisation: nothing but the test writes to it.
         "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image, f"{megabytes}M"],
        check=True, stdout=subprocess.DEVNULL)
