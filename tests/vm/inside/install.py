"""Not a case of its own: makes the disk with hvguard installed that the cases begin with."""

from case import ALL_KERNELS, case
from hvguard import Hvguard
from story import run


@case(kernels=ALL_KERNELS, package=False, deadline=300)
def install(story):
    """Installs the package, waits until it runs, and shuts the host down."""
    run("dpkg", "--install", "/run/lab/hvguard.deb", seconds=200)
    Hvguard().wait_until_ready(60)
    story.say(passed=True)
    run("systemctl", "poweroff", "--no-block")
    story.wait_for_the_end(100)
