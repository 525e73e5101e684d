#!/usr/bin/python3
"""Man pages against what is built: each page lists exactly the options that --help does (of every
subcommand too), hvguard.toml(5) has every key of proto Config, the default config names them as well,
and each page renders without a warning.

man_pages.py --descriptor hvguard.desc PROGRAM=PAGE …   e.g. build/agent/guard/hvguardd=hvguardd.8"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

from google.protobuf import descriptor_pb2

from lint import ROOT

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
# In a page an option is defined by a line that begins with it in bold: *-c*, *--config* _FILE_
DEFINITION = re.compile(r"^\*-")
SUBCOMMANDS = re.compile(r"^\s*(?:Subcommands|SUBCOMMANDS):\s*$\n((?:^\s{2,}\S.*$\n?)+)", re.M)


def help_of(program, *words):
    done = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=False,
                          timeout=30)
    if done.returncode != 0:
        raise SystemExit(f"{program} {' '.join(words)} --help ended with {done.returncode}: {done.stderr}")
    return done.stdout


def help_options(program, *words, depth=0):
    """Options that --help names, of all subcommands as well (two levels)."""
    text = help_of(program, *words)
    options = set(OPTION.findall(text))
    listed = SUBCOMMANDS.search(text)
    if listed and depth < 2:
        for line in listed.group(1).splitlines():
            if re.match(r"^ {2}\S", line):
                options |= help_options(program, *words, line.split()[0], depth=depth + 1)
    return options


def page_options(text):
    found = set()
    for line in text.splitlines():
        if DEFINITION.match(line):
            found |= set(OPTION.findall(line.replace("\\", "")))
    return found


def option_faults(page_name, page_text, options):
    written = page_options(page_text)
    faults = [f"{page_name}:1: {option} is an option but not in the page"
              for option in sorted(options - written)]
    return faults + [f"{page_name}:1: {option} is in the page but no option"
                     for option in sorted(written - options)]


def config_keys(descriptor_path):
    """(table, key) of every field of proto Config."""
    wanted = descriptor_pb2.FileDescriptorSet()
    wanted.ParseFromString(pathlib.Path(descriptor_path).read_bytes())
    messages = {f".{file.package}.{message.name}": message
                for file in wanted.file for message in file.message_type}
    return [(table.name, key.name) for table in messages[".hvguard.v1.Config"].field
            for key in messages[table.type_name].field]


def key_faults(name, text, keys, definition):
    """Every key has its definition below its table; definition(key) is a pattern."""
    faults = []
    sections = {}
    table = ""
    for line in text.splitlines():
        heading = re.match(r"^#* ?\[{1,2}(\w+)\]{1,2}\s*$", line)
        if heading:
            table = heading.group(1)
        sections.setdefault(table, []).append(line)
    for table, key in keys:
        if not any(re.match(definition(key), line) for line in sections.get(table, [])):
            faults.append(f"{name}:1: [{table}] {key} is not there")
    known = {table for table, _ in keys}
    faults += [f"{name}:1: [{table}] is no table of the configuration"
               for table in sections if table and table not in known]
    return faults


def render_faults(name, text):
    """scdoc and mandoc both have to take the page."""
    page = subprocess.run(["scdoc"], input=text, capture_output=True, text=True, check=False)
    if page.returncode != 0:
        return [f"{name}:1: scdoc: {page.stderr.strip()}"]
    if not shutil.which("mandoc"):
        return []
    checked = subprocess.run(["mandoc", "-T", "lint", "-W", "error"], input=page.stdout,
                             capture_output=True, text=True, check=False)
    return [f"{name}:1: mandoc: {line}" for line in checked.stdout.splitlines() if line]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--descriptor", required=True)
    parser.add_argument("pairs", nargs="+", metavar="PROGRAM=PAGE")
    options = parser.parse_args()
    pages = ROOT / "packaging/man"
    faults = []
    checked = 0
    for pair in options.pairs:
        program, page = pair.split("=")
        name = f"packaging/man/{page}.scd"
        named = help_options(program)
        if len(named) < 2:
            faults.append(f"{name}:1: {program} --help names {len(named)} options: is it whole?")
        checked += len(named)
        faults += option_faults(name, (ROOT / name).read_text(), named)
    keys = config_keys(options.descriptor)
    checked += len(keys)
    escaped = (pages / "hvguard.toml.5.scd").read_text().replace("\\_", "_")
    faults += key_faults("packaging/man/hvguard.toml.5.scd", escaped, keys,
                         lambda key: rf"^\*(?:\w+\*, \*)*{key}\*")
    faults += key_faults("packaging/hvguard.toml", (ROOT / "packaging/hvguard.toml").read_text(), keys,
                         lambda key: rf"^#?\s*{key}\s*=")
    for page in sorted(pages.glob("*.scd")):
        checked += 1
        faults += render_faults(f"packaging/man/{page.name}", page.read_text())
    print("\n".join(faults))
    print(f"man pages: {checked} checked, {len(faults)} faults")
    sys.exit(1 if faults or not keys else 0)


if __name__ == "__main__":
    main()
