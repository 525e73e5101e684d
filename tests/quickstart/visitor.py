"""Somebody with a clone of the tree and sudo at the shell of a fresh system, and what they check."""

import re
import time

import fresh_debian

TREE = "/srv/hvguard"
UNITS = ["hvguardd.service", "hvguard-gateway.service", "hvguard-spool.service"]
# eBPF knows processes by the machine's numbers, and here they have others.
WITHOUT_EBPF = ["tasks", "block_io", "lifecycle"]


class Visitor:
    """`check` counts: what was expected, whether it is so, what was there instead."""

    def __init__(self, container, check, logs, progress):
        self.container = container
        self.check = check
        self.logs = logs
        self.progress = progress

    def gives(self, *words, sudo=True, minutes=1.0):
        """Exit code and text (of both streams) of a command in the tree; kept in the logs too."""
        words = ["sudo"] * sudo + list(words)
        shown = " ".join(words)
        begin = time.monotonic()
        with self.progress.step(shown):
            done = self.container.run(*words, user=fresh_debian.USER, directory=TREE,
                                      seconds=minutes * 60)
        with open(self.logs / "commands.log", "a", encoding="utf-8") as log:
            log.write(f"$ {shown}\n{done.stdout}{done.stderr}\n")
        self.progress.say(f"  {shown}: {done.returncode}, {time.monotonic() - begin:.0f} s")
        return done.returncode, done.stdout

    def property(self, unit, name):
        return self.container.run("systemctl", "show", "--value", f"--property={name}",
                                  unit).stdout.strip()

    def sees_the_services(self):
        """They run, come with the next boot, say what they see, and have nothing to complain of.
        Returns the number of each one's main process."""
        pids = {}
        for unit in UNITS:
            state = [self.property(unit, name)
                     for name in ("ActiveState", "UnitFileState", "NRestarts")]
            self.check(f"{unit} is active and enabled, and never failed",
                       state == ["active", "enabled", "0"], " ".join(state))
            pids[unit] = self.property(unit, "MainPID")
        code, text = self.gives("hvguardctl", "status")
        self.check("hvguardctl status answers", code == 0 and "\nhvguardd  " in text, text)
        for source in WITHOUT_EBPF:
            self.check(f"{source} does without eBPF and says why", re.search(
                rf"^{source} +degraded .*hvguardd runs in a container", text, re.M), text)
        _, text = self.gives("journalctl", "--quiet", "--no-pager", "--priority=err",
                             *[f"--unit={unit}" for unit in UNITS])
        self.check("no service complains in the journal", not text.strip(), text)
        return pids
