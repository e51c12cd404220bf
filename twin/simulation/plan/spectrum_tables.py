"""What ``emtwin simulate`` is asked for with signal = "eels": the tables of a scenario, each key with its unit and meaning.

Units are the ones used inside emtwin, except where a key's name says otherwise (``_keV``, ``_mrad``, ``_pA``); densities are in g/cm^3, as tables have them.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from twin.simulation.plan.keys import RAD, Mistaken, Table, key, tables_of
from twin.simulation.plan.tables import (
    EV,
    NO_DOSE,
    Level,
    NotNegative,
    Plan,
    Positive,
    Probes,
    Seed,
    Share,
    Width,
)

EELS = "eels"
"""The signal of these tables."""
Electronvolts = Annotated[float, Meta(ge=-1e4, le=1e5)]
Energy = Annotated[float, Meta(gt=0, le=1e4)]
"""A loss or a width in eV."""
Term = tuple[Energy, Energy, NotNegative]
Line = tuple[Electronvolts, Energy, Level]
NANOMETRE = Mistaken("nm", 10.0, 20.0, 1e4)
VOLT = Annotated[float, Meta(ge=-1e4, le=1e4)]


class CompositionPlan(Plan, frozen=True):
    """What the beam goes through: a structure, a formula with its density, or atoms per area."""

    structure: Annotated[
        str | None,
        key("", "a crystal known by name, or a structure file, its path relative to the scenario's", default="none"),
    ] = None
    formula: Annotated[
        str | None, key("", "atoms of each element, as in SrTiO3 or Al0.3Ga0.7As; with density", default="none")
    ] = None
    density: Annotated[
        Annotated[float, Meta(gt=0, le=50)] | None,
        key("g/cm^3", "density of the formula; of atoms per area where thickness is not given", default="none"),
    ] = None
    areal_density: Annotated[
        dict[str, NotNegative] | None, key("1/angstrom^2", "atoms per area of each element", default="none")
    ] = None
    thickness: Annotated[
        Width | None,
        key(
            "angstrom",
            "thickness along the beam; needed for a structure or a formula",
            mistaken=NANOMETRE,
            default="none",
        ),
    ] = None
    occupancy: Annotated[
        dict[str, Share], key("", "share of each element's sites that is filled: vacancies are the rest")
    ] = {}
    wedge: Annotated[
        float,
        key("angstrom", "how much thicker the last column of a scan is than the first", ge=-1e5, le=1e5),
    ] = 0.0


class ElectronsPlan(Plan, frozen=True):
    """The beam on the specimen."""

    energy_keV: Annotated[float, key("keV", "electron energy", ge=1, le=10_000, mistaken=EV)]
    semiangle_mrad: Annotated[
        float, key("mrad", "convergence semi-angle; 0 is a parallel beam", ge=0, lt=200, mistaken=RAD)
    ] = 0.0
    current_pA: Annotated[
        Positive | None, key("pA", "current; with spectrometer.exposure, instead of dose.electrons", default="none")
    ] = None
    high_tension_change: Annotated[
        VOLT, key("volt", "deviation of the high tension, which moves the energy axis by as much")
    ] = 0.0


class SpectrometerPlan(Plan, frozen=True):
    """The spectrometer and its camera: energy axis, angles, and how counts are made of electrons."""

    collection_mrad: Annotated[
        float, key("mrad", "collection semi-angle", ge=0.1, le=300, mistaken=Mistaken("rad", 1e3, 0.3, 300.0))
    ]
    dispersion: Annotated[
        float, key("eV", "energy of a channel", gt=0, le=100, mistaken=Mistaken("meV", 1e-3, 1e-3, 5.0))
    ]
    offset: Annotated[
        float,
        key("eV", "energy loss in the centre of the first channel; negative to have the zero loss", ge=-1e4, le=1e4),
    ]
    channels: Annotated[int, key("", "channels of a spectrum", ge=16, le=65_536)] = 2048
    exposure: Annotated[
        Positive | None, key("second", "exposure of a spectrum; with beam.current_pA", default="none")
    ] = None
    acceptance: Annotated[
        float, key("", "share of the beam's electrons that enters: what elastic scattering leaves", gt=0, le=1)
    ] = 1.0
    drift_tube: Annotated[
        VOLT, key("volt", "voltage of the drift tube beyond that at which offset is right: it moves the energy axis")
    ] = 0.0
    gain: Annotated[Positive, key("counts/electron", "counts for each electron")] = 1.0
    excess: Annotated[
        float, key("", "variance over squared mean of an electron's counts: 1 for electron multiplication", ge=0, le=10)
    ] = 0.0
    dark: Annotated[Level, key("counts", "dark level of a channel")] = 0.0
    readout: Annotated[NotNegative, key("counts", "readout noise of a channel, rms")] = 0.0
    spread: Annotated[
        float, key("channels", "rms of the Gaussian by which an electron is spread; 0 is none", ge=0, le=50)
    ] = 0.0
    tail: Annotated[float, key("", "share of an electron's counts in a Lorentzian's tails", ge=0, lt=1)] = 0.0
    tail_width: Annotated[float, key("channels", "half width of that Lorentzian", gt=0, le=200)] = 4.0
    pattern: Annotated[float, key("", "fixed pattern: rms of the channels' gain over its mean", ge=0, le=0.5)] = 0.0


class ZeroLossPlan(Plan, frozen=True):
    """The zero loss: a Gaussian with exponential tails (field emission; `twin.eels.spectrum.zero_loss`)."""

    width: Annotated[
        float, key("eV", "full width at half maximum", gt=0, le=100, mistaken=Mistaken("meV", 1e-3, 5e-3, 5.0))
    ] = 0.8
    loss_tail: Annotated[float, key("eV", "length of its tail towards losses", gt=0, le=100)] = 0.1
    gain_tail: Annotated[float, key("eV", "length of its tail towards gains", gt=0, le=100)] = 0.05


class LowLossPlan(Plan, frozen=True):
    """Losses to valence electrons: thickness in mean free paths, and the shape of single losses."""

    t_over_lambda: Annotated[
        Annotated[float, Meta(ge=0, le=20)] | None,
        key("", "thickness over the inelastic mean free path", default="from thickness"),
    ] = None
    mean_free_path: Annotated[Width | None, key("angstrom", "inelastic mean free path", default="by formula")] = None
    formula: Annotated[
        Literal["iakoubovskii", "malis"], key("", "of the mean free path: by density, or by composition")
    ] = "iakoubovskii"
    plasmons: Annotated[
        Annotated[list[Term], Meta(min_length=1, max_length=20)] | None,
        key("eV", "terms [energy, full width, relative strength]", default="one of free valence electrons"),
    ] = None
    gap: Annotated[Energy | None, key("eV", "band gap", default="none")] = None
    gap_kind: Annotated[Literal["direct", "indirect"], key("", "of the gap: how losses rise above it")] = "direct"
    dielectric: Annotated[
        str | None,
        key(
            "",
            "text file of three columns: energy in eV, eps1, eps2; its path relative to the scenario's",
            default="none",
        ),
    ] = None
    surface: Annotated[bool, key("", "losses by both faces as well; with dielectric")] = False


class EdgePlan(Plan, frozen=True):
    """The shape of an edge that is not the free atom's; NAME as in "Ti L"."""

    shift: Annotated[float, key("eV", "chemical shift of onset and lines", ge=-100, le=100)] = 0.0
    onset_width: Annotated[float, key("eV", "full width of the onset", gt=0, le=100)] = 0.5
    white_lines: Annotated[
        NotNegative | None,
        key(
            "",
            "area of the white lines of L3,2 (M5,4) over that of the continuum from 50 to 100 eV above the onset; 0: none",
            default="the atom's, where a crystal field or a ratio is given",
        ),
    ] = None
    ratio: Annotated[Positive | None, key("", "L3/L2 ratio of the white lines' areas", default="2")] = None
    line_width: Annotated[Energy, key("eV", "full width of L3 lines")] = 1.0
    line_width_ratio: Annotated[Positive, key("", "width of L2 lines over that")] = 1.3
    crystal_field: Annotated[
        Annotated[float, Meta(ge=-20, le=20)] | None,
        key("eV", "splitting of each white line into t2g and eg", default="not split"),
    ] = None
    eg_share: Annotated[Share, key("", "share of a line's area in eg")] = 0.4
    lines: Annotated[
        Annotated[list[Line], Meta(max_length=20)],
        key("eV", "further lines [energy above onset, full width, area over the continuum's]"),
    ] = []


