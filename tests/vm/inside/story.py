"""What every case has: its voice to the outside, commands, and the clock."""

import base64
import json
import os
import pathlib
import subprocess
import time

from waiting import Failed


def run(*words, seconds=60, check=True, stdin=None, env=None):
    """A finished command with its texts. Failed if it fails, unless check is false."""
    words = [os.fspath(word) for word in words]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, input=stdin,
                              env=env, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(words)}: not within {seconds:g} s") from None
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(words)}: exit code {done.returncode}: "
                     f"{(done.stderr or done.stdout).strip()[-600:]}")
    return done


def boot_seconds():
    """CLOCK_BOOTTIME, the clock of hvguard's own durations."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Story:
    """One boot of a case, as it speaks to the outside. Each call is one line on the lab's port."""

    def __init__(self, port, order):
        self.port = port
        self.name = order["case"]
        self.boot = order["boot"]  # 1 is the first
        self.kernel = order["kernel"]  # "6.1"
        self.kept = order["kept"]  # what earlier boots kept
        self.reboot_announced = False
        self.over = False  # the verdict was given

    def say(self, **words):
        self.over = self.over or "passed" in words or "failed" in words
        data = json.dumps(words).encode() + b"\n"
        while data:
            data = data[os.write(self.port, data):]

    def note(self, text):
        self.say(note=text)

    def measure(self, name, value, unit):
        """A figure for the table of docs/PERFORMANCE.md; also shown."""
        self.say(measure=name, value=value, unit=unit)

    def keep(self, name, value):
        """For later boots (kept) and the check outside; lives outside the host, so it survives all."""
        self.kept[name] = value
        self.say(keep=name, value=value)

    def file(self, name, text):
        """A file beside the logs, if the case fails."""
        data = text.encode() if isinstance(text, str) else text
        self.say(file=name, data=base64.b64encode(data[-4 << 20:]).decode())

    def mark(self, name):
        """A line on the console and in the kernel's log that ties its clock to CLOCK_BOOTTIME."""
        with open("/dev/kmsg", "w", encoding="utf-8") as kmsg:
            kmsg.write(f"<5>lab: mark {name} at {boot_seconds():.6f}\n")

    # ---- the end of this boot, where there is another one

    def reboot(self):
        """Cleanly, through systemd; what comes next is the case's next boot."""
        self.reboot_announced = True
        self.say(reboot="clean", seconds=120)
        run("systemctl", "reboot", "--no-block")
        self.wait_for_the_end(120)

    def expect_panic(self, seconds, meanwhile=None):
        """The host will panic within that time and boot again; what comes next is the next boot.
        Until then meanwhile() is called again and again."""
        self.reboot_announced = True
        self.say(reboot="panic", seconds=seconds)
        deadline = time.monotonic() + seconds
        while meanwhile and time.monotonic() < deadline:
            meanwhile()
        self.wait_for_the_end(deadline - time.monotonic())

    def panic_now(self):
        """The host dies at once, as if its power went, but for the panic's words."""
        self.reboot_announced = True
        pathlib.Path("/proc/sys/kernel/panic").write_text("1")
        self.say(reboot="panic", seconds=60)
        pathlib.Path("/proc/sysrq-trigger").write_text("c")
        self.wait_for_the_end(60)

    def power_cut(self):
        """The machine around resets the host: nothing is written any more, the kernel says nothing."""
        self.reboot_announced = True
        self.say(reboot="power cut", seconds=60)
        self.wait_for_the_end(60)

    @staticmethod
    def wait_for_the_end(seconds):
        time.sleep(max(seconds, 0))
        raise Failed("the host still runs: it was to end by now")
