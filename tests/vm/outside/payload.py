"""The disk that carries what changes into a lab host: cases, helpers, hvguard's .deb."""

import pathlib
import shutil
import subprocess

import image as guest_image  # of tests/guests
from cache import ROOT, VM, kept, key
from kernels import make_ext4

INSIDE = VM / "inside"
CASES = VM / "cases"
# Compiled here, statically, since the host has no compiler.
PROGRAMS = [*sorted((INSIDE / "programs").glob("*.c")), ROOT / "tests/guests/stuck_task.c"]
MEGABYTES = 96  # always the same: a saved host knows the size


def make(image, package, order_files, progress):
    """Writes the payload to `image`. order_files: further files by their name on the disk."""
    tree = image.with_suffix(".tree")
    for helpers in (INSIDE, ROOT / "tests" / "shared"):
        shutil.copytree(helpers, tree / "inside", dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("__pycache__", "*.c"))
    shutil.copytree(CASES, tree / "cases", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(programs(progress), tree / "bin")
    shutil.copy(package.path, tree / "hvguard.deb")
    kernel, initrd = guest_image.build()
    (tree / "guest").mkdir()
    shutil.copy(kernel, tree / "guest/kernel")
    shutil.copy(initrd, tree / "guest/initrd")
    for name, path in order_files.items():
        shutil.copy(path, tree / name)
    make_ext4(tree, image, MEGABYTES, "payload")
    shutil.rmtree(tree)


def programs(progress):
    return kept("programs", key(*PROGRAMS, pathlib.Path(__file__)), compile_all, progress)


def compile_all(directory):
    for source in PROGRAMS:
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-static", "-o",
                        directory / source.stem, source], check=True)
