"""hvguard's own .deb: the one that is there if it is newer than the tree, else a new one."""

import hashlib
import os
import pathlib
import re
import subprocess

from cache import CACHE, ROOT, locked

OUT = ROOT / "build" / "deb"
# What packaging/build-deb packs.
SOURCES = ["CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", "CHANGELOG.md", "agent",
           "bpf", "cmake", "docs", "packaging", "proto", "systemd"]


class PackageError(Exception):
    pass


class Package:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.key = hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    def needs(self):
        """Names of the packages that have to be installed for it."""
        field = subprocess.run(["dpkg-deb", "--field", self.path, "Depends"], capture_output=True,
                               text=True, check=True).stdout
        # The first of several alternatives will do.
        return re.findall(r"(?:^|,)\s*([a-z0-9][a-z0-9+.-]*)", field)


def get(path, progress):
    if path:
        if not pathlib.Path(path).is_file():
            raise PackageError(f"{path}: no such file")
        return Package(path)
    with locked("package", progress):
        found = built()
        if found is None or found.stat().st_mtime < newest_source():
            build(progress)
            found = built()
    return Package(found)


def built():
    found = sorted(OUT.glob("hvguard_*.deb"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def newest_source():
    newest = 0
    for name in SOURCES:
        path = ROOT / name
        for folder, _, files in os.walk(path) if path.is_dir() else [(ROOT, [], [name])]:
            # Of the folder itself too: a removed file changes nothing else.
            newest = max([newest, os.stat(folder).st_mtime if folder != ROOT else 0,
                          *(os.stat(os.path.join(folder, file)).st_mtime for file in files)])
    return newest


def build(progress):
    log = CACHE / "package.log"
    progress.say(f"package: building build/deb/hvguard_*.deb from the tree (log: {log})")
    with progress.step("package"), open(log, "wb") as output:
        done = subprocess.run([ROOT / "packaging/build-deb", "--no-lintian"], stdout=output,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise PackageError(f"packaging/build-deb failed; its last lines are in {log}")
