#!/usr/bin/python3
"""Rules about whole files: length, licence lines, #pragma once, machine paths, stray white space."""

import re

from lint import Fault, main, relative, tree_files

LONGEST = 500
LONGEST_MAIN = 80
BPF_SPDX = re.compile(r"SPDX-License-Identifier: .*(GPL-2\.0.* OR BSD|BSD.* OR .*GPL-2\.0)")
# Where one machine keeps this tree or its packages: never part of the project.
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|home/[a-z]\w*|root|Users)/[\w.]|://[^ /<{$]+/debian(-security)?[ /]")
TEXT_SUFFIXES = {".h", ".cpp", ".c", ".py", ".proto", ".md", ".toml", ".txt", ".cmake", ".scd",
                 ".service", ".conf", ".json", ".sh", ".golden", ""}
# Recordings of real machines keep the bytes they had.
VERBATIM = ("tests/fixtures/", "tests/fuzz/corpus/", "LICENSE")


def length_faults(name, lines):
    if name.endswith("/main.cpp") and len(lines) > LONGEST_MAIN:
        return [Fault(name, LONGEST_MAIN + 1, f"{len(lines)} lines: a main wires, {LONGEST_MAIN} at most")]
    source = name.startswith(("agent/", "bpf/", "proto/", "tests/")) and \
        name.endswith((".h", ".cpp", ".c", ".proto", ".py"))
    if source and len(lines) > LONGEST:
        return [Fault(name, LONGEST + 1, f"{len(lines)} lines: over {LONGEST} the design leaks")]
    return []


def file_faults(name, text):
    lines = text.splitlines()
    faults = length_faults(name, lines)
    if name.startswith("bpf/") and name.endswith((".c", ".h")) and \
            not BPF_SPDX.search("\n".join(lines[:2])):
        faults.append(Fault(name, 1, "bpf/ files begin with SPDX-License-Identifier: "
                                     "GPL-2.0 OR BSD-2-Clause"))
    if name.startswith("agent/") and name.endswith(".h") and "#pragma once" not in text:
        faults.append(Fault(name, 1, "no #pragma once"))
    if name.startswith(VERBATIM):
        return faults
    for number, line in enumerate(lines, 1):
        if MACHINE_PATH.search(line) and "machine-path-sample" not in line:
            faults.append(Fault(name, number, f"a machine's path or mirror: {line.strip()[:80]}"))
        if line != line.rstrip() and "golden" not in name and not name.endswith(".md"):
            faults.append(Fault(name, number, "white space at the end"))
    if text and not text.endswith("\n"):
        faults.append(Fault(name, len(lines), "no newline at the end"))
    return faults


def check(root):
    faults = []
    checked = 0
    for path in tree_files(root):
        name = relative(root, path)
        if path.suffix not in TEXT_SUFFIXES or name.startswith((".git/", "build/", ".cache/")):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        checked += 1
        faults += file_faults(name, text)
    return faults, checked


if __name__ == "__main__":
    main(check, "file rules", 50)
