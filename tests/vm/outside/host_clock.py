"""The frequency of this machine's time stamp counter, which is the guest's too under TCG. A guest that
has to find it out itself while it waits for a CPU gets it wrong, and its time runs two or three times
too fast from then on."""

import ctypes
import functools
import mmap
import time

# rdtsc; shl rdx, 32; or rax, rdx; ret
RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")
DISTANCE_SECONDS = 0.1


@functools.cache
def kilohertz():
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as code:
        code.write(RDTSC)
        holder = ctypes.c_char.from_buffer(code)
        counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(holder))
        first = moment(counter)
        time.sleep(DISTANCE_SECONDS)
        last = moment(counter)
        del holder
    return round((last[1] - first[1]) * 1e6 / (last[0] - first[0]))


def moment(counter):
    """(nanoseconds, ticks) at the same time: of several pairs the one that took shortest."""
    pairs = []
    for _ in range(50):
        before = time.monotonic_ns()
        ticks = counter()
        after = time.monotonic_ns()
        pairs.append((after - before, (before + after) / 2, ticks))
    _, when, ticks = min(pairs)
    return when, ticks
