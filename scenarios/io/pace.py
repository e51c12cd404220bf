"""Estimate of the remaining time of a session, and detection of a slow machine."""

import time
from collections.abc import Callable

import numpy as np

from scenarios.io.progress import Event, Progress

SPECIMEN, TWIN, REQUEST, ENDING = 37.0, 35.0, 0.6, 9.0
"""Seconds of the parts on an idle machine where `probe` takes `PROBE`: the microscope's specimen and the twin's model (at the same time; none where
they are in the cache), one request, and scoring with the report."""
PROBE = 0.017
"""Seconds of `probe` on that machine."""
AHEAD = 5
"""Number of requests for which the reference time is assumed in addition to those done."""
SLOW = 2.0
"""Factor on the reference times from which the user is told that the machine is slow."""


def probe() -> float:
    """Seconds of a small fixed computation, Fourier transforms like those of the parts: the least of five."""
    generator = np.random.default_rng(0)
    image = generator.standard_normal((256, 256))
    durations = []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(8):
            np.fft.ifft2(np.fft.fft2(image))
        durations.append(time.perf_counter() - begun)
    return min(durations)


def slowness() -> float:
    """Computing time of this machine now, relative to the reference machine."""
    return probe() / PROBE


class Pace:
    """Seconds left of a session with ``requests``; told of shares that are done by `part`, and of requests by `request`."""

    def __init__(self, requests: int, slowness: float, clock: Callable[[], float] = time.monotonic):
        self.requests, self.slowness, self.clock = requests, max(slowness, 0.1), clock
        self._parts: dict[str, tuple[float, float]] = {}
        self._begun = clock()
        self._first: float | None = None
        self._done = 0

    def part(self, name: str, share: float) -> None:
        """A part of the preparations is done to this share; one that was never named takes no time."""
        known = SPECIMEN if name == "specimen" else TWIN
        elapsed = self.clock() - self._begun
        expected = known * self.slowness if share < 0.1 else elapsed / share
        self._parts[name] = (max(expected, elapsed), share)

    def request(self) -> None:
        """One more request is done."""
        self._done += 1
        if self._first is None:
            self._first = self.clock()

    @property
    def left(self) -> float:
        """Seconds still to go."""
        ending = ENDING * self.slowness
        if self._first is not None:
            # requests differ a lot (those that are measured take longest, and come first at a place): the known seconds count as some of them
            seconds = self.clock() - self._first + AHEAD * REQUEST * self.slowness
            return seconds / (self._done - 1 + AHEAD) * (self.requests - self._done) + ending
        elapsed = self.clock() - self._begun
        preparing = max((expected - elapsed for expected, share in self._parts.values() if share < 1.0), default=0.0)
        return max(preparing, 0.0) + REQUEST * self.slowness * (self.requests - self._done) + ending

    @property
    def slow(self) -> bool:
        return self.slowness >= SLOW


class PacedProgress:
    """Passes on what a job says of itself, together with the time left; ``done`` is called after every request."""

    def __init__(self, progress: Progress, pace: Pace, done: Callable[[], None]):
        self.progress, self.pace, self.done = progress, pace, done
        if pace.slow:
            times = f"{pace.slowness:.0f} times" if pace.slowness >= 3.0 else "twice"
            progress.note(
                f"this machine, or what else it is doing now, makes computations take about {times} as long as the README says"
            )

    def part(self, name: str, text: str, share: float | None) -> None:
        """A stage that is part of the preparations."""
        if share is not None:
            self.pace.part(name, share)
        self.stage(text, share)

    def stage(self, text: str, fraction: float | None = None) -> None:
        self.progress.left(self.pace.left)
        self.progress.stage(text, fraction)

    def request(self, event: Event) -> None:
        self.pace.request()
        self.progress.left(self.pace.left)
        self.progress.request(event)
        self.done()

    def note(self, text: str) -> None:
        self.progress.note(text)

    def left(self, seconds: float) -> None:
        self.progress.left(seconds)
