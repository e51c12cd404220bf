"""The reading of each channel of the simulated microscope at a time: a commanded value, or a noisy, biased measurement."""

import numpy as np

from instrument.simulation.truth.column.column import Column
from instrument.simulation.truth.column.holder import AMBIENT
from instrument.simulation.truth.config import SimulatedConfig
from instrument.simulation.truth.log import Log
from twin.channels import Channel

_ECHOES = {
    "C10.commanded": "C10",
    "C12.a.commanded": "C12.a",
    "C12.b.commanded": "C12.b",
    "beam_shift.x.commanded": "beam_shift.x",
    "beam_shift.y.commanded": "beam_shift.y",
    "stage.x.commanded": "stage.x",
    "stage.y.commanded": "stage.y",
    "holder.temperature.commanded": "holder.temperature",
}
_NEVER_CHANGED = {
    "lens.condenser1": 0.3127,
    "lens.condenser2": 0.4019,
    "lens.condenser3": 0.2764,
    "lens.diffraction": 0.3651,
    "lens.projector": 0.8112,
    "lens.intermediate": 0.2214,
    "lens.adl": 0.4478,
    "stigmator.objective.x": 0.0213,
    "stigmator.objective.y": -0.0087,
    "extraction.voltage.commanded": 4150.0,
    "scan.rotation": 0.0,
    "magnification": 5.1e6,
    "camera_length": 9.1e8,
    "spot_size": 9.0,
    "spectrometer.drift_tube": 0.0,
}
_TEMPERATURES = {
    "objective.temperature": ("coil", 299.4),
    "water.in.temperature": ("water", 291.5),
    "water.out.temperature": ("water", 293.1),
    "room.temperature": ("room", 295.2),
    "holder.temperature": ("room", AMBIENT),
}
_NOISE_BY_NAME = {"gun.emission": 1e-8, "gun.pressure": 2e-9, "column.pressure": 4e-7, "room.pressure": 5.0}


def reported(name: str, t: np.ndarray, log: Log, column: Column, last_measured: dict[str, float]) -> np.ndarray:
    """An echo, or the last measured value (NaN if never measured), at session times ``t`` (s)."""
    if name in _ECHOES:
        return log.commanded(_ECHOES[name], t)
    if name == "lens.objective":
        return 0.8547 + 4e-8 * log.lens()[log.entry(t)]
    if name == "gun.high_tension.commanded":
        return np.full(len(t), column.config.energy)
    return np.full(len(t), _NEVER_CHANGED.get(name, last_measured.get(name, np.nan)))


def noise_of(channel: Channel, c: SimulatedConfig) -> float:
    """Rms noise of one reading, in the channel's unit."""
    by_unit = {
        "kelvin": c.temperature_noise,
        "volt": c.ht_noise,
        "1": 1e-6,
        "tesla": 2e-9,
        "count": 0.3,
        "angstrom": 8.0,
        "radian": 2e-5,
    }
    return _NOISE_BY_NAME.get(channel.name, by_unit.get(channel.unit, 0.0))


def measured(channel: Channel, t: np.ndarray, noise: np.ndarray, bias: float, log: Log, column: Column) -> np.ndarray:
    """Measurements at session times ``t`` (s) with unit-rms ``noise`` [n] and the sensor's own standardised ``bias``."""
    c, paths, name = column.config, column.paths, channel.name
    size = noise_of(channel, c)
    if name in _TEMPERATURES:
        reading = _temperature(name, t, bias, log, column) + size * noise
        return np.round(reading / c.temperature_step) * c.temperature_step
    if name == "gun.high_tension":
        reading = c.energy * (1 + c.ht_divider * (1 + 0.3 * bias)) * (1 + 1e-6 * paths.value("ht", t))
        return np.round((reading + size * noise) / c.ht_step) * c.ht_step
    if name == "objective.current":
        return 1e-6 * paths.value("current", t) + 3e-6 * bias + size * noise
    if name == "gun.emission":
        return column.gun.emission(t, log) + size * noise
    if name in ("gun.pressure", "column.pressure"):
        return (1e-7 if name.startswith("gun") else 2e-5) * (1 + 0.1 * bias + paths.value("vacuum", t)) + size * noise
    if name == "room.pressure":
        return 101000.0 + 600 * bias + paths.value("weather", t) + size * noise
    if name in ("field.x", "field.y"):
        hum = paths.hum(t, 0 if name.endswith("x") else 1)
        return 2e-8 * hum + paths.value(name, t) + 5e-8 * bias + size * noise
    if name in ("stage.x", "stage.y"):
        return np.round(log.commanded(name, t) + 15 * bias + size * noise)
    if name == "stage.z":
        return np.round(-12430.0 + 500 * bias + size * noise)
    if name in ("stage.alpha", "stage.beta"):
        return 0.01 * bias + size * noise
    if name == "haadf.black":
        return column.black(t) + size * noise
    raise ValueError(f"no sensor model for channel {name!r}; add it to `measured`")


def _temperature(name: str, t: np.ndarray, bias: float, log: Log, column: Column) -> np.ndarray:
    """A thermometer's value in K without noise and quantisation."""
    path, base = _TEMPERATURES[name]
    value = base + 0.3 * bias + (column.heat.coil(t) if path == "coil" else column.paths.value(path, t))
    if name == "water.out.temperature":
        value = value + 0.3 * column.heat.coil(t)
    if name == "holder.temperature":
        holder = column.holder
        value = value + holder.rise(t, log) + holder.gain_error * holder.temperature(t, log)
    return value
