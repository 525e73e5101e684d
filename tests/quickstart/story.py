"""What is told on the fresh system, from the first mistake to the removal."""

import re

from visitor import TREE, UNITS

QUICKSTART = "packaging/quickstart"
FIRST_MINUTES = 40  # where all is downloaded and compiled
AGAIN_MINUTES = 20
CONFIG = "/etc/hvguard/hvguard.toml"


def tell(visitor):
    mistakes(visitor)
    if first_run(visitor):
        pids = visitor.sees_the_services()
        again(visitor, pids)
        removal(visitor)


def mistakes(visitor):
    """They are answered in words, before anything is installed or built."""
    code, text = visitor.gives(QUICKSTART, "--no-such-word")
    visitor.check("a wrong argument ends with 2, its name and the usage", code == 2 and
                  "--no-such-word" in text and "Usage: sudo packaging/quickstart" in text, text)
    code, text = visitor.gives(QUICKSTART, "--help", sudo=False)
    visitor.check("--help ends with 0 and the usage", code == 0 and "--demo" in text, text)
    code, text = visitor.gives(QUICKSTART, "--demo", sudo=False)
    visitor.check("without root it ends with 1 and says what to type", code == 1 and
                  "sudo packaging/quickstart --demo" in text, text)
    code, _ = visitor.gives("test", "-e", "build")
    visitor.check("mistakes leave nothing behind", code == 1)


def first_run(visitor):
    """README's first command."""
    code, text = visitor.gives("sh", "-c", "command -v cmake g++ hvguardctl")
    visitor.check("the system is a fresh one", not text.strip(), text)
    code, text = visitor.gives(QUICKSTART, minutes=FIRST_MINUTES)
    done = visitor.check("the first run ends with 0", code == 0, text[-3000:])
    _, log = visitor.gives("cat", "build/quickstart-logs/01-Installing-packages.log")
    told = re.search(r"^Installing (\d+) of (\d+) packages: ", log, re.M)
    visitor.check("it installed what was missing", told and int(told[1]) > 20, log[:400])
    visitor.check("it shows hvguardctl status and vms",
                  "$ hvguardctl status\nhost  " in text and "$ hvguardctl vms\n" in text, text[-2000:])
    visitor.check("it says how to go on", "run as services, now and after each boot" in text,
                  text[-400:])
    return done


def again(visitor, pids):
    """Once more over what is there, where the configuration was changed both here and in the tree."""
    for path in (CONFIG, f"{TREE}/packaging/hvguard.toml"):
        visitor.gives("sh", "-c", f"echo '# {path} was changed.' >>{path}")
    code, text = visitor.gives(QUICKSTART, "--demo", "--once", minutes=AGAIN_MINUTES)
    visitor.check("the second run ends with 0", code == 0, text[-3000:])
    visitor.check("it shows the guest", re.search(r"^hvguard-demo +144 MiB", text, re.M), text[-2000:])
    visitor.check("the guest was seen at work, and dropped when it ended",
                  "The guest was seen at work, and dropped when it ended." in text, text[-400:])
    _, left = visitor.gives("sh", "-c", "ls /proc/*/exe -l 2>/dev/null | grep qemu-system")
    visitor.check("no guest is left", not left.strip(), left)
    now = visitor.sees_the_services()
    visitor.check("the services are new ones", all(now[unit] != pids[unit] for unit in UNITS),
                  f"{pids}, then {now}")
    _, text = visitor.gives("tail", "-n", "1", CONFIG)
    visitor.check("a changed configuration stays", text == f"# {CONFIG} was changed.\n", text)


def removal(visitor):
    """As quickstart says at its end."""
    code, text = visitor.gives("apt-get", "-y", "remove", "hvguard", minutes=3)
    visitor.check("apt-get remove ends with 0", code == 0, text[-600:])
    states = [visitor.property(unit, "ActiveState") for unit in UNITS]
    visitor.check("no service is left", states == ["inactive"] * len(UNITS), " ".join(states))
    code, text = visitor.gives("test", "-e", "/run/hvguard")
    visitor.check("/run/hvguard is gone", code == 1)
