"""A column of another form than the twin's: overlapping lens fields with exponential tails, another saturation law, remanence and leakage between
neighbours. Rays are integrated in steps of half a millimetre, in numpy. The twin's column is calibrated with its tables."""

import dataclasses
import math

import numpy as np
from scipy.optimize import root_scalar

from reconstruct.calibration.rows import Row
from twin.column.elements import Lens
from twin.column.settings import Key, Settings
from twin.column.table import ColumnTable

RAY_STEP = 0.5e-3
"""Metre."""
DESIGN_EXCITATION = 0.88
"""Excitation at which the objective is meant to image its middle to a plane FAR (metre) below, as the twin's does at about this."""
IMAGE_DISTANCE = 0.08
_E, _M, _MU0, _REST = 1.602176634e-19, 9.1093837139e-31, 1.25663706127e-6, 510998.95
NOISE = {"camera_length": 0.005, "magnification": 0.005, "semi_angle": 0.005, "rotation": 0.01}
"""Rms errors with which the tables are measured: relative, rotations in radian."""
EQUIVALENT_WIDTH = 4 / math.pi
"""Width of a sech over the half width of Glaser's bell of equal ampere-turns and equal strength as a weak lens (integral of B^2)."""
SPREAD_SHARE = 0.5
"""Spread of the columns' dimensions, as a share of the table's standard deviations."""
MAX_ATTEMPTS = 10
"""Random sets of settings tried before a column counts as unusable."""


class Unusable(Exception):
    """A column that cannot be focused in one of its modes."""


