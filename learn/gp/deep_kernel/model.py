"""The map of one number by a Gaussian process with a deep kernel, trained as measurements come in; used as the plain `GPMap` is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from threadpoolctl import threadpool_limits

from learn.gp.deep_kernel.network import Layout, drawn
from learn.gp.deep_kernel.process import Data, Pixels, Predicted, conditioned, predicted
from learn.gp.deep_kernel.training import Chains, climb, explore
from learn.gp.evidence import calibration
from learn.gp.kernels import map_prior
from learn.gp.spectra import MapPrediction, centre_and_scale, check_measured
from reconstruct.eels.columns.response import EdgeResponse
from twin import checks

PADDED_TO = 32
CHAINS, ROUNDS = 8, 6
FIRST_CLIMB, FIRST_ROUNDS = 60, 40
FIRST_STEP = 0.1
WIDTH, OUTPUTS = 8, 3
MOST_TRAINED = 128
"""Measured values that the parameters are drawn by: a trajectory's time grows with the third power of their number. The map is predicted from all."""
CORRELATED = 4
"""Every so many of the draws enters the correlations within the map; all enter its mean and variances."""


class DeepGPMap:
    """Gaussian process of a map over ``shape`` = (rows, columns) pixels: the kernel of `GPMap` over position and ``features`` [n, f], and a deep one over
    features and ``patches`` [n, i] and what a network makes of both; pixels in row order.

    `image_features` and `patch_inputs` make them of a fine image. The prediction is averaged over draws of all parameters, the network's among them, from
    their posterior: see `learn.gp.deep_kernel.training`. After Wilson et al. (AISTATS 2016) and Roccapriore, Kalinin & Ziatdinov (Adv. Sci. 2022), who
    measure with deep kernels.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        features: Float[np.ndarray, "n f"],
        patches: Float[np.ndarray, "n i"],
        seed: int = 0,
        response: EdgeResponse | None = None,
        chains: int = CHAINS,
        width: int = WIDTH,
        outputs: int = OUTPUTS,
    ):
        """``width`` hidden units make ``outputs`` features. ``response``: how pixels differ by what lies under them, as `GPMap` has it. ``seed`` of the
        chains: the same calls give the same numbers. ValueError if shape, inputs and response do not agree, or there are no inputs."""
        for name, given in (("features", features), ("patches", patches)):
            if np.ndim(given) != 2 or given.shape[0] != shape[0] * shape[1]:
                raise ValueError(
                    f"{name} of shape {np.shape(given)} for {shape[0]} x {shape[1]} pixels; give one row for each pixel"
                )
            if not np.isfinite(given).all():
                raise ValueError(f"the {name} hold values that are not finite; leave them out or fill them in first")
        inputs = np.concatenate([features, patches], axis=1).astype(np.float64)
        if not inputs.shape[1]:
            raise ValueError("there are neither features nor patches for a network; use GPMap")
        if min(chains, width, outputs) < 1:
            raise ValueError(f"{chains} chains of {width} units and {outputs} features are no network; give 1 or more")
        self.shape = shape
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        self.positions = np.stack([rows.ravel(), columns.ravel()], axis=1).astype(np.float64)
        self.features, self.inputs = np.asarray(features, dtype=np.float64), inputs
        self.response = response or EdgeResponse(np.zeros((inputs.shape[0], 0)), np.zeros(0))
        if self.response.harmonics.shape != (inputs.shape[0], self.response.frequencies.size):
            raise ValueError(
                f"a response of {self.response.harmonics.shape[0]} pixels for {shape[0]} x {shape[1]}; give one row for each pixel"
            )
        self._rates = 2.0 * (np.pi * self.response.frequencies) ** 2
        self.prior = map_prior(float(max(shape)), features.shape[1], self._rates.size > 0)
        self._layout = Layout(self.prior.mean.size, inputs.shape[1], width, outputs)
        self._key = jax.random.key(seed)
        self._ranks = np.random.default_rng(seed).permutation(len(inputs))
        self._number = chains
        self._chains: Chains | None = None
        self.accepted = np.nan
        """Share of trajectories that the last update accepted."""

    def predict(
        self, measured: Int[np.ndarray, " m"], values: Float[np.ndarray, " m"], variances: Float[np.ndarray, " m"]
    ) -> MapPrediction:
        """The map from values at some pixels (indices in row order) with their counting variances. Its own variances are scaled by what the left-out
        predictions tell (`calibration`).

        Chains of draws go on from the last call, so that a few new values take a few trajectories. Raises ValueError as `GPMap.predict` does.
        """
        checks.require_float64()
        check_measured(len(self.positions), measured, values, variances)
        values, variances = values.astype(np.float64), variances.astype(np.float64)
        centre, scale = centre_and_scale(values, variances, self._rates.size > 0)
        scaled, noise = (values - centre) / scale, variances / scale**2
        data, layout = self._data(measured, scaled, noise), self._layout
        some = np.argsort(self._ranks[measured])[:MOST_TRAINED]
        trained = data if len(some) == values.size else self._data(measured[some], scaled[some], noise[some])
        # matrices of a few dozen rows: BLAS threads would only wait for each other
        with threadpool_limits(limits=1, user_api="blas"):
            draws = self._update(trained, layout)
            everywhere = self._pixels(np.arange(len(self.positions)), 0)
            mean, within, *others = (np.asarray(each) for each in _predictions(draws, everywhere, data, layout))
            covariance = np.asarray(_covariance(draws[::CORRELATED], mean, everywhere, data, layout))
        off, spread, errors = (each[:, : values.size] for each in others)
        factor = calibration(off, spread, errors, np.full(len(draws), 1.0 / len(draws)))
        std = scale * np.sqrt(factor * (np.maximum(within, 0.0).mean(0) + mean.var(0)))
        share = std / np.sqrt(np.maximum(covariance.diagonal(), 1e-300))
        return MapPrediction(centre + scale * mean.mean(0), covariance * share[:, None] * share[None, :])

    def _update(self, data: Data, layout: Layout) -> Float[Array, "k q"]:
        """Draws of the parameters given the data: the states of the chains half way and at the end."""
        chains, rounds = self._chains, ROUNDS
        if chains is None:
            start = drawn(self._next_key(), self._number, layout)
            first = Chains(climb(start, data, layout, FIRST_CLIMB), jnp.asarray(FIRST_STEP))
            chains, rounds = first, FIRST_ROUNDS
        after, states, accepted = explore(chains, self._next_key(), data, layout, rounds)
        self._chains, self.accepted = after, float(accepted)
        return jnp.concatenate([states[-1 - ROUNDS // 2], states[-1]])

    def _next_key(self) -> Array:
        self._key, key = jax.random.split(self._key)
        return key

    def _pixels(self, chosen: np.ndarray, missing: int) -> Pixels:
        """Some pixels, and ``missing`` more as padding."""

        def fill(array: np.ndarray, value: float) -> Array:
            padding = [(0, missing)] + [(0, 0)] * (array.ndim - 1)
            return jnp.asarray(np.pad(array, padding, constant_values=value))

        return Pixels(
            fill(self.positions[chosen], -1.0),
            fill(self.features[chosen], 0.0),
            fill(self.inputs[chosen], 0.0),
            fill(self.response.harmonics[chosen], 0.0),
            fill(np.ones(len(chosen)), 0.0),
        )

    def _data(self, measured: np.ndarray, values: np.ndarray, variances: np.ndarray) -> Data:
        """Measurements, filled up to a multiple of PADDED_TO so that few sizes are compiled."""
        missing = -len(values) % PADDED_TO
        return Data(
            self._pixels(measured, missing),
            jnp.asarray(np.pad(values, (0, missing))),
            jnp.asarray(np.pad(variances, (0, missing), constant_values=1.0)),
            *(jnp.asarray(each) for each in (*self.prior, self._rates)),
        )


@partial(jax.jit, static_argnames=("layout",))
def _predictions(draws: Float[Array, "k q"], everywhere: Pixels, data: Data, layout: Layout) -> Predicted:
    """`predicted` of each of the draws."""
    return jax.lax.map(lambda draw: predicted(draw, everywhere, data, layout), draws)


@partial(jax.jit, static_argnames=("layout",))
def _covariance(
    draws: Float[Array, "k q"], means: Float[Array, "d n"], everywhere: Pixels, data: Data, layout: Layout
) -> Float[Array, "n n"]:
    """Covariance of the map: the mean of that within some draws of the parameters, and that of the ``means`` of all."""

    def add(total: Float[Array, "n n"], draw: Float[Array, " q"]) -> tuple[Float[Array, "n n"], None]:
        return total + conditioned(draw, everywhere, data, layout) / draws.shape[0], None

    off = means - means.mean(0)[None, :]
    return jax.lax.scan(add, off.T @ off / means.shape[0], draws)[0]
