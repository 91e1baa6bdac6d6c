"""The model of PB2: which parameters will improve most, by a Gaussian process that forgets. Imports scikit-learn, so is imported late."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel, WhiteKernel

Floats = NDArray[np.float64]

MOST_SAMPLES = 1000
"""The latest that are used; fitting takes cubic time."""


class ForgettingKernel(Kernel):  # type: ignore[misc]
    """Squared exponential in the features, times (1 - ε) ^ (|Δt| / 2) in the time, which is the first column.

    Bogunovic, Scarlett and Cevher, *Time-Varying Gaussian Process Bandit Optimization*, 2016.
    """

    def __init__(
        self,
        variance: float = 1.0,
        length: float = 0.5,
        epsilon: float = 0.1,
        variance_bounds: tuple[float, float] = (1e-3, 10.0),
        length_bounds: tuple[float, float] = (0.05, 5.0),
        epsilon_bounds: tuple[float, float] = (1e-4, 0.2),
    ) -> None:
        self.variance, self.length, self.epsilon = variance, length, epsilon
        self.variance_bounds, self.length_bounds, self.epsilon_bounds = variance_bounds, length_bounds, epsilon_bounds

    @property
    def hyperparameter_epsilon(self) -> Hyperparameter:
        return Hyperparameter("epsilon", "numeric", self.epsilon_bounds)

    @property
    def hyperparameter_length(self) -> Hyperparameter:
        return Hyperparameter("length", "numeric", self.length_bounds)

    @property
    def hyperparameter_variance(self) -> Hyperparameter:
        return Hyperparameter("variance", "numeric", self.variance_bounds)

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:
        other = X if Y is None else Y
        squares = ((X[:, None, 1:] - other[None, :, 1:]) ** 2).sum(axis=-1) / self.length**2
        ages = np.abs(X[:, None, 0] - other[None, :, 0]) / 2
        covariance = self.variance * np.exp(-squares / 2) * (1 - self.epsilon) ** ages
        if not eval_gradient:
            return covariance
        by_epsilon = -covariance * ages * self.epsilon / (1 - self.epsilon)
        return covariance, np.dstack([by_epsilon, covariance * squares, covariance])

    def diag(self, X: Floats) -> Floats:
        return np.full(len(X), float(self.variance))

    def is_stationary(self) -> bool:
        return True


def most_promising(
    samples: Floats, improvements: Floats, now: Floats, pending: Floats, bounds: Floats, random: np.random.Generator
) -> Floats:
    """Returns the parameters with the highest upper confidence bound.

    Args:
        samples: one a row: time, score before, parameters.
        improvements: of the score per time, for each sample.
        now: time and score from which the trial goes on.
        pending: parameters that others just went on with, one a row; they lower the uncertainty near them.
        bounds: lower and upper of each parameter, one a row.
        random: draws candidates.
    """
    samples, improvements = samples[-MOST_SAMPLES:], improvements[-MOST_SAMPLES:]
    span = np.vstack([samples[:, :2], now])
    least, spread = span.min(axis=0), np.ptp(span, axis=0)
    spread[spread == 0] = 1.0
    width = bounds[:, 1] - bounds[:, 0]

    def features(context: Floats, parameters: Floats) -> Floats:
        # A whole search is ten units of time long: what was seen at its beginning is mostly forgotten at its end.
        scaled = (context - least) / spread * np.array([10.0, 1.0])
        return np.hstack([scaled, (parameters - bounds[:, 0]) / width])

    seen = features(samples[:, :2], samples[:, 2:])
    targets = (improvements - improvements.mean()) / (improvements.std() or 1.0)
    model = GaussianProcessRegressor(ForgettingKernel() + WhiteKernel(0.1, (1e-3, 1.0)), optimizer=_fitted)
    model.fit(seen, np.clip(targets, -2, 2))
    certain = model
    if len(pending):
        expected = np.vstack([seen, features(np.repeat(now[None, :], len(pending), axis=0), pending)])
        certain = GaussianProcessRegressor(model.kernel_, optimizer=None).fit(expected, np.zeros(len(expected)))
    # The schedule of the bound in Parker-Holder et al., section 4.
    beta = 0.2 + max(0.0, float(np.log(0.4 * len(samples))))

    def bound(parameters: Floats) -> Floats:
        points = features(np.repeat(now[None, :], len(parameters), axis=0), parameters)
        mean = model.predict(points)
        _, deviation = certain.predict(points, return_std=True)
        return np.asarray(mean + np.sqrt(beta) * deviation)

    anywhere = bounds[:, 0] + random.random((1000, len(bounds))) * width
    best = anywhere[int(np.argmax(bound(anywhere)))]
    near = np.clip(best + random.normal(0, 0.05, (500, len(bounds))) * width, bounds[:, 0], bounds[:, 1])
    near = np.vstack([best, near])
    return np.asarray(near[int(np.argmax(bound(near)))])


def _fitted(objective: Any, start: Floats, bounds: Floats) -> tuple[Floats, float]:
    """Maximises the likelihood, a little inside of the bounds: scikit-learn warns of what lies on them, and few samples often do."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    found = minimize(objective, start, method="L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": 50})
    return np.clip(found.x, bounds[:, 0] + 1e-3, bounds[:, 1] - 1e-3), found.fun
