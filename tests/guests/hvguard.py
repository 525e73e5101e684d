"""The real hvguardd, hvguard-gateway and hvguardctl of a build folder, with files of their own."""

import pathlib
import time

from questions import Questions
from waiting import Failed, expect, wait_for

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


class Hvguard(Questions):
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

    def ctl(self):
        return [self.build["hvguardctl"], "--core-socket", self.core_socket, "--socket",
                self.api_socket]

    def vm_of(self, process):
        """The VM whose manager is that process; None if hvguardd does not list it."""
        return next((vm for vm in self.vms() if vm["pid"] == process.pid), None)


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
