"""Figures that the cases measured: kept in .cache/vm/results.json, shown in docs/PERFORMANCE.md."""

import datetime
import json
import os
import sys

from cache import CACHE, ROOT, locked
from progress import Progress

KEPT = CACHE / "results.json"
DOCUMENT = ROOT / "docs" / "PERFORMANCE.md"
BEGIN = "<!-- tests/vm: written by tests/vm/run --write -->"
END = "<!-- tests/vm: end -->"


def load():
    try:
        return json.loads(KEPT.read_text())
    except (OSError, ValueError):
        return []


def add(verdicts):
    """Replaces what earlier runs of the same cases on the same kernels measured; only good ones."""
    good = {names: verdict for names, verdict in verdicts.items() if verdict.passed}
    with locked("results", Progress(sys.stderr)):
        rows = [row for row in load() if (row["case"], row["kernel"]) not in good]
        today = datetime.date.today().isoformat()
        for (case, kernel), verdict in good.items():
            rows += [{"case": case, "kernel": kernel, "name": name, "value": value, "unit": unit,
                      "date": today, "load": os.getloadavg()[0]}
                     for name, value, unit in verdict.measures]
        KEPT.write_text(json.dumps(rows, indent=1) + "\n")


def table(rows):
    """One line for each figure, one column for each kernel."""
    series = sorted({row["kernel"] for row in rows}, key=lambda text: list(map(int, text.split("."))))
    lines = [f"| case | figure | {' | '.join(series)} |", "|---|---|" + "---|" * len(series)]
    for case, name in dict.fromkeys((row["case"], row["name"]) for row in rows):
        cells = []
        for kernel in series:
            values = [row for row in rows
                      if (row["case"], row["name"], row["kernel"]) == (case, name, kernel)]
            cells.append("; ".join(f"{row['value']:.3g} {row['unit']}".strip() for row in values))
        lines.append(f"| `{case}` | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write():
    rows = load()
    if not rows:
        print("tests/vm/run: no figures yet: run some cases", file=sys.stderr)
        return 2
    text = DOCUMENT.read_text()
    if BEGIN not in text or END not in text:
        print(f"tests/vm/run: {DOCUMENT} lacks the lines {BEGIN} and {END}", file=sys.stderr)
        return 2
    newest = max(row["date"] for row in rows)
    shown = (f"{BEGIN}\nMeasured until {newest} on emulated hosts of two CPUs (QEMU TCG), which are "
             f"ten to thirty times slower than real ones.\n\n{table(rows)}\n{END}")
    before, _, rest = text.partition(BEGIN)
    DOCUMENT.write_text(before + shown + rest.partition(END)[2])
    print(f"wrote {len(rows)} figures into {DOCUMENT}")
    return 0
