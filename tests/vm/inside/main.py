"""Runs one boot of one case, as ordered, and tells how it went."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from case import cases_of, load  # noqa: E402
from story import Story  # noqa: E402
from waiting import Failed  # noqa: E402

# What is kept of a host whose case failed, besides console and journal.
PICTURES = {
    "status.json": ["hvguardctl", "--json", "--direct", "status"],
    "vms.json": ["hvguardctl", "--json", "--direct", "vms"],
    "incidents.json": ["hvguardctl", "--json", "--direct", "incidents", "--all"],
    "tasks.txt": ["hvguardctl", "--direct", "tasks", "--all", "--stack"],
    "units.txt": ["systemctl", "status", "--no-pager", "hvguardd", "hvguard-gateway"],
    "cgroups.txt": ["systemd-cgls", "--no-pager", "--all"],
    "disks.txt": ["lsblk", "-o", "NAME,MAJ:MIN,TYPE,SIZE,MOUNTPOINTS"],
}


def main():
    order = json.loads(os.environ["LAB_ORDER"])
    port = int(os.environ["LAB_PORT"])
    os.set_inheritable(port, False)  # what a case starts must not hold it
    story = Story(port, order)
    if order["case"] == "":  # only a shell is wanted
        story.say(passed=True)
        wait_forever()
    threading.Thread(target=watch, args=(story, order.get("deadline", 600)), daemon=True).start()
    try:
        case = find(order["module"], order["case"])
        story.say(started=True)
        case.boots[story.boot - 1](story)
        if story.boot < len(case.boots):
            raise Failed(f"boot {story.boot} of {len(case.boots)} ended without a reboot")
        story.say(passed=True)
    except Failed as failed:
        tell_failure(story, str(failed), "")
    except Exception as fault:  # whatever it was, the outside must hear of it
        tell_failure(story, f"{type(fault).__name__}: {fault}", traceback.format_exc())
    wait_forever()


def watch(story, seconds):
    """Tells of a case that does not end, while the host can still tell: where it waits, and pictures."""
    main_thread = threading.main_thread().ident
    time.sleep(seconds)
    frames = traceback.format_stack(sys._current_frames()[main_thread])
    if story.over or story.reboot_announced:
        return
    place = next((frame.split("\n")[0].strip() for frame in reversed(frames) if "/cases/" in frame), "")
    tell_failure(story, f"not done within {seconds:g} s: {place}", "".join(frames))


def find(module, name):
    for case in cases_of(load(HERE.parent / module)):
        if case.name == name:
            return case
    raise Failed(f"no case {name} in {module}")


def tell_failure(story, why, trace):
    # The reason first: making the pictures may hang on the same trouble.
    story.say(failed=why)
    if trace:
        story.file("traceback.txt", trace)
    for name, command in PICTURES.items():
        try:
            done = subprocess.run(command, capture_output=True, timeout=10, check=False)
            story.file(name, done.stdout + done.stderr)
        except (OSError, subprocess.TimeoutExpired) as fault:
            story.file(name, str(fault))
    story.say(pictures=True)


def wait_forever():
    # The outside ends the host.
    while True:
        time.sleep(3600)


main()
