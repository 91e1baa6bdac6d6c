"""A predictor of shoal.train behind HTTP, as Ray AIR had it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from shoal.serve._internal.logic.model_inputs import ARRAY, batch_of, jsonable, parts_of
from shoal.serve._internal.process.portable_code import code_at
from shoal.serve._internal.process.user_code import ASGI_APP
from shoal.serve.batching import batch
from shoal.serve.deployment import deployment
from shoal.serve.exceptions import InvalidArgumentError
from shoal.serve.http_adapters import json_to_ndarray
from shoal.serve.ingress import Ready


class PredictorWrapper:
    """Serves a model of a checkpoint: POST / over HTTP, `predict` by handle. `serve.PredictorDeployment` is its deployment.

    Args:
        predictor_cls: a class derived from `shoal.train.predictor.Predictor`, or its import path.
        checkpoint: with the model, or its path.
        http_adapter: what a request means: a function of `shoal.serve.http_adapters` or one like them (a dependency of FastAPI), or its
            import path.
        batching_params: max_batch_size and batch_wait_timeout_s; None for the defaults; False to give the predictor one input at a time,
            which then is a batch itself.
        predict_kwargs: of the predictor's `predict`.
        predictor_from_checkpoint_kwargs: of its `from_checkpoint`.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is of the wrong kind, or cannot be imported.

    Example:
        >>> from shoal import serve
        >>> from shoal.train.sklearn import SklearnPredictor
        >>> service = serve.PredictorDeployment.options(name="wine")
        >>> application = service.bind(SklearnPredictor, "/models/wine", batching_params={"max_batch_size": 32})
    """

    def __init__(
        self,
        predictor_cls: str | type,
        checkpoint: Any,
        http_adapter: str | Callable[..., Any] = json_to_ndarray,
        batching_params: Mapping[str, Any] | bool | None = None,
        predict_kwargs: Mapping[str, Any] | None = None,
        **predictor_from_checkpoint_kwargs: Any,
    ) -> None:
        from fastapi import Depends, FastAPI

        kind = _code("predictor_cls", predictor_cls)
        if not hasattr(kind, "from_checkpoint"):
            raise InvalidArgumentError(f"predictor_cls is {predictor_cls!r}; give a class with from_checkpoint")
        if isinstance(checkpoint, str):
            from shoal.train import Checkpoint

            checkpoint = Checkpoint(checkpoint)
        adapter = _code("http_adapter", http_adapter)
        self._predictor = kind.from_checkpoint(checkpoint, **predictor_from_checkpoint_kwargs)
        self._predict_kwargs = dict(predict_kwargs or {})
        self._batches = batching_params is not False
        options = dict(batching_params) if isinstance(batching_params, Mapping) else {}

        @batch(**options)
        async def together(inputs: list[Any]) -> list[Any]:
            return await asyncio.to_thread(self._predict_all, inputs)

        self._together = together
        app = FastAPI()

        async def answer(inp: Any = Depends(adapter)) -> Any:  # noqa: B008
            return jsonable(await self.predict(inp))

        # The annotation is text here, and FastAPI would look for it in the module.
        answer.__annotations__ = {}
        app.post("/")(answer)
        app.post("/predict")(answer)
        setattr(self, ASGI_APP, Ready(app))

    async def predict(self, inp: Any) -> Any:
        """Returns predictions for one input: an array, a dict of arrays, or a frame."""
        if self._batches:
            return await self._together(inp)
        return await asyncio.to_thread(self._predict_alone, inp)

    def _predict_all(self, inputs: list[Any]) -> list[Any]:
        return parts_of(self._predict(batch_of(inputs)), inputs)

    def _predict_alone(self, inp: Any) -> Any:
        import numpy as np

        if isinstance(inp, np.ndarray):
            (found,) = self._predict({ARRAY: inp}).values()
            return found
        return self._predict(inp)

    def _predict(self, rows: Any) -> Any:
        import numpy as np
        import pandas as pd

        array = rows.get(ARRAY) if isinstance(rows, Mapping) and len(rows) == 1 else None
        if array is not None and self._predictor.preferred_batch_format() == "pandas" and np.ndim(array) == 2:
            # Models of tables take each position of an array as a column.
            found = self._predictor.predict(pd.DataFrame(array), **self._predict_kwargs)
            return {name: found[name].to_numpy() for name in found.columns}
        return self._predictor.predict(rows, **self._predict_kwargs)


def _code(argument: str, given: Any) -> Any:
    try:
        return code_at(given) if isinstance(given, str) else given
    except ValueError as error:
        raise InvalidArgumentError(f"{argument} is {given!r}: {error}") from None


PredictorDeployment = deployment(name="PredictorDeployment")(PredictorWrapper)
