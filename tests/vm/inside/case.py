"""What a case says about itself. Read outside, to list and boot it, and inside, to run it."""

import importlib.util

ALL_KERNELS = ("6.1", "6.12", "5.10")
KERNELS = ("6.1", "6.12")  # those that hvguard supports in full


class Case:
    """A story in one function, or several if the host reboots on the way.

    kernels    on which it is told
    disks      further disks of the host, {"data": "256M"}: /dev/disk/by-id/virtio-data
    memory     of the host, in MiB
    arguments  of the kernel's command line
    package    whether hvguard is installed before; else the case finds /run/lab/hvguard.deb
    deadline   seconds for each boot of it, from the first line to the last
    expects    regular expressions of kernel complaints that belong to the story
    """

    def __init__(self, function, kernels, disks, memory, arguments, package, deadline, expects):
        self.name = function.__name__
        self.story = function.__doc__.strip()
        self.boots = [function]
        self.check = None
        self.kernels = kernels
        self.disks = disks
        self.memory = memory
        self.arguments = arguments
        self.package = package
        self.deadline = deadline
        self.expects = expects

    def next_boot(self, function):
        """What happens after the reboot that the function before announced."""
        self.boots.append(function)
        return function

    def seen_from_outside(self, function):
        """Told the Outside (outside/verdict.py) after the last boot: console, measures, notes kept."""
        self.check = function
        return function


def case(kernels=KERNELS, disks=None, memory=1024, arguments=(), package=True, deadline=120,
         expects=()):
    def made(function):
        return Case(function, kernels, disks or {}, memory, arguments, package, deadline, expects)
    return made


def cases_of(module):
    """In the order in which they stand there."""
    return [value for value in vars(module).values() if isinstance(value, Case)]


def load(path):
    """The module of a file in cases/. Its name may be any: it is no part of sys.path."""
    spec = importlib.util.spec_from_file_location(f"lab_case_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
