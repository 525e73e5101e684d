"""The installed hvguard: its units, its configuration, and its answers."""

import pathlib
import re

from questions import Questions
from story import run
from waiting import expect, wait_for

CONFIG = pathlib.Path("/etc/hvguard/hvguard.d/lab.toml")
# The same programs where a stuck root disk does not reach (see Hvguard.move_to_memory).
MEMORY = pathlib.Path("/run/hvguard-in-memory")


class Unit:
    """A systemd unit."""

    def __init__(self, name):
        self.name = name

    def show(self, name):
        return run("systemctl", "show", "--value", "--property", name, self.name).stdout.strip()

    def is_active(self):
        return self.show("ActiveState") == "active"

    def main_pid(self):
        return int(self.show("MainPID"))

    def restart_count(self):
        return int(self.show("NRestarts"))

    def cgroup(self):
        """Directory of its cgroup."""
        return pathlib.Path("/sys/fs/cgroup" + self.show("ControlGroup"))

    def journal(self):
        """Messages of this boot, oldest first."""
        return run("journalctl", "--boot", "--no-pager", "--output=cat", "--unit",
                   self.name).stdout.splitlines()


class Hvguard(Questions):
    """The services, and questions to them."""

    def __init__(self):
        self.daemon = Unit("hvguardd.service")
        self.gateway = Unit("hvguard-gateway.service")
        self.spool = Unit("hvguard-spool.service")
        self.units = (self.daemon, self.gateway, self.spool)

    # ---- life

    def wait_until_ready(self, seconds=60):
        """All services have said READY, and ticks go on."""
        for unit in self.units:
            wait_for(f"{unit.name} is active", unit.is_active, seconds, interval=0.3)
        wait_for("hvguardd answers", lambda: self.try_ctl("--direct", "status"), seconds, 0.3)
        wait_for("the gateway answers", lambda: self.try_ctl("vms"), seconds, 0.3)

    def configure(self, toml):
        """Writes a file of the lab's own into hvguard.d and reloads."""
        CONFIG.parent.mkdir(parents=True, exist_ok=True)
        CONFIG.write_text(toml)
        run("systemctl", "reload", self.daemon.name)
        wait_for("the new configuration is in force", lambda: self.reload_error() == "", 20)

    def reload_error(self):
        return self.status()["agent"].get("reload_error", "")

    # ---- questions

    def ctl(self):
        return [MEMORY / "hvguardctl"] if (MEMORY / "hvguardctl").exists() else ["hvguardctl"]

    def sources(self):
        """Source by name: what status says of it."""
        return {source["source"]: source for source in self.status()["sources"]}

    def vm_named(self, name):
        """The VM of that name; None if hvguardd does not list it."""
        return next((vm for vm in self.vms() if vm["name"] == name), None)

    # ---- while the root disk is stuck

    def move_to_memory(self):
        """From now on hvguardctl is run from a copy, libraries included, that no disk holds."""
        MEMORY.mkdir(exist_ok=True)
        program = run("sh", "-c", "command -v hvguardctl").stdout.strip()
        listed = run("ldd", program).stdout
        libraries = re.findall(r"(/\S+) \(0x", listed)
        run("cp", "--dereference", program, *libraries, MEMORY)
        loader = next(path for path in libraries if "ld-linux" in path)
        script = (f"#!{MEMORY}/busybox sh\nexec {MEMORY}/{pathlib.Path(loader).name} "
                  f"--library-path {MEMORY} {MEMORY}/hvguardctl.bin \"$@\"\n")
        (MEMORY / "hvguardctl").rename(MEMORY / "hvguardctl.bin")
        run("cp", "/bin/busybox", MEMORY)
        (MEMORY / "hvguardctl").write_text(script)
        (MEMORY / "hvguardctl").chmod(0o755)
        expect(self.try_ctl("--direct", "status"), f"hvguardctl in memory: {self.last_error}")


def sysctl(name, value=None):
    """The value of a setting; sets it first if one is given."""
    path = pathlib.Path("/proc/sys") / name.replace(".", "/")
    if value is not None:
        path.write_text(f"{value}\n")
    return path.read_text().strip()
