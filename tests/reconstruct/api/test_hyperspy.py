"""HyperSpy signals in, by what they have; HyperSpy itself is not needed."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reconstruct import measure
from reconstruct.api.hyperspy import signal_of_hyperspy
from reconstruct.measurement.measurement import Map
from reconstruct.measurement.recorded.hyperspy import maps_to_hyperspy
from tests.synthetic.eels.spectra import core_image, recorded
from twin.errors import BadInput

ENERGIES = 400.0 + np.arange(256)


def _axis(name: str, size: int, scale: float, offset: float, units: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, size=size, scale=scale, offset=offset, units=units)


def _signal(data: np.ndarray, **changes: Any) -> SimpleNamespace:
    """What a HyperSpy EELSSpectrum has of what is read."""
    axes = [_axis("y", 6, 0.4, 0.0, "nm"), _axis("x", 8, 0.4, 0.0, "nm"), _axis("Energy loss", 256, 1.0, 400.0, "eV")]
    metadata = {
        "General": {"title": "a titanate"},
        "Acquisition_instrument": {
            "TEM": {"beam_energy": 200.0, "convergence_angle": 21.0, "Detector": {"EELS": {"collection_angle": 33.0}}}
        },
    }
    manager = SimpleNamespace(_axes=axes, signal_dimension=1)
    whole = {"data": data, "axes_manager": manager, "metadata": SimpleNamespace(as_dictionary=lambda: metadata), "_lazy": False}  # fmt: skip
    return SimpleNamespace(**{**whole, **changes})


@pytest.mark.slow
def test_a_spectrum_image_of_hyperspy_is_measured() -> None:
    mean, _ = core_image(6, 8, ENERGIES, 1e5, 0)
    counts = recorded(mean, 1)
    read = signal_of_hyperspy(_signal(counts))
    assert read.kind == "spectrum-image"
    assert [(axis.scale, axis.unit) for axis in read.axes] == [
        (4.0, "angstrom"),
        (4.0, "angstrom"),
        (1.0, "electronvolt"),
    ]
    claims = {
        name: read.claims[name].value for name in ("high_tension", "convergence_semiangle", "collection_semiangle")
    }
    assert claims == pytest.approx(
        {"high_tension": 200e3, "convergence_semiangle": 21e-3, "collection_semiangle": 33e-3}
    )
    result = measure("eels", _signal(counts), elements="Ti,O")
    assert result.outcome == "determined"
    assert result.maps[0].extent == (0.0, 32.0, 24.0, 0.0)


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(BadInput, match="lazy"):
        signal_of_hyperspy(_signal(np.zeros((6, 8, 256)), _lazy=True))
    uneven = SimpleNamespace(_axes=[SimpleNamespace(name="Energy loss", size=256)], signal_dimension=1)
    with pytest.raises(BadInput, match="uneven steps"):
        signal_of_hyperspy(_signal(np.zeros(256), axes_manager=uneven))


def test_maps_out_need_hyperspy_and_say_so() -> None:
    item = Map("electrons_Ti", np.ones((2, 3)), np.ones((2, 3)), "electron", 0.0)
    try:
        import hyperspy.api  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="pip install hyperspy"):
            maps_to_hyperspy([item])
    else:
        (signal,) = maps_to_hyperspy([item])
        assert signal.data.shape == (2, 3)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import exspy
import numpy as np
from reconstruct import measure
from tests.synthetic.eels.spectra import core_image, recorded

energies = 400.0 + np.arange(256)
signal = exspy.signals.EELSSpectrum(recorded(core_image(6, 8, energies, 1e5, 0)[0], 1))
axis = signal.axes_manager[-1]
axis.offset, axis.scale, axis.units = 400.0, 1.0, "eV"
signal.set_microscope_parameters(beam_energy=200.0, convergence_angle=21.0, collection_angle=33.0)
signals = {item.metadata.General.title: item for item in measure("eels", signal, elements="Ti,O").to_hyperspy()}
titanium = signals["electrons_Ti"]
assert titanium.data.shape == (6, 8) and titanium.data[:, :4].mean() > 2.0 * titanium.data[:, 4:].mean()
assert (titanium.get_noise_variance().data > 0.0).all()
print("maps:", ", ".join(sorted(signals)))
"""


@pytest.mark.skipif("EMTWIN_EXSPY" not in os.environ, reason="EMTWIN_EXSPY names no python that has exspy and emtwin")
def test_a_real_eels_spectrum_goes_in_and_maps_come_back() -> None:
    """In one call, in an environment that has HyperSpy and exspy."""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([os.environ["EMTWIN_EXSPY"], "-c", SCRIPT, str(root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "maps: background_exponent, electrons_O, electrons_Ti" in done.stdout
