"""Debian packages of any release, through apt with a state of its own.

The mirror is the one that the machine's apt already uses; its sources and its state are left alone.
"""

import pathlib
import subprocess

from cache import CACHE

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class DistributionError(Exception):
    pass


def mirror():
    """Where this machine's apt has Debian from."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
         "Origin: Debian", "Label: Debian"], capture_output=True, text=True, check=False)
    addresses = done.stdout.split()
    if not addresses:
        raise DistributionError("apt knows no Debian archive; run apt-get update")
    return addresses[0]


def source_line(release):
    return f"deb [signed-by={KEYRING}] {mirror()} {release} main"


class Release:
    """A Debian release by code name."""

    def __init__(self, codename):
        self.codename = codename
        self.directory = CACHE / "apt" / codename

    def update(self):
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        (self.directory / "sources.list").write_text(source_line(self.codename) + "\n")
        self.run("apt-get", "-q", "update")

    def depends(self, package):
        """Names of the packages that this one depends on."""
        lines = self.run("apt-cache", "depends", "--important", package).splitlines()
        return [line.split()[1] for line in lines if line.strip().startswith("Depends:")]

    def unpack(self, package, directory):
        """Downloads a package and unpacks it there; nothing is installed."""
        directory = pathlib.Path(directory)
        self.run("apt-get", "-q", "download", package, cwd=directory)
        [deb] = directory.glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", deb, directory], check=True)
        deb.unlink()

    def run(self, program, *arguments, cwd=None):
        options = {
            "Dir::State": self.directory / "state",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self.directory / "cache",
            "Dir::Etc::SourceList": self.directory / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Acquire::Retries": "3",
            "Acquire::Check-Valid-Until": "false",  # releases that get no more updates
            "APT::Sandbox::User": "root",
        }
        words = [f"{name}={value}" for name, value in options.items()]
        done = subprocess.run(
            [program, *[word for option in words for word in ("-o", option)], *arguments],
            capture_output=True, text=True, check=False, cwd=cwd)
        if done.returncode != 0:
            raise DistributionError(f"{program} {' '.join(map(str, arguments))} of Debian "
                                    f"{self.codename}: {done.stderr.strip()[-400:]}")
        return done.stdout
