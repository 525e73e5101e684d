#!/usr/bin/python3
"""What the finished programs link: hvguardd, hvguard-spool, hvguard-probe and hvguard-limits carry no gRPC, TLS or name service,
and all are hardened (PIE, full RELRO, no executable stack).

linkage.py PROGRAM…"""

import pathlib
import re
import subprocess
import sys

FORBIDDEN = {
    "hvguardd": re.compile(r"lib(grpc|gpr|ssl|crypto|cares|absl|address_sorting|re2|upb|curl|nss)"),
    "hvguard-spool": re.compile(r"lib(grpc|gpr|ssl|crypto|cares|absl|address_sorting|re2|upb|curl|nss)"),
    "hvguard-limits": re.compile(r"lib(grpc|gpr|ssl|crypto|cares|absl|protobuf|re2|upb|curl|nss)"),
    "hvguard-probe": re.compile(r"lib(grpc|gpr|ssl|crypto|cares|absl|protobuf|re2|upb|curl|nss)"),
}


def needed(text):
    return re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", text)


def hardening_faults(dynamic, headers):
    faults = []
    if "PIE" not in dynamic:
        faults.append("is not position independent")
    if "BIND_NOW" not in dynamic and " NOW" not in dynamic:
        faults.append("is not linked with -z now")
    if "GNU_RELRO" not in headers:
        faults.append("has no RELRO segment")
    stack = re.search(r"GNU_STACK.*\n?.*?(RW[E ]|R  )", headers)
    if not stack or "E" in stack.group(1):
        faults.append("has an executable stack")
    return faults


def faults_of(name, dynamic, headers):
    faults = []
    forbidden = FORBIDDEN.get(name)
    if forbidden:
        faults += [f"links {library}" for library in needed(dynamic) if forbidden.match(library)]
    return [f"{name}: {fault}" for fault in faults + hardening_faults(dynamic, headers)]


def readelf(option, program):
    return subprocess.run(["readelf", "-W", option, program], capture_output=True, text=True,
                          check=True).stdout


def main():
    faults = []
    for program in sys.argv[1:]:
        faults += faults_of(pathlib.Path(program).name, readelf("-d", program), readelf("-l", program))
    print("\n".join(faults))
    print(f"linkage: {len(sys.argv) - 1} checked, {len(faults)} faults")
    sys.exit(1 if faults or len(sys.argv) == 1 else 0)


if __name__ == "__main__":
    main()
