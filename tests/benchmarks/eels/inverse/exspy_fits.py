"""exspy's estimates of the real files, run by an interpreter that has exspy: ``python exspy_fits.py FOLDER`` prints one JSON object as its last line.

Aluminium: the plasmon by exspy's Drude component over a constant, fitted from 12 to 18 eV in the spectrum as it is; its width less the zero loss's as
widths of Lorentzian and Gaussian (Voigt; Olivero and Longbothum's formula) add. t/lambda by `estimate_thickness`, with the zero loss ended where exspy
finds its least slope within a window of 2 to 5 eV: what these differ by is its error. Titanate: a power law and edges of Ti, O and Mn (its hydrogenic
cross-sections have no M shells), in some spectra; the time is that of all.
"""

import json
import math
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
import exspy  # type: ignore[import-not-found]  # noqa: E402
import hyperspy.api as hs  # type: ignore[import-not-found]  # noqa: E402

SPECTRA = 12
"""Spectra of the titanate that are fitted; the time of all is that many times more."""


def aluminium(path: str) -> dict[str, object]:
    """Width and t/lambda."""
    signal = _loaded(path).isig[:2035]
    axis = signal.axes_manager[-1]
    axis.offset -= float(signal.estimate_zero_loss_peak_centre().data[0])
    ends = []
    for window in (2.0, 3.0, 4.0, 5.0):
        end = float(signal.estimate_elastic_scattering_threshold(window=window).data[0])
        if math.isfinite(end):
            ends.append(end)
    detected = [float(signal.estimate_thickness(threshold=end).data[0]) for end in ends]
    part = signal.isig[12.0:18.0]
    model = part.create_model(auto_background=False)
    drude, level = exspy.components.VolumePlasmonDrude(), hs.model.components1D.Offset()
    model.extend([drude, level])
    drude.plasmon_energy.value, drude.fwhm.value, drude.intensity.value = 15.0, 0.6, float(part.data.max())
    level.offset.value = 2e5
    model.fit()
    apparent, zero = float(drude.fwhm.value), _width(signal)
    # Voigt profile: f = 0.5346 l + sqrt(0.2166 l^2 + g^2)
    a, b, c = 0.5346**2 - 0.2166, -2.0 * 0.5346 * apparent, apparent**2 - zero**2
    own = (-b - math.sqrt(b * b - 4.0 * a * c)) / (2.0 * a)
    return {
        "energy": float(drude.plasmon_energy.value), "width": own, "width_error": 0.25 * (apparent - own), "thickness": float(np.mean(detected)),
        "thickness_error": float(np.ptp(detected)) or 0.005, "ends": ", ".join(f"{end:.2f} eV" for end in ends),
    }  # fmt: skip


def titanate(path: str) -> dict[str, object]:
    """Seconds for all spectra."""
    signal = _loaded(path)
    signal.set_microscope_parameters(beam_energy=200.0, convergence_angle=30.0, collection_angle=33.0)
    signal.add_elements(("Ti", "O", "Mn"))
    count = int(signal.axes_manager.navigation_size)
    some = hs.signals.BaseSignal(signal.data.reshape(count, -1)[:: count // SPECTRA][:SPECTRA]).as_signal1D(1)
    part = signal.inav[0, :SPECTRA] if signal.axes_manager.navigation_shape[0] < SPECTRA else signal.inav[:SPECTRA, 0]
    part.data[...] = np.asarray(some.data).reshape(part.data.shape)
    model = part.create_model(GOS="hydrogenic")
    start = time.monotonic()
    model.smart_fit() if SPECTRA == 1 else model.multifit(kind="smart", show_progressbar=False)
    each = (time.monotonic() - start) / SPECTRA
    return {
        "seconds": each * count,
        "model": f"{SPECTRA} of {count} spectra timed: " + ", ".join(part_.name for part_ in model),
    }


def _loaded(path: str):
    loaded = hs.load(path)
    signal = loaded[0] if isinstance(loaded, list) else loaded
    signal.set_signal_type("EELS")
    return signal


def _width(signal) -> float:
    """Full width of the zero loss at half maximum."""
    values, axis = np.asarray(signal.data, float), signal.axes_manager[-1].axis
    above = np.flatnonzero(values > 0.5 * values.max())
    return float(axis[above[-1]] - axis[above[0]] + axis[1] - axis[0])


if __name__ == "__main__":
    folder = sys.argv[1]
    print(
        json.dumps(
            {
                "aluminium": aluminium(f"{folder}/al-low-loss.dm3"),
                "titanate": titanate(f"{folder}/titanate-si-eels.dm3"),
            }
        )
    )
