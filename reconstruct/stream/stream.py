"""A Kalman filter of a live instrument whose readings may be late, doubled, missing or wrong, with the state at any time.

Time is divided into spans of ``span`` seconds. Within a span each reading is related to the state at its own time through the drift matrix, and the
process noise since then is added to its variance; a span with few distinct times has a step to each of them instead, which is exact. Spans
younger than ``window`` seconds are open: a late reading is put into its span, and the spans from there on are filtered again, so that the order
of arrival makes no difference. Older spans are settled: they become chapters for the smoother.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from reconstruct.inference.belief import Belief, prior_belief
from reconstruct.stream.batching import Runner
from reconstruct.stream.display import html_of
from reconstruct.stream.filter_step import FilterCheckpoint, command_jumps, run_span
from reconstruct.stream.history import Chapter
from reconstruct.stream.monitors import Monitors
from reconstruct.stream.observation import Observation, predict_quantities
from reconstruct.stream.readings.clocks import SourceClock
from reconstruct.stream.readings.health import FAULTS, Health
from reconstruct.stream.readings.ingest import Ingest
from reconstruct.stream.readings.plateaus import Plateaus
from reconstruct.stream.readings.preprocess import no_runs, traits
from reconstruct.stream.resets import Event, Resets
from reconstruct.stream.serialization import FORMAT, State, check_state, identity, put, put_all, taken, taken_all
from reconstruct.stream.smoother import Smoother
from twin import checks
from twin.dynamics.inputs import Inputs
from twin.records import Readings
from twin.sensors.model import Model

SPAN_SECONDS = 0.5
WINDOW_SECONDS = 10.0
MAX_EXACT_TIMES = 4
"""Largest number of distinct times in a span at which it has a step to each of them."""
MAX_PROCESS_NOISE_RATIO = 0.1
"""Largest ratio of the process noise in one step to a reading's variance; above it a span has more steps."""
MAX_CUTS = 4
"""Largest number of steps of a span for that reason."""
OUTLIER_PROBABILITY = 0.01
"""Assumed probability that a reading is an outlier."""
CHAPTER_STEPS = 448
"""Steps of a chapter: with those that requests to the smoother add, they fit into one size of the kernel."""


