"""Guests that share a slow disk, and what hvguardd makes of the one that floods it."""

import threading
import time

from guest import Disk, Guest
from hvguard import Hvguard
from lab import attach_loop
from questions import moment
from waiting import expect, wait_for

ONE_WRITER = "(while true; do direct_write vda 4k 0 1; done) &"
EIGHT_WRITERS = ("for i in 0 1 2 3 4 5 6 7; do "
                 "(while true; do direct_write vda 64k $((i * 16)) 16; done) & done")


class SlowDisk:
    """Writes wait up to 0.3 s: the file system beneath the disk is frozen most of the time."""

    def __init__(self, beneath):
        self.beneath = beneath
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.pulse)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.ended.set()
        self.thread.join()

    def pulse(self):
        while not self.ended.is_set():
            self.beneath.freeze()
            self.ended.wait(0.3)
            self.beneath.thaw()
            self.ended.wait(0.03)


def contention(lab, build, note):
    """One guest floods a slow disk, another waits: io_contention names both, and ends with it."""
    guard = Hvguard(lab, build)
    beneath = lab.ext4("beneath", 128)
    disk = lab.ext4("disk", device=attach_loop(beneath.file("disk.img", 64)))
    guests, ids = {}, {}
    for name in ("modest", "noisy"):
        image = Disk(disk.file(f"{name}.img", 16), aio="native")
        guests[name] = Guest(lab, name, [image]).wait_until_ready()
        ids[name] = wait_for(f"{name} is found", lambda: guard.vm_of(guests[name]), 5)["vm_id"]
    guests["modest"].run(ONE_WRITER)
    guests["noisy"].run(EIGHT_WRITERS)
    guard.wait_for_ticks(5, 10)

    began = time.time()
    with SlowDisk(beneath):
        incident = guard.wait_for_incident("KIND_IO_CONTENTION", 20, state="STATE_OPEN",
                                           subject_label=disk.device.removeprefix("/dev/"))
        note(f"open after {time.time() - began:.1f} s: {incident['summary']}")
        event = moment(incident["event_time"]) - began
        expect(-1.5 <= event <= 6, f"event_time is {event:+.2f} s from when the disk slowed down")
        evidence = incident["evidence"]["io_contention"]
        victims = [party.get("vm_id") for party in evidence["victims"]]
        expect(ids["modest"] in victims, f"victims are {victims}, not {ids['modest']}")
        shares = {party.get("vm_id"): party["device_time_ratio"]
                  for party in evidence.get("culprits", [])}
        expect(shares.get(ids["noisy"], 0) > 0.6, f"culprits are {shares}, not {ids['noisy']}")
        for name, guest in guests.items():
            named = guard.vm_of(guest)["open_incident_ids"]
            expect(incident["incident_id"] in named, f"{name} names {named}")
        conditions = {one["kind"]: one for one in guard.status()["conditions"]}
        pressure = conditions["KIND_IO_PRESSURE"]
        expect(pressure["reason"] == "IoContention", f"IoPressure is {pressure}")
    guests["noisy"].kill()  # a fast disk can be too slow for it, too, on a busy machine
    ended = time.time()
    resolved = guard.wait_until_resolved(incident, 20)
    late = moment(resolved["resolve_time"]) - ended
    note(f"resolved, dated {late:+.1f} s from its end")
    expect(-1 <= late <= 8, "resolve_time is not when it was over")
