"""Half-hour sessions of the simulated truth: commands, arrivals of readings, and estimates from images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import twin
from instrument.simulation.truth.config import presets
from instrument.simulation.truth.session import TruthSession
from reconstruct.stream.observation import Observation
from twin.channels import CHANNELS
from twin.records import Readings
from twin.sensors import Table, read_table

LENGTH = 1800.0
POLL = 0.25
"""Seconds between two polls."""
IMAGES = tuple(10.0 + 300.0 * k for k in range(6))
SCORED = tuple(30.0 + 60.0 * k for k in range(30))
"""Session times (s) at which the estimate is compared with the truth."""
STATES = {
    "defocus.C10": "C10", "astigmatism.a": "C12.a", "astigmatism.b": "C12.b", "C21a": "C21.a", "C21b": "C21.b",
    "C23a": "C23.a", "C23b": "C23.b", "C30": "C30", "specimen.x": "specimen.x", "specimen.y": "specimen.y",
    "HT": "HT", "current": "current", "T": "coil", "T.lagged": "lagged", "water": "water", "room": "room",
    "holder.temperature": "holder.temperature", "emission.total": "emission", "black": "black",
}  # fmt: skip
"""Quantities of the twin, each with its name in the truth."""
IMAGE_ERRORS = {
    "defocus.C10": 4.0, "astigmatism.a": 2.5, "astigmatism.b": 2.5, "C21a": 40.0, "C21b": 40.0, "C23a": 25.0, "C23b": 25.0,
    "C30": 800.0, "specimen.x": 1.0, "specimen.y": 1.0,
}  # fmt: skip
"""Rms errors of estimates from an image; the errors of defocus and C30 are also correlated."""
ECHOES = [channel.name for channel in CHANNELS if channel.kind == "echo"][:20]
OTHERS = [*(channel.name for channel in CHANNELS if channel.kind == "measured"), "corrector.C30"]


def table() -> Table:
    """The simulated microscope's table, as it ships."""
    path = Path(twin.__file__).parent / "tables" / "simulated.toml"
    return read_table(path.read_text(encoding="utf-8"), path.name)


def channels() -> list[str]:
    """Forty channels, half of them echoes, including those of focus, stigmator, stage and heater."""
    echoes = dict.fromkeys([*_DRIVING, *ECHOES])
    return [*list(echoes)[:20], *OTHERS]


_DRIVING = [
    "lens.objective", "C10.commanded", "C12.a.commanded", "C12.b.commanded", "stage.x.commanded", "stage.y.commanded",
    "holder.temperature.commanded",
]  # fmt: skip


@dataclass
class Recorded:
    """One session: mailbox by poll, images with when each is ready (s), truth at `SCORED` [times] by state, and what was done."""

    seed: int
    epoch: int
    mail: list[list[Readings]]
    images: list[tuple[float, Observation]]
    truth: dict[str, np.ndarray]
    commands: list[tuple[float, dict[str, float]]]
    reset: tuple[float, float]
    stuck: dict[str, tuple[float, float]]
    clocks: dict[str, float]
    commanded: dict[str, np.ndarray]
    """What was commanded of lens, stigmators and stage at `SCORED` and at the images' times."""


def record(seed: int, poll: float = POLL) -> Recorded:
    """The session of ``seed``, commands drawn from it, its readings fetched every ``poll`` seconds."""
    session = TruthSession(presets()["session"], seed)
    generator = np.random.default_rng([seed, 4])
    commands, reset = _plan(generator)
    displayed, zero = 0.0, 0.0
    for command_time, changes in commands:
        changes = dict(changes)
        if "reset" in changes:
            zero, displayed = zero + displayed, 0.0
            session.apply(command_time, {"C10": 0.0, "C10.zero": zero})
            continue
        if "lens" in changes:
            displayed = changes.pop("lens") - zero
            changes["C10"] = displayed
        session.apply(command_time, changes)
    times = np.array(SCORED)
    truth = session.state(list(STATES.values()), times)
    quantities = {name: truth[truth_name] for name, truth_name in STATES.items()}
    initial_lag = session.column.heat.coil(np.zeros(1)) - session.column.paths.value("lagged", np.zeros(1))
    quantities["T"] = quantities["T"] + initial_lag[0]
    quantities["emission.total"] = quantities["emission.total"] / 5e-5 - 1.0
    return Recorded(
        seed,
        session.epoch,
        _mail(session, poll),
        [_image(session, command_time, generator) for command_time in IMAGES],
        quantities,
        commands,
        reset,
        session.sensors.stuck(),
        session.sensors.clocks(),
        _commanded(session),
    )