@dataclasses.dataclass
class OtherColumn:
    """Lenses by name: ``position`` and ``width`` (metre), ``turns`` at excitation 1, ``knee`` (ampere-turns), ``remanence``; planes by name (metre)."""

    lenses: dict[str, dict[str, float]]
    planes: dict[str, float]
    leak: float
    aperture_scale: float

    @classmethod
    def drawn(cls, table: ColumnTable, generator: np.random.Generator) -> "OtherColumn":
        """A random column with dimensions about the means of the twin's table, within a share of its standard deviations."""
        lenses, planes = {}, {}
        objective = table.named(table.of_specimen().objective)
        assert isinstance(objective, Lens)
        width, turns, knee = (_mean(x) for x in (objective.half_width_mm, objective.ampere_turns, objective.saturation))
        design = _as_designed(EQUIVALENT_WIDTH * width * 1e-3, 1.3 * knee, turns)
        z = generator.standard_normal

        def draw(value) -> float:
            mean, std = value if isinstance(value, list) else (value, 0.0)
            return mean + SPREAD_SHARE * std * float(np.clip(z(), -2, 2))

        for element in table.element:
            if isinstance(element, Lens):
                lenses[element.control] = {
                    "position": draw(element.place_mm) * 1e-3,
                    "width": EQUIVALENT_WIDTH * draw(element.half_width_mm) * 1e-3,
                    "turns": draw(element.ampere_turns),
                    "knee": 1.3 * (draw(element.saturation) if element.saturation else 3 * draw(element.ampere_turns)),
                    "remanence": 15.0 * float(z()),
                }
            else:
                planes[element.name] = draw(element.place_mm) * 1e-3
        middle = lenses[objective.control]
        planes["specimen"] = middle["position"] + (planes["specimen"] - middle["position"]) * 0.5
        middle["turns"] *= design
        return cls(lenses, planes, 0.004 * float(z()), 1 + 0.02 * float(z()))

    def matrix(
        self, start: str, end: str, excitations: dict[str, np.ndarray], energy: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Matrices [n, 2, 2] in metre and rotations [n] for ``excitations`` (control -> [n])."""
        count = max(np.size(value) for value in excitations.values())
        edges = np.linspace(
            self.planes[start], self.planes[end], 2 + int(abs(self.planes[end] - self.planes[start]) / RAY_STEP)
        )
        middle, step = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
        potential = energy * (1 + energy / (2 * _REST))
        field = np.zeros((count, len(middle)))
        names = list(self.lenses)
        for number, name in enumerate(names):
            lens = self.lenses[name]
            drive = np.broadcast_to(excitations.get(name, 0.0), count).astype(float)
            near = sum(
                np.broadcast_to(excitations.get(names[i], 0.0), count)
                for i in (number - 1, number + 1)
                if 0 <= i < len(names)
            )
            turns = (drive + self.leak * near) * lens["turns"] + lens["remanence"]
            width = lens["width"] * (
                1 + 0.6 * (turns / lens["knee"]) ** 2
            )  # spreads before its knee, unlike the twin's
            field += (_MU0 * turns / (math.pi * width))[:, None] / np.cosh(
                (middle[None] - lens["position"]) / width[:, None]
            )
        b = math.sqrt(_E / (8 * _M * potential)) * field
        out = np.broadcast_to(np.eye(2), (count, 2, 2)).copy()
        for i in range(len(middle)):
            c, s = np.cos(b[:, i] * step), np.sin(b[:, i] * step)
            over = np.where(np.abs(b[:, i]) > 1e-9, s / np.where(b[:, i] == 0, 1, b[:, i]), step)
            top = c[:, None] * out[:, 0] + over[:, None] * out[:, 1]
            out[:, 1] = -(b[:, i] * s)[:, None] * out[:, 0] + c[:, None] * out[:, 1]
            out[:, 0] = top
        return out, b.sum(axis=1) * step

    def focused(self, start, end, entry, excitations, control, low, high, energy, points: int = 61):
        """``control`` [n] at which matrix entry ``entry`` is zero: the first such place between ``low`` and ``high``; not a number where there is none."""
        count = max(np.size(value) for value in excitations.values())
        grid = np.linspace(low, high, points)
        grid_excitations = {k: np.repeat(np.broadcast_to(v, count), points) for k, v in excitations.items()}
        values = self.matrix(start, end, {**grid_excitations, control: np.tile(grid, count)}, energy)[0][
            :, *entry
        ].reshape(count, points)
        roots = np.full(count, np.nan)
        for n in range(count):
            changes = np.flatnonzero(np.diff(np.sign(values[n])) != 0)
            if len(changes):
                i = changes[0]
                roots[n] = grid[i] - values[n, i] * (grid[i + 1] - grid[i]) / (values[n, i + 1] - values[n, i])
        for _ in range(3):  # by secants
            good = np.isfinite(roots)
            if not good.any():
                break
            broadcast = {**{k: np.broadcast_to(v, count) for k, v in excitations.items()}}
            x = np.where(good, roots, low)
            f0 = self.matrix(start, end, {**broadcast, control: x}, energy)[0][:, *entry]
            f1 = self.matrix(start, end, {**broadcast, control: x + 1e-5}, energy)[0][:, *entry]
            roots = np.where(good, x - f0 * 1e-5 / (f1 - f0), np.nan)
        return roots


def _mean(number: float | list[float]) -> float:
    """The mean of what a table gives."""
    return number[0] if isinstance(number, list) else number


def _as_designed(width: float, knee: float, turns: float) -> float:
    """By what to multiply the objective's ampere-turns so that at STANDARD it images its middle to a plane far below."""
    lens = {"position": 0.0, "width": width, "turns": turns, "knee": knee, "remanence": 0.0}
    objective_column = OtherColumn({"only": lens}, {"middle": 0.0, "far": IMAGE_DISTANCE}, 0.0, 1.0)

    def off(factor: float) -> float:
        return float(
            objective_column.matrix("middle", "far", {"only": np.array([factor * DESIGN_EXCITATION])}, 300e3)[0][
                0, 0, 1
            ]
        )

    return float(root_scalar(off, bracket=(0.6, 1.2)).root)


def table_of(
    other: OtherColumn, generator: np.random.Generator, energy: float, settings_per_mode: int, noisy: bool = True
) -> list[Row]:
    """``settings_per_mode`` settings in focus of each of three modes, with what is measured there; without noise and focus rows for held-out settings."""
    rows: list[Row] = []
    rows += _projector(other, generator, energy, settings_per_mode, noisy, "diffraction")
    rows += _projector(other, generator, energy, settings_per_mode, noisy, "imaging")
    rows += _probe(other, generator, energy, settings_per_mode, noisy)
    return rows


def _projector(other, generator, energy, settings_per_mode, noisy, mode) -> list[Row]:
    """A pattern is focused with the diffraction lens, an image with the objective, at excitations of the others that an operator might choose."""
    rows: list[Row] = []
    count = 0
    pattern = mode == "diffraction"
    for _ in range(MAX_ATTEMPTS):
        n = 3 * settings_per_mode
        excitations = {
            "lens.objective": np.full(n, 0.88),
            "lens.diffraction": generator.uniform(0.5, 0.9, n),
            "lens.intermediate": generator.uniform(0.35, 0.75, n),
            "lens.projector1": generator.uniform(0.3, 0.6, n),
            "lens.projector2": np.full(n, 0.9),
        }
        turned, low, high = ("lens.diffraction", 0.2, 0.7) if pattern else ("lens.objective", 0.7, 1.06)
        entry = (0, 0) if pattern else (0, 1)
        excitations[turned] = other.focused("specimen", "camera", entry, excitations, turned, low, high, energy)
        good = np.isfinite(excitations[turned])
        matrix, turn = other.matrix(
            "specimen", "camera", {k: np.where(good, v, 0.4) for k, v in excitations.items()}, energy
        )
        sign = matrix[:, 0, 1] if pattern else matrix[:, 0, 0]
        value = np.abs(sign) * (1e10 if pattern else 1.0)
        name = "camera_length" if pattern else "magnification"
        focus = "pattern_defocus" if pattern else "defocus"
        rotation = "pattern_rotation" if pattern else "image_rotation"
        for i in np.flatnonzero(good & (value > (0.05e10 if pattern else 1e3))):
            settings = Settings(energy, {k: float(v[i]) for k, v in excitations.items()}, key=Key(mode=mode))
            label = f"{mode} {count + 1}"
            error = generator.standard_normal(2) * noisy
            measured = float(value[i] * math.exp(NOISE[name] * error[0]))
            rows.append(Row(f"{label}, {name}", settings, name, measured, NOISE[name] * float(value[i])))
            if noisy:
                angle = float(turn[i]) + (math.pi if sign[i] < 0 else 0.0) + NOISE["rotation"] * error[1]
                rows.append(Row(f"{label}, rotation", settings, rotation, angle, NOISE["rotation"]))
                rows.append(Row(f"{label}, in focus", settings, focus, 0.0))
            count += 1
            if count == settings_per_mode:
                return rows
    raise Unusable(f"no {mode} comes into focus")


def _probe(other, generator, energy, settings_per_mode, noisy) -> list[Row]:
    rows: list[Row] = []
    count = 0
    for _ in range(MAX_ATTEMPTS):
        n = 3 * settings_per_mode
        excitations = {
            "lens.condenser1": generator.uniform(0.3, 0.9, n),
            "lens.minicondenser": generator.uniform(0.9, 1.0, n),
            "lens.objective": np.full(n, 0.88),
        }
        excitations["lens.condenser2"] = other.focused(
            "gun", "specimen", (0, 1), excitations, "lens.condenser2", 0.15, 0.65, energy
        )
        good = np.isfinite(excitations["lens.condenser2"])
        excitations = {k: np.where(good, v, 0.4) for k, v in excitations.items()}
        down, hole = (
            other.matrix("gun", "specimen", excitations, energy)[0],
            other.matrix("gun", "C2 aperture", excitations, energy)[0],
        )
        diameter = generator.choice([30e-6, 50e-6, 70e-6, 100e-6, 150e-6], n)
        value = np.abs(down[:, 1, 1]) * 0.5 * diameter * other.aperture_scale / np.abs(hole[:, 0, 1])
        for i in np.flatnonzero(good & (value > 1e-3) & (value < 60e-3)):
            controls = {k: float(v[i]) for k, v in excitations.items()} | {"aperture.C2": float(diameter[i]) * 1e10}
            settings = Settings(energy, controls, key=Key(mode="probe"))
            measured = float(value[i] * math.exp(NOISE["semi_angle"] * generator.standard_normal() * noisy))
            error = NOISE["semi_angle"] * float(value[i])
            label = f"probe {count + 1}"
            rows.append(Row(f"{label}, semi-angle", settings, "semi_angle", measured, error))
            if noisy:
                rows.append(Row(f"{label}, in focus", settings, "probe_defocus", 0.0))
            count += 1
            if count == settings_per_mode:
                return rows
    raise Unusable("no probe comes into focus")
