"""Expectations, and waits with deadlines."""

import time


class Failed(Exception):
    """What a case expected did not happen; the text says what, and what was there instead."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def wait_for(what, check, seconds, interval=0.05):
    """The first true value of check(); Failed when there is none in that time."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Failed(f"{what}: not within {seconds:g} s")
        time.sleep(interval)
