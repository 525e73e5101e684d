#!/usr/bin/env python3
"""clang-format-19 over all C and C++: the files are as it would write them."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from lint import Fault, below, main, relative

MESSAGE = re.compile(r"^(.*?):(\d+):\d+: (?:error|warning): (.*)$")


def format_faults(root, batch):
    done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", "--ferror-limit=3",
                           *map(str, batch)], capture_output=True, text=True, check=False, cwd=root)
    faults = []
    for line in done.stderr.splitlines():
        match = MESSAGE.match(line)
        if match:
            name = os.path.relpath(match.group(1), root)
            faults.append(Fault(name, int(match.group(2)), "clang-format-19 -i would change it"))
    if done.returncode != 0 and not faults:
        faults.append(Fault(relative(root, batch[0]), 1, f"clang-format-19: {done.stderr.strip()}"))
    return faults


def check(root):
    files = below(root, "agent", "bpf", "tests", suffixes=(".h", ".cpp", ".c"))
    batches = [files[start:start + 20] for start in range(0, len(files), 20)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda batch: format_faults(root, batch), batches))
    return [fault for faults in found for fault in faults], len(files)


if __name__ == "__main__":
    main(check, "formatting", 20)
