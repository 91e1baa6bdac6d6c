"""What a request of HTTP means as a model's input: for `PredictorDeployment`, or as a dependency of FastAPI. Each returns one input."""

# FastAPI reads annotations when it makes routes, so they are not postponed here.
from typing import Any

from fastapi import File, Request
from pydantic import BaseModel


class NdArray(BaseModel):
    """An array as JSON.

    Args:
        array: nested lists of numbers.
        dtype: of numpy; None for what fits.
    """

    array: list[Any]
    dtype: str | None = None


def json_to_ndarray(payload: NdArray) -> Any:
    """Returns the array of a body like {"array": [1, 2], "dtype": "float32"}."""
    import numpy as np

    return np.array(payload.array, dtype=payload.dtype)


def json_to_multi_ndarray(payload: dict[str, NdArray]) -> dict[str, Any]:
    """Returns arrays by name, of a body like {"a": {"array": [1]}}."""
    return {name: json_to_ndarray(one) for name, one in payload.items()}


async def json_request(request: Request) -> Any:
    """Returns what the JSON of the body is."""
    return await request.json()


def starlette_request(request: Request) -> Request:
    """Returns the request itself."""
    return request


async def pandas_read_json(raw_request: Request) -> Any:
    """Returns the frame of a body that `pandas.read_json` reads; the query's parameters are its arguments."""
    import io

    import pandas as pd

    options: Any = dict(raw_request.query_params)
    return pd.read_json(io.BytesIO(await raw_request.body()), **options)


def image_to_ndarray(img: bytes = File()) -> Any:
    """Returns the pixels of an uploaded image, (height, width, channels). Needs Pillow and python-multipart."""
    import io

    import numpy as np
    from PIL import Image

    return np.array(Image.open(io.BytesIO(img)))
