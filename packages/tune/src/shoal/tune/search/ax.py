"""Search by Ax: Bayesian optimization on BoTorch, with constraints."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from shoal.tune._internal.logic.parameter_tree import nested
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.objective import lookup
from shoal.tune.search.space_searcher import (
    SpaceSearcher,
    Values,
    bounds_of,
    canonical,
    missing_library,
)
from shoal.tune.search_space import Categorical, Domain, Float, Integer


class AxSearch(SpaceSearcher):
    """Suggests what Ax's client suggests.

    Args:
        space: domains, nested. None to take the search's param_space.
        metric: to go by. None to take the search's.
        mode: 'min' or 'max'. None to take the search's.
        points_to_evaluate: configurations (or parts) to suggest first.
        parameter_constraints: linear ones of parameters, as texts: 'x + y <= 1'.
        outcome_constraints: of other metrics, as texts: 'latency <= 3'. Trials have to report those metrics.
        ax_client: an `ax.api.client.Client` with its experiment and objective; then give neither space nor metric nor mode nor constraints.
        ax_kwargs: arguments of the client, such as `random_seed`: the same seed gives the same suggestions for one max_concurrent_trials,
            whatever the timing.

    Raises:
        ImportError: ax-platform is not installed.
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search.ax import AxSearch
        >>> searcher = AxSearch({"x": tune.uniform(0, 1)}, metric="loss", mode="min", random_seed=1)
        >>> 0 <= searcher.suggest("t1")["x"] <= 1
        True
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        parameter_constraints: Sequence[str] | None = None,
        outcome_constraints: Sequence[str] | None = None,
        ax_client: Any = None,
        **ax_kwargs: Any,
    ) -> None:
        try:
            with _quiet():
                from ax.api.client import Client
        except ImportError as error:
            raise missing_library("AxSearch", "ax", error) from error
        if ax_client is not None and not isinstance(ax_client, Client):
            raise InvalidArgumentError(
                f"AxSearch: ax_client is {ax_client!r}; give an ax.api.client.Client, or leave it out"
            )
        self._client: Any = ax_client
        self._given = ax_client is not None
        self._parameter_constraints = list(parameter_constraints or ())
        self._outcome_constraints = list(outcome_constraints or ())
        self._kwargs = ax_kwargs
        self._indices: dict[str, int] = {}
        self._outcomes: dict[str, dict[str, Any]] = {}
        super().__init__(space, metric, mode, points_to_evaluate, seed=ax_kwargs.get("random_seed"))
        if self._given:
            if space is not None or parameter_constraints or outcome_constraints or ax_kwargs:
                raise InvalidArgumentError(
                    "AxSearch: ax_client has its experiment already; leave space, constraints and ax_kwargs out"
                )
            self._own_space = True
            self._space = {}

    def _start(self) -> None:
        if self._given:
            return
        with _quiet():
            from ax.api.client import Client

            self._client = Client(**{"random_seed": self._chance_seed} | self._kwargs)
            self._client.configure_experiment(
                parameters=[_parameter(_label(name), domain) for name, domain in self._searched.items()],
                parameter_constraints=[self._labelled(text) for text in self._parameter_constraints],
            )
            name = self._metric_label
            self._client.configure_optimization(
                objective=name if self._objective.modes[0] == "max" else f"-{name}",
                outcome_constraints=self._outcome_constraints or None,
            )

    def _ask(self, trial_id: str, wanted: Values | None) -> Values:
        with _quiet():
            if wanted is not None:
                values = self._filled(wanted)
                index = self._client.attach_trial(parameters=self._of_ax(values))
            else:
                with _one_thread():
                    [(index, found)] = self._client.get_next_trials(max_trials=1).items()
                if self._given:
                    values = dict(found)
                else:
                    values = {name: _value(domain, found[_label(name)]) for name, domain in self._searched.items()}
        self._indices[trial_id] = index
        return values

    def _config_of(self, values: Values) -> dict[str, Any]:
        return {**self._constants, **nested(values)} if self._given else super()._config_of(values)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result is not None:
            metrics = [text.split("<=")[0].split(">=")[0].strip() for text in self._outcome_constraints]
            self._outcomes[trial_id] = {metric: lookup(result, metric) for metric in metrics}
        super().on_trial_complete(trial_id, result, error)

    def _tell(self, trial_id: str, values: Values, outcome: Sequence[float] | None) -> None:
        index, others = self._indices.pop(trial_id), self._outcomes.pop(trial_id, {})
        with _quiet():
            if outcome is None or None in others.values():
                self._client.mark_trial_failed(trial_index=index)
            else:
                self._client.complete_trial(trial_index=index, raw_data={**others, self._metric_label: outcome[0]})

    def _observe(self, values: Values, outcome: Sequence[float] | None) -> None:
        with _quiet():
            index = self._client.attach_trial(parameters=self._of_ax(values))
        self._indices[""] = index
        self._tell("", values, outcome)

    @property
    def _metric_label(self) -> str:
        return self._objective.metrics[0] if self._given else _label(self._objective.metrics[0])

    def _of_ax(self, values: Values) -> dict[str, Any]:
        return {_label(name): value for name, value in values.items()}

    def _labelled(self, text: str) -> str:
        for name in sorted(self._searched, key=len, reverse=True):
            text = text.replace(name, _label(name))
        return text


def _label(name: str) -> str:
    """Ax reads names as parts of formulas."""
    return re.sub(r"\W", "__", name)


def _parameter(label: str, domain: Domain) -> Any:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if isinstance(domain, Categorical):
        indices = list(range(len(domain.categories)))
        return ChoiceParameterConfig(name=label, values=indices, parameter_type="int", is_ordered=len(indices) == 2)
    scaling = "log" if isinstance(domain, Float | Integer) and domain.log else "linear"
    if isinstance(domain, Integer):
        return RangeParameterConfig(
            name=label, bounds=(domain.first, domain.last), parameter_type="int", scaling=scaling
        )
    assert isinstance(domain, Float), domain
    return RangeParameterConfig(name=label, bounds=bounds_of(domain), parameter_type="float", scaling=scaling)


def _value(domain: Domain, value: Any) -> Any:
    return canonical(domain, value)


@contextmanager
def _one_thread() -> Iterator[None]:
    """A search's matrices are so small that torch's threads take several times what they save, and far more beside running trials."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ax says each suggestion, and warns of what its own parts do."""
    loggers = [logging.getLogger(name) for name in ("ax", "ax.api.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
