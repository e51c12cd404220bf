"""The configuration of the simulated microscope. Every number is an assumption about an instrument, not a measurement.

Units: angstrom, radian, eV, second, kelvin, electron, volt unless a field says otherwise. The twin states its own
beliefs elsewhere.
"""

import zlib

import msgspec
import numpy as np

_THERMAL_B = {"Sr": 0.66, "Ti": 0.42, "O": 0.78, "Ni": 0.45, "Ba": 0.5}
STRUCTURES = ("SrTiO3", "NiO", "BaTiO3")


class SimulatedConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The constants and statistics of one simulated microscope; `checks.from_mapping` is the strict way in."""

    # Specimen
    specimen_seed: int | None = None  # None: the session's seed. Equal specimen seeds share one cached specimen
    structure: str = "SrTiO3"  # one of STRUCTURES; the other two are made to fit the same cell
    cif: str | None = None  # path of a CIF with an orthogonal cell, used instead of `structure`
    lattice: float = 3.905  # A
    repeats_xy: int = 3
    cells: int = 20  # nominal depth in cells
    thickness_scale: float = 1.0
    gpts: int = 160
    slices_per_cell: int = 4
    phonon_configs: int = 4
    thermal_b: dict[str, float] = msgspec.field(default_factory=lambda: dict(_THERMAL_B))  # B = 8 pi^2 <u^2>, A^2
    tilt: tuple[float, float] | None = None  # mean specimen tilt, rad; None: drawn with tilt_sigma per axis
    tilt_sigma: float = 1.5e-3
    bend: float = 3e-5  # rad/A, change of tilt with depth about the mean
    wedge: float = 0.01  # A/A, steepest slope of the thickness
    wedge_swing: float = 2.0  # cells, by how much the thickness goes up and down
    amorphous_entrance: float = 5.0  # A of amorphous carbon
    amorphous_exit: float = 5.0
    amorphous_density: float = 0.095  # atoms/A^3

    # Beam and optics, fixed parts
    energy: float = 200e3  # eV
    semiangle: float = 21.4e-3
    focal_spread: float = 22.0  # A rms
    source_sigma: float = 0.34  # A, Gaussian core
    source_tail: float = 0.12  # share of the current in exponential tails
    source_tail_length: float = 0.6  # A
    cc: float = 1.2e7  # A
    c30_offset: float = 0.0  # A
    c10_zero_sigma: float = 50.0  # A at the start of a session, as all *_sigma below
    c12_sigma: float = 20.0
    c21_sigma: float = 200.0
    c23_sigma: float = 100.0
    c30_sigma: float = 1e4
    c32_sigma: float = 1000.0
    c34_sigma: float = 1000.0
    c50_sigma: float = 3e6

    # Drift of the optics
    c10_walk: float = 3.0  # A per root second
    c12_walk: float = 2.0
    c21_walk: float = 6.0
    c23_walk: float = 2.5
    c30_walk: float = 80.0
    c10_per_kelvin: float = 80.0  # A/K of the lagged coil temperature
    c12_per_kelvin: float = 8.0
    c12_heat: tuple[float, float] | None = (
        None  # A/K of C12.a and C12.b, to heat_spread; None: drawn with c12_per_kelvin
    )
    thermal_lag: float = 170.0  # s
    coil_lag: float = 200.0  # s, coil behind room and water
    mode_heat: float = 0.0  # K by which a change of mode moves the coil in the end, signed
    mode_change_at: float = 0.0  # s from the session's start; may be before it
    heat_spread: float = 0.0  # relative rms, from session to session, of c10_per_kelvin
    room_swing: float = 0.2  # K, air conditioning
    room_flicker: float = 0.1  # K rms, 1/f
    lens_gain_error: float = 0.01  # rms miscalibration of commanded C10 and C12
    lens_lag_shares: tuple[float, float] = (0.03, 0.02)  # of a step of C10, decaying with lens_lag_times
    lens_lag_times: tuple[float, float] = (8.0, 40.0)  # s
    lens_play: float = 2.0  # A, by which C10 stays behind its command for good, on the side it came from
    # (width in A, weight) of each play that C10 is made of, instead of lens_play; the rest of its weight has none
    lens_plays: tuple[tuple[float, float], ...] = ()
    play_rate: float = 0.0  # s that a play takes to follow; 0: at once
    ht_ppm: float = 0.6  # rms of the high tension's real deviation, parts per million
    ht_time: float = 300.0  # s
    current_ppm: float = 0.2  # rms of the objective current's real deviation
    current_time: float = 60.0

    # Deflectors, specimen stage, vibration
    deflector_error: float = 0.01  # rms of scale error; rotation in rad of the same size / 2
    scan_error: float = 0.003  # rms of scan scale error; rotation in rad of the same size
    drift_speed: float = 0.2  # A/s
    drift_turn: float = 0.09  # rad per root second
    stage_error: float = 2000.0  # A rms per axis after a move
    stage_backlash: float = 1000.0  # A
    stage_seconds: float = 4.0  # a move, beam blanked
    creep: float = 0.3  # A per e-fold of time
    creep_time: float = 2.0  # s
    creep_share: float = 0.0  # A of creep per A of a move and e-fold of time, besides `creep`
    holder_lag: float = 6.0  # s, holder behind its set point
    holder_drift: tuple[float, float] = (0.0, 0.0)  # A/K, x and y, of the holder's temperature since the start
    holder_drift_lag: float = 90.0  # s, specimen behind the holder's temperature
    holder_drift_spread: float = 0.0  # relative rms, from session to session, of holder_drift
    vibration: float = 0.03  # A rms
    mains_jitter: float = 0.035  # A rms

    # Detector, gun, dose
    gain: float = 20.0  # counts/electron, nominal
    gain_error: float = 0.02
    black: float = 100.0  # counts
    black_drift: float = 2.0  # counts rms
    readout: float = 5.0  # counts rms
    beam_drift: float = 0.01  # rms of the beam current's slow relative drift
    emission_decay: float = 0.0  # share of the emission lost in the first hour after a flash
    emission_power: float = 0.1  # p of its fall as 1 / (1 + t / tau)^p
    flash_age: float = 1800.0  # s before the session at which the emitter was last flashed
    beam_follows: float = 0.0  # relative change of the beam current per relative change of that emission
    haadf_inner: float = 60e-3  # nominal
    haadf_outer: float = 95e-3
    haadf_inner_error: float = 0.5e-3  # rad, truth minus nominal
    haadf_outer_error: float = -0.8e-3
    detector_scale: float = 1.0  # all true angles times this
    response_azimuthal: float = 0.04  # amplitude of cos(azimuth) in the response
    response_radial: float = -0.03  # response at the outer edge minus the middle's
    parked: float = 0.02  # s of unblanked beam before the first pixel, of a scan that is not `blanked`
    blanker: bool = True  # a fast beam blanker
    dose_limit: float = 1e6  # e/A^2 of one scan

    # Sensors
    ht_divider: float = -2e-3  # typical relative bias of the divider
    ht_noise: float = 0.1  # V
    ht_step: float = 0.05  # V
    temperature_noise: float = 0.015  # K
    temperature_step: float = 0.01
    holder_gain_error: float = 0.0  # relative rms of the holder's thermometer
    dropout: float = 0.02  # share of readings lost
    outlier: float = 0.005  # share of measured readings far off
    late_clock: float = -0.5  # s, one source's clock
    latency: float = 0.06  # s between taking a reading and publishing it
    delay_max: float = 0.0  # s that a reading may be under way besides; most take a sixth of it or less
    stuck_count: int | None = None  # sensors that freeze; None: at most one, by chance, whose noise continues
    stuck_seconds: float = 400.0  # s that they stay so
    session_seconds: float = 1800.0  # s; they freeze between 20 and 70 % of it
    tableau_age: float | None = 1200.0  # s before the session; None: no tableau was ever made


def default_config() -> SimulatedConfig:
    """The healthy microscope."""
    return SimulatedConfig()


def presets() -> dict[str, SimulatedConfig]:
    """The healthy microscope, and microscopes that differ from the operator's prior."""
    return {
        "default": SimulatedConfig(),
        "thick": SimulatedConfig(thickness_scale=1.3),
        "c30": SimulatedConfig(c30_offset=5e4),
        "tilted": SimulatedConfig(tilt=(4e-3, -3e-3)),
        "amorphous": SimulatedConfig(amorphous_entrance=80.0),
        "angles": SimulatedConfig(detector_scale=1.15),
        "other-structure": SimulatedConfig(structure="NiO"),
        "session": _session(),
    }


def _session() -> SimulatedConfig:
    """Half an hour in which known causes (heat, hysteresis, holder, emitter, stage) dominate the drift."""
    return SimulatedConfig(
        mode_heat=5.0,
        mode_change_at=300.0,
        heat_spread=0.2,
        c12_heat=(9.0, -6.0),
        lens_plays=((60.0, 0.03), (250.0, 0.03), (900.0, 0.04)),
        play_rate=2.0,
        holder_drift=(0.35, -0.2),
        holder_drift_spread=0.3,
        holder_gain_error=0.002,
        emission_decay=0.2,
        beam_follows=0.5,
        creep_share=6e-4,
        delay_max=2.0,
        stuck_count=2,
        dropout=0.05,
        outlier=0.01,
        late_clock=3.0,
        c10_walk=0.5,
        c12_walk=0.15,
        drift_speed=0.03,
    )


def generator(seed: int, *labels: str | int) -> np.random.Generator:
    """An independent stream of random numbers for each seed and labels."""
    words = [zlib.crc32(label.encode()) if isinstance(label, str) else label & (2**64 - 1) for label in labels]
    return np.random.default_rng([seed & (2**64 - 1), *words])
