"""The tree of a fresh Debian 12 with systemd, made once by mmdebstrap with the machine's own apt."""

import pathlib
import subprocess

import distribution  # of tests/vm/outside, as cache is
from cache import kept, key

RELEASE = "bookworm"
HOST = "fresh"
USER = "somebody"
UID = 1000
# What a small installation has besides minbase, and ccache, which the builder of a package uses.
PACKAGES = ["ccache", "dbus", "sudo", "systemd", "systemd-sysv"]
# They would hold apt's lock at a moment of their own choice.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"]
CCACHE = "/var/cache/ccache"
MINUTES = 15


def get(progress):
    """Path of the tree, which nobody may write to: containers put a layer of their own over it."""
    name = key(*sources(), pathlib.Path(__file__))
    return kept("fresh-debian", name, lambda directory: build(directory / "root", progress),
                progress) / "root"


def sources():
    """What the machine's apt knows of this release: the release itself, updates, security."""
    form = f"deb [signed-by={distribution.KEYRING}] $(REPO_URI) $(RELEASE) $(COMPONENT)"
    done = subprocess.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages",
                           "Origin: Debian"], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if f" {RELEASE}" in line]
    return lines or [distribution.source_line(RELEASE)]


def settings():
    """How the machine's apt reaches them: proxies, how often to try, what a mirror need not be."""
    done = subprocess.run(["apt-config", "dump", "--format", '%f "%v";%n', "Acquire::http",
                           "Acquire::https", "Acquire::Retries", "Acquire::Check-Valid-Until",
                           "Acquire::Check-Date"], capture_output=True, text=True, check=True)
    return "".join(line + "\n" for line in done.stdout.splitlines() if not line.endswith(' "";'))


def build(root, progress):
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
               '--aptopt=APT::Install-Recommends "false"', f"--include={','.join(PACKAGES)}",
               f"--customize-hook=chroot $1 useradd --uid={UID} --create-home --shell=/bin/bash {USER}",
               f"--customize-hook=chroot $1 systemctl mask {' '.join(MASKED)}",
               RELEASE, root, *sources()]
    progress.say(f"fresh Debian {RELEASE}: made by mmdebstrap (once)")
    with progress.step("fresh Debian"):
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=MINUTES * 60)
    if done.returncode != 0:
        raise distribution.DistributionError(f"mmdebstrap: {done.stderr.strip()[-800:]}")
    write(root / "etc/hostname", f"{HOST}\n")
    write(root / "etc/hosts", f"127.0.0.1 localhost {HOST}\n")
    write(root / "etc/sudoers.d/lab", f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    write(root / "etc/ccache.conf", f"cache_dir = {CCACHE}\n")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