class Stream:
    """Filters one instrument's readings with its ``model`` from ``start`` (int64 ns), from a ``prior`` of one component then (default: the model's).

    ``span`` and ``window`` in second; ``exact``: largest number of times in a span that have a step each; ``outliers``: assumed probability of one. ValueError
    for a prior that does not fit the model, and where JAX has no float64. Source: Maybeck, Stochastic Models, Estimation and Control (1979).

    >>> from reconstruct import load_model
    >>> stream = Stream(load_model("dens"), start=0)
    >>> times = np.arange(10) * 330_000_000
    >>> stream.push([Readings("Tmeas", 0, times, np.full(10, 400.0))])
    >>> stream.belief()
    <Belief at 1970-01-01T00:00:02: holder.T 400.000 ± 0.041 K; Tmeas.lagged 400.000 ± 0.041 K>
    """

    def __init__(
        self, model: Model, start: int, prior: Belief | None = None, span: float = SPAN_SECONDS, window: float = WINDOW_SECONDS,
        exact: int = MAX_EXACT_TIMES, outliers: float = OUTLIER_PROBABILITY,
    ):  # fmt: skip
        checks.require_float64()
        if not isinstance(model, Model):
            raise ValueError(f"model is a {type(model).__name__}; give what load_model(name or path) returns")
        prior = prior_belief(model.layout, start) if prior is None else prior
        if len(prior.weights) != 1 or prior.layout != model.layout or prior.time != start:
            raise ValueError(
                "the prior must be a belief of one component over the model's layout, at the start of the stream"
            )
        if not (span > 0 and window >= span and 0 <= outliers < 1):
            raise ValueError(
                f"span {span} s, window {window} s, outliers {outliers}: the span must be above zero and not longer than the window, the outlier "
                f"probability below one"
            )
        self.model, self.start, self.span, self.exact = model, start, round(span * 1e9), exact
        latest = max((clock.latest for clock in model.sources.values()), default=0.0)
        self.window, self._latest = round(max(window, latest) * 1e9), round(latest * 1e9)
        self._traits = traits(model)
        readings_per_span = np.array([max(sensor.rate * span, 1.0) for sensor in model.evidence])
        reading_variance = np.where(
            self._traits.coarse,
            self._traits.rounding,
            (self._traits.variance + self._traits.rounding) / readings_per_span,
        )
        ratio = self._traits.diffusion * span / np.maximum(reading_variance, 1e-300)
        self._cuts = int(np.clip(np.ceil(ratio.max(initial=0.0) / MAX_PROCESS_NOISE_RATIO), 1, MAX_CUTS))
        self._runner = Runner(model.dynamics, model.rows, outliers)
        self._settled = -1
        self._checkpoints = {
            -1: FilterCheckpoint(start, prior.means[0], prior.cov_sqrt[0], no_runs(len(model.evidence)))
        }
        self.inputs = Inputs(model.inputs)
        self._ingest = Ingest(model, self._traits, start, self.span, self.inputs)
        self._plateaus = Plateaus(model, self._traits, self._ingest.bins, self.inputs)
        self._observations: list[Observation] = []
        self.chapters = [Chapter.begin(start, prior.means[0], prior.cov_sqrt[0])]
        self._chapter_end = (prior.means[0], prior.cov_sqrt[0])
        self.monitors, self.resets = Monitors(model), Resets(model, start)
        self._monitored_until = start
        self.events: list[Event] = []
        self.evidence = 0.0
        """Log evidence of the settled spans."""

    # --- input

    @property
    def now(self) -> int:
        """The newest time (ns) of a reading, an arrival, a command or an observation."""
        return self._ingest.now

    @property
    def settled(self) -> int:
        """The time (ns) up to which all spans are settled."""
        return self.start + (self._settled + 1) * self.span

    @property
    def health(self) -> dict[str, Health]:
        """Counts of readings and their quality, by channel."""
        return self._ingest.health

    def verdicts(self) -> dict[str, str]:
        """A verdict on every channel of the model and every channel with readings."""
        rates = {sensor.channel: sensor.rate if sensor.reports == "periodic" else 0.0 for sensor in self.model.sensors}
        return {
            name: self._ingest.health_of(name).verdict(self.now, rates.get(name, 0.0), self.start)
            for name in {**rates, **self.health}
        }

    def clock(self, source: str) -> SourceClock:
        """The clock of a source; ValueError if the model has no such source."""
        return self._ingest.clock(source)

    def push(self, batches: Iterable[Readings], arrival: int | None = None) -> None:
        """Readings that arrived at ``arrival`` (ns by our clock; None: not known, as from a log). Bad ones are counted, never raised."""
        self._invalidate_from(self._ingest.take(batches, arrival))
        self.settle(self.now - self.window)

    def command(self, time: int, changes: Mapping[str, float]) -> None:
        """Controls were commanded to change at ``time`` (ns)."""
        for name, value in changes.items():
            if f"control:{name}" in self.inputs.sources:
                since = self.inputs.tell(f"control:{name}", time, float(value))
                if since is not None:
                    self._ingest.bins.change(since)
                    self._invalidate_from(since)
        self._ingest.now = max(self._ingest.now, time)

    def observe(self, observation: Observation) -> bool:
        """An observation from an image; False, and counted under its name, if it cannot be used or its time is settled.

        ValueError for a quantity that the model does not have.
        """
        for name in observation.names:
            self.model.quantity(name)
        health = self._ingest.health_of(observation.name)
        if not observation.usable:
            health.not_a_number += 1
            return False
        if observation.time < self.settled:
            health.late += 1
            return False
        health.used += 1
        self._observations = sorted([*self._observations, observation], key=lambda seen: (seen.time, seen.name))
        self._ingest.now = max(self._ingest.now, observation.time)
        self._invalidate_from(observation.time)
        return True

    # --- estimates

    def belief(self, at: int | None = None) -> Belief:
        """The belief at ``at`` (ns; default: now) from all readings up to then; ValueError for a settled time (use the smoother)."""
        checkpoint = self._checkpoint_at(self.now if at is None else at)
        return Belief(self.model.layout, checkpoint.time, np.ones(1), checkpoint.mean[None], checkpoint.cov_sqrt[None])

    def quantities(self, names: Iterable[str], at: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Means [m] and covariance [m, m] of quantities at ``at``; NaN where one depends on a command that was never reported."""
        checkpoint = self._checkpoint_at(self.now if at is None else at)
        return predict_quantities(
            self.model, names, checkpoint.mean, checkpoint.cov_sqrt, self.inputs.at(checkpoint.time)
        )

    def smoother(self) -> Smoother:
        """A smoother over all readings up to now."""
        self._filtered_to(self._span_number(self.now))
        open_checkpoints = [self._checkpoints[number] for number in sorted(self._checkpoints) if number > self._settled]
        return Smoother(self.model, self._runner, self.chapters, open_checkpoints, self.inputs)

    def settle(self, until: int) -> None:
        """Settle all spans that end by ``until`` (ns): later readings of them are late."""
        last = (until - self.start) // self.span - 1
        if last <= self._settled:
            return
        # filter ahead as far as no more late readings are likely: a sensor that sticks shows only after a while
        self._filtered_to(max(last, (self.now - self._latest - self.start) // self.span - 1))
        for number in [n for n in sorted(self._checkpoints) if self._settled < n <= last]:
            self._settle_span(self._checkpoints[number], number)
        newest = max(number for number in self._checkpoints if number <= last)
        last_checkpoint = self._checkpoints[newest]
        self._checkpoints = {newest: last_checkpoint} | {n: item for n, item in self._checkpoints.items() if n > last}
        self._settled = last
        self._ingest.settle(last)
        self._plateaus.settle(last, self.settled)
        self.events += self.resets.detect(self.inputs, self.settled)
        self._observations = [observation for observation in self._observations if observation.time >= self.settled]

    def _repr_html_(self) -> str:
        """The state now, what stands against single channels, and the events so far."""
        return html_of(self.model.name, self.belief(), self.verdicts(), self.events)

    # --- saved state

    def to_state(self) -> State:
        """All that changes, as plain values (for JSON or a journal's row) and arrays by name, exactly; `from_state` goes on from it.

        Open spans are saved as their readings and run again on demand; settled ones as they were settled.
        """
        newest = max(number for number in self._checkpoints if number <= self._settled)
        values = {
            "format": FORMAT,
            **identity(self.model),
            "start": self.start,
            "span": self.span,
            "window": self.window,
            "exact": self.exact,
            "outliers": self._runner.outlier_probability,
            "settled": self._settled,
            "checkpoint_number": newest,
            "plateaus": self._plateaus.to_state(),
            "inputs": self.inputs.to_state(),
            "monitors": self.monitors.to_state(),
            "resets": self.resets.to_state(),
            "events": [dataclasses.asdict(event) for event in self.events],
            "evidence": self.evidence,
            "monitored_until": self._monitored_until,
        }
        arrays = {"chapter_end.mean": self._chapter_end[0], "chapter_end.cov_sqrt": self._chapter_end[1]}
        put("checkpoint", self._checkpoints[newest].to_state(), values, arrays)
        put("ingest", self._ingest.to_state(), values, arrays)
        put_all("observations", [observation.to_state() for observation in self._observations], values, arrays)
        put_all("chapters", [chapter.to_state() for chapter in self.chapters], values, arrays)
        return values, arrays

    @classmethod
    def from_state(cls, model: Model, values: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> "Stream":
        """The stream that `to_state` saved; ValueError if it is of another model or format."""
        check_state(model, values)
        stream = cls(
            model, values["start"], span=values["span"] * 1e-9, window=values["window"] * 1e-9, exact=values["exact"], outliers=values["outliers"]
        )  # fmt: skip
        stream._settled = values["settled"]
        stream._plateaus.from_state(values["plateaus"])
        stream.inputs.from_state(values["inputs"])
        stream.monitors.from_state(values["monitors"])
        stream.resets.from_state(values["resets"])
        stream.events = [Event(**event) for event in values["events"]]
        stream.evidence, stream._monitored_until = values["evidence"], values["monitored_until"]
        stream._ingest.from_state(*taken("ingest", values, arrays), settled=stream._settled)
        checkpoint = FilterCheckpoint.from_state(*taken("checkpoint", values, arrays))
        stream._checkpoints = {values["checkpoint_number"]: checkpoint}
        stream._observations = [Observation.from_state(*state) for state in taken_all("observations", values, arrays)]
        stream.chapters = [Chapter.from_state(*state) for state in taken_all("chapters", values, arrays)]
        stream._chapter_end = (arrays["chapter_end.mean"], arrays["chapter_end.cov_sqrt"])
        return stream

    # --- filtering

    def _span_number(self, time: int) -> int:
        return max((time - self.start) // self.span, 0)

    def _checkpoint_at(self, at: int) -> FilterCheckpoint:
        if at < max(self.settled, self.start):
            raise ValueError(f"{at} ns is before {self.settled} ns, up to which all is settled; use the smoother")
        number = self._span_number(at)
        return self._run_span(self._filtered_to(number - 1), number, at)

    def _invalidate_from(self, time: int | None) -> None:
        """Discard the checkpoints from ``time`` (ns) on: their spans are filtered again on demand."""
        if time is not None:
            number = max(self._span_number(time), self._settled + 1)
            self._checkpoints = {n: checkpoint for n, checkpoint in self._checkpoints.items() if n < number}

    def _filtered_to(self, number: int) -> FilterCheckpoint:
        """The checkpoint at the end of span ``number``, or of the last span before it with readings or events."""
        while True:
            last = max(n for n in self._checkpoints if n <= number)
            for n in sorted(self._ingest.bins.spans(last + 1, number) | self._spans_with_events(last + 1, number)):
                previous = self._checkpoints[last]
                checkpoint = self._run_span(previous, n, self.start + (n + 1) * self.span)
                self._checkpoints[n] = checkpoint
                changed = self._plateaus.update(previous, checkpoint, n, self.settled, self._predict_reading)
                last = n
                if changed is not None:
                    self._invalidate_from(changed)
                    break
            else:
                return self._checkpoints[last]

    def _predict_reading(self, sensor_index: int, since: int, time: int) -> tuple[float, float]:
        """Mean and standard deviation of the reading of a sensor predicted for ``time`` (ns) from the last checkpoint before ``since`` (ns),
        without its offset and inputs."""
        candidates = [checkpoint for checkpoint in self._checkpoints.values() if checkpoint.time <= since] or [
            self._checkpoints[min(self._checkpoints)]
        ]
        checkpoint = max(candidates, key=lambda checkpoint: checkpoint.time)
        transition, noise, shift = self._runner.transition(max(time - checkpoint.time, 0))
        row = self.model.rows[sensor_index]
        spread = np.concatenate([row @ transition @ checkpoint.cov_sqrt, row @ noise])
        return float(row @ (transition @ checkpoint.mean + shift)), float(np.sqrt(spread @ spread))

    def _spans_with_events(self, first: int, last: int) -> set[int]:
        """Spans from ``first`` to ``last`` with an observation or a command that makes the state jump."""
        after, until = self.start + first * self.span - 1, self.start + (last + 1) * self.span - 1
        times = [observation.time for observation in self._observations]
        times += [
            time for name in {jump.on for jump in self.model.jumps} for time, _ in self.inputs.steps(name, after, until)
        ]
        return {number for number in map(self._span_number, times) if first <= number <= last}

    def _run_span(self, previous: FilterCheckpoint, number: int, end: int) -> FilterCheckpoint:
        begin = self.start + number * self.span
        observations = [
            observation
            for observation in self._observations
            if begin <= observation.time < begin + self.span and observation.time <= end
        ]
        readings = self._ingest.bins.preprocess(number, end, previous.runs)
        jumps = command_jumps(self.model, self.inputs, begin - 1, min(end, begin + self.span - 1))
        grid = [at for i in range(1, self._cuts) if previous.time < (at := begin + i * self.span // self._cuts) < end]
        widened = self._plateaus.reset_to_prior.get(number, frozenset())
        return run_span(
            self.model, self._runner, self._traits, previous, end, readings, jumps, observations, self.inputs, self.exact, grid, widened
        )  # fmt: skip

    def _settle_span(self, checkpoint: FilterCheckpoint, number: int) -> None:
        """Add a settled span to the chapter, the monitors, the events and the sensors' health."""
        if len(self.chapters[-1]) >= CHAPTER_STEPS:
            last = self.chapters[-1]
            self.chapters.append(Chapter.begin(last.end, *self._chapter_end))
        self.chapters[-1].add(checkpoint.steps)
        self._chapter_end = (checkpoint.mean, checkpoint.cov_sqrt)
        self.evidence += checkpoint.evidence
        readings = checkpoint.readings
        if readings is None:
            return
        self.monitors.add_readings(
            (checkpoint.time - self._monitored_until) * 1e-9, readings.sensor, checkpoint.innovation, checkpoint.weight
        )
        self._monitored_until = checkpoint.time
        for names, square in checkpoint.squares:
            self.monitors.add_observation(names, square)
        for sensor_index in checkpoint.reset_to_prior:
            self.events.append(
                Event("prior_reset", self.model.evidence[sensor_index].channel, checkpoint.time, float("nan"))
            )
        for observation in checkpoint.unexpected:
            worst = observation.names[int(np.argmax(np.abs(observation.normalised_error)))]
            size = float(np.abs(observation.normalised_error).max())
            chance = f"chance {observation.probability:.1g}"
            self.events.append(Event("uncommanded_jump", worst, observation.time, size, chance))
        self._update_health(checkpoint)

    def _update_health(self, checkpoint: FilterCheckpoint) -> None:
        readings, count = checkpoint.readings, len(self.model.evidence)
        assert readings is not None
        squares = np.bincount(readings.sensor, weights=checkpoint.weight * checkpoint.innovation**2, minlength=count)
        counts = np.bincount(readings.sensor, minlength=count)
        rejected = np.bincount(readings.sensor, weights=checkpoint.weight == 0, minlength=count).astype(int)
        for sensor_index, sensor in enumerate(self.model.evidence):
            if not (counts[sensor_index] or readings.stuck[sensor_index] or readings.taken[sensor_index]):
                continue
            health = self._ingest.health_of(sensor.channel)
            outliers = int(readings.outliers[sensor_index]) + int(rejected[sensor_index])
            health.stuck += int(readings.stuck[sensor_index])
            health.outlier += outliers
            health.used += int(readings.taken[sensor_index]) - int(rejected[sensor_index])
            health.repeated += int(readings.repeated[sensor_index])
            standing = self._plateaus.of(sensor_index, checkpoint)
            if standing != health.standing:
                if standing in FAULTS:
                    since, value = int(checkpoint.runs.since[sensor_index]), float(checkpoint.runs.last[sensor_index])
                    self.events.append(Event(f"{standing}_sensor", sensor.channel, since, value))
                elif health.standing in FAULTS:
                    self.events.append(
                        Event(
                            "sensor_recovered",
                            sensor.channel,
                            checkpoint.time,
                            float(checkpoint.runs.last[sensor_index]),
                        )
                    )
                health.standing = standing
            total = int(readings.taken[sensor_index]) + int(readings.outliers[sensor_index])
            if total:
                square = squares[sensor_index] / counts[sensor_index] if counts[sensor_index] else 1.0
                health.add_innovations(float(square), outliers / total, total)
