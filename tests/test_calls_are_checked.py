"""Runtime type checks that `conftest.py` installs: a call with a wrong type or shape raises an error."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from reconstruct.stream.batching import bucket
from reconstruct.stream.sqrt_kernel import KernelReadings, Steps, run
from twin.dynamics.linear import root_of_noise


def _any(value: Any) -> Any:
    """What pyright would not let through."""
    return value


def test_types_where_no_annotation_says_a_shape():
    with pytest.raises(BeartypeCallHintViolation):
        bucket(_any("many"))
    with pytest.raises(BeartypeCallHintViolation):
        root_of_noise(_any([[0.0]]))


def test_shapes_where_annotations_say_them():
    steps = Steps(
        jnp.zeros(1, dtype=int), jnp.eye(2)[None], jnp.eye(2)[None], jnp.zeros((1, 2)), jnp.zeros(1, dtype=int)
    )
    none = jnp.zeros(1)
    readings = KernelReadings(jnp.zeros(1, dtype=int), none, none, none, none, none)
    with pytest.raises(TypeCheckError):
        run(jnp.zeros((1, 2)), jnp.eye(3)[None], steps, readings, np.zeros((1, 2)), np.zeros((1, 2)), np.int64(1))
