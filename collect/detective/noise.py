"""What the host's speed does without any reason: the noise that a finding must stand out from.

A trial's log speed is the level of its variant on its endpoint, plus a slow wandering of the host
that all variants share, plus what each trial adds by itself. The wandering is an
Ornstein-Uhlenbeck process that forgets itself in `WANDERING_S`, as in `collect.simulate`: a host
that drifts is no host that was throttled, and a test that takes each trial for a fresh draw would
find a throttle in every drift (Romano, Rigaill, Runge and Fearnhead, Detecting Abrupt Changes in
the Presence of Local Fluctuations and Autocorrelated Noise, 2022).

How large both are is estimated from the run itself, held near what was measured on real machines:
few trials say little of their noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

WANDERING_S = 600.0
"""The correlation time of the wandering."""
TRIAL_NOISE = 0.08
"""Two like trials of 5 s, one after the other, vary by 7 to 9 %."""
WANDERING = 0.15
"""Across interleaved rounds it is 17 % in the median (0.08 and 0.15 together) and 32 % at worst."""
_SPREAD_TRIAL = 0.35
_SPREAD_WANDERING = 0.4
"""Of the prior, on the log scale: 0.15 x exp(2 x 0.4) is the worst case, 0.32."""
_GRID = np.exp(np.linspace(-1.2, 1.2, 9))
"""Multiples of the two figures that are tried."""
_TRIALS, _WANDERINGS = (
    noise.ravel() for noise in np.meshgrid(TRIAL_NOISE * _GRID, WANDERING * _GRID)
)
_FAR = (np.log(_TRIALS / TRIAL_NOISE) / _SPREAD_TRIAL) ** 2
_FAR += (np.log(_WANDERINGS / WANDERING) / _SPREAD_WANDERING) ** 2
_RIDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Fit:
    """Features held against the series, with the noise under which they fit best."""

    score: float
    """Log likelihood with the prior of the noise; only differences for one series mean anything."""
    effects: Floats
    """One a feature, on the log scale."""
    covariance: Floats
    trial_noise: float
    wandering: float


class NoiseModel:
    """Fits features to one series under correlated noise.

    The covariance of the wandering is rotated onto its own axes once; each trial of a noise level
    is then a weighted least-squares fit.
    """

    def __init__(self, moments_s: Floats, values: Floats, levels: Floats, shares: Floats) -> None:
        """Prepare.

        Args:
            moments_s: when, rising; n of them.
            values: the log speeds.
            levels: n x k columns that are always in the model, of full rank.
            shares: variance of each value's own noise as a share of a single trial's.
        """
        apart_s = np.abs(moments_s[:, None] - moments_s[None, :])
        scale = 1 / np.sqrt(shares)
        # Values that stand for many trials are brought to the noise of one.
        roots, axes = np.linalg.eigh(
            np.exp(-apart_s / WANDERING_S) * scale[:, None] * scale[None, :]
        )
        self._roots = np.maximum(roots, 0.0)
        self._turn = axes.T * scale[None, :]
        self._values = self._turn @ values
        self._levels = self._turn @ levels

    def turn(self, columns: Floats) -> Floats:
        """Bring features onto the model's axes, once for all fits; n x m columns."""
        turned: Floats = self._turn @ columns
        return turned

    def fit(self, turned: Floats) -> Fit:
        """Fit features, n x m turned columns, at the noise where they fit best."""
        design = np.hstack([self._levels, turned])
        own = self._levels.shape[1]
        variance = _TRIALS[:, None] ** 2 + _WANDERINGS[:, None] ** 2 * self._roots[None, :]
        weighted = design[None, :, :] / variance[:, :, None]
        normal = design.T[None, :, :] @ weighted
        # Two features may come to the same; a hair of a ridge lets them share what they explain.
        inverse = np.linalg.inv(normal + _RIDGE * np.eye(design.shape[1]))
        effects = (inverse @ (weighted.transpose(0, 2, 1) @ self._values)[:, :, None])[:, :, 0]
        rest = self._values[None, :] - effects @ design.T
        # Restricted by the levels alone (Patterson and Thompson, 1971), which all models share:
        # so models with different features can be compared.
        _, logdet = np.linalg.slogdet(normal[:, :own, :own])
        misfit = np.log(variance).sum(axis=1) + logdet + (rest**2 / variance).sum(axis=1)
        scores = -0.5 * (misfit + _FAR)
        best = int(np.argmax(scores))
        return Fit(
            float(scores[best]),
            effects[best, own:],
            inverse[best, own:, own:],
            float(_TRIALS[best]),
            float(_WANDERINGS[best]),
        )

    def gains(self, fitted: Floats, fit: Fit, turned: Floats) -> tuple[Floats, Floats]:
        """Return what each further feature would add by itself to the log likelihood, and its size.

        Args:
            fitted: the turned columns that are in already.
            fit: their fit; the noise stays as it is there.
            turned: n x m turned columns to try, each alone.
        """
        weight = 1 / np.sqrt(fit.trial_noise**2 + fit.wandering**2 * self._roots)
        basis, _ = np.linalg.qr(np.hstack([self._levels, fitted]) * weight[:, None])
        rest = self._values * weight
        rest -= basis @ (basis.T @ rest)
        tried = turned * weight[:, None]
        tried -= basis @ (basis.T @ tried)
        length = np.einsum("ij,ij->j", tried, tried)
        known = length > _SMALL
        effect = np.divide(tried.T @ rest, length, out=np.zeros(len(length)), where=known)
        return effect**2 * length / 2, effect

    def errors(self, fit: Fit, turned: Floats) -> Floats:
        """Return the standard error that each feature would have by itself, on the log scale."""
        weight = 1 / np.sqrt(fit.trial_noise**2 + fit.wandering**2 * self._roots)
        basis, _ = np.linalg.qr(self._levels * weight[:, None])
        tried = turned * weight[:, None]
        tried -= basis @ (basis.T @ tried)
        length = np.einsum("ij,ij->j", tried, tried)
        return np.where(length > _SMALL, 1 / np.sqrt(np.maximum(length, _SMALL)), np.inf)


_SMALL = 1e-9
"""A column shorter than this is a sum of others."""
