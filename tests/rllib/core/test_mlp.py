"""Layers in one call each are the layers one after the other."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from shoal.rllib.core.models.torch.mlp import Mlp

LARGE = 160
"""A layer of so many squared, given 64 rows, goes its own way backward; with 200 rows its products are oneDNN's there, too."""


def layers(kind: type[nn.Module], size: int = LARGE) -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Linear(4, size), kind(), nn.Linear(size, size), kind(), nn.Linear(size, 2)]


@pytest.mark.parametrize("kind", [nn.Tanh, nn.ReLU, nn.SiLU])
@pytest.mark.parametrize(("rows", "size"), [(1, 16), (8, 16), (64, 16), (8, LARGE), (64, LARGE), (200, LARGE)])
def test_results_and_gradients_are_those_of_the_layers(kind: type[nn.Module], rows: int, size: int) -> None:
    fast, plain = Mlp(*layers(kind, size)), nn.Sequential(*layers(kind, size))
    assert list(fast.state_dict()) == list(plain.state_dict())
    ours = torch.randn(rows, 4, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    torch.testing.assert_close(fast(ours), plain(theirs))
    with torch.no_grad():
        torch.testing.assert_close(fast(ours), plain(theirs))
    fast(ours).square().sum().backward()
    plain(theirs).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for mine, its in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad)


def test_parameters_that_are_not_trained_have_no_gradient() -> None:
    fast = Mlp(*layers(nn.Tanh))
    fast[0].requires_grad_(False)
    fast(torch.randn(64, 4)).sum().backward()
    assert fast[0].weight.grad is None and fast[2].weight.grad is not None


def test_outputs_may_be_changed_in_place_as_those_of_a_linear_layer() -> None:
    fast, plain = Mlp(*layers(nn.Tanh)), nn.Sequential(*layers(nn.Tanh))
    x = torch.randn(64, 4)
    for network in (fast, plain):
        y = network(x)
        y += torch.tensor([0.0, -1e9])
        y[:, 0].square().sum().backward()
    for mine, its in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad)


def test_gradients_have_gradients() -> None:
    fast, plain = Mlp(*layers(nn.Tanh)), nn.Sequential(*layers(nn.Tanh))
    found = []
    for network in (fast, plain):
        x = torch.linspace(-1, 1, 256).reshape(64, 4).requires_grad_()
        (gradient,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()
        found.append([parameter.grad for parameter in network.parameters()])
    for mine, its in zip(*found, strict=True):
        torch.testing.assert_close(mine, its)


def test_hooks_copies_and_pickles_work_as_with_any_layers() -> None:
    fast = Mlp(*layers(nn.Tanh))
    seen: list[torch.Size] = []
    fast[0].register_forward_hook(lambda layer, inputs, output: seen.append(output.shape))
    fast(torch.randn(64, 4))
    assert seen == [torch.Size([64, LARGE])]
    x = torch.randn(64, 4)
    for other in (copy.deepcopy(Mlp(*layers(nn.Tanh))), pickle.loads(pickle.dumps(Mlp(*layers(nn.Tanh))))):
        with torch.no_grad():
            other[0].weight.add_(1.0)
        torch.testing.assert_close(other(x), nn.Sequential(*other)(x))
