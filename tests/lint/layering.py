#!/usr/bin/python3
"""Who may include whom in agent/ (docs/ARCHITECTURE.md). Data goes one way because of this test."""

import re

from lint import Fault, below, main, relative

# Folder of agent/ → folders of agent/ that it may include, besides itself.
FOLDERS = {
    "base": set(),
    "model": {"base"},
    "detect": {"base", "model"},
    "decide": {"base", "model", "detect"},
    "observe": {"base", "model"},
    "enforce": {"base", "model"},
    "publish": {"base", "model"},
    "config": {"base", "model"},
    "guard": {"base", "model", "detect", "decide", "observe", "enforce", "publish", "config"},
    "link": {"base"},
    "gateway": {"base", "link"},
    "spool": {"base", "link"},
    "ctl": {"base", "link"},
}

# Headers from outside agent/: pattern of the include → folders that may have it.
OUTSIDE = [
    (re.compile(r".*\.grpc\.pb\.h"), {"gateway", "ctl"}, "services are for the gateway and hvguardctl"),
    (re.compile(r"hvguard/v1/agent_service\.pb\.h"), {"link", "gateway", "ctl"},
     "hvguardd knows no API"),
    (re.compile(r"grpc(pp)?/.*"), {"gateway", "ctl"}, "nothing in hvguardd may use gRPC"),
    (re.compile(r"hvguard/v1/.*|google/protobuf/.*"),
     {"publish", "config", "guard", "link", "gateway", "spool", "ctl"},
     "this folder knows nothing of proto"),
    (re.compile(r"CLI/.*"), {"base", "enforce", "guard", "gateway", "spool", "ctl"},
     "command lines are read by programs"),
    (re.compile(r"toml\+\+/.*|toml\.hpp"), {"config"}, "only config/ reads TOML"),
    (re.compile(r"spdlog/.*"), {"guard", "gateway", "spool", "ctl"}, "this folder writes no log"),
    (re.compile(r"bpf/.*|.*\.skel\.h|shared/.*"), {"observe"}, "only observe/ebpf talks to eBPF"),
    (re.compile(r"systemd/.*"), {"guard", "publish", "observe", "enforce", "gateway", "link", "spool"},
     "this folder talks to nobody"),
]

# What detect/ and decide/ may use of the system: nothing. A header list is stricter than call names.
IMPURE = re.compile(r"sys/.*|unistd\.h|fcntl\.h|fstream|iostream|filesystem|thread|mutex|"
                    r"condition_variable|atomic|future|random|ctime|time\.h|cstdio|stdio\.h")
PURE_FOLDERS = {"model", "detect", "decide"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def fault_of(folder, path, included, quoted):
    """Why this include is wrong, or None."""
    top = included.split("/")[0]
    if included.startswith("../") or "/../" in included or included.startswith("./"):
        return f"{included}: includes are relative to agent/"
    for pattern, allowed, reason in OUTSIDE:
        if pattern.fullmatch(included):
            if folder not in allowed:
                return f"{folder}/ includes {included}: {reason}"
            if folder == "observe" and not path.startswith("agent/observe/ebpf/") and "only" in reason:
                return f"{included}: {reason}"
            return None
    if quoted and "/" in included:
        if top not in FOLDERS:
            return f"{included}: no such folder in agent/"
        if top != folder and top not in FOLDERS[folder]:
            return f"{folder}/ includes {top}/: see docs/ARCHITECTURE.md, who may include whom"
    elif quoted and not path.startswith("agent/observe/ebpf/"):
        return f"{included}: includes are relative to agent/ (only observe/ebpf sees bpf/include)"
    if folder in PURE_FOLDERS and not quoted and IMPURE.fullmatch(included):
        return f"{folder}/ is pure and includes <{included}>"
    return None


def check(root):
    faults = []
    files = below(root, "agent")
    for path in files:
        name = relative(root, path)
        folder = name.split("/")[1]
        if folder not in FOLDERS:
            faults.append(Fault(name, 1, f"agent/{folder} is not in tests/lint/layering.py"))
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            reason = fault_of(folder, name, match.group(2), match.group(1) == '"')
            if reason:
                faults.append(Fault(name, number, reason))
    return faults, len(files)


if __name__ == "__main__":
    main(check, "layering", 20)
