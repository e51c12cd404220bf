"""A belief that stays in step with a live instrument: readings as they come, late, doubled, missing or wrong, and the state at any time.

Time is cut into spans of ``span`` seconds. Within a span every reading is referred to its own time through the drift matrix, and what the
process noise may have done since is added to its variance; a span with few distinct times is cut at each of them instead, which is exact.
Spans younger than ``window`` seconds are open: what comes late goes where it belongs, and the spans from there on are run again. So the
order in which readings arrive makes no difference. Older spans are settled: they become chapters, which a smoother can go back through.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from reconstruct.inference.belief import Belief
from reconstruct.stream.batching import Jump, Runner
from reconstruct.stream.filter_step import FilterCheckpoint, run_span
from reconstruct.stream.history import Chapter
from reconstruct.stream.monitors import Monitors
from reconstruct.stream.observation import Observation, seen_through
from reconstruct.stream.readings.clocks import SourceClock
from reconstruct.stream.readings.health import FAULTS, Health
from reconstruct.stream.readings.ingest import Inbox
from reconstruct.stream.readings.plateaus import Plateaus
from reconstruct.stream.readings.preprocess import no_runs, traits
from reconstruct.stream.resets import Event, Resets
from reconstruct.stream.smoother import Smoother
from twin import checks
from twin.dynamics.inputs import Inputs
from twin.records import Readings
from twin.sensors.model import Model

SPAN = 0.5
WINDOW = 10.0
EXACT = 4
"""Distinct times in a span up to which the span is cut at each of them."""
QUIET = 0.1
"""Share of a reading's variance that the process noise may reach between two cuts of a span; above it a span is cut more often."""
MOST = 4
"""Cuts of a span at most, for that reason."""
OUTLIERS = 0.01
"""Assumed share of readings that are far off."""
CHAPTER = 448
"""Steps of a chapter: with those that questions to the smoother add, no more than fit into one size of the kernel."""