class PowerLawPlan(Plan, frozen=True):
    """A power law E^-exponent, beside what valence losses and lower edges leave."""

    level: Annotated[Positive, key("1/eV", "share of the beam in 1 eV at that energy")]
    energy: Annotated[Energy, key("eV", "energy loss at which level holds")]
    exponent: Annotated[float, key("", "exponent r of E^-r", ge=0, le=20)] = 3.0


class SpectraPlan(Plan, frozen=True):
    """A raster of spectra: a spectrum image, without channelling."""

    shape: Annotated[tuple[Probes, Probes], key("", "spectra (ny, nx): rows and columns")]
    pixel: Annotated[Width, key("angstrom", "distance of two spectra")] = 1.0


class SpectrumDosePlan(Plan, frozen=True):
    """Electrons, for counting noise; without them, or current and exposure, a spectrum is noise-free, in shares of the beam."""

    electrons: Annotated[Positive, key("electrons", "on the specimen, for each spectrum", zero=NO_DOSE)]


class SpectrumSimulation(Plan, frozen=True):
    """An energy-loss spectrum: a composition, a beam and a spectrometer."""

    name: Annotated[str, key("", "name of the scenario, shown in the picture", min_length=1)]
    kind: Annotated[Literal["simulate"], key("", "what kind of scenario this is")]
    signal: Annotated[Literal["eels"], key("", "what is computed")]
    specimen: CompositionPlan
    beam: ElectronsPlan
    spectrometer: SpectrometerPlan
    description: Annotated[str, key("", "one sentence on what this is")] = ""
    zero_loss: ZeroLossPlan = ZeroLossPlan()
    low_loss: LowLossPlan = LowLossPlan()
    edges: dict[str, EdgePlan] = {}
    backgrounds: dict[str, PowerLawPlan] = {}
    scan: SpectraPlan | None = None
    dose: SpectrumDosePlan | None = None
    memory_MB: Annotated[float, key("MB", "bound of the memory of the result", ge=1, le=1e9)] = 2000.0
    seed: Annotated[Seed, key("", "seed of fixed pattern and counting noise")] = 0
    folder: str = ""  # where relative paths start: the folder of the file it came from

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they were read."""
        return msgspec.to_builtins(self)


def spectrum_tables() -> tuple[Table, ...]:
    """Every table of such a scenario, with its keys."""
    return tables_of(SpectrumSimulation)


def listed() -> tuple[Table, ...]:
    """The same for people, who read them after those of the other signals."""
    return tuple(table._replace(where='signal = "eels"') for table in spectrum_tables())
