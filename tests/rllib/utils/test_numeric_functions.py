"""Functions on arrays, tensors and values of spaces."""

from __future__ import annotations

import random
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from shoal.rllib._internal.structures import leaves, leaves_with_path, map_structure, unflatten_as
from shoal.rllib.utils import numpy as on_arrays
from shoal.rllib.utils import torch_utils as on_tensors
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.framework import convert_to_tensor, try_import_torch
from shoal.rllib.utils.spaces import space_utils

NESTED = gym.spaces.Dict(
    {
        "b": gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Box(-2.0, 6.0, (2,))]),
        "a": gym.spaces.MultiDiscrete([2, 3]),
    }
)
trees = st.recursive(
    st.integers(),
    lambda inner: (
        st.dictionaries(st.text(max_size=2), inner, max_size=3) | st.lists(inner, max_size=3) | st.tuples(inner)
    ),
)


@given(trees)
def test_a_structure_is_what_its_leaves_make_of_it(tree: Any) -> None:
    assert unflatten_as(tree, leaves(tree)) == tree
    assert leaves(map_structure(lambda leaf: leaf + 1, tree)) == [leaf + 1 for leaf in leaves(tree)]
    assert map_structure(lambda one, two: one - two, tree, tree) == map_structure(lambda _: 0, tree)
    for path, leaf in leaves_with_path(tree):
        found = tree
        for step in path:
            found = found[step]
        assert found == leaf
    with pytest.raises(ValueError, match="leaves"):
        unflatten_as(tree, [*leaves(tree), 0])


def test_arrays_and_tensors_become_each_other() -> None:
    given_ = {
        "a": np.ones(2),
        "b": (torch.zeros(2, dtype=torch.int64, requires_grad=False), None),
        "c": 3.0,
        "d": "text",
    }
    tensors = on_tensors.convert_to_torch_tensor(given_)
    assert tensors["a"].dtype == torch.float32
    assert tensors["b"][1] is None
    assert tensors["d"] == "text"
    assert tensors["c"] == 3.0
    arrays = on_arrays.convert_to_numpy({key: tensors[key] for key in "abc"})
    assert arrays["a"].dtype == np.float32
    assert arrays["b"][0].dtype == np.int32
    assert on_arrays.convert_to_numpy(np.ones(1), reduce_type=False).dtype == np.float64
    read_only = np.ones(2, np.float32)
    read_only.flags.writeable = False
    assert torch.equal(on_tensors.convert_to_torch_tensor(read_only), torch.ones(2))
    torch_itself, its_nn = try_import_torch()
    assert (torch_itself, its_nn) == (torch, nn)
    assert torch.equal(convert_to_tensor(np.ones(1)), torch.ones(1))
    with pytest.raises(ConfigError, match="tf2"):
        convert_to_tensor(1, framework="tf2")


def test_one_hot_vectors_agree_between_arrays_and_tensors() -> None:
    space = gym.spaces.MultiDiscrete([2, 3])
    values = np.array([[0, 2], [1, 0]])
    expected = np.array([[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]])
    assert np.array_equal(on_arrays.one_hot_multidiscrete(values, [2, 3]), expected)
    assert np.array_equal(on_tensors.one_hot(torch.as_tensor(values), space), expected)
    assert np.array_equal(
        on_tensors.one_hot(torch.tensor([5, 7]), gym.spaces.Discrete(3, start=5)), [[1, 0, 0], [0, 0, 1]]
    )
    assert np.array_equal(on_arrays.one_hot(np.array([True, False])), [[0, 1], [1, 0]])
    assert on_arrays.one_hot(np.array([[1, 0]]), 4, on_value=2.0, off_value=-1.0).tolist() == [
        [[-1, 2, -1, -1], [2, -1, -1, -1]]
    ]
    with pytest.raises(ValueError, match="0 to 2"):
        on_arrays.one_hot(np.array([3]), 3)
    with pytest.raises(ValueError, match="Box"):
        on_tensors.one_hot(torch.ones(1), gym.spaces.Box(0, 1))


