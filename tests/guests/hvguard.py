"""The real hvguardd, hvguard-gateway and hvguardctl of a build folder, with files of their own."""

import datetime
import json
import pathlib
import re
import subprocess
import time

from lab import Failed, expect, wait_for

PROGRAMS = ["hvguardd", "hvguard-gateway", "hvguard-probe", "hvguardctl"]


class Build:
    """Where the programs are."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory).resolve()
        self.paths = {}
        for name in PROGRAMS:
            found = list(self.directory.glob(f"agent/*/{name}"))
            if not found:
                raise SystemExit(f"no {name} below {self.directory}; build it first: "
                                 f"ninja -C {directory} {' '.join(PROGRAMS)}")
            self.paths[name] = found[0]

    def __getitem__(self, name):
        return self.paths[name]


class Hvguard:
    """hvguardd in the foreground; ready when made."""

    def __init__(self, lab, build, config=""):
        self.lab = lab
        self.build = build
        self.core_socket = lab.directory / "core.sock"
        self.api_socket = lab.directory / "api.sock"
        path = lab.directory / "hvguard.toml"
        path.write_text(f'[core_socket]\npath = "{self.core_socket}"\n{config}')
        self.process = lab.spawn(
            [build["hvguardd"], "--config", path, "--runtime-dir", lab.folder("run"),
             "--probe", build["hvguard-probe"]], "hvguardd.log")
        self.gateway = None
        wait_for("hvguardd answers", self.answers, 10)

    def answers(self):
        if self.process.poll() is not None:
            raise Failed(f"hvguardd ended with {self.process.returncode}")
        return self.core_socket.exists() and self.try_ctl("status", "--direct") is not None

    def start_gateway(self):
        self.gateway = self.lab.spawn(
            [self.build["hvguard-gateway"], "--core-socket", self.core_socket, "--listen",
             self.api_socket], "gateway.log")
        # Not status: that one falls back to hvguardd itself.
        wait_for("the gateway answers", self.gateway_answers, 10)

    def gateway_answers(self):
        if self.gateway.poll() is not None:
            raise Failed(f"hvguard-gateway ended with {self.gateway.returncode}")
        return self.try_ctl("vms")

    # ---- questions

    def try_ctl(self, *words, seconds=10):
        """Parsed answer, or None if hvguardctl failed; its complaint is then in last_error."""
        done = self.run_ctl("--json", *words, seconds=seconds)
        self.last_error = done.stderr.strip()
        return json.loads(done.stdout) if done.returncode == 0 else None

    def run_ctl(self, *words, seconds=10):
        return subprocess.run(
            [self.build["hvguardctl"], "--core-socket", self.core_socket, "--socket",
             self.api_socket, *words], capture_output=True, text=True, timeout=seconds)

    def ask(self, *words):
        answer = self.try_ctl("--direct", *words)
        if answer is None:
            raise Failed(f"hvguardctl {' '.join(words)}: {self.last_error}")
        return answer

    def status(self):
        return self.ask("status")["status"]

    def tick_count(self):
        return int(self.status()["agent"].get("tick_count", 0))

    def vms(self):
        return self.ask("vms").get("vms", [])

    def vm_of(self, process):
        """The VM whose manager is that process; None if hvguardd does not list it."""
        return next((vm for vm in self.vms() if vm["pid"] == process.pid), None)

    def vm_with_devices(self, vm_id):
        return self.ask("vm", vm_id)["vm"]

    def tasks(self):
        return self.ask("tasks", "--all").get("blocked_tasks", [])

    def incidents(self, kind, **wanted):
        """Incidents of a kind, with evidence, whose fields have the wanted values."""
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
        """Waits for that many further ticks: what has happened until now is then in the answers."""
        target = self.tick_count() + count
        wait_for(f"{count} ticks", lambda: self.tick_count() >= target, seconds, interval=0.2)


def expect_steady_ticks(guard, seconds=5):
    """Watches the tick count for a while: hvguardd must tick on at 1 Hz and skip nothing."""
    before = guard.status()["agent"]
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        guard.status()  # answers all the time
        time.sleep(0.25)
    after = guard.status()["agent"]
    elapsed = time.monotonic() - begin
    ticks = int(after["tick_count"]) - int(before["tick_count"])
    # Starting and ending VMs make extra ticks; none may be missing.
    expect(ticks >= int(elapsed) - 1, f"only {ticks} ticks in {elapsed:.1f} s")
    skipped = int(after.get("skipped_tick_count", 0)) - int(before.get("skipped_tick_count", 0))
    expect(skipped == 0, f"{skipped} ticks skipped in {elapsed:.1f} s")
    return f"{ticks} ticks in {elapsed:.1f} s"


def moment(text):
    """Seconds since 1970 of a protobuf Timestamp in JSON."""
    whole, fraction = re.fullmatch(r"(.{19})(\.\d+)?Z", text).groups()
    parsed = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return parsed.timestamp() + float(fraction or 0)


def duration(text):
    """Seconds of a protobuf Duration in JSON."""
    return float(text.removesuffix("s"))
