"""A container in which systemd is PID 1: systemd-nspawn over a layer of its own on a tree.

It shares the machine's network, for apt. It needs cgroup2 but no controller, and changes nothing of
the machine's: its mounts live in a namespace of their own, its cgroups below one that is removed.
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

NAME = "hvguard-quickstart"
# What hvguardd's unit asks for beyond what nspawn grants: eBPF.
EBPF = ["--capability=CAP_BPF,CAP_PERFMON", "--system-call-filter=bpf perf_event_open"]
# Arguments: the tree, the directory, cgroups, then nspawn with its own. volatile: the layer is thrown
# away, so no fsync of dpkg's has to wait for a disk.
START = """
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=755 tmpfs /run/systemd/nspawn
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work,volatile" overlay "$2/root"
for cgroup in $3; do
  mkdir -p "$cgroup"
  echo 0 >"$cgroup/cgroup.procs"
done
shift 3
exec "$@"
"""


class Broken(Exception):
    """The container itself does not work; nothing is said about hvguard."""


class Container:
    """Use it as a context manager. `directory`: empty, for the layer and the console's log."""

    def __init__(self, tree, directory, binds):
        self.tree = tree
        self.directory = pathlib.Path(directory)
        self.binds = binds  # {path inside: directory outside}
        self.upper = self.directory / "upper"
        self.console = self.directory / "console.log"
        self.process = None
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir()

    def __enter__(self):
        with open(self.console, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", "unshare", "--mount", "--propagation=private",
                 "sh", "-euc", START, "sh", self.tree, self.directory,
                 " ".join(map(str, own_cgroups())), *self.nspawn()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        try:
            self.wait_for("a process", self.leader, 30)
            # "degraded" would be some unit of Debian's own; those that matter are looked at.
            self.wait_for("systemd", lambda: self.enter("systemctl", "is-system-running").stdout.strip()
                          in ("running", "degraded"), 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        """Orderly if it can; nspawn's end takes every process inside along."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        remove_cgroups()
        subprocess.run(["rm", "-rf", self.upper, self.directory / "work"], check=True)

    def nspawn(self):
        words = ["systemd-nspawn", "--quiet", "--directory", self.directory / "root", "--boot",
                 "--register=no", *EBPF, "--resolv-conf=copy-host",
                 "--console=read-only", f"--machine={NAME}"]
        if own_cgroups():
            words.append("--keep-unit")
        return words + [f"--bind={outside}:{inside}" for inside, outside in self.binds.items()]

    def leader(self):
        """Its PID 1, as the machine sees it: the only child."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(OSError, ValueError):
            return int(children.read_text())
        return None

    def enter(self, *words, seconds=30):
        """A process that is in its namespaces but in no unit of its systemd."""
        return subprocess.run(
            ["nsenter", f"--target={self.leader()}", "--mount", "--uts", "--ipc", "--pid", "--cgroup",
             "--", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
            check=False)

    def run(self, *words, user="root", directory="/", seconds=30):
        """As from that user's shell: in a unit, texts of both streams together."""
        return self.enter("systemd-run", "--quiet", "--pipe", "--wait", "--collect",
                          f"--property=User={user}", f"--property=WorkingDirectory={directory}",
                          "sh", "-c", 'exec "$@" 2>&1', "sh", *words, seconds=seconds)

    def wait_for(self, what, check, seconds):
        deadline = time.monotonic() + seconds
        while not check():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Broken(f"no {what} in the container: "
                             f"{self.console.read_text(errors='replace').strip()[-600:]}")
            time.sleep(0.1)


def own_cgroups():
    """Where nspawn makes its cgroups when no systemd of the machine does it: cgroup2, and the one that
    mixed set-ups keep for systemd. None where systemd runs."""
    if pathlib.Path("/run/systemd/system").is_dir():
        return []
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    found = re.findall(r"^(?:\S+ ){4}(\S+) .* - (?:cgroup2 .*|cgroup .*\bname=systemd\b.*)$", mounts, re.M)
    if not found:
        raise Broken("no cgroup2 is mounted on this machine, and systemd needs it")
    return [pathlib.Path(mount_point) / NAME for mount_point in found]


def remove_cgroups():
    for top in own_cgroups():
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
