"""The image with this .deb installed, as a disk over the image: saves each case the installation."""

import pathlib
import tempfile

import install  # of inside
import payload
import runner
from cache import CACHE, VM, kept, key
from machine import Machine
from verdict import Verdict


class InstallFailed(Exception):
    pass


def get(image, package, kernel, progress):
    """Path of the qcow2. Made by a boot of any kernel: no kernel is on it."""
    name = key(image.key, package.key, VM / "inside/install.py", pathlib.Path(__file__))

    def build(directory):
        progress.say("installed host: booting once to install the package")
        # Takes no slot: other runs of the same package wait for this very disk.
        with progress.step("installed host"), \
                tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as scratch:
            boot(pathlib.Path(scratch), directory / "root.qcow2", image, package, kernel, progress)
    return kept("installed", name, build, progress) / "root.qcow2"


def boot(scratch, disk, image, package, kernel, progress):
    runner.overlay(disk, image.disk, "raw")
    payload.make(scratch / "payload.img", package, {}, progress)
    machine = Machine(scratch, kernel, {
        "root": f"file={disk},format=qcow2,cache=unsafe",
        "modules": f"file={kernel.modules},format=raw,read-only=on",
        "payload": f"file={scratch}/payload.img,format=raw,read-only=on"})
    verdict = Verdict()
    lab = runner.Lab(image, None, package, {kernel.series: kernel}, progress, None)
    try:
        runner.follow(machine, lab, install.install, "inside/install.py", kernel.series, verdict, progress)
        # Shut down cleanly, so that no case begins with the replay of a journal.
        if verdict.passed and machine.wait(90) is None:
            verdict.fail("the host did not shut down")
    finally:
        machine.stop()
    if not verdict.passed:
        runner.keep_logs(scratch, verdict, runner.LOGS / "install")
        raise InstallFailed(f"the package could not be installed: {verdict.why}\n"
                            f"  logs: {runner.LOGS / 'install'}")
