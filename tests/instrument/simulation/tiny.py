"""A configuration of the simulated microscope that is quick to build: two cells deep on a coarse grid."""

from typing import Any

TINY: dict[str, Any] = {
    "repeats_xy": 2,
    "cells": 2,
    "wedge_swing": 1.0,
    "gpts": 96,
    "phonon_configs": 1,
    "slices_per_cell": 3,
    "specimen_seed": 0,
}
