"""Energy-loss spectra as pure functions of their parameters, float64 and differentiable.

A spectrum has an `energy_axis` and a `spectrum_model` (zero loss, valence losses, edges, backgrounds); `expected` counts, their `covariance`, noisy recordings
(`sample`) and the `components` follow from parameters by name, for one spectrum or for all of an image.
"""

from twin.eels.spectrum.atomic_edges import atomic_edge, edges_in, names_of
from twin.eels.spectrum.axis import Axis, energy_axis, offset_by_channels, offset_change
from twin.eels.spectrum.detector import covariance_matrix, expected_counts
from twin.eels.spectrum.dielectric import dielectric_table
from twin.eels.spectrum.edges import Continuum, Edge, continuum, edge
from twin.eels.spectrum.low_loss import iakoubovskii, malis
from twin.eels.spectrum.model import Measured, SpectrumModel, spectrum_model
from twin.eels.spectrum.parameters import Parameter, Values, completed, defaults, flatten, labels, unflatten
from twin.eels.spectrum.prediction import components, covariance, electrons, energies, expected, sample, single_losses

__all__ = [
    "atomic_edge", "Axis", "completed", "components", "Continuum", "continuum", "covariance", "covariance_matrix", "defaults", "dielectric_table",
    "Edge", "edge", "edges_in", "electrons", "energies", "energy_axis", "expected", "expected_counts", "flatten", "iakoubovskii", "labels", "malis",
    "Measured", "names_of", "offset_by_channels", "offset_change", "Parameter", "sample", "single_losses", "spectrum_model", "SpectrumModel",
    "unflatten", "Values",
]  # fmt: skip
