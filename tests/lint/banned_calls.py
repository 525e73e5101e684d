#!/usr/bin/python3
"""Calls that have no place: clock, I/O, log, chance and threads in detect/ and decide/ (a tick is
a pure function, so that live, replay and simulation agree), and a few that no folder may use."""

import re

from lint import Fault, below, code_lines, main, relative

PURE = [
    (r"::now\s*\(", "reads a clock: time travels in the Snapshot"),
    (r"\b(boot_time_now|wall_time_now|monotonic_now)\b", "reads a clock: time travels in the Snapshot"),
    (r"\b(system_clock|steady_clock|high_resolution_clock)\b", "names a clock"),
    (r"\b(clock_gettime|gettimeofday|time)\s*\(\s*(NULL|nullptr|0|CLOCK|&)", "reads a clock"),
    (r"\b(i|o|)fstream\b", "does I/O"),
    (r"\bstd::(cout|cerr|clog)\b|\bprintf\s*\(|\bfprintf\s*\(|\bputs\s*\(", "prints"),
    (r"\bspdlog\b|\bsd_journal\w*|\bsyslog\s*\(", "logs"),
    (r"\b(secure_)?getenv\s*\(", "reads the environment"),
    (r"\b(s?rand|random|drand48|getrandom)\s*\(|\brandom_device\b|\bmt19937", "is not repeatable"),
    (r"\bstd::(this_thread|thread|jthread|async|mutex|atomic)\b", "knows threads"),
    (r"\b(getpid|gettid|gethostname|sysconf|getpagesize)\s*\(", "asks the running host"),
    (r"^\s*static\s+(?!constexpr|const\b|_?[Aa]ssert)[\w:<>]+\s+\w+\s*(=|;|\{)", "keeps hidden state"),
]

# System calls. A pure file may have a function of its own by such a name (a book that is opened); it
# cannot have both, since the headers of the real ones are banned there (layering.py).
IO_CALL = re.compile(r"(?:^|[=(,;{!?]|\breturn\b|[^\w]::)\s*(?:::)?\b"
                     r"(open|openat|fopen|read|pread|write|ioctl|socket|connect|stat|fstat)"
                     r"\s*\(\s*[^)\s]")
OWN_FUNCTION = re.compile(r"^\s*(?!return\b|else\b|throw\b)[A-Za-z][\w:<>]*[\s&*]+(?:\w+::)*"
                          r"([a-z]+)\(", re.M)

EVERYWHERE = [
    (r"\bstd::regex\b|#\s*include\s*<regex>", "std::regex recurses on input; parse by hand"),
    (r"\b(system|popen)\s*\(", "runs a shell"),
    (r"\b(strcpy|strcat|sprintf|gets)\s*\(", "writes without a bound"),
    (r"\bthrow\b(?!\s*\()", "we throw nothing: return Result<T>"),
    (r"#\s*include\s*<iostream>", "iostream is not used (static initialisers)"),
    (r"^using\s+namespace\b", "a file names its namespaces"),
    (r"/proc/(\{\}|%d|\" *\+).*/stat\b", "stat can block on a task in exec (use status)"),
]


def compiled(rules):
    return [(re.compile(pattern), reason) for pattern, reason in rules]


def check(root):
    faults = []
    files = below(root, "agent")
    pure, everywhere = compiled(PURE), compiled(EVERYWHERE)
    for path in files:
        name = relative(root, path)
        text = path.read_text()
        is_pure = name.startswith(("agent/detect/", "agent/decide/"))
        header = path.with_suffix(".h")
        own = set(OWN_FUNCTION.findall(text + (header.read_text() if header.exists() else "")))
        for number, line in code_lines(text):
            for pattern, reason in everywhere + (pure if is_pure else []):
                match = pattern.search(line)
                if match:
                    faults.append(Fault(name, number, f"{match.group(0).strip()}: {reason}"))
            call = IO_CALL.search(line) if is_pure else None
            if call and call.group(1) not in own:
                faults.append(Fault(name, number, f"{call.group(1)}(: does I/O"))
    return faults, len(files)


if __name__ == "__main__":
    main(check, "banned calls", 20)
