"""Images through torchvision's transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shoal.data.preprocessors.preprocessor import Preprocessor, checked_columns, checked_outputs


class TorchVisionPreprocessor(Preprocessor):
    """Calls a transform on each image, or on a batch of them. Needs torch.

    Args:
        columns: of images: arrays of height, width and channels.
        transform: gets an image as a tensor (with `batched`: a numpy array of images) and returns a tensor or an array.
        output_columns: names of the results, one a column; None to replace the columns.
        batched: whether `transform` gets all images of a batch at once.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: Sequence[str],
        transform: Callable[[Any], Any],
        output_columns: Sequence[str] | None = None,
        batched: bool = False,
    ) -> None:
        self.columns = checked_columns(columns)
        self.transform_fn = transform
        self.output_columns = checked_outputs(self.columns, output_columns)
        self.batched = batched

    def _transform_numpy(self, np_data: dict[str, Any]) -> dict[str, Any]:
        made = dict(np_data)
        for column, output in zip(self.columns, self.output_columns, strict=True):
            made[output] = self._images(np_data[column])
        return made

    def _images(self, images: Any) -> Any:
        import torch

        if self.batched:
            return np.asarray(self.transform_fn(images))
        found = [np.asarray(self.transform_fn(torch.as_tensor(np.array(image)))) for image in images]
        if len({image.shape for image in found}) <= 1:
            return np.stack(found) if found else np.zeros((0,))
        ragged = np.empty(len(found), dtype=object)
        ragged[:] = found
        return ragged
