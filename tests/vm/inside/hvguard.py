"""The installed hvguard: its units, its configuration, and its answers."""

import datetime
import json
import pathlib
import re
import subprocess

from story import Failed, expect, run, wait_for

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


class Hvguard:
    """Questions go to hvguardd itself (--direct) unless the method says otherwise."""

    def __init__(self):
        self.daemon = Unit("hvguardd.service")
        self.gateway = Unit("hvguard-gateway.service")
        self.spool = Unit("hvguard-spool.service")
        self.units = (self.daemon, self.gateway, self.spool)
        self.last_error = ""

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

    def try_ctl(self, *words, seconds=20):
        """Parsed answer, or None if hvguardctl failed; its complaint is then in last_error."""
        done = self.run_ctl("--json", *words, seconds=seconds)
        self.last_error = done.stderr.strip()
        return json.loads(done.stdout) if done.returncode == 0 else None

    def run_ctl(self, *words, seconds=20):
        return subprocess.run([str(word) for word in self.program() + list(words)],
                              capture_output=True, text=True, timeout=seconds, check=False)

    @staticmethod
    def program():
        return [MEMORY / "hvguardctl"] if (MEMORY / "hvguardctl").exists() else ["hvguardctl"]

    def ask(self, *words, direct=True):
        answer = self.try_ctl(*(["--direct"] if direct else []), *words)
        if answer is None:
            raise Failed(f"hvguardctl {' '.join(map(str, words))}: {self.last_error}")
        return answer

    def status(self):
        return self.ask("status")["status"]

    def sources(self):
        """Source by name: what status says of it."""
        return {source["source"]: source for source in self.status()["sources"]}

    def tick_count(self):
        return int(self.status()["agent"].get("tick_count", 0))

    def vms(self):
        return self.ask("vms").get("vms", [])

    def vm_named(self, name):
        """The VM of that name; None if hvguardd does not list it."""
        return next((vm for vm in self.vms() if vm["name"] == name), None)

    def vm_with_devices(self, name_or_id):
        return self.ask("vm", name_or_id)["vm"]

    def tasks(self):
        return self.ask("tasks", "--all").get("blocked_tasks", [])

    def incidents(self, kind, **wanted):
        """Incidents of a kind, resolved ones too, with evidence, whose fields have those values."""
        found = []
        for incident in self.ask("incidents", "--all").get("incidents", []):
            if incident["kind"] == kind:
                whole = self.ask("incidents", "show", incident["incident_id"])["incident"]
                if all(whole.get(field) == value for field, value in wanted.items()):
                    found.append(whole)
        return found

    def wait_for_incident(self, kind, seconds, **wanted):
        return wait_for(f"{kind} {wanted}", lambda: self.incidents(kind, **wanted), seconds)[0]

    def wait_until_resolved(self, incident, seconds):
        return wait_for(
            f"{incident['kind']} {incident['subject_key']} resolves",
            lambda: self.incidents(incident["kind"], incident_id=incident["incident_id"],
                                   state="STATE_RESOLVED"), seconds)[0]

    def wait_for_ticks(self, count, seconds):
        wanted = self.tick_count() + count
        wait_for(f"{count} more ticks", lambda: self.tick_count() >= wanted, seconds, 0.2)

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


def moment(text):
    """Seconds since 1970 of a protobuf Timestamp in JSON."""
    whole, fraction = re.fullmatch(r"(.{19})(\.\d+)?Z", text).groups()
    parsed = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return parsed.timestamp() + float(fraction or 0)


def duration(text):
    """Seconds of a protobuf Duration in JSON."""
    return float(text.removesuffix("s"))
