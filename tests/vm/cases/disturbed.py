"""hvguardd while its own restart meets a dead disk, its gateway is abused, and the host is starved."""

import os
import pathlib
import re
import signal
import subprocess

import disks
from case import case
from hvguard import Hvguard
from story import boot_seconds, run
from ticks import TickWatch, answer_seconds
from trouble import (StuckRoot, Victim, blocked_tasks, in_memory, lock_memory, make_folders,
                     sleep_until, var_on)
from waiting import expect, wait_for

LARGEST_GAP_SECONDS = 2.0  # one reading left out
STALE_SECONDS = 3.0  # what status and the control plane take for old
RESTART_SECONDS = 25  # that of systemd until it gives a start up is 30
COLD_SECONDS = 40  # longer than systemd waits for a start of either
CONNECTIONS = 1200  # open at once; the gateway may have 1024 files, and serves far fewer of one user
BOMB_TASKS = 2000


def steady(story, ticks, called, largest=LARGEST_GAP_SECONDS):
    """Ends a watch and judges its ticks."""
    ticks.stop()
    gap = ticks.largest_gap()
    story.measure(f"largest gap between ticks, {called}", gap, "s")
    story.measure(f"ticks left out, {called}", ticks.skipped(), "")
    story.measure(f"longest handler, {called}", ticks.longest_handler() * 1e3, "ms")
    late = ticks.host_lateness
    story.note(f"the host itself stood still for {late:.2f} s at most")
    expect(gap <= largest + late, f"{called}: {gap:.2f} s between two ticks")
    expect(ticks.largest_silence() <= largest + late + 1,
           f"{called}: no tick for {ticks.largest_silence():.2f} s")


# ---- restarts


