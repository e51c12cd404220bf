"""A simulated recording as an xarray Dataset: coordinates, units, provenance, plots, and the way to HyperSpy."""

import json
from typing import Any

import numpy as np
import xarray as xr
from xarray.plot.accessor import DatasetPlotAccessor

from twin.simulation.provenance import caption_of
from twin.simulation.recording import Axis
from twin.simulation.run import Simulated
from twin.simulation.spectrum.run import LOSS, SimulatedSpectrum
from twin.simulation.spectrum.run import caption_of as spectrum_caption

DATA, PATTERNS = "data", "patterns"
"""Names of the variables that hold the recording and the patterns beside a STEM image, as in the Zarr files of ``emtwin simulate``."""
LONG_NAMES = {"theta_x": "angle along x", "theta_y": "angle along y", LOSS: "energy loss"}


class _Plot(DatasetPlotAccessor):
    """`Dataset.plot`, which is called without naming a variable."""

    def __call__(self, **options: Any) -> Any:  # type: ignore[override]
        """The recording: images side by side for several detectors (each with a scale of its own) or defoci (with one scale), the mean pattern of a scan, the
        modulus of a wave, the (mean) spectrum of energy losses; rows run downwards, as in files. ``options`` as `xarray.DataArray.plot` takes them."""
        image = self._ds[DATA]
        if image.dims[-1] == LOSS:
            return image.mean(image.dims[:-1], keep_attrs=True).plot(**options)
        if np.iscomplexobj(image):
            image = abs(image).assign_attrs(image.attrs, long_name="modulus of the exit wave")
        if image.ndim == 4:
            image = image.mean(image.dims[:2], keep_attrs=True)
        image = image.squeeze()
        options.setdefault("yincrease", False)
        if image.ndim == 3 and image.dims[0] == "channel" and not {"col", "row"} & options.keys():
            return _side_by_side(image, options)
        if image.ndim == 3:
            options.setdefault("col", image.dims[0])
        elif image.ndim == 2 and "ax" not in options:
            options.setdefault("aspect", image.sizes[image.dims[1]] / image.sizes[image.dims[0]] * 1.2)
            options.setdefault("size", 4.0)
        return image.plot(**options)


def _side_by_side(images: xr.DataArray, options: dict[str, Any]) -> list[Any]:
    """Images [channel, y, x], each with its own scale: signals of different detectors differ by orders of magnitude."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(images), figsize=(4.4 * len(images), 3.6), squeeze=False)
    drawn = [image.plot(ax=panel, **options) for image, panel in zip(images, panels[0], strict=True)]
    for image, panel in zip(images, panels[0], strict=True):
        panel.set(title=str(image.channel.item()), aspect="equal")
    figure.tight_layout()
    return drawn


class Dataset(xr.Dataset):
    """An `xarray.Dataset` with the recording as its variable ``data``, which `plot` shows when it is called."""

    __slots__ = ()
    plot = xr.core.utils.UncachedAccessor(_Plot)  # type: ignore[assignment]

    @property
    def provenance(self) -> dict[str, Any]:
        """All that is needed to make it again: scenario, seed, versions, cell, grid, sampling, notes and warnings."""
        return json.loads(self.attrs["provenance"])


def dataset_of(simulated: Simulated | SimulatedSpectrum) -> Dataset:
    """The recording with its axes as coordinates. Attributes are text and numbers, so that it saves to Zarr and netCDF; ``provenance`` is JSON."""
    recording, provenance, plan = simulated.recording, simulated.provenance, simulated.ready.plan
    caption = (
        spectrum_caption(simulated.ready) if isinstance(simulated, SimulatedSpectrum) else caption_of(simulated.ready)
    )
    beside = getattr(recording, "patterns", None)
    named = {DATA: recording} if beside is None else {DATA: recording, PATTERNS: beside}
    coordinates = {axis.name: _coordinate(axis) for made in named.values() for axis in made.axes}
    variables = {
        name: xr.Variable(
            [axis.name for axis in made.axes], made.data, {"long_name": made.quantity, "units": made.unit}
        )
        for name, made in named.items()
    }
    return Dataset(variables, coordinates, _attributes(provenance, plan.name, plan.signal, plan.seed, caption))


def _coordinate(axis: Axis) -> xr.Variable:
    values: Any = np.asarray(axis.labels) if axis.labels else axis.values()
    unit = {"units": axis.unit, "step": axis.scale} if axis.unit else {}
    return xr.Variable([axis.name], values, {"long_name": LONG_NAMES.get(axis.name, axis.name), **unit})


def _attributes(provenance: dict[str, Any], name: str, signal: str, seed: int, caption: str) -> dict[str, Any]:
    more = {key: provenance[key]["described"] for key in ("scan", "cell", "sampling") if provenance.get(key)}
    more |= {key: provenance[key] for key in ("thickness", "t_over_lambda") if provenance.get(key) is not None}
    return {
        "title": name, "signal": signal, "description": caption, "structure": provenance["structure"]["described"], **more,
        "computed_as": provenance["form"], "seed": seed, "notes": "\n".join(provenance["notes"]), "warnings": "\n".join(provenance["warnings"]),
        "provenance": json.dumps(provenance),
    }  # fmt: skip


def to_hyperspy(dataset: xr.Dataset, variable: str = DATA) -> Any:
    """A HyperSpy signal (Signal2D, ComplexSignal2D for exit waves, Signal1D for spectra) with axes, units and provenance; ImportError where HyperSpy is not
    installed. Scan axes and numbered images are navigation axes; the type of spectra is "EELS", for exspy. ``variable``: "patterns" for those beside a
    STEM image."""
    try:
        import hyperspy.api as hs  # type: ignore[import-not-found]  # an extra of the user's
    except ImportError as error:
        raise ImportError("HyperSpy is not installed; install it with: pip install hyperspy") from error
    image = dataset[variable]
    spectrum = image.dims[-1] == LOSS
    navigation = image.ndim - (1 if spectrum else 2)
    axes = [_hyperspy_axis(image[name], number < navigation) for number, name in enumerate(image.dims)]
    kind = (
        hs.signals.Signal1D
        if spectrum
        else hs.signals.ComplexSignal2D
        if np.iscomplexobj(image)
        else hs.signals.Signal2D
    )
    signal = kind(image.values, axes=axes)
    if spectrum:
        signal.metadata.Signal.signal_type = "EELS"
    signal.metadata.General.title = dataset.attrs["title"]
    signal.original_metadata.add_dictionary({"emtwin": json.loads(dataset.attrs["provenance"])})
    return signal


def _hyperspy_axis(coordinate: xr.DataArray, navigate: bool) -> dict[str, Any]:
    values, unit = coordinate.values, coordinate.attrs.get("units", "")
    numbers = np.issubdtype(values.dtype, np.number)
    step = float(values[1] - values[0]) if numbers and len(values) > 1 else 1.0
    return {
        "name": str(coordinate.name), "size": len(values), "offset": float(values[0]) if numbers else 0.0, "scale": step,
        "units": "Å" if unit == "angstrom" else unit, "navigate": navigate,
    }  # fmt: skip
