"""Sessions of one instrument: a recording among others, with lens settings that change with the mode, and numbers that an instrument derives from them."""

import numpy as np

from reconstruct.validation.recording import Further
from reconstruct.validation.session.entries import Entry, contradictions_of_session, time_of
from tests.benchmarks.validate.recordings.made import Made, signal_of
from twin.records import Signal

START = 1_700_000_000 * 10**9
MODES = ("image", "diffraction", "stem")
_CODES = {"image": "2", "diffraction": "1", "stem": "1"}


def _lenses(mode: str, generator: np.random.Generator) -> dict[str, float]:
    """Excitations of a mode: those of the condensers for a probe or a spread beam, those of the projectors for the image or the pattern."""
    probe = mode == "stem"
    own = np.random.default_rng(MODES.index(mode)).uniform(0.2, 0.9, 7)
    varied = {"diffraction": own[3], "intermediate": own[4], "projector1": own[5], "projector2": own[6]}
    # another magnification or camera length within the mode
    varied = {name: float(value * (1.0 + 0.05 * generator.standard_normal())) for name, value in varied.items()}
    above = {"condenser1": 0.9 if probe else 0.25, "condenser2": 0.3 if probe else 0.34, "condenser3": float(own[2])}
    above["condenser2"] *= float(1.0 + 0.02 * generator.standard_normal())
    return {f"lens.{name}": value for name, value in {**above, **varied, "objective": 0.8797984719276428}.items()}


def _derived(lenses: dict[str, float], tension: float) -> dict[str, float]:
    """What the instrument derives from its lenses: smooth functions of all of them."""
    projectors = sum(
        lenses[f"lens.{name}"] * weight
        for name, weight in (("diffraction", 1.0), ("intermediate", 0.7), ("projector1", 0.4), ("projector2", 0.2))
    )
    return {
        "convergence_semiangle": 0.02 * (1.3 - lenses["lens.condenser2"]) * (300e3 / tension) ** 0.5 * 1.0123456,
        "camera_length": 1e9 * projectors * 1.0234567, "magnification": 2e5 * projectors * 1.0345678,
    }  # fmt: skip


def session(seed: int, repeated: bool = False) -> Made:
    """A file of one of three modes, after two to five others of the last minutes of the same instrument. ``repeated``: with the settings of the one before."""
    generator = np.random.default_rng([seed, 52])
    tension = float(generator.choice([200e3, 300e3]))
    count = int(generator.integers(3, 7))
    zero = float(np.round(generator.normal(0.0, 2000.0), 4))
    files: list[tuple[str, dict[str, float]]] = []
    for number in range(count):
        mode = MODES[int(generator.integers(3))] if number else "diffraction"
        if repeated and number == count - 1:
            mode, before = files[-1]
            files.append((mode, {**before, "time.start": START + number * 40 * 10**9}))
            continue
        if number == count - 1 and mode == files[-1][0]:
            mode = MODES[(MODES.index(mode) + 1) % 3]
        lenses = _lenses(mode, generator)
        derived = _derived(lenses, tension)
        if mode == "image":
            derived.pop("camera_length")
            derived |= {"pixel.x": 30.0, "pixel.y": 30.0}
        else:
            derived.pop("magnification")
            derived |= (
                {"pixel.kx": 0.01, "pixel.ky": 0.01}
                if mode == "diffraction"
                else {"pixel.x": 2.0, "pixel.y": 2.0, "dwell": 1e-5}
            )
        values = {"high_tension": tension, "C10": zero, **lenses, **derived, "time.start": START + number * 40 * 10**9}
        files.append((mode, values))
    mode, values = files[-1]
    form = "pattern" if mode == "diffraction" else "image"
    data = generator.poisson(3.0, (16, 16)).astype(np.float64)
    texts = {"instrument": "made", "projection_mode": _CODES[mode]}
    others = []
    for number, (other, claims) in enumerate(files[:-1]):
        drawn = Made(
            "pattern" if other == "diffraction" else "image",
            data,
            claims,
            texts={"instrument": "made", "projection_mode": _CODES[other]},
        )
        signal = signal_of(drawn, claims)
        others.append(Entry(f"file {number}", signal.claims, time_of(signal.claims)))

    def outside(signal: Signal) -> Further:
        entries = [*others, Entry("this", signal.claims, time_of(signal.claims))]
        return Further(contradictions=tuple(contradictions_of_session(entries).get("this", ())))

    return Made(form, data, values, texts=texts, outside=outside, before=others[-1].claims)
