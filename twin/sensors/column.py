"""Sensors of a probe-forming column and a crystal, for the entries of `twin.state.standard_layout`.

Only channels that are evidence appear: an echo repeats the command, a last-measured value may be old.
A channel that is not reported is absent; nothing is assumed about it.
"""

from twin.channels import channel
from twin.sensors.sensor import Sensor


def standard_sensors(energy: float = 200e3, black: float = 100.0) -> dict[str, Sensor]:
    """Sensor models of a column's common channels at ``energy`` (eV) with a detector whose nominal level is ``black`` (counts).

    Noise figures are assumptions, rather too large than too small: quantisation and slow errors of a channel count as noise here.
    """
    sensors = (
        Sensor("gun.high_tension", {"HT": 1e-6 * energy, "HT.bias": 1.0}, energy, 0.15),
        Sensor("objective.current", {"current": 1e-6, "current.bias": 1e-6}, 0.0, 1.2e-6),
        Sensor("objective.temperature", {"T": 1.0, "T.bias": 1.0}, 0.0, 0.025),
        Sensor("haadf.black", {"black": 1.0}, black, 2.0),
    )
    for sensor in sensors:
        if channel(sensor.channel).kind != "measured":
            raise ValueError(f"{sensor.channel} is of kind {channel(sensor.channel).kind!r}: no evidence")
    return {sensor.channel: sensor for sensor in sensors}
