"""Evaluation mode, with and without gradients."""

import torch
from torch import nn

from netwright.models.modes import differentiable, evaluating


def network() -> nn.Module:
    found = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.BatchNorm1d(2))
    found[2].eval()
    return found


def test_every_module_returns_to_its_own_mode_also_after_an_error() -> None:
    for mode in (evaluating, differentiable):
        one = network()
        try:
            with mode(one):
                assert not any(module.training for module in one.modules())
                raise KeyError
        except KeyError:
            pass
        assert [module.training for module in one.modules()] == [True, True, True, False]


def test_inputs_have_gradients_also_within_a_block_without() -> None:
    x = torch.ones(3, 2, requires_grad=True)
    with torch.no_grad(), differentiable(one := network()):
        assert torch.autograd.grad(one(x).sum(), x)[0].shape == (3, 2)
    with evaluating(one):
        assert not one(x).requires_grad
