"""Progress of a job on stderr: a live view on a terminal, plain lines elsewhere, or nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scenarios.io.pictures import side_by_side

Event = dict[str, Any]

_STYLES = {"answer": "green", "measure": "cyan", "audit": "yellow", "distrusted": "red"}


class Progress(Protocol):
    """Told what a job is doing.

    ``stage`` names a step and how far it is (0 to 1, None where it cannot be known). ``request`` reports one request that is done; every key may
    be absent: ``index`` (from 0), ``count`` (of how many), ``decision`` ("answer", "measure", "audit", "distrusted"), ``why``, ``predicted_error``
    (relative), ``dose_spent`` and ``dose_saved`` (electrons so far), ``state`` ({name: (mean, standard deviation)}, angstrom and
    radian), ``distrusted`` (the model, now), ``time`` (seconds of instrument time since the start), ``images`` ({name: [ny, nx]}, the last predicted one
    beside the measured one). ``note`` says something to remember, ``left``
    about how many seconds the job still takes.
    """

    def stage(self, text: str, fraction: float | None = None) -> None: ...

    def request(self, event: Event) -> None: ...

    def note(self, text: str) -> None: ...

    def left(self, seconds: float) -> None: ...


class SilentProgress:
    """Shows nothing."""

    def stage(self, text: str, fraction: float | None = None) -> None:
        pass

    def request(self, event: Event) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def left(self, seconds: float) -> None:
        pass


class PlainProgress:
    """A line a request, and a line a stage (again at every quarter), for logs and pipes."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._stage = ""
        self._quarter = -1
        self._left: float | None = None

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    def left(self, seconds: float) -> None:
        self._left = seconds

    def _still(self) -> list[str]:
        return [] if self._left is None else [f"({time_left(self._left)})"]

    def stage(self, text: str, fraction: float | None = None) -> None:
        quarter = -1 if fraction is None else int(4 * min(max(fraction, 0.0), 1.0))
        if text == self._stage and quarter <= self._quarter:
            return
        self._stage, self._quarter = text, quarter
        line = text if fraction is None else f"{text}: {100 * fraction:.0f} %"
        self.console.print(" ".join([line, *self._still()]), markup=False)

    def request(self, event: Event) -> None:
        self._stage = ""
        parts = [_numbered(event), str(event.get("decision", "")).ljust(10)]
        if (error := event.get("predicted_error")) is not None:
            parts.append(f"predicted error {100 * error:5.1f} %")
        if event.get("dose_spent") is not None:
            parts.append(_spent(event))
        parts += [f"{name} {value}" for name, value, _ in _state_rows(event.get("state", {}))]
        if event.get("distrusted"):
            parts.append("MODEL DISTRUSTED")
        parts += self._still()
        self.console.print("  ".join(parts), markup=False)


class LiveProgress:
    """A view that redraws itself in place: requests, decisions, dose, state and trust. Use it as a context manager."""

    def __init__(self, title: str, console: Console | None = None):
        self.console = console or Console(stderr=True)
        self._title = title
        self._stage: tuple[str, float | None] = ("starting", None)
        self._event: Event = {}
        self._counts: dict[str, int] = {}
        self._last: list[Event] = []
        self._start = time.monotonic()
        self._end: float | None = None
        self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "LiveProgress":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def left(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def stage(self, text: str, fraction: float | None = None) -> None:
        self._stage = (text, fraction)

    def request(self, event: Event) -> None:
        self._event = {**self._event, **event}
        decision = str(event.get("decision", ""))
        self._counts[decision] = self._counts.get(decision, 0) + 1
        self._last = [*self._last, event][-6:]
        self._stage = ("", None)

    def _render(self) -> Group:
        event = self._event
        head = Text.assemble((self._title, "bold"), f"   {time.monotonic() - self._start:.0f} s")
        if "time" in event:
            head.append(f" (instrument {event['time'] / 60:.1f} min)")
        if self._end is not None:
            head.append(f", {time_left(self._end - time.monotonic())}")
        parts: list[Any] = [head]
        text, fraction = self._stage
        if text:
            parts.append(Text(f"{text}{'' if fraction is None else f': {100 * fraction:.0f} %'}", style="dim"))
        if event.get("count"):
            parts.append(ProgressBar(total=event["count"], completed=sum(self._counts.values()), width=60))
            parts.append(
                Text("   ").join(
                    Text(f"{name} {number}", style=_STYLES.get(name, ""))
                    for name, number in sorted(self._counts.items())
                )
            )
        if "dose_spent" in event:
            parts.append(Text(f"dose {_spent(event)}"))
        if event.get("state"):
            table = Table(box=None, pad_edge=False, show_header=False)
            for name, value, unit in _state_rows(event["state"]):
                table.add_row(name, value, unit)
            parts.append(table)
        if event.get("images"):
            parts.append(side_by_side(event["images"]))
        if "distrusted" in event:
            trusted = not event["distrusted"]
            parts.append(
                Text("model trusted" if trusted else "MODEL DISTRUSTED", style="green" if trusted else "bold red")
            )
        for item in self._last:
            decision = str(item.get("decision", ""))
            line = Text(f"{_numbered(item)}  ")
            line.append(decision.ljust(10), style=_STYLES.get(decision, ""))
            line.append(str(item.get("why", "")), style="dim")
            line.truncate(max(self.console.width - 1, 20), overflow="ellipsis")
            parts.append(line)
        return Group(*parts)


@contextmanager
def open_progress(title: str, console: Console | None = None) -> Iterator[Progress]:
    """A live view where stderr is a terminal, plain lines where it is not."""
    console = console or Console(stderr=True, highlight=False)
    if console.is_terminal:
        with LiveProgress(title, console) as live:
            yield live
    else:
        yield PlainProgress(Console(stderr=True, highlight=False, soft_wrap=True))


def time_left(seconds: float) -> str:
    """Rounded as its uncertainty deserves: to 5 s, from two minutes on to half a minute."""
    if seconds < 120.0:
        return f"about {max(5 * round(seconds / 5), 5)} s left"
    return f"about {round(seconds / 30) / 2:g} min left"


def electrons(number: float) -> str:
    """A number of electrons with a prefix: 1234567 -> '1.23 Me'."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= factor:
            return f"{number / factor:.2f} {prefix}e"
    return f"{number:.0f} e"


def _spent(event: Event) -> str:
    saved = f", saved {electrons(event['dose_saved'])}" if "dose_saved" in event else ""
    return f"spent {electrons(event['dose_spent'])}{saved}"


def _numbered(event: Event) -> str:
    index, count = event.get("index"), event.get("count")
    if index is None:
        return ""
    return f"request {index + 1:3d}" + (f" of {count}" if count else "")


def _state_rows(state: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(name, 'mean +- sigma', '') of every entry; lengths in nanometres from 100 angstrom on."""
    rows = []
    for name, (mean, sigma) in state.items():
        in_nm = max(abs(mean), abs(sigma)) >= 100.0
        scale, unit = (10.0, "nm") if in_nm else (1.0, "Å")
        if "tilt" in name:
            scale, unit = 1e-3, "mrad"
        rows.append((name, f"{mean / scale:.2f} ± {sigma / scale:.2f} {unit}", ""))
    return rows
