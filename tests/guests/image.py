"""Kernel and initramfs for the test guests, made from Debian packages.

The packages are downloaded with apt and unpacked below .cache/guests; nothing is installed.
The result is kept under a name made from everything that goes in, so it is built once.
"""

import functools
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "guests"
INIT = HERE / "guest-init"

# Debian's cloud kernel has ext4 and the serial port built in; its virtio drivers are modules, and
# have to be loaded in this order.
MODULES = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
           "virtio_blk"]


@functools.cache
def build(log=lambda text: print(text, file=sys.stderr)):
    """Returns the paths of kernel and initramfs; downloads and builds them if they are not there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    packages = [kernel_package(), package_version("busybox-static")]
    key = hashlib.sha256()
    for part in [*packages, *MODULES]:
        key.update(part.encode() + b"\0")
    key.update(INIT.read_bytes() + pathlib.Path(__file__).read_bytes())
    image = CACHE / key.hexdigest()[:16]
    if not (image / "initrd").exists():
        log(f"guest image: building {image.name}")
        # Built aside and renamed: an interrupted build leaves nothing that looks whole.
        aside = pathlib.Path(tempfile.mkdtemp(prefix="building-", dir=CACHE))
        try:
            build_into(aside, packages, log)
            aside.rename(image)
        except OSError:
            if not (image / "initrd").exists():  # else somebody else was faster
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return image / "kernel", image / "initrd"


def build_into(directory, packages, log):
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=CACHE) as unpacked:
        unpacked = pathlib.Path(unpacked)
        for package in packages:
            log(f"guest image: downloading {package}")
            subprocess.run(["dpkg", "-x", download(package), unpacked], check=True)
        [kernel] = (unpacked / "boot").glob("vmlinuz-*")
        shutil.copy(kernel, directory / "kernel")
        archive = CpioArchive()
        for name in ["bin", "dev", "proc", "sys", "modules", "tmp"]:
            archive.add_directory(name)
        archive.add_file("init", INIT.read_bytes())
        archive.add_file("bin/busybox", (unpacked / "bin/busybox").read_bytes())
        for name in MODULES:
            [module] = (unpacked / "lib/modules").glob(f"*/kernel/**/{name}.ko")
            archive.add_file(f"modules/{name}.ko", module.read_bytes())
        (directory / "initrd").write_bytes(archive.bytes())


def kernel_package():
    """The package that linux-image-cloud-amd64 stands for today, with its version."""
    lines = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    for line in lines:
        words = line.split()
        if words[:1] == ["Depends:"] and words[1].startswith("linux-image-"):
            return package_version(words[1])
    raise SystemExit("guest image: apt knows no linux-image-cloud-amd64; run apt-get update")


def package_version(package):
    text = subprocess.run(["apt-cache", "policy", package],
                          check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["Candidate:"] and words[1] != "(none)":
            return f"{package}={words[1]}"
    raise SystemExit(f"guest image: apt knows no {package}; run apt-get update")


def download(package):
    """Path of the downloaded .deb; kept, since a changed init script needs it again."""
    kept = CACHE / "packages"
    kept.mkdir(exist_ok=True)
    directory = kept / package.replace("/", "_").replace(":", "_")
    found = list(directory.glob("*.deb"))
    if not found:
        aside = pathlib.Path(tempfile.mkdtemp(prefix="downloading-", dir=CACHE))
        subprocess.run(["apt-get", "-q", "download", package], check=True, cwd=aside,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if directory.exists():
            shutil.rmtree(directory)
        aside.rename(directory)
        found = list(directory.glob("*.deb"))
    return found[0]


class CpioArchive:
    """An archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.parts = []
        self.count = 0

    def add_directory(self, name):
        self.add(name, stat.S_IFDIR | 0o755, b"")

    def add_file(self, name, data):
        self.add(name, stat.S_IFREG | 0o755, data)

    def add(self, name, mode, data):
        self.count += 1
        name = name.encode() + b"\0"
        numbers = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        header = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self.parts += [pad(header + name), pad(data)]

    def bytes(self):
        self.add("TRAILER!!!", 0, b"")
        return b"".join(self.parts)


def pad(data):
    return data + b"\0" * (-len(data) % 4)


def main():
    kernel, initrd = build()
    print(os.fspath(kernel))
    print(os.fspath(initrd))
