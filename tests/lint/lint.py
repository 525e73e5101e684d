"""What every lint script shares: the files of the tree, a fault, and how the outcome is told.

A script defines check(root) -> (faults, checked) and calls main(check). Faults are printed as
file:line: message, so that editors and CI find them; checking nothing at all is a failure too.
"""

import argparse
import pathlib
import subprocess
import sys
from typing import Callable, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Fault(NamedTuple):
    path: str
    line: int
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


def tree_files(root, *patterns):
    """Paths under root (as git sees them, or all if it is no work tree) that fit a pattern."""
    root = pathlib.Path(root)
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=False)
    inside = (root / ".git").exists() and listed.returncode == 0
    if inside:
        paths = [root / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = root.rglob("*")
    found = {path for path in paths if path.is_file() and not path.is_symlink()}
    if patterns:
        found = {path for path in found
                 if any(path.relative_to(root).match(pattern) for pattern in patterns)}
    return sorted(found)


def below(root, *folders, suffixes=(".h", ".cpp")):
    """Source files below these folders of root."""
    tops = tuple(f"{folder}/" for folder in folders)
    return [path for path in tree_files(root)
            if relative(root, path).startswith(tops) and path.suffix in suffixes]


def relative(root, path):
    return path.relative_to(root).as_posix()


def code_lines(text):
    """(number, line) of C or C++ text, with comments and string contents blanked."""
    out = []
    in_block = False
    for number, line in enumerate(text.splitlines(), 1):
        kept = []
        index = 0
        quote = ""
        while index < len(line):
            pair = line[index:index + 2]
            char = line[index]
            if in_block:
                if pair == "*/":
                    in_block = False
                    index += 2
                    continue
                index += 1
            elif quote:
                if char == "\\":
                    index += 2
                    continue
                if char == quote:
                    quote = ""
                    kept.append(char)
                index += 1
            elif pair == "//":
                break
            elif pair == "/*":
                in_block = True
                index += 2
            else:
                # An apostrophe between digits separates them: 1'000.
                digits = char == "'" and index and line[index - 1].isalnum()
                if char == '"' or (char == "'" and not digits):
                    quote = char
                kept.append(char)
                index += 1
        out.append((number, "".join(kept)))
    return out


def main(check: Callable, what: str, least: int = 1):
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="tree to check")
    options = parser.parse_args()
    faults, checked = check(options.root)
    for fault in faults:
        print(fault)
    if checked < least:
        print(f"{what}: only {checked} things to check, expected {least}: is the tree whole?")
        sys.exit(1)
    print(f"{what}: {checked} checked, {len(faults)} faults")
    sys.exit(1 if faults else 0)
