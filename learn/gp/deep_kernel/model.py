"""The map of one number by a Gaussian process with a deep kernel, trained as measurements come in; used as the plain `GPMap` is."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from threadpoolctl import threadpool_limits

from learn.gp.deep_kernel.network import Layout, drawn
from learn.gp.deep_kernel.process import Data, Pixels, Predicted, covariance, predicted
from learn.gp.deep_kernel.training import Chains, climb, explore
from learn.gp.evidence import calibration, log_normal, pooled
from learn.gp.kernels import map_prior
from learn.gp.spectra import centre_and_scale, check_measured
from reconstruct.eels.columns.response import EdgeResponse
from twin import checks

PADDED_TO = 32
CHAINS, ROUNDS = 8, 8
FIRST_CLIMB, FIRST_ROUNDS = 60, 40
FIRST_STEP = 0.1
WIDTH, OUTPUTS = 8, 3


class DeepPrediction:
    """The map at all pixels: ``mean`` and ``std`` [n] without counting noise and ``covariance`` [n, n], which is computed when it is asked for; ``left_out``
    [m], log density of each measured value predicted from the others. As `MapPrediction`."""

    def __init__(
        self,
        mean: Float[np.ndarray, " n"],
        std: Float[np.ndarray, " n"],
        left_out: Float[np.ndarray, " m"],
        covariances: Callable[[], Float[np.ndarray, "n n"]],
    ):
        self.mean, self.std, self.left_out = mean, std, left_out
        self._covariances = covariances
        self._covariance: np.ndarray | None = None

    @property
    def covariance(self) -> Float[np.ndarray, "n n"]:
        """Covariance [n, n] without counting noise."""
        if self._covariance is None:
            self._covariance = self._covariances()
        return self._covariance

    @property
    def uncertainty(self) -> float:
        """Largest standard deviation as a share of the range of the predicted map."""
        return float(self.std.max() / max(np.ptp(self.mean), 1e-300))

    def inflated(self, factor: float) -> "DeepPrediction":
        """The prediction with variances multiplied by ``factor`` (a discrepancy that the model does not contain)."""
        std = self.std * np.sqrt(factor)
        return DeepPrediction(self.mean, std, self.left_out, lambda: self.covariance * factor)


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
        self._sizes = (self.prior.mean.size, inputs.shape[1], width, outputs)
        self._key = jax.random.key(seed)
        self._number = chains
        self._chains: dict[bool, Chains] = {}
        self.accepted = np.nan
        """Share of trajectories that the last update accepted."""

    def predict(
        self,
        measured: Int[np.ndarray, " m"],
        values: Float[np.ndarray, " m"],
        variances: Float[np.ndarray, " m"] | None = None,
    ) -> DeepPrediction:
        """The map from values at some pixels (indices in row order) with their counting variances; without these, one variance is learnt. Its variances are
        scaled by what the left-out predictions tell (`calibration`).

        Chains of draws go on from the last call, so that a few new values take a few trajectories. Raises ValueError as `GPMap.predict` does.
        """
        checks.require_float64()
        estimated = variances is None
        given = np.ones(np.shape(values)) if variances is None else variances
        check_measured(len(self.positions), measured, values, given)
        values, given = values.astype(np.float64), given.astype(np.float64)
        centre, scale = centre_and_scale(values, given, self._rates.size > 0)
        data = self._data(measured, (values - centre) / scale, np.zeros(values.size) if estimated else given / scale**2)
        layout = Layout(*self._sizes, estimated)
        # matrices of a few dozen rows: BLAS threads would only wait for each other
        with threadpool_limits(limits=1, user_api="blas"):
            draws = self._update(data, layout)
            everywhere = self._pixels(np.arange(len(self.positions)), 0)
            made = [np.asarray(each) for each in _predictions(draws, everywhere, data, layout)]
        means, within, *others = made
        off, spread, noise = (each[:, : values.size] for each in others)
        weights = np.full(len(draws), 1.0 / len(draws))
        factor = calibration(off, spread, noise, weights)
        mean = means.mean(0)
        std = np.sqrt(factor * (np.maximum(within, 0.0).mean(0) + means.var(0)))
        evidence = pooled(log_normal(off, factor * (spread - noise) + noise), weights) - np.log(scale)

        def covariances() -> np.ndarray:
            with threadpool_limits(limits=1, user_api="blas"):
                return factor * scale**2 * np.asarray(_covariance(draws, everywhere, data, layout))

        return DeepPrediction(centre + scale * mean, scale * std, evidence, covariances)

    def _update(self, data: Data, layout: Layout) -> Float[Array, "k q"]:
        """Draws of the parameters given the data: the states of the chains half way and at the end."""
        chains, rounds = self._chains.get(layout.noise), ROUNDS
        if chains is None:
            start = drawn(self._next_key(), self._number, layout)
            first = Chains(climb(start, data, layout, FIRST_CLIMB), jnp.asarray(FIRST_STEP))
            chains, rounds = first, FIRST_ROUNDS
        after, states, accepted = explore(chains, self._next_key(), data, layout, rounds)
        self._chains[layout.noise], self.accepted = after, float(accepted)
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
def _covariance(draws: Float[Array, "k q"], everywhere: Pixels, data: Data, layout: Layout) -> Float[Array, "n n"]:
    """Covariance of the map over all draws."""

    def add(total: Float[Array, "n n"], draw: Float[Array, " q"]) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
        mean, within = covariance(draw, everywhere, data, layout)
        return total + within / draws.shape[0], mean

    size = everywhere.positions.shape[0]
    within, means = jax.lax.scan(add, jnp.zeros((size, size), dtype=draws.dtype), draws)
    off = means - means.mean(0)[None, :]
    return within + off.T @ off / draws.shape[0]
