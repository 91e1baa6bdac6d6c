"""Numeric functions on NumPy arrays. Importing this loads no torch."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from shoal.rllib._internal.structures import leaves, map_structure

SMALL_NUMBER = 1e-6
LARGE_INTEGER = 100000000
MIN_LOG_NN_OUTPUT = -5
MAX_LOG_NN_OUTPUT = 2


def convert_to_numpy(x: Any, reduce_type: bool = True) -> Any:
    """A nested value whose tensors are NumPy arrays; other leaves become arrays too, None stays.

    Args:
        x: tensors, arrays and numbers, maybe nested.
        reduce_type: numbers of 64 bits become numbers of 32 bits.

    Example:
        >>> import torch
        >>> convert_to_numpy({"a": torch.ones(2)})
        {'a': array([1., 1.], dtype=float32)}
    """

    def convert(leaf: Any) -> Any:
        if leaf is None:
            return None
        if hasattr(leaf, "detach"):
            array = leaf.detach().cpu().numpy()
        else:
            array = np.asarray(leaf)
        if reduce_type and array.dtype == np.float64:
            return array.astype(np.float32)
        if reduce_type and array.dtype == np.int64:
            return array.astype(np.int32)
        return array

    return map_structure(convert, x)


def one_hot(
    x: Any, depth: int = 0, on_value: float = 1.0, off_value: float = 0.0, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """Vectors that are `off_value` but at the index that a number of `x` says.

    Args:
        x: integers or booleans, an array or a tensor.
        depth: length of the vectors; 0 for the largest number and one more.
        on_value: what stands at the index.
        off_value: what stands elsewhere.
        dtype: of the result.

    Raises:
        ValueError: a number is no index.

    Example:
        >>> one_hot(np.array([0, 2]), depth=3)
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    indices = convert_to_numpy(x, reduce_type=False)
    if indices.dtype == np.bool_:
        indices, depth = indices.astype(np.int64), 2
    depth = depth or int(indices.max()) + 1
    if indices.size and not 0 <= indices.min() <= indices.max() < depth:
        raise ValueError(f"x goes from {indices.min()} to {indices.max()}; with depth={depth} give 0 to {depth - 1}")
    made = np.full((*indices.shape, depth), off_value, dtype=dtype)
    np.put_along_axis(made, indices[..., None].astype(np.int64), on_value, axis=-1)
    return made


def one_hot_multidiscrete(x: Any, depths: list[int]) -> NDArray[np.float32]:
    """The one-hot vectors of each column of `x`, one after the other."""
    columns = convert_to_numpy(x, reduce_type=False)
    return np.concatenate([one_hot(columns[..., i], depth) for i, depth in enumerate(depths)], axis=-1)


def softmax(x: ArrayLike, axis: int = -1, epsilon: float | None = None) -> NDArray[Any]:
    """Exponentials that add up to 1 along an axis.

    Args:
        x: numbers.
        axis: which one.
        epsilon: the least that a result may be; None for 1e-6, RLlib's.
    """
    numbers = np.asarray(x)
    exponentials = np.exp(numbers - numbers.max(axis=axis, keepdims=True))
    least = SMALL_NUMBER if epsilon is None else epsilon
    return np.asarray(np.maximum(exponentials / exponentials.sum(axis=axis, keepdims=True), least))


def sigmoid(x: ArrayLike, derivative: bool = False) -> NDArray[Any]:
    """1 / (1 + exp(-x)); with `derivative` x (1 - x), its slope where x is a sigmoid's result already."""
    numbers = np.asarray(x)
    if derivative:
        return np.asarray(numbers * (1 - numbers))
    return np.asarray(0.5 * (1 + np.tanh(0.5 * numbers)))  # which does not overflow


def relu(x: ArrayLike, alpha: float = 0.0) -> NDArray[Any]:
    """x where it is positive, `alpha` x elsewhere."""
    numbers = np.asarray(x)
    return np.asarray(np.where(numbers > 0, numbers, alpha * numbers))


def huber_loss(x: ArrayLike, delta: float = 1.0) -> NDArray[Any]:
    """x² / 2 up to |x| = delta, from there on a straight line."""
    size = np.abs(np.asarray(x))
    return np.asarray(np.where(size < delta, 0.5 * size**2, delta * (size - 0.5 * delta)))


def l2_loss(x: ArrayLike) -> Any:
    """Half the sum of the squares."""
    return np.sum(np.square(np.asarray(x))) / 2


