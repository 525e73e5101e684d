"""What one run of a case came to, and what its check outside may look at."""

import base64
import re

# Lines of the kernel that fail a case which does not expect them.
COMPLAINTS = re.compile(
    r"BUG: |Oops: |general protection fault|Kernel panic - not syncing|WARNING: CPU: |"
    r"soft lockup|unable to handle|kernel BUG at|invoked oom-killer|UBSAN: |KASAN: ")
STAMP = r"^\[ *(\d+\.\d+)\]"


class Verdict:
    """Filled by the runner from the lines of a case."""

    def __init__(self):
        self.passed = False
        self.why = "it gave no verdict"
        self.measures = []  # (name, value, unit)
        self.kept = {}
        self.heard = {}  # when each of them came, by this machine's clock
        self.files = {}
        self.seconds = 0.0

    def fail(self, why):
        self.passed = False
        self.why = why

    def take_file(self, line):
        self.files[line["file"]] = base64.b64decode(line["data"])


class Outside:
    """For a case's seen_from_outside: what the host can no longer tell itself."""

    def __init__(self, verdict, console, note):
        self.kept = verdict.kept
        self.heard = verdict.heard
        self.console = console  # text, all boots
        self.note = note
        self.measures = verdict.measures

    def measure(self, name, value, unit):
        self.measures.append((name, value, unit))
        self.note(f"{name}: {value:g} {unit}".rstrip())

    def console_times(self, pattern):
        """Seconds of the kernel's clock of each console line that fits, in their order."""
        return [float(found[1]) for found in
                re.finditer(STAMP + r".*?" + pattern, self.console, re.MULTILINE)]

    def boottime_of_panic(self):
        """CLOCK_BOOTTIME of the first panic: the console's clock, corrected by the last mark before."""
        return self.boottimes_of_panics()[0]

    def boottimes_of_panics(self):
        """The same of all panics, one a boot, each by a mark of its own boot."""
        times = []
        mark = None
        for line in self.console.splitlines():
            found = re.match(STAMP + r".*?lab: mark \S+ at (\d+\.\d+)", line)
            if found:
                mark = float(found[2]) - float(found[1])
            panic = re.match(STAMP + r" Kernel panic - not syncing", line)
            if panic and mark is not None:
                times.append(float(panic[1]) + mark)
                mark = None
        return times


def complaints(console, expected):
    """Unexpected lines of the kernel."""
    allowed = [re.compile(pattern) for pattern in expected]
    return [line.strip() for line in console.splitlines()
            if COMPLAINTS.search(line) and not any(one.search(line) for one in allowed)]
