"""The parameters of a deep kernel: a small network, and those of the plain kernel beside it, in units of their prior's standard deviation."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

GAIN_STD, BIAS_STD, SCALE_STD = 0.5, 0.7, 0.7
DEEP_AMPLITUDE, DEEP_STD = 0.5, 0.7
"""Prior median of the amplitude of the deep part, in units of the spread of the values, and the standard deviation of its logarithm."""
LENGTH, LENGTH_STD = 3.0, 1.0
"""The same of the length of an input in the deep part."""


class Layout(NamedTuple):
    """Sizes: parameters of the plain kernel, inputs, hidden units and features."""

    plain: int
    inputs: int
    width: int
    outputs: int


class PatchNetwork(eqx.Module):
    """Features of inputs by one hidden layer: weights in units of their prior's standard deviation, which falls with the number of inputs (Neal 1996), so
    that a feature varies by about one over the pixels, however many inputs there are. ``gain`` scales all inputs, ``scales`` each feature."""

    inner: Float[Array, "i h"]
    bias: Float[Array, " h"]
    outer: Float[Array, "h d"]
    gain: Float[Array, ""]
    scales: Float[Array, " d"]

    def __call__(self, inputs: Float[Array, "n i"]) -> Float[Array, "n d"]:
        """Features [n, d] of ``inputs`` [n, i]."""
        size, width = self.inner.shape
        sums = inputs @ self.inner * (jnp.exp(GAIN_STD * self.gain) / np.sqrt(size))
        hidden = jnp.tanh(sums + BIAS_STD * self.bias[None, :])
        return hidden @ self.outer * (jnp.exp(SCALE_STD * self.scales) / np.sqrt(width))[None, :]


class DeepParameters(eqx.Module):
    """``plain`` parameters of `map_covariance`, ``amplitude`` of the deep part, ``lengths`` of inputs that go past the network,
    and the network. The prior of each number is the standard normal distribution: the penalty of the marginal likelihood that weight decay is."""

    plain: Float[Array, " p"]
    amplitude: Float[Array, ""]
    lengths: Float[Array, " i"]
    network: PatchNetwork

    @property
    def deep_amplitude(self) -> Float[Array, ""]:
        """Amplitude of the deep part in units of the spread of the values."""
        return DEEP_AMPLITUDE * jnp.exp(DEEP_STD * self.amplitude)

    @property
    def input_lengths(self) -> Float[Array, " i"]:
        """Lengths of inputs in the deep part, in units of the inputs."""
        return LENGTH * jnp.exp(LENGTH_STD * self.lengths)


def count(layout: Layout) -> int:
    """How many numbers `parameters` takes."""
    return layout.plain + 2 + layout.inputs + layout.width * (layout.inputs + layout.outputs + 1) + layout.outputs


def parameters(vector: Float[Array, " q"], layout: Layout) -> DeepParameters:
    """The parameters of a vector of `count` numbers."""
    weights = [layout.inputs * layout.width, layout.width, layout.width * layout.outputs]
    sizes = [layout.plain, 1, layout.inputs, *weights, 1]
    plain, amplitude, lengths, inner, bias, outer, gain, scales = jnp.split(vector, np.cumsum(sizes))
    network = PatchNetwork(
        inner.reshape(layout.inputs, layout.width), bias, outer.reshape(layout.width, layout.outputs), gain[0], scales
    )
    return DeepParameters(plain, amplitude[0], lengths, network)


def drawn(key: Array, number: int, layout: Layout) -> Float[Array, "k q"]:
    """``number`` vectors of parameters near the middle of the prior."""
    return 0.5 * jax.random.normal(key, (number, count(layout)), dtype=jnp.float64)