def _plan(generator: np.random.Generator) -> tuple[list[tuple[float, dict[str, float]]], tuple[float, float]]:
    """Commands in order of time. "lens" is the C10 that is requested of the lens, whatever the display shows."""
    commands: list[tuple[float, dict[str, float]]] = [
        (0.5, {"stage.x": 2e4 * generator.standard_normal(), "stage.y": 2e4 * generator.standard_normal()}),
        (generator.uniform(180, 220), {"holder.temperature": 373.15}),
        (generator.uniform(980, 1040), {"holder.temperature": 473.15}),
        (generator.uniform(1280, 1320), {"flash": 1.0}),
    ]
    angle = generator.uniform(0, 2 * np.pi)
    commands.append((603.0, {"stage.x": 5e4 * np.cos(angle), "stage.y": 5e4 * np.sin(angle)}))
    focus, lens = generator.uniform(60, 200), 0.0
    cycle, reset = generator.uniform(350, 550), generator.uniform(950, 1150)
    cycled = 1500.0 * generator.choice([-1, 1])
    steps = []
    while focus < LENGTH - 30:
        if abs(focus - cycle) > 20 and abs(focus - reset) > 20 and abs(focus - 605) > 12:
            steps.append((focus, "focus"))
        focus += generator.uniform(60, 200)
    steps += [(cycle, "out"), (cycle + 8.0, "back"), (reset, "reset")]
    size = 0.0
    zero = 0.0
    for step_time, step in sorted(steps):
        if step == "focus":
            lens = float(np.clip(lens + 120.0 * generator.standard_normal(), -350, 350))
            stigmators = {f"C12.{part}": float(10 * generator.standard_normal()) for part in "ab"}
            commands.append((step_time, {"lens": lens} | (stigmators if generator.random() < 0.3 else {})))
        elif step == "out":
            commands.append((step_time, {"lens": lens + cycled}))
        elif step == "back":
            commands.append((step_time, {"lens": lens}))
        else:
            size = zero - lens
            if abs(size) < 30.0:
                lens = float(zero + 100.0 * generator.choice([-1, 1]))
                commands.append((step_time - 15.0, {"lens": lens}))
                size = zero - lens
            commands.append((step_time, {"reset": size}))
            zero = lens
    return sorted(commands, key=lambda command: command[0]), (reset, size)


def _mail(session: TruthSession, interval: float) -> list[list[Readings]]:
    polls = round(LENGTH / interval)
    mail: list[list[Readings]] = [[] for _ in range(polls)]
    for arrivals in session.arrivals(LENGTH, channels()):
        order = np.argsort(arrivals.arrival, kind="stable")
        numbers, times, values = arrivals.numbers[order], arrivals.times[order], arrivals.values[order]
        poll = ((arrivals.arrival[order] - session.epoch) // round(interval * 1e9)).astype(int)
        edges = np.searchsorted(poll, np.arange(polls + 1))
        for number in np.unique(poll[poll < polls]).tolist():
            batch = slice(edges[number], edges[number + 1])
            mail[number].append(Readings(arrivals.channel, int(numbers[batch][0]), times[batch], values[batch]))
    return mail


def _image(session: TruthSession, seconds: float, generator: np.random.Generator) -> tuple[float, Observation]:
    """An estimate from an image: the truth plus an error drawn from its covariance, available some seconds later."""
    truth = session.state([STATES[name] for name in IMAGE_ERRORS], [seconds])
    value = np.array([truth[STATES[name]][0] for name in IMAGE_ERRORS])
    noise = np.array(list(IMAGE_ERRORS.values()))
    factor = np.zeros((len(IMAGE_ERRORS), 1))
    factor[[list(IMAGE_ERRORS).index("defocus.C10"), list(IMAGE_ERRORS).index("C30")], 0] = 3.0, -600.0
    value = value + noise * generator.standard_normal(len(noise)) + factor @ generator.standard_normal(1)
    time = session.epoch + round(seconds * 1e9)
    return seconds + generator.uniform(2, 6), Observation("image", time, tuple(IMAGE_ERRORS), value, noise, factor)


def _commanded(session: TruthSession) -> dict[str, np.ndarray]:
    times = np.array([*SCORED, *IMAGES])
    lens = session.log.lens()[session.log.entry(times)]
    names = {"astigmatism.a": "C12.a", "astigmatism.b": "C12.b", "specimen.x": "stage.x", "specimen.y": "stage.y"}
    return {"defocus.C10": lens} | {name: session.log.commanded(control, times) for name, control in names.items()}
