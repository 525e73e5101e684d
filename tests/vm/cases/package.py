"""The .deb on a bare host: what an operator does with it from the first day to the last."""

import json
import os
import pathlib
import re

from case import ALL_KERNELS, case
from hvguard import Hvguard
from story import run
from waiting import expect, wait_for

DEB = "/run/lab/hvguard.deb"
UNITS = ("hvguardd.service", "hvguard-gateway.service", "hvguard-spool.service")
EXPOSURE = 3.0  # systemd-analyze security, at most
EXIT_DENIED = 5
# Written while the package comes and goes, by others.
NOISE = re.compile(
    r"/var/(log|cache|lib/(dpkg|systemd|apt|libvirt|logrotate))/|/etc/(passwd|group|g?shadow|"
    r"subuid|subgid)-?$|/var/(log|lib/dpkg|lib/systemd)$|/etc/\.pwd\.lock$|/etc/ld\.so\.cache$|"
    r"/etc/(mtab|resolv\.conf|adjtime)$|__pycache__")


@case(kernels=ALL_KERNELS, package=False, deadline=420)
def package(story):
    """Install, answer, reload, upgrade, remove and purge of the .deb; how closed its units are."""
    before = files()
    begin = os.times().elapsed
    run("dpkg", "--install", DEB, seconds=200)
    guard = Hvguard()
    guard.wait_until_ready(60)
    story.measure("package installed and ready", os.times().elapsed - begin, "s")

    units_are_right(story)
    right_people_read(guard, story)
    reloads(guard, story)
    upgrades(guard, story)
    leaves_nothing(guard, before, story)


# ---- the units


def units_are_right(story):
    paths = [run("systemctl", "show", "--value", "--property=FragmentPath", unit).stdout.strip()
             for unit in UNITS]
    verified = run("systemd-analyze", "verify", "--man=no", *paths, check=False)
    complaints = [line for line in verified.stderr.splitlines() if "hvguard" in line]
    expect(verified.returncode == 0 and not complaints, f"systemd-analyze verify: {complaints}")
    for unit in UNITS:
        text = run("systemd-analyze", "security", "--no-pager", unit).stdout
        exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text)[1])
        story.measure(f"exposure of {unit}", exposure, "")
        expect(exposure <= EXPOSURE, f"{unit}: exposure {exposure}, {EXPOSURE} at most")


# ---- who may read


def right_people_read(guard, story):
    """Root and the members of hvguard; nobody else."""
    expect(guard.try_ctl("status"), f"root: {guard.last_error}")
    expect(guard.try_ctl("vms"), f"root, through the gateway: {guard.last_error}")
    run("useradd", "--groups=hvguard", "reader")
    run("useradd", "stranger")
    status = json.loads(ctl_as("reader", "--json", "status").stdout)["status"]
    expect(status["host"]["hostname"] == os.uname().nodename, "reader: another host's status")
    denied = ctl_as("stranger", "status")
    expect(denied.returncode == EXIT_DENIED,
           f"a stranger's status: exit code {denied.returncode}, {denied.stderr}")
    for who in ("reader", "stranger"):
        direct = ctl_as(who, "--direct", "status")
        expect(direct.returncode != 0, f"{who} may speak to hvguardd itself")
    story.note(f"a stranger is told: {denied.stderr.strip()[:120]}")


def ctl_as(user, *words):
    return run("runuser", "-u", user, "--", "hvguardctl", *words, check=False)


# ---- reload


def reloads(guard, story):
    """A good file is in force at once; a broken one changes nothing and is explained."""
    pid = guard.daemon.main_pid()
    guard.configure('[sampler]\ninterval = "200ms"\n')
    fast = tick_rate(guard)
    expect(fast > 2, f"{fast:.1f} ticks a second with an interval of 200 ms")
    broken = pathlib.Path("/etc/hvguard/hvguard.d/lab.toml")
    broken.write_text('[sampler]\ninterval = "900ms"\nintervall = "1s"\n')
    run("systemctl", "reload", "hvguardd")
    wait_for("status tells of the broken file", guard.reload_error, 20, 0.3)
    error = guard.reload_error()
    expect("lab.toml:3" in error and "intervall" in error, f"status says only: {error}")
    expect(any("lab.toml:3" in line for line in guard.daemon.journal()),
           "the journal does not tell of the broken file")
    still = tick_rate(guard)
    expect(still > 2, f"{still:.1f} ticks a second: a broken file changed the interval")
    story.note(f"a broken file: {error[:140]}")
    broken.unlink()
    broken.parent.rmdir()
    run("systemctl", "reload", "hvguardd")
    wait_for("the error is gone", lambda: guard.reload_error() == "", 20, 0.3)
    expect(guard.daemon.main_pid() == pid, "hvguardd was restarted by a reload")
    expect(guard.daemon.restart_count() == 0, "hvguardd has died meanwhile")


def tick_rate(guard):
    """Ticks a second, over three seconds, as status counts them."""
    def look():
        agent = guard.status()["agent"]
        return int(agent["tick_count"]), os.times().elapsed
    first, begin = look()
    wait_for("three seconds pass", lambda: os.times().elapsed - begin >= 3, 10)
    last, end = look()
    return (last - first) / (end - begin)


# ---- upgrade


def upgrades(guard, story):
    """A newer version replaces the running one; what the operator changed stays."""
    config = pathlib.Path("/etc/hvguard/hvguard.toml")
    config.write_text(config.read_text() + '\n# kept by the operator\n')
    pids = [unit.main_pid() for unit in guard.units]
    run("dpkg", "--force-confold", "--install", newer_version(), seconds=200)
    guard.wait_until_ready(60)
    now = [unit.main_pid() for unit in guard.units]
    expect(not set(pids) & set(now), f"processes {pids} were not replaced: {now}")
    expect("kept by the operator" in config.read_text(), "the upgrade overwrote hvguard.toml")
    run("dpkg", "--force-confold", "--install", DEB, seconds=200)  # back again
    guard.wait_until_ready(60)
    story.note("upgraded and downgraded; hvguard.toml kept")


def newer_version():
    folder = pathlib.Path("/run/newer")
    run("dpkg-deb", "--raw-extract", DEB, folder)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", r"\g<0>+newer", control.read_text(), flags=re.M))
    run("dpkg-deb", "-Znone", "--build", folder, "/run/newer.deb")
    return "/run/newer.deb"


# ---- the last day


def leaves_nothing(guard, before, story):
    run("dpkg", "--remove", "hvguard", seconds=120)
    for unit in guard.units:
        expect(not unit.is_active(), f"{unit.name} runs after the package was removed")
    expect(pathlib.Path("/etc/hvguard/hvguard.toml").exists(), "remove took the configuration")
    run("dpkg", "--purge", "hvguard", seconds=120)
    run("systemctl", "daemon-reload")
    left = sorted(path for path in files() - before if not NOISE.search(path))
    expect(not left, f"left behind by purge: {left[:12]}")
    failed = run("systemctl", "--failed", "--no-legend", "--plain").stdout
    expect("hvguard" not in failed, f"systemd remembers: {failed}")
    story.note("purge left nothing behind")


def files():
    """Every path of the host's own disk, and of /run."""
    found = set()
    for top in ("/etc", "/usr", "/var", "/opt", "/run/hvguard", "/run/systemd/system"):
        for folder, folders, names in os.walk(top):
            if folder == "/usr/lib/modules":
                folders.clear()
            found.update(os.path.join(folder, name) for name in [*folders, *names])
    if os.path.exists("/run/hvguard"):
        found.add("/run/hvguard")
    return found
