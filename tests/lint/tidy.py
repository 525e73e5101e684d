#!/usr/bin/python3
"""clang-tidy-19 over agent/, from a build's compile_commands.json, with a cache: a file is checked
again only if it, the headers it includes (as the build's dependencies tell), or .clang-tidy changed.

tidy.py --build build/dev [--cache .cache/tidy] [--jobs N] [FILE…]"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from lint import ROOT

WARNING = re.compile(r"^(/.*?):(\d+):(\d+): (warning|error): (.*)$")


def own_headers(source):
    """Our headers that a source includes, directly or not."""
    seen = set()
    todo = [source]
    while todo:
        path = todo.pop()
        for included in re.findall(r'^\s*#\s*include\s*"([^"]+)"', path.read_text(), re.M):
            header = ROOT / "agent" / included
            if header.exists() and header not in seen:
                seen.add(header)
                todo.append(header)
    return sorted(seen)


def key_of(source, command):
    digest = hashlib.sha256()
    digest.update(command.encode())
    for path in [ROOT / ".clang-tidy", source, *own_headers(source)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def tidy(source, build, cache, command):
    mark = cache / key_of(source, command)
    if mark.exists():
        return source, "", True
    done = subprocess.run(["clang-tidy-19", "-p", str(build), "--quiet", str(source)],
                          capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode == 0:
        mark.touch()
        return source, "", False
    return source, done.stdout or done.stderr, False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / ".cache/tidy")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    commands = json.loads((options.build / "compile_commands.json").read_text())
    wanted = {}
    for entry in commands:
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        inside = path.is_relative_to(ROOT / "agent")
        if inside and (not options.files or str(path.relative_to(ROOT)) in options.files):
            wanted[path] = entry["command"]
    begin = time.monotonic()
    faults = set()
    cached = 0
    failed = []
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = pool.map(lambda path: tidy(path, options.build, options.cache, wanted[path]),
                        sorted(wanted))
        for number, (source, text, from_cache) in enumerate(runs, 1):
            cached += from_cache
            if text:
                failed.append(source.relative_to(ROOT))
                found = [WARNING.match(line) for line in text.splitlines()]
                faults |= {f"{os.path.relpath(match[1], ROOT)}:{match[2]}: {match[5]}"
                           for match in found if match} or {text.strip()[-2000:]}
            print(f"[{number}/{len(wanted)}] {source.relative_to(ROOT)}"
                  f"{' (unchanged)' if from_cache else ''}", flush=True)
    print("\n".join(sorted(faults)))
    print(f"clang-tidy: {len(wanted)} checked ({cached} unchanged), {len(faults)} faults in "
          f"{len(failed)} files, {time.monotonic() - begin:.0f} s")
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed or not wanted else 0)


if __name__ == "__main__":
    main()
