"""Every form and every way of batching gives the waves of direct multislice: see `tests.physics.checks.forms`."""

import jax.numpy as jnp
import pytest

from tests.physics.checks.forms import crystal_gram, general_gram, prism, ways_of_batching, ways_of_mapping

SMALL = {"cells": (2, 3, 3), "points": 32}


@pytest.mark.slow
def test_the_scattering_matrix_without_interpolation_is_multislice():
    deviation, count = prism(**SMALL, dtype=jnp.complex128, spots=4)
    assert count > 100
    assert deviation < 1e-12


@pytest.mark.slow
def test_the_gram_matrix_is_multislice():
    assert general_gram(**SMALL, dtype=jnp.complex128, spots=3) < 1e-12


@pytest.mark.slow
def test_the_crystals_gram_matrix_is_multislice():
    """In single precision, which is all that it has."""
    assert crystal_gram(**SMALL, spots=3) < 1e-5


@pytest.mark.slow
def test_jit_vmap_and_pieces_change_nothing():
    errors = ways_of_mapping()
    assert len(errors) == 10
    assert max(errors.values()) < 1e-12, errors


@pytest.mark.slow
def test_batches_of_scanned_change_nothing():
    errors = ways_of_batching()
    assert max(errors.values()) < 5e-6, errors
