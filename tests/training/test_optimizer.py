import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.training.optimizer import build_optimizer, decayed, groups


class Mixed(nn.Module):
    """One of each layer, a scalar, and a matrix that is not called weight."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.conv = nn.Conv1d(8, 8, 3)
        self.norm = nn.BatchNorm1d(8)
        self.lstm = nn.LSTM(8, 8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.scale = nn.Parameter(torch.ones(()))
        self.positions = nn.Parameter(torch.zeros(1, 5, 8))
        self.head = nn.Linear(8, 2)


def deep() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


def test_decay_falls_on_weight_matrices_and_not_on_biases_norms_embeddings_and_scalars() -> None:
    assert set(decayed(Mixed())) == {
        "conv.weight",
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "head.weight",
    }


def test_a_weight_tied_to_an_embedding_is_not_decayed() -> None:
    network = nn.ModuleDict({"head": nn.Linear(8, 10), "words": nn.Embedding(10, 8)})
    network["head"].weight = network["words"].weight
    assert not decayed(network)


def test_every_trainable_parameter_is_in_exactly_one_group() -> None:
    network = Mixed()
    network.conv.weight.requires_grad_(False)
    grouped = [id(p) for group in groups(network, Recipe(weight_decay=0.3)) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    assert [g["weight_decay"] for g in groups(network, Recipe(weight_decay=0.3))] == [0.3, 0.0]


TORCHS = {
    "adam": lambda groups: Adam(groups, lr=0.02, betas=(0.8, 0.95), fused=True),
    "adamw": lambda groups: AdamW(groups, lr=0.02, betas=(0.8, 0.95), fused=True),
    "sgd": lambda groups: SGD(groups, lr=0.02, momentum=0.8, nesterov=True, fused=True),
    "rmsprop": lambda groups: RMSprop(groups, lr=0.02, momentum=0.8, foreach=True),
}


@pytest.mark.parametrize("name", TORCHS)
def test_weights_equal_those_of_torchs_class_with_the_recipes_settings(name: str) -> None:
    recipe = Recipe(optimizer=name, lr=0.02, momentum=0.8, beta2=0.95, weight_decay=0.3)
    ours, theirs = deep(), deep()
    theirs.load_state_dict(ours.state_dict())
    pairs = ((ours, build_optimizer(ours, recipe)), (theirs, TORCHS[name](groups(theirs, recipe))))
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    for _ in range(4):
        for network, optimizer in pairs:
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_sgd_without_momentum_is_plain_descent() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer = build_optimizer(layer, Recipe(optimizer="sgd", momentum=0.0, lr=0.1, weight_decay=0.0))
    for _ in range(2):
        layer.weight.grad = torch.ones_like(layer.weight)
        optimizer.step()
    assert layer.weight.item() == pytest.approx(0.8, rel=1e-6)


def test_making_an_optimizer_does_not_import_torchs_compiler() -> None:
    code = (
        "import sys; from torch import nn; from netwright.records.recipe import Recipe;"
        "from netwright.training.optimizer import build_optimizer;"
        "[build_optimizer(nn.Linear(2, 2), Recipe(optimizer=o)) for o in ('adamw', 'adam', 'sgd')];"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_decay_is_in_adams_gradient_and_beside_adamws() -> None:
    # Without gradients: AdamW shrinks by lr * decay; Adam normalizes the decay's gradient to a full step of lr.
    for name, expected in (("adamw", 1 - 0.1 * 0.5), ("adam", 1 - 0.1)):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.ones_(layer.weight)
        optimizer = build_optimizer(layer, Recipe(optimizer=name, lr=0.1, weight_decay=0.5))
        layer.weight.grad = torch.zeros_like(layer.weight)
        optimizer.step()
        assert layer.weight.item() == pytest.approx(expected, rel=1e-6)


def test_muon_updates_hidden_matrices_and_adamw_the_rest() -> None:
    network = deep()
    optimizer = build_optimizer(network, Recipe(optimizer="muon"))
    muon_group = optimizer.param_groups[0]
    assert [p is network[2].weight for p in muon_group["params"]] == [True]
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = network[2].weight.detach().clone()
    optimizer.step()
    update = (network[2].weight.detach() - before * (1 - 1e-3 * 1e-2)) / 1e-3
    # The orthogonalized gradient of rank one has one singular value, near 1 (0.7 to 1.2 by the iteration's design).
    singular = torch.linalg.svdvals(update / (0.2 * 8**0.5))
    assert 0.6 < singular[0] < 1.3
    assert singular[1] < 0.1


def test_muon_without_a_hidden_matrix_says_what_to_choose() -> None:
    with pytest.raises(RecipeError, match="muon updates the matrices between the first and the last layer") as caught:
        build_optimizer(nn.Linear(4, 2), Recipe(optimizer="muon"))
    assert caught.value.remedy == "choose another optimizer, such as adamw, or a deeper network."