class Stream:
    """Follows one instrument's ``model`` from ``start`` (int64 ns); ``prior`` is a belief of one component then (default: the model's priors)."""

    def __init__(
        self, model: Model, start: int, prior: Belief | None = None, span: float = SPAN, window: float = WINDOW,
        exact: int = EXACT, outliers: float = OUTLIERS,
    ):  # fmt: skip
        checks.require_float64()
        if prior is None:
            mean, cov_sqrt = model.layout.prior_mean(), np.diag(model.layout.prior_std())
            prior = Belief(model.layout, start, np.ones(1), mean[None], cov_sqrt[None])
        if len(prior.weights) != 1 or prior.layout != model.layout or prior.time != start:
            raise ValueError(
                "a stream begins with a belief of one component over its model's layout, at its start; give such a one"
            )
        if not (span > 0 and window >= span and 0 <= outliers < 1):
            raise ValueError(
                f"span {span} s, window {window} s, outliers {outliers}: give a span above zero, no longer than the window, and a share below one"
            )
        self.model, self.start, self.span, self.exact = model, start, round(span * 1e9), exact
        latest = max((clock.latest for clock in model.sources.values()), default=0.0)
        self.window, self._latest = round(max(window, latest) * 1e9), round(latest * 1e9)
        self._traits = traits(model)
        crowd = np.array([max(one.rate * span, 1.0) for one in model.evidence])
        own = np.where(
            self._traits.coarse, self._traits.rounding, (self._traits.variance + self._traits.rounding) / crowd
        )
        ratio = self._traits.wander * span / np.maximum(own, 1e-300)
        self._cuts = int(np.clip(np.ceil(ratio.max(initial=0.0) / QUIET), 1, MOST))
        self._runner = Runner(model.dynamics, model.rows, outliers)
        self._settled = -1
        self._marks = {-1: FilterCheckpoint(start, prior.means[0], prior.cov_sqrt[0], no_runs(len(model.evidence)))}
        self.inputs = Inputs(model.inputs)
        self._inbox = Inbox(model, self._traits, start, self.span, self.inputs)
        self._plateaus = Plateaus(model, self._traits, self._inbox.cells, self.inputs)
        self._seen: list[Observation] = []
        self.chapters = [Chapter.begin(start, prior.means[0], prior.cov_sqrt[0])]
        self._chapter_end = (prior.means[0], prior.cov_sqrt[0])
        self.monitors, self.resets = Monitors(model), Resets(model, start)
        self._heard = start
        self.events: list[Event] = []
        self.evidence = 0.0
        """Log evidence of all that is settled."""

    # --- what comes in

    @property
    def now(self) -> int:
        """The newest time (ns) that the stream knows of."""
        return self._inbox.now

    @property
    def settled(self) -> int:
        """The time (ns) up to which all is settled."""
        return self.start + (self._settled + 1) * self.span

    @property
    def health(self) -> dict[str, Health]:
        """What became of every channel's readings."""
        return self._inbox.health

    def verdicts(self) -> dict[str, str]:
        """A verdict on every channel that the model knows or that has spoken."""
        rates = {one.channel: one.rate if one.reports == "periodic" else 0.0 for one in self.model.sensors}
        return {
            name: self._inbox.of(name).verdict(self.now, rates.get(name, 0.0), self.start)
            for name in {**rates, **self.health}
        }

    def clock(self, source: str) -> SourceClock:
        """The clock of a source; ValueError if the model has no such source."""
        return self._inbox.clock(source)

    def push(self, batches: Iterable[Readings], arrival: int | None = None) -> None:
        """Readings that arrived at ``arrival`` (ns by our clock; None: not known, as from a log). Bad ones are counted, never raised."""
        self._touch(self._inbox.take(batches, arrival))
        self.settle(self.now - self.window)

    def command(self, time: int, changes: Mapping[str, float]) -> None:
        """Controls were told to change at ``time`` (ns)."""
        for name, value in changes.items():
            if f"control:{name}" in self.inputs.sources:
                since = self.inputs.tell(f"control:{name}", time, float(value))
                if since is not None:
                    self._inbox.cells.change(since)
                    self._touch(since)
        self._inbox.now = max(self._inbox.now, time)

    def observe(self, observation: Observation) -> bool:
        """An estimate from an image, at its own time; False, and counted under its name, if it cannot be used or its time is settled.

        ValueError for a quantity that the model does not have.
        """
        for name in observation.names:
            self.model.quantity(name)
        health = self._inbox.of(observation.name)
        if not observation.usable:
            health.not_a_number += 1
            return False
        if observation.time < self.settled:
            health.late += 1
            return False
        health.used += 1
        self._seen = sorted([*self._seen, observation], key=lambda one: (one.time, one.name))
        self._inbox.now = max(self._inbox.now, observation.time)
        self._touch(observation.time)
        return True

    # --- what is believed

    def belief(self, at: int | None = None) -> Belief:
        """The belief at ``at`` (ns; default: now) from all that was read up to then; ValueError for a time that is settled (smooth instead)."""
        mark = self._at(self.now if at is None else at)
        return Belief(self.model.layout, mark.time, np.ones(1), mark.mean[None], mark.cov_sqrt[None])

    def quantities(self, names: Iterable[str], at: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Means [m] and covariance [m, m] of quantities at ``at``; NaN where one hangs on a command that was never told."""
        mark = self._at(self.now if at is None else at)
        return seen_through(self.model, names, mark.mean, mark.cov_sqrt, self.inputs.at(mark.time))

    def smoother(self) -> Smoother:
        """What is known now of any time since the start, from all that has been read since."""
        self._up_to(self._number(self.now))
        open_marks = [self._marks[number] for number in sorted(self._marks) if number > self._settled]
        return Smoother(self.model, self._runner, self.chapters, open_marks, self.inputs)

    def settle(self, until: int) -> None:
        """Settle all spans that end by ``until`` (ns): nothing of theirs may come any more."""
        last = (until - self.start) // self.span - 1
        if last <= self._settled:
            return
        # look ahead as far as nothing is likely to come any more: a sensor that sticks shows only after a while
        self._up_to(max(last, (self.now - self._latest - self.start) // self.span - 1))
        for number in [one for one in sorted(self._marks) if self._settled < one <= last]:
            self._close(self._marks[number], number)
        newest = max(one for one in self._marks if one <= last)
        kept = self._marks[newest]
        self._marks = {newest: kept} | {one: mark for one, mark in self._marks.items() if one > last}
        self._settled = last
        self._inbox.settle(last)
        self._plateaus.settle(last, self.settled)
        self.events += self.resets.look(self.inputs, self.settled)
        self._seen = [one for one in self._seen if one.time >= self.settled]

    # --- inside

    def _number(self, time: int) -> int:
        return max((time - self.start) // self.span, 0)

    def _at(self, at: int) -> FilterCheckpoint:
        if at < max(self.settled, self.start):
            raise ValueError(f"{at} ns is settled (all up to {self.settled} ns is); ask the smoother for it")
        number = self._number(at)
        return self._span(self._up_to(number - 1), number, at)

    def _touch(self, time: int | None) -> None:
        """Something has changed at ``time``: what was run from there on is run again when it is asked for."""
        if time is not None:
            number = max(self._number(time), self._settled + 1)
            self._marks = {one: mark for one, mark in self._marks.items() if one < number}

    def _up_to(self, number: int) -> FilterCheckpoint:
        """The mark at the end of span ``number``, or of the last one before it in which something happened."""
        while True:
            known = max(one for one in self._marks if one <= number)
            for one in sorted(self._inbox.cells.spans(known + 1, number) | self._eventful(known + 1, number)):
                self._marks[one] = self._span(self._marks[known], one, self.start + (one + 1) * self.span)
                changed = self._plateaus.look(self._marks[known], self._marks[one], one, self.settled, self._foreseen)
                known = one
                if changed is not None:
                    self._touch(changed)
                    break
            else:
                return self._marks[known]

    def _foreseen(self, place: int, since: int, time: int) -> tuple[float, float]:
        """Mean and standard deviation of what the sensor at ``place`` should read at ``time`` (ns), by what was believed before ``since``;
        without its offset and inputs."""
        earlier = [one for one in self._marks.values() if one.time <= since] or [self._marks[min(self._marks)]]
        mark = max(earlier, key=lambda one: one.time)
        move, noise, shift = self._runner.transition(max(time - mark.time, 0))
        row = self.model.rows[place]
        spread = np.concatenate([row @ move @ mark.cov_sqrt, row @ noise])
        return float(row @ (move @ mark.mean + shift)), float(np.sqrt(spread @ spread))

    def _eventful(self, first: int, last: int) -> set[int]:
        """Spans from ``first`` to ``last`` in which an image was seen or a command makes the state jump."""
        after, until = self.start + first * self.span - 1, self.start + (last + 1) * self.span - 1
        times = [one.time for one in self._seen]
        times += [
            time for name in {jump.on for jump in self.model.jumps} for time, _ in self.inputs.steps(name, after, until)
        ]
        return {number for number in map(self._number, times) if first <= number <= last}

    def _span(self, before: FilterCheckpoint, number: int, end: int) -> FilterCheckpoint:
        begin = self.start + number * self.span
        seen = [one for one in self._seen if begin <= one.time < begin + self.span and one.time <= end]
        found = self._inbox.cells.digest(number, end, before.runs)
        jumps = self._jumps(begin - 1, min(end, begin + self.span - 1))
        grid = [at for i in range(1, self._cuts) if before.time < (at := begin + i * self.span // self._cuts) < end]
        widened = self._plateaus.reopened.get(number, frozenset())
        return run_span(
            self.model,
            self._runner,
            self._traits,
            before,
            end,
            found,
            jumps,
            seen,
            self.inputs,
            self.exact,
            grid,
            widened,
        )

    def _jumps(self, after: int, until: int) -> list[tuple[int, Jump]]:
        """What commands in (after, until] do to the state, in order of time."""
        layout, n = self.model.layout, len(self.model.layout)
        found = []
        for one in self.model.jumps:
            for time, step in self.inputs.steps(one.on, after, until):
                if abs(step) <= one.least:
                    continue
                move, shift, noise, place = np.eye(n), np.zeros(n), np.zeros((n, n)), layout.index(one.entry)
                if one.set == "prior":
                    entry = layout.entries[place]
                    move[place, place], shift[place], noise[place, place] = 0.0, entry.mean, entry.std
                else:
                    shift[place] = one.mean * step
                    noise[place, place] = abs(one.std * step) + one.fixed
                found.append((time, Jump(move, shift, noise)))
        return sorted(found, key=lambda pair: pair[0])

    def _close(self, mark: FilterCheckpoint, number: int) -> None:
        """A span is settled: into the chapter, the monitors and the sensors' health."""
        if len(self.chapters[-1]) >= CHAPTER:
            last = self.chapters[-1]
            self.chapters.append(Chapter.begin(last.end, *self._chapter_end))
        self.chapters[-1].add(mark.steps)
        self._chapter_end = (mark.mean, mark.cov_sqrt)
        self.evidence += mark.evidence
        found = mark.digest
        if found is None:
            return
        self.monitors.hear((mark.time - self._heard) * 1e-9, found.sensor, mark.innovation, mark.weight)
        self._heard = mark.time
        for names, square in mark.squares:
            self.monitors.see(names, square)
        for place in mark.reopened:
            self.events.append(Event("prior_reset", self.model.evidence[place].channel, mark.time, float("nan")))
        for one in mark.surprises:
            worst = one.names[int(np.argmax(np.abs(one.away)))]
            self.events.append(
                Event("uncommanded_jump", worst, one.time, float(np.abs(one.away).max()), f"chance {one.chance:.1g}")
            )
        self._judge(mark)

    def _judge(self, mark: FilterCheckpoint) -> None:
        found, count = mark.digest, len(self.model.evidence)
        assert found is not None
        squares = np.bincount(found.sensor, weights=mark.weight * mark.innovation**2, minlength=count)
        number = np.bincount(found.sensor, minlength=count)
        out = np.bincount(found.sensor, weights=mark.weight == 0, minlength=count).astype(int)
        for place, sensor in enumerate(self.model.evidence):
            if not (number[place] or found.stuck[place] or found.taken[place]):
                continue
            health = self._inbox.of(sensor.channel)
            odd = int(found.odd[place]) + int(out[place])
            health.stuck += int(found.stuck[place])
            health.outlier += odd
            health.used += int(found.taken[place]) - int(out[place])
            health.repeated += int(found.repeated[place])
            standing = self._plateaus.of(place, mark)
            if standing != health.standing:
                if standing in FAULTS:
                    since, value = int(mark.runs.since[place]), float(mark.runs.last[place])
                    self.events.append(Event(f"{standing}_sensor", sensor.channel, since, value))
                elif health.standing in FAULTS:
                    self.events.append(
                        Event("sensor_recovered", sensor.channel, mark.time, float(mark.runs.last[place]))
                    )
                health.standing = standing
            total = int(found.taken[place]) + int(found.odd[place])
            if total:
                square = squares[place] / number[place] if number[place] else 1.0
                health.weigh(float(square), odd / total, total)
