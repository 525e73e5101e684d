"""What a person sees while things go on: a line per stage, and a heartbeat for what takes long."""

import contextlib
import sys
import threading
import time

FIRST_BEAT = 2  # seconds; on a terminal
QUIET_BEAT = 30  # seconds; elsewhere, where each beat is a line


class Progress:
    """Thread-safe. One for a run; lines of several cases at once carry the case's name."""

    def __init__(self, stream=sys.stdout):
        self.stream = stream
        self.terminal = stream.isatty()
        self.lock = threading.Lock()
        self.running = {}
        threading.Thread(target=self.beat, daemon=True).start()

    def say(self, text):
        with self.lock:
            self.clear()
            print(text, file=self.stream, flush=True)

    @contextlib.contextmanager
    def step(self, text):
        """Shown while it goes on, if that is longer than two seconds."""
        token = object()
        with self.lock:
            self.running[token] = [text, time.monotonic(), QUIET_BEAT]
        try:
            yield
        finally:
            with self.lock:
                self.clear()
                del self.running[token]

    def clear(self):
        if self.terminal:
            self.stream.write("\r\033[K")

    def beat(self):
        while True:
            time.sleep(0.5)
            with self.lock:
                now = time.monotonic()
                long = [step for step in self.running.values() if now - step[1] >= FIRST_BEAT]
                if self.terminal and long:
                    shown = "; ".join(f"{text} … {now - begin:.0f} s" for text, begin, _ in long)
                    self.stream.write("\r\033[K" + shown[:150])
                    self.stream.flush()
                elif not self.terminal:
                    for step in long:
                        if now - step[1] >= step[2]:
                            step[2] += QUIET_BEAT
                            print(f"    {step[0]} … {now - step[1]:.0f} s so far",
                                  file=self.stream, flush=True)


class CaseProgress:
    """Lines of one case: time since its start, and its name where several run at once."""

    def __init__(self, progress, name, several):
        self.progress = progress
        self.name = name
        self.prefix = f"{name}: " if several else ""
        self.begin = time.monotonic()

    def say(self, text):
        self.progress.say(f"  {time.monotonic() - self.begin:6.1f} s  {self.prefix}{text}")

    def step(self, text):
        return self.progress.step(f"{self.name}: {text}")