def fc(x: ArrayLike, weights: ArrayLike, biases: ArrayLike | None = None, framework: str | None = None) -> NDArray[Any]:
    """What a linear layer gives: x weights + biases; weights of torch, which are (outputs, inputs), with framework='torch'."""
    matrix = convert_to_numpy(weights)
    if framework == "torch":
        matrix = matrix.T
    made = np.matmul(convert_to_numpy(x), matrix)
    return np.asarray(made if biases is None else made + convert_to_numpy(biases))


def lstm(
    x: ArrayLike,
    weights: ArrayLike,
    biases: ArrayLike | None = None,
    initial_internal_states: tuple[ArrayLike, ArrayLike] | None = None,
    time_major: bool = False,
    forget_bias: float = 1.0,
) -> tuple[NDArray[Any], tuple[NDArray[Any], NDArray[Any]]]:
    """What an LSTM gives.

    Args:
        x: inputs, shape (B, T, inputs).
        weights: (inputs + units, 4 units): of the input gate, the new values, the forget gate, the output gate.
        biases: (4 units,); None for 0.
        initial_internal_states: cell and output before the first step, (B, units) each; None for 0.
        time_major: inputs and outputs are (T, B, ...).
        forget_bias: what is added at the forget gate.

    Returns:
        The outputs of all steps, and the pair of the last cell and output.
    """
    inputs = np.asarray(x) if time_major else np.swapaxes(np.asarray(x), 0, 1)
    matrix = np.asarray(weights)
    units = matrix.shape[1] // 4
    shift = np.zeros(4 * units) if biases is None else np.asarray(biases)
    nothing = np.zeros((inputs.shape[1], units))
    cell, output = (np.asarray(state) for state in initial_internal_states or (nothing, nothing))
    outputs = []
    for step in inputs:
        into, new, forget, out = np.split(np.concatenate([step, output], axis=-1) @ matrix + shift, 4, axis=-1)
        cell = cell * sigmoid(forget + forget_bias) + sigmoid(into) * np.tanh(new)
        output = np.tanh(cell) * sigmoid(out)
        outputs.append(output)
    together = np.stack(outputs)
    return together if time_major else np.swapaxes(together, 0, 1), (cell, output)


def flatten_inputs_to_1d_tensor(inputs: Any, spaces_struct: Any = None, time_axis: bool = False) -> NDArray[np.float32]:
    """Nested batches as one: a row for each, with what is discrete one-hot.

    Args:
        inputs: arrays with a batch axis (and a time axis after it, with `time_axis`), maybe nested.
        spaces_struct: their spaces, nested alike (`get_base_struct_from_space`); None where nothing is discrete.
        time_axis: the result has one too.
    """
    import gymnasium as gym

    axes = 2 if time_axis else 1
    spaces = leaves(spaces_struct) if spaces_struct is not None else [None] * len(leaves(inputs))
    columns = []
    for leaf, space in zip(leaves(inputs), spaces, strict=True):
        array = np.asarray(leaf)
        if isinstance(space, gym.spaces.Discrete):
            array = one_hot(array - space.start, int(space.n))
        elif isinstance(space, gym.spaces.MultiDiscrete):
            array = one_hot_multidiscrete(
                array.reshape(*array.shape[:axes], -1), [int(n) for n in np.ravel(space.nvec)]
            )
        columns.append(array.reshape(*array.shape[:axes], -1).astype(np.float32))
    return np.concatenate(columns, axis=-1)


def aligned_array(size: int, dtype: DTypeLike, align: int = 64) -> NDArray[Any]:
    """An uninitialised vector of `size` numbers whose memory begins at a multiple of `align` bytes."""
    count = size * np.dtype(dtype).itemsize
    raw = np.empty(count + align, dtype=np.uint8)
    start = -raw.ctypes.data % align
    return raw[start : start + count].view(dtype)


def concat_aligned(items: list[NDArray[Any]], time_major: bool | None = None) -> NDArray[Any]:
    """Arrays one after the other in memory that is aligned to 64 bytes; along the second axis with `time_major`."""
    if not items:
        return np.empty(0, np.float32)
    axis = 1 if time_major else 0
    shape = list(items[0].shape)
    shape[axis] = sum(item.shape[axis] for item in items)
    made = aligned_array(int(np.prod(shape)), items[0].dtype).reshape(shape)
    return np.concatenate(items, axis=axis, out=made)


def make_action_immutable(obj: Any) -> Any:
    """The same array, read-only; a read-only view of a dictionary; anything else as it is."""
    if isinstance(obj, np.ndarray):
        obj.setflags(write=False)
        return obj
    return MappingProxyType(obj) if isinstance(obj, dict) else obj
