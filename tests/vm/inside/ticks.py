"""hvguardd's ticks as they come out of core.sock, and how fast it answers there.

Frames are read here, not by hvguardctl: starting a program takes longer on an emulated host than
hvguardd takes to answer, and may need the very disk that is stuck.
"""

import socket
import statistics
import threading
import time

from story import boot_seconds
from waiting import Failed

CORE_SOCKET = "/run/hvguard/core.sock"
# proto/hvguard/v1/core_link.proto, CoreRequest: protocol version 1, and what is wanted.
GET_FRAME = b"\x08\x01\x12\x00"
SUBSCRIBE_FRAMES = b"\x08\x01\x1a\x00"
PACKET_BYTES = 65536
WAKE_UP_SECONDS = 0.2


def fields(message):
    """(number, value) of each field of a protobuf message: int, or bytes of what has a length."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(message, at)
        else:
            size, at = (8, at) if kind == 1 else (4, at) if kind == 5 else varint(message, at)
            value = message[at:at + size]
            at += size
        yield key >> 3, value


def varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def seconds_of(message):
    """Of a Timestamp or a Duration."""
    parts = dict(fields(message))
    return parts.get(1, 0) + parts.get(2, 0) / 1e9


class Frame:
    """What one frame says of hvguardd. The first packet has it all (FramePart.status)."""

    def __init__(self, part):
        status = dict(fields(part[5]))
        agent = dict(fields(status[1]))
        self.arrived = boot_seconds()
        self.tick_count = agent.get(5, 0)
        self.skipped = agent.get(6, 0)
        self.longest_handler = seconds_of(agent.get(9, b""))
        self.observed = seconds_of(status.get(7, b""))


def connect(request, seconds):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(seconds)
    try:
        connection.connect(CORE_SOCKET)
        connection.send(request)
    except OSError:
        connection.close()
        raise
    return connection


def next_frame(connection):
    """A whole frame; None if hvguardd closed the connection."""
    frame = None
    while True:
        packet = connection.recv(PACKET_BYTES)
        if not packet:
            return None
        part = dict(fields(dict(fields(packet))[1]))
        if part.get(3, 0) == 0:
            frame = Frame(part)
        if part.get(4, 0):
            return frame


def ask(deadline=20):
    """One frame, the newest."""
    try:
        with connect(GET_FRAME, deadline) as connection:
            frame = next_frame(connection)
    except OSError as fault:
        raise Failed(f"hvguardd does not answer within {deadline} s: {fault}") from None
    if frame is None:
        raise Failed("hvguardd closed the connection without an answer")
    return frame


def answer_seconds():
    """From connecting to the last byte of the state: an answer's latency at the socket."""
    begin = boot_seconds()
    ask()
    return boot_seconds() - begin


def reading_age():
    """Seconds since the reading that hvguardd answers with."""
    return time.time() - ask().observed


class TickWatch:
    """Follows all ticks from its making to stop(), in a thread of its own."""

    def __init__(self):
        self.begin = boot_seconds()
        self.end = None
        self.frames = []
        self.lost = None
        self.host_lateness = 0.0
        self.connection = connect(SUBSCRIBE_FRAMES, 60)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        threading.Thread(target=self.wake_up, daemon=True).start()

    def wake_up(self):
        """How late a thread wakes that needs next to nothing: so long the host itself stood still,
        which waits for CPUs of a machine that does other things."""
        while self.end is None:
            begin = boot_seconds()
            time.sleep(WAKE_UP_SECONDS)
            self.host_lateness = max(self.host_lateness, boot_seconds() - begin - WAKE_UP_SECONDS)

    def listen(self):
        try:
            while (frame := next_frame(self.connection)) is not None:
                self.frames.append(frame)
            self.lost = "hvguardd closed the connection"
        except OSError as fault:
            self.lost = str(fault)

    def stop(self):
        """Returns itself, for the figures."""
        self.end = boot_seconds()
        lost = self.lost
        self.connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(20)
        if lost:
            raise Failed(f"the stream of ticks broke: {lost}")
        if len(self.frames) < 2:
            raise Failed(f"{len(self.frames)} frames in {self.end - self.begin:.0f} s")
        return self

    # ---- figures

    def readings(self):
        """One frame for each finished reading of the host."""
        found = [self.frames[0]]
        for frame in self.frames[1:]:
            if frame.tick_count > found[-1].tick_count:
                found.append(frame)
        return found

    def tick_count(self):
        return self.frames[-1].tick_count - self.frames[0].tick_count

    def skipped(self):
        return self.frames[-1].skipped - self.frames[0].skipped

    def longest_handler(self):
        """Of all handlers since hvguardd started, in seconds."""
        return self.frames[-1].longest_handler

    def largest_gap(self):
        """Between two readings, by hvguardd's own clock; what came late to us does not count."""
        times = [frame.observed for frame in self.readings()]
        return max(later - earlier for earlier, later in zip(times, times[1:]))

    def largest_silence(self):
        """Between two readings that reached us; begin and end of the watch count as such."""
        times = [self.begin, *(frame.arrived for frame in self.readings()), self.end]
        return max(later - earlier for earlier, later in zip(times, times[1:]))


def middle(seconds):
    return statistics.median(seconds)
