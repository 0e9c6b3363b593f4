import pytest
import torch
from tests.attacks import museum
from torch import Tensor, nn

from netwright.attacks.problem import judged
from netwright.attacks.straight import straight_through, straightened


class Does(nn.Module):
    """One operation, as a network."""

    def __init__(self, operation) -> None:
        super().__init__()
        self.operation, self.scale = operation, nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.operation(self.scale * x)


def without_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x * 2


def in_place(x: Tensor) -> Tensor:
    x = x * 1.0
    x.round_()
    return x


STEPS = {
    "round": (torch.round, 1.0),
    "round as method": (Tensor.round, 1.0),
    "round in place": (in_place, 1.0),
    "round to digits": (lambda x: x.round(decimals=1), 1.0),
    "floor": (torch.floor, 1.0),
    "sign": (torch.sign, 1.0),
    "heaviside": (lambda x: torch.heaviside(x, torch.zeros(())), 1.0),
    "bernoulli": (lambda x: torch.bernoulli(x), 1.0),
    "detach": (lambda x: x.detach() * 3, 3.0),
    "data": (lambda x: x.data * 3, 3.0),
    "no_grad": (without_grad, 2.0),
    "whole division": (lambda x: (x * 10) // 2, 5.0),
    "whole division by name": (lambda x: torch.div(x * 10, 2, rounding_mode="floor"), 5.0),
    "compared": (lambda x: (x > 0.5).float(), 1.0),
    "compared the other way": (lambda x: (x < 0.5).float(), -1.0),
    "compared and counted": (lambda x: 2.0 * (x > 0.5), 2.0),
    "compared and reshaped": (lambda x: (x > 0.5).unsqueeze(1).to(torch.float32).squeeze(1), 1.0),
    "chosen": (lambda x: torch.where(x > 0.5, 5.0, 1.0), 4.0),
    "cast": (lambda x: (x * 255).to(torch.uint8) / 255, 1.0),
    "cast and counted": (lambda x: ((x * 255).long() * 2).float(), 510.0),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_pass_the_gradient_and_keep_their_values(name: str):
    operation, slope = STEPS[name]
    network, x = Does(operation).eval(), torch.tensor([0.31, 0.77])
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(0)
        expected = network(x)
    z = x.clone().requires_grad_()
    with straightened(network), torch.random.fork_rng([]):
        torch.manual_seed(0)
        found = network(z * 1.0)
    assert torch.equal(found.float(), expected.float())
    (gradient,) = torch.autograd.grad(found.sum(), z)
    torch.testing.assert_close(gradient, torch.full((2,), slope))


def test_afterwards_the_network_is_as_before():
    network = Does(torch.round).eval()
    with straightened(network):
        pass
    x = torch.tensor([0.3], requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x * 1.0).sum(), x)
    assert not gradient.any()
    assert not network._forward_hooks and not network._forward_pre_hooks


def test_a_network_that_fails_leaves_nothing_switched_on():
    def fail(x: Tensor) -> Tensor:
        raise RuntimeError("no answer")

    network = Does(fail)
    with pytest.raises(RuntimeError, match="no answer"), straightened(network):
        network(torch.zeros(1))
    x = torch.tensor([0.3], requires_grad=True)
    assert not torch.autograd.grad(torch.round(x * 1.0).sum(), x)[0].any()


def test_only_the_network_computes_so():
    x = torch.tensor([0.3], requires_grad=True)
    with straightened(Does(torch.round)):
        assert not torch.autograd.grad(torch.round(x * 1.0).sum(), x)[0].any()
        with torch.no_grad():
            assert not Does(torch.round)(x).requires_grad


@pytest.mark.parametrize("name", ["quantized", "thermometer"])
def test_it_beats_networks_that_hide_their_gradients(name: str):
    network, rows = museum.network(name), museum.rows()
    threat = museum.threat(rows)
    moved = straight_through(network, rows, museum.DIGITS, threat)
    assert judged(network, rows, moved, museum.DIGITS, threat).mean() > 0.85
