#!/usr/bin/env python3
"""Documents against the tree: docs/RUNBOOK.md has a full section for every Incident.Kind, relative
links lead somewhere, and paths that are named in code marks exist."""

import re

from lint import Fault, main, relative, tree_files

KIND = re.compile(r"^\s*KIND_([A-Z_]+)\s*=", re.M)
# What an operator at night needs of each kind.
RUNBOOK_PARTS = ["What it means", "Evidence", "What hvguard does", "Verify by hand", "What to do",
                 "Tuning", "False positives"]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAMED_PATH = re.compile(r"`((?:agent|bpf|proto|packaging|systemd|tests|docs)/[\w./-]*[\w/])`")
# Named because it is to come.
FUTURE = ("agent/enforce",)


def incident_kinds(root):
    text = (root / "proto/hvguard/v1/incident.proto").read_text()
    body = text[text.index("enum Kind {"):]
    body = body[:body.index("}")]
    return [name.lower() for name in KIND.findall(body) if name != "UNSPECIFIED"]


def sections(text):
    """Heading of level 2 → its text."""
    out = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line[3:].strip().strip("`")
        out[heading] = out.get(heading, "") + line + "\n"
    return out


def runbook_faults(kinds, text):
    faults = []
    found = sections(text)
    for kind in kinds:
        if kind not in found:
            faults.append(Fault("docs/RUNBOOK.md", 1, f"no section '## {kind}'"))
            continue
        for part in RUNBOOK_PARTS:
            if f"**{part}**" not in found[kind]:
                faults.append(Fault("docs/RUNBOOK.md", 1, f"{kind}: no '**{part}**'"))
    return faults


def link_faults(root, path):
    faults = []
    name = relative(root, path)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for target in LINK.findall(line):
            if "://" not in target and not (path.parent / target).exists():
                faults.append(Fault(name, number, f"link to {target}, which is not there"))
        for target in NAMED_PATH.findall(line):
            if "NAME" not in target and not target.startswith(FUTURE) and \
                    not (root / target).exists():
                faults.append(Fault(name, number, f"names {target}, which is not there"))
    return faults


def check(root):
    kinds = incident_kinds(root)
    faults = runbook_faults(kinds, (root / "docs/RUNBOOK.md").read_text())
    checked = len(kinds)
    for path in tree_files(root, "*.md"):
        if path.name == "CHANGELOG.md":
            continue
        checked += 1
        faults += link_faults(root, path)
    return faults, checked


if __name__ == "__main__":
    main(check, "documents", 6)
