"""Strict decoding and range checks of a simulated microscope's configuration."""

import math

import msgspec

from instrument.simulation.truth.config import STRUCTURES, SimulatedConfig
from twin.channels import CHANNELS

_POSITIVE = {
    *("lattice", "repeats_xy", "cells", "thickness_scale", "gpts", "slices_per_cell", "phonon_configs", "energy"),
    *("semiangle", "haadf_inner", "haadf_outer", "detector_scale", "cc", "thermal_lag", "coil_lag", "ht_time"),
    *("current_time", "creep_time", "gain", "dose_limit", "amorphous_density", "stage_seconds", "ht_step"),
    *("temperature_step", "source_tail_length", "holder_lag", "holder_drift_lag", "emission_power", "session_seconds"),
    "stuck_seconds",
}
_SIGNED = {
    *("c30_offset", "bend", "haadf_inner_error", "haadf_outer_error", "response_azimuthal", "response_radial"),
    *("ht_divider", "late_clock", "specimen_seed", "tilt", "lens_lag_shares", "mode_heat", "mode_change_at"),
    "holder_drift",
    "c12_heat",
}
_HIGHEST = {
    "gpts": 1024,
    "cells": 500,
    "repeats_xy": 12,
    "phonon_configs": 64,
    "slices_per_cell": 16,
    "semiangle": 0.2,
    "haadf_inner": 0.5,
    "haadf_outer": 0.5,
    "source_tail": 0.9,
    "dropout": 0.5,
    "outlier": 0.5,
    "wedge": 0.2,
    "amorphous_density": 0.17,
    "energy": 3e6,
    "emission_decay": 0.9,
    "beam_follows": 1.0,
    "stuck_count": sum(channel.kind == "measured" for channel in CHANNELS),
}


def from_mapping(values: dict[str, object] | None) -> SimulatedConfig:
    """The configuration of a JSON or TOML table. ValueError naming key, value and cure when one is wrong."""
    try:
        config = msgspec.convert(values or {}, SimulatedConfig, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"simulated microscope: {error}; the keys are {', '.join(SimulatedConfig.__struct_fields__)}"
        ) from error
    return check(config)


def check(config: SimulatedConfig) -> SimulatedConfig:
    """The same configuration if every value is valid; else ValueError naming key, value and cure."""

    def refuse(key: str, value: object, cure: str) -> ValueError:
        return ValueError(f"simulated microscope: {key} = {value!r} cannot be used; {cure}")

    for key, value in msgspec.structs.asdict(config).items():
        if isinstance(value, dict):
            numbers = list(value.values())
        elif isinstance(value, tuple):
            numbers = [number for item in value for number in (item if isinstance(item, tuple) else (item,))]
        else:
            numbers = [value] if isinstance(value, int | float) else []
        for number in numbers:
            if not math.isfinite(number):
                raise refuse(key, value, "give a finite number")
            if key in _POSITIVE and number <= 0:
                raise refuse(key, value, "give a number above zero")
            if key not in _SIGNED and number < 0:
                raise refuse(key, value, "give zero or more")
            if key in _HIGHEST and number > _HIGHEST[key]:
                raise refuse(key, value, f"give at most {_HIGHEST[key]}")
    if config.structure not in STRUCTURES:
        raise refuse("structure", config.structure, f"give one of {', '.join(STRUCTURES)}, or a cif")
    if config.tilt is not None and max(abs(t) for t in config.tilt) > 0.05:
        raise refuse("tilt", config.tilt, "give two angles in rad within 0.05")
    if min(config.lens_lag_times) <= 0:
        raise refuse("lens_lag_times", config.lens_lag_times, "give two times above zero")
    if sum(weight for _, weight in config.lens_plays) >= 1:
        raise refuse("lens_plays", config.lens_plays, "give weights that sum to less than one")
    if config.emission_power < 0.01:
        raise refuse("emission_power", config.emission_power, "give at least 0.01")
    if config.haadf_inner >= config.haadf_outer:
        raise refuse("haadf_inner", config.haadf_inner, f"give an angle below haadf_outer = {config.haadf_outer}")
    if config.wedge_swing >= config.cells * config.thickness_scale:
        raise refuse("wedge_swing", config.wedge_swing, "give fewer cells than the specimen is deep")
    return config
