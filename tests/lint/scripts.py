#!/usr/bin/env python3
"""shellcheck over every shell script, and what each must begin with."""

import subprocess

from lint import Fault, main, relative, tree_files


def shell_scripts(root):
    out = []
    for path in tree_files(root):
        name = relative(root, path)
        if path.suffix not in ("", ".sh", ".bash") or name.startswith(("build/", ".cache/")):
            continue
        try:
            first = path.read_text().split("\n", 1)[0]
        except UnicodeDecodeError:
            continue
        if first.startswith("#!") and ("bash" in first or first.rstrip().endswith("/sh")):
            out.append((path, name, "bash" in first))
    return out


def check(root):
    faults = []
    scripts = shell_scripts(root)
    for path, name, is_bash in scripts:
        text = path.read_text()
        # A sourced library leaves the options to its caller.
        if "set -e" not in text and "# sourced" not in text.lower():
            faults.append(Fault(name, 1, "begins with set -e (set -euo pipefail in bash)"))
        done = subprocess.run(["shellcheck", "--severity=info", "--exclude=SC2317", "--format=gcc", "-x",
                               "-P", "SCRIPTDIR", "-s", "bash" if is_bash else "sh", str(path)],
                              capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            place = line[len(str(path)) + 1:].split(":", 2)
            faults.append(Fault(name, int(place[0]), place[-1].strip()))
        if done.returncode > 1:
            faults.append(Fault(name, 1, f"shellcheck: {done.stderr.strip()}"))
    return faults, len(scripts)


if __name__ == "__main__":
    main(check, "shell scripts", 4)