def test_functions_agree_with_torch() -> None:
    x = torch.linspace(-3, 3, 13).reshape(1, 13)
    assert np.allclose(on_arrays.softmax(x.numpy(), epsilon=0.0), torch.softmax(x, -1))
    assert np.allclose(on_arrays.sigmoid(x.numpy()), torch.sigmoid(x))
    assert np.allclose(on_arrays.relu(x.numpy(), 0.1), nn.functional.leaky_relu(x, 0.1))
    assert np.allclose(
        on_arrays.huber_loss(x.numpy(), 0.7), nn.functional.huber_loss(x, 0 * x, reduction="none", delta=0.7)
    )
    torch.testing.assert_close(
        on_tensors.huber_loss(x, 0.7), nn.functional.huber_loss(x, 0 * x, reduction="none", delta=0.7)
    )
    assert float(on_tensors.l2_loss(x)) == pytest.approx(float(on_arrays.l2_loss(x.numpy())))
    labels = torch.softmax(-x, -1)
    torch.testing.assert_close(
        on_tensors.softmax_cross_entropy_with_logits(x, labels), nn.functional.cross_entropy(x, labels)[None]
    )
    layer = nn.Linear(13, 2)
    assert np.allclose(
        on_arrays.fc(x.numpy(), layer.weight, layer.bias, framework="torch"), layer(x).detach(), atol=1e-6
    )
    assert float(on_arrays.sigmoid(np.array(-1e4))) == 0.0


def test_an_lstm_agrees_with_torch() -> None:
    torch.manual_seed(0)
    net = nn.LSTM(3, 5, batch_first=True)
    x = torch.randn(2, 4, 3)
    outputs, (hidden, cell) = net(x)
    order = [0, 2, 1, 3]  # torch has input, forget, new, output
    weights = np.concatenate([net.weight_ih_l0.detach().numpy().T, net.weight_hh_l0.detach().numpy().T])
    weights = np.concatenate([np.split(weights, 4, axis=1)[i] for i in order], axis=1)
    biases = (net.bias_ih_l0 + net.bias_hh_l0).detach().numpy()
    biases = np.concatenate([np.split(biases, 4)[i] for i in order])
    mine, (my_cell, my_output) = on_arrays.lstm(x.numpy(), weights, biases, forget_bias=0.0)
    assert np.allclose(mine, outputs.detach(), atol=1e-6)
    assert np.allclose(my_cell, cell[0].detach(), atol=1e-6)
    assert np.allclose(my_output, hidden[0].detach(), atol=1e-6)


@pytest.mark.parametrize("way", ["value", "norm", "global_norm"])
def test_gradients_are_clipped_as_torch_does(way: str) -> None:
    torch.manual_seed(0)
    gradients: dict[str, Any] = {"a": torch.randn(3, 4), "b": None, "c": 10 * torch.randn(5)}
    parameters = []
    for gradient in (gradients["a"], gradients["c"]):
        parameters.append(nn.Parameter(torch.zeros_like(gradient)))
        parameters[-1].grad = gradient.clone()
    if way == "value":
        nn.utils.clip_grad_value_(parameters, 0.5)
    elif way == "norm":
        for parameter in parameters:
            nn.utils.clip_grad_norm_([parameter], 0.5)
    else:
        nn.utils.clip_grad_norm_(parameters, 0.5)
    before = on_tensors.compute_global_norm(list(gradients.values()))
    norm = on_tensors.clip_gradients(gradients, grad_clip=0.5, grad_clip_by=way)
    torch.testing.assert_close(gradients["a"], parameters[0].grad)
    torch.testing.assert_close(gradients["c"], parameters[1].grad)
    if way == "global_norm":
        torch.testing.assert_close(norm, before)


def test_gradients_are_left_alone_without_a_limit() -> None:
    assert on_tensors.clip_gradients({"a": torch.ones(1)}, grad_clip=None) is None
    assert on_tensors.clip_gradients({"a": None}, grad_clip=1.0, grad_clip_by="global_norm") == 0
    with pytest.raises(ConfigError, match="grad_clip_by"):
        on_tensors.clip_gradients({}, grad_clip=1.0, grad_clip_by="sum")


def test_explained_variance_and_masks() -> None:
    y = torch.tensor([1.0, 2.0, 3.0])
    assert float(on_tensors.explained_variance(y, y)) == 1.0
    assert float(on_tensors.explained_variance(y, torch.full((3,), 2.0))) == 0.0
    assert float(on_tensors.explained_variance(y, -10 * y)) == -1.0
    assert float(on_tensors.explained_variance(torch.ones(3), y)) == -1.0
    assert float(on_tensors.explained_variance(y[:1], y[:1])) == -1.0
    assert on_tensors.sequence_mask(torch.tensor([2, 0]), 3, torch.float32).tolist() == [[1, 1, 0], [0, 0, 0]]
    assert on_tensors.sequence_mask(torch.tensor([2, 1]), time_major=True).tolist() == [[True, True], [True, False]]
    assert float(on_tensors.reduce_mean_ignore_inf(torch.tensor([1.0, float("-inf"), 3.0]))) == 2.0


