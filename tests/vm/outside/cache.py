"""What is built once and kept below .cache/vm, each thing under a name made from what goes in."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
VM = ROOT / "tests" / "vm"
CACHE = ROOT / ".cache" / "vm"
KEEP = 6  # of each kind: other branches and kernels stay warm, old ones go


def key(*parts):
    """Of texts, bytes and files (their name and content)."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pathlib.Path):
            digest.update(part.name.encode() + b"\0" + part.read_bytes())
        else:
            digest.update(part if isinstance(part, bytes) else part.encode())
        digest.update(b"\0\0")
    return digest.hexdigest()[:16]


def kept(kind, name, build, progress):
    """The directory of that kind and name; build(directory) fills it if it is not there."""
    directory = CACHE / f"{kind}-{name}"
    if not directory.is_dir():
        # By name: another one may wait for a host long before it is made.
        with locked(f"{kind}-{name}", progress):
            if not directory.is_dir():
                build_aside(kind, directory, build)
                forget_old(kind)
    os.utime(directory)
    return directory


def build_aside(kind, directory, build):
    # Built aside and renamed: an interrupted build leaves nothing that looks whole.
    aside = pathlib.Path(tempfile.mkdtemp(prefix=f"building-{kind}-", dir=CACHE))
    aside.chmod(0o755)
    try:
        build(aside)
        aside.rename(directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def forget_old(kind):
    directories = sorted(CACHE.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
    for directory in directories[:-KEEP]:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def locked(name, progress):
    """One at a time on this machine; says so when another run holds it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "locks").mkdir(exist_ok=True)
    with open(CACHE / "locks" / name, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(f"waiting for another run that makes the {name}"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