@case(disks={"var": "512M"}, deadline=420)
def restart_while_stuck(story):
    """systemctl restart of both services: with /var and /tmp stuck it is done as ever; with the root
    stuck and nothing in memory they start on their own when the disk is back."""
    disk = disks.linear("var", disks.virtio("var"))
    var_on(disk)
    guard = Hvguard()
    guard.wait_until_ready()
    systemctl = in_memory("systemctl")
    ctl = in_memory("hvguardctl")
    lock_memory()
    story.measure("restart of both services, calm", restart(systemctl, guard), "s")
    guard.wait_until_ready()

    disk.suspend()
    for folder in ("/var/tmp", "/tmp"):
        Victim(make_folders, folder).wait_until_stuck()
    try:
        story.measure("restart of both services, /var and /tmp stuck", restart(systemctl, guard), "s")
    finally:
        story.file("blocked.txt", blocked_tasks())
    answers_again(ctl)
    init_answers(systemctl)
    disk.resume()

    pids = [unit.main_pid() for unit in (guard.daemon, guard.gateway)]
    with StuckRoot() as root:
        root.forget_pages()
        began = boot_seconds()
        job = subprocess.Popen([*systemctl, "restart", guard.daemon.name, guard.gateway.name],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sleep_until(began + COLD_SECONDS)
        # PID 1 has pages to read too. Nobody can start anything here.
        story.note(f"root stuck, nothing in memory: systemctl has "
                   f"{'not ended' if job.poll() is None else f'ended with {job.returncode}'} "
                   f"after {COLD_SECONDS} s")
    job.wait(90)
    guard.wait_until_ready(90)  # by Restart=always, without a person
    now = [unit.main_pid() for unit in (guard.daemon, guard.gateway)]
    expect(not set(pids) & set(now), f"processes {pids} were not replaced: {now}")


def restart(systemctl, guard):
    began = boot_seconds()
    run(*systemctl, "restart", guard.daemon.name, guard.gateway.name, seconds=RESTART_SECONDS)
    return boot_seconds() - began


def answers_again(ctl):
    for words in (["--direct"], []):
        wait_for(f"hvguardctl {' '.join(words)} status answers",
                 lambda: answered(run(*ctl, *words, "--json", "status", check=False)), 20, 0.3)


def answered(done):
    return done.returncode == 0 and not done.stderr


def init_answers(systemctl):
    began = boot_seconds()
    run(*systemctl, "show", "--property=Version", seconds=10)
    expect(boot_seconds() - began < 5, "PID 1 takes 5 s to answer")


# ---- the gateway


@case(deadline=300)
def abused_gateway(story):
    """The gateway is killed, stopped and flooded: hvguardd's ticks do not notice."""
    guard = Hvguard()
    guard.wait_until_ready()
    # So that what a gateway that reads nothing leaves behind fills every buffer in time.
    guard.configure('[sampler]\ninterval = "200ms"\n')
    restarts = guard.gateway.restart_count()
    ticks = TickWatch()
    for number in range(3):
        os.kill(guard.gateway.main_pid(), signal.SIGKILL)
        wait_for("the gateway is there again", lambda: guard.gateway.restart_count() >
                 restarts + number and guard.gateway.is_active(), 30, 0.3)
    wait_for("the gateway answers", lambda: guard.try_ctl("vms"), 20, 0.3)
    steady(story, ticks, "gateway killed")

    ticks = TickWatch()
    pid = guard.gateway.main_pid()
    os.kill(pid, signal.SIGSTOP)
    # Nobody but its watchdog notices that, and then it takes another one.
    wait_for("the gateway's watchdog ends it", lambda: guard.gateway.main_pid() not in (0, pid), 90,
             0.5)
    wait_for("the gateway answers", lambda: guard.try_ctl("vms"), 30, 0.3)
    steady(story, ticks, "gateway stopped")

    flooded(guard, story)
    expect(guard.daemon.restart_count() == 0, "hvguardd was restarted")


FLOOD = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
connections = []
attempts = refused = 0
end = time.monotonic() + 20
while time.monotonic() < end:
    attempts += 1
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    try:
        connection.connect("/run/hvguard/api/agent.sock")
        connections.append(connection)
    except OSError:
        refused += 1
        time.sleep(0.002)
    if len(connections) >= int(sys.argv[1]):
        for one in connections[:len(connections) // 2]:
            one.close()
        del connections[:len(connections) // 2]
print(attempts, len(connections), refused)
"""


def flooded(guard, story):
    run("useradd", "--groups=hvguard", "flooder")
    script = pathlib.Path("/run/flood.py")
    script.write_text(FLOOD)
    pid = guard.gateway.main_pid()
    ticks = TickWatch()
    flood = subprocess.Popen(["prlimit", "--nofile=4096", "runuser", "-u", "flooder", "--",
                              "python3", script, str(CONNECTIONS)], stdout=subprocess.PIPE, text=True)
    asked = answered_by_gateway = 0
    while flood.poll() is None:
        begin = boot_seconds()
        asked += 1
        # Where its backlog is full of the flood's connections, the gateway can't be reached at all.
        answered_by_gateway += guard.run_ctl("--json", "vms").returncode == 0
        expect(guard.try_ctl("--direct", "status"), f"root, --direct: {guard.last_error}")
        sleep_until(begin + 1)
    attempts, held, refused = map(int, flood.stdout.read().split())
    story.note(f"{attempts} connections tried, {refused} refused, {held} open at the end; the gateway "
               f"answered root {answered_by_gateway} times of {asked}")
    expect(attempts >= CONNECTIONS, "that was no flood")
    wait_for("the gateway answers again", lambda: guard.try_ctl("vms"), 10, 0.3)
    steady(story, ticks, "gateway flooded")
    expect(guard.gateway.main_pid() == pid, "the flood ended the gateway")


# ---- the host is starved


@case(memory=2048, deadline=240)
def fork_bomb(story):
    """A fork bomb in a unit of its own, bounded by TasksMax: ticks go on."""
    guard = Hvguard()
    guard.wait_until_ready()
    pid = guard.daemon.main_pid()
    lock_memory()
    ticks = TickWatch()
    run("systemd-run", "--unit=bomb", "--property=Type=exec", f"--property=TasksMax={BOMB_TASKS}",
        "--property=OOMScoreAdjust=1000", "perl", "-e", "while (1) { fork }")
    tasks = pathlib.Path("/sys/fs/cgroup/system.slice/bomb.service/pids.current")
    wait_for("the bomb has gone off", lambda: int(tasks.read_text()) > BOMB_TASKS * 0.8, 90, 0.5)
    begin = boot_seconds()
    answers = []
    while boot_seconds() - begin < 30:
        answers.append(answer_seconds())
        sleep_until(begin + len(answers))
    story.note(f"{tasks.read_text().strip()} tasks, load {os.getloadavg()[0]:.0f}")
    story.measure("status at the socket, longest, fork bomb", max(answers) * 1e3, "ms")
    steady(story, ticks, "fork bomb", STALE_SECONDS)
    (tasks.parent / "cgroup.kill").write_text("1")
    expect(guard.daemon.main_pid() == pid, "hvguardd was restarted")


HOG = """
import mmap, sys
pages = mmap.mmap(-1, int(sys.argv[1]) << 20)
noise = open("/dev/urandom", "rb").read(4096)
while True:
    for at in range(0, len(pages), 4096):
        pages[at:at + 4096] = noise[at % 97:] + noise[:at % 97]
"""


@case(deadline=300, expects=("invoked oom-killer",))
def short_of_memory(story):
    """Two units want more memory than the host has, with a small swap in zram: ticks go on."""
    guard = Hvguard()
    guard.wait_until_ready()
    pid = guard.daemon.main_pid()
    disks.swap_on_zram(192)
    script = pathlib.Path("/run/hog.py")
    script.write_text(HOG)
    total = memory("MemTotal")
    lock_memory()
    ticks = TickWatch()
    for number in range(2):
        run("systemd-run", f"--unit=hog{number}", "--property=Type=exec",
            f"--property=MemoryMax={int(total * 0.9)}M", "--property=OOMScoreAdjust=1000",
            "--property=Restart=always", "--property=RestartSec=1",
            "python3", script, str(int(total * 0.48)))
    wait_for("memory is short", lambda: memory_pressure() > 10, 120, 0.5)
    begin = boot_seconds()
    pressure = []
    while boot_seconds() - begin < 40:
        answer_seconds()
        pressure.append(memory_pressure())
        sleep_until(begin + len(pressure))
    story.measure("memory pressure (some, 10 s), largest", max(pressure), "%")
    story.note(f"{memory('MemAvailable')} of {total} MiB available, "
               f"{memory('SwapFree')} of {memory('SwapTotal')} MiB swap free")
    steady(story, ticks, "memory short", STALE_SECONDS)
    for number in range(2):
        run("systemctl", "kill", "--signal=KILL", f"hog{number}", check=False)
        run("systemctl", "stop", f"hog{number}", check=False)
    expect(guard.daemon.main_pid() == pid, "hvguardd was restarted")
    expect(oom_kills(guard.daemon.cgroup()) == 0, "hvguardd's cgroup lost a process to the OOM killer")


def memory(name):
    """A field of /proc/meminfo in MiB."""
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) >> 10


def memory_pressure():
    """Percent of the last 10 s in which some task waited for memory."""
    text = pathlib.Path("/proc/pressure/memory").read_text()
    return float(re.search(r"^some avg10=([\d.]+)", text, re.M)[1])


def oom_kills(cgroup):
    return int(re.search(r"^oom_kill (\d+)", (cgroup / "memory.events").read_text(), re.M)[1])
