"""What happens to the gateway must not reach hvguardd."""

import os
import signal
import socket
import time

from hvguard import Hvguard, expect_steady_ticks
from questions import duration, moment
from waiting import expect, wait_for

FLOOD_CONNECTIONS = 1000
# The rule is 10 ms; the rest is for a busy machine that does not give hvguardd a CPU in time.
HANDLER_SECONDS = 0.1


def gateway(lab, build, note):
    """The gateway is killed, stopped and flooded: hvguardd ticks on and answers, and so does it later."""
    guard = Hvguard(lab, build)
    guard.start_gateway()

    guard.gateway.kill()
    guard.gateway.wait()
    note("killed: " + expect_steady_ticks(guard, 3))
    expect(guard.try_ctl("vms") is None, "hvguardctl reached a gateway that was killed")
    note(f"hvguardctl without it: {guard.last_error.splitlines()[0]}")
    guard.start_gateway()
    note("started again, it answers")

    guard.gateway.send_signal(signal.SIGSTOP)
    # Long enough to fill the socket that nobody reads.
    note("stopped: " + expect_steady_ticks(guard, 15))
    guard.gateway.send_signal(signal.SIGCONT)
    wait_for("the gateway is current again", lambda: is_current(guard), 10)
    note("continued, it is current again")

    with_flood = flood(guard.api_socket)
    note(f"flooded with {len(with_flood)} connections: " + expect_steady_ticks(guard, 5))
    for connection in with_flood:
        connection.close()
    wait_for("the gateway is current after the flood", lambda: is_current(guard), 10)
    with_flood = flood(guard.core_socket, socket.SOCK_SEQPACKET, b"\xff" * 1000)
    note(f"core.sock flooded with {len(with_flood)} connections and nonsense: "
         + expect_steady_ticks(guard, 5))
    for connection in with_flood:
        connection.close()
    expect(guard.gateway.poll() is None, "the gateway ended")

    agent = guard.status()["agent"]
    longest = duration(agent["max_handler_duration"])
    note(f"longest handler of hvguardd {longest * 1000:.1f} ms")
    expect(longest <= HANDLER_SECONDS, f"a handler took {longest:.3f} s")


def is_current(guard):
    """Whether the gateway's answers are as new as they should be."""
    answer = guard.try_ctl("vms")  # not status: that one falls back to hvguardd itself
    return answer is not None and time.time() - moment(answer["observe_time"]) < 3


def flood(path, kind=socket.SOCK_STREAM, words=b"PRI * nonsense\r\n\r\n"):
    """Connections that stay open and say nonsense, as many as are taken."""
    connections = []
    deadline = time.monotonic() + 5
    while len(connections) < FLOOD_CONNECTIONS and time.monotonic() < deadline:
        connection = socket.socket(socket.AF_UNIX, kind)
        connection.setblocking(False)
        try:
            connection.connect(os.fspath(path))
            connection.send(words)
        except OSError:
            pass  # refused or full: that is the other side's right
        connections.append(connection)
    return connections