@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=5))
def test_two_hot_weights_have_the_number_as_their_mean(numbers: list[float]) -> None:
    values = torch.tensor(numbers)
    weights = on_tensors.two_hot(values, num_buckets=41)
    assert torch.allclose(weights.sum(-1), torch.ones(len(numbers)))
    assert ((weights > 0).sum(-1) <= 2).all()
    assert torch.allclose(weights @ torch.linspace(-20, 20, 41), values.clamp(-20, 20), atol=1e-4)
    assert torch.allclose(on_tensors.inverse_symlog(on_tensors.symlog(values)), values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tau", [0.25, 1.0])
def test_a_target_network_follows(tau: float) -> None:
    main, target = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(main.weight, 5.0)
    main.running_mean.fill_(3.0)  # type: ignore[union-attr]
    on_tensors.update_target_network(main, target, tau)
    assert target.weight.tolist() == [1 + 4 * tau] * 2
    assert target.running_mean.tolist() == [3.0, 3.0]  # type: ignore[union-attr]


def test_seeds_reach_all_global_generators() -> None:
    drawn = []
    for _ in range(2):
        on_tensors.set_torch_seed(3)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert drawn[0] == drawn[1]


def test_spaces_and_their_values_come_apart_and_together() -> None:
    assert space_utils.flatten_space(NESTED) == [NESTED["a"], NESTED["b"][0], NESTED["b"][1]]  # type: ignore[index]
    assert space_utils.is_composite_space(NESTED)
    NESTED.seed(0)
    values = [NESTED.sample() for _ in range(3)]
    together = space_utils.batch(values)
    assert together["b"][1].shape == (3, 2)
    for one, again in zip(values, space_utils.unbatch(together), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(leaves(one), leaves(again), strict=True))
    twice = space_utils.batch([together, together], individual_items_already_have_batch_dim=True)
    assert twice["a"].shape == (6, 2)
    marked = [{"a": space_utils.BatchedNdArray([1, 2])}] * 2
    assert space_utils.batch(marked, individual_items_already_have_batch_dim="auto")["a"].tolist() == [1, 2, 1, 2]
    assert space_utils.flatten_to_single_ndarray(values[0]).shape == (5,)
    with pytest.raises(ValueError, match="empty"):
        space_utils.batch([])
    struct = space_utils.get_base_struct_from_space(NESTED)
    flat = on_arrays.flatten_inputs_to_1d_tensor(together, struct)
    assert flat.shape == (3, 5 + 3 + 2)
    tensors = on_tensors.convert_to_torch_tensor(together)
    assert np.array_equal(on_tensors.flatten_inputs_to_1d_tensor(tensors, struct), flat)


@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=2))
def test_actions_are_brought_between_their_bounds_and_back(numbers: list[float]) -> None:
    action = {"a": np.array([1, 2]), "b": (np.int64(1), np.array(numbers, np.float32))}
    scaled = space_utils.unsquash_action(action, NESTED)
    assert np.allclose(scaled["b"][1], 4 * np.array(numbers) + 2, atol=1e-5)
    assert np.array_equal(scaled["a"], action["a"])
    assert np.allclose(space_utils.normalize_action(scaled, NESTED)["b"][1], numbers, atol=1e-6)
    assert space_utils.clip_action({"a": action["a"], "b": (1, np.array([-9.0, 9.0]))}, NESTED)["b"][1].tolist() == [
        -2,
        6,
    ]
    unbounded = gym.spaces.Box(-np.inf, np.inf, (2,))
    assert np.array_equal(space_utils.unsquash_action(action["b"][1], unbounded), action["b"][1])  # type: ignore[index]
    integers = gym.spaces.Box(3, 8, (1,), np.int64)
    assert space_utils.unsquash_action(np.array([2]), integers) == 5


def test_dummy_batches_have_the_space_shapes() -> None:
    made = space_utils.get_dummy_batch_for_space(NESTED, 4, time_size=2, one_hot_discrete=True)
    assert made["a"].shape == (4, 2, 5)
    assert made["b"][1].shape == (4, 2, 2)
    single = space_utils.get_dummy_batch_for_space(NESTED, 0, fill_value="random")
    assert space_utils.convert_element_to_space_type(single, NESTED.sample()) in NESTED
    assert space_utils.get_dummy_batch_for_space(NESTED["a"], 4, time_size=3, time_major=True).shape == (3, 4, 2)


def test_aligned_memory() -> None:
    array = on_arrays.aligned_array(10, np.float32)
    assert array.ctypes.data % 64 == 0
    assert array.shape == (10,)
    joined = on_arrays.concat_aligned([np.ones((2, 3)), np.zeros((1, 3))])
    assert joined.tolist() == [[1] * 3, [1] * 3, [0] * 3]
    assert on_arrays.concat_aligned([np.ones((2, 3)), np.zeros((2, 1))], time_major=True).shape == (2, 4)
    frozen = on_arrays.make_action_immutable(np.ones(1))
    with pytest.raises(ValueError, match="read-only"):
        frozen[0] = 2
