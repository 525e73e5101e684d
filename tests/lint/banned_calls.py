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
    # As a call with arguments, not as the name of a function of ours that is declared.
    (r"(?:^|[=(,;{!?]|\breturn\b|[^\w]::)\s*(?:::)?\b"
     r"(open|openat|fopen|read|pread|write|ioctl|socket|connect|stat|fstat)\s*\(\s*[^)\s]", "does I/O"),
    (r"\b(i|o|)fstream\b", "does I/O"),
    (r"\bstd::(cout|cerr|clog)\b|\bprintf\s*\(|\bfprintf\s*\(|\bputs\s*\(", "prints"),
    (r"\bspdlog\b|\bsd_journal\w*|\bsyslog\s*\(", "logs"),
    (r"\b(secure_)?getenv\s*\(", "reads the environment"),
    (r"\b(s?rand|random|drand48|getrandom)\s*\(|\brandom_device\b|\bmt19937", "is not repeatable"),
    (r"\bstd::(this_thread|thread|jthread|async|mutex|atomic)\b", "knows threads"),
    (r"\b(getpid|gettid|gethostname|sysconf|getpagesize)\s*\(", "asks the running host"),
    (r"^\s*static\s+(?!constexpr|const\b|_?[Aa]ssert)[\w:<>]+\s+\w+\s*(=|;|\{)", "keeps hidden state"),
]

EVERYWHERE = [
    (r"\bstd::regex\b|#\s*include\s*<regex>", "std::regex recurses on input; parse by hand"),
    (r"\b(system|popen)\s*\(", "runs a shell"),
    (r"\b(strcpy|strcat|sprintf|gets)\s*\(", "writes without a bound"),
    (r"\bthrow\b(?!\s*\()", "we throw nothing: return Result<T>"),
    (r"#\s*include\s*<iostream>", "iostream is not used (static initialisers)"),
    (r"\busing\s+namespace\b", "names its namespaces"),
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
        for number, line in code_lines(text):
            rules = list(everywhere)
            if name.startswith(("agent/detect/", "agent/decide/")):
                rules += pure
            for pattern, reason in rules:
                match = pattern.search(line)
                if match:
                    faults.append(Fault(name, number, f"{match.group(0).strip()}: {reason}"))
    return faults, len(files)


if __name__ == "__main__":
    main(check, "banned calls", 20)
