"""What looks robust to the textbook's attack falls to all of them together; what is robust stands."""

import pytest
import torch
from tests.attacks import museum
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.attacks.apgd import apgd, apgd_targeted
from netwright.attacks.problem import judged
from netwright.attacks.square import square
from netwright.attacks.straight import straight_through

LEFT = 0.12  # of the rows may withstand all attacks on a broken defense
SEEMS = 0.5  # of the rows withstand the textbook's attack there
ATTACKS = {
    "straight_through": (straight_through, {}),
    "apgd": (apgd, {}),
    "apgd_targeted": (apgd_targeted, {}),
    "square": (square, {"queries": 300}),
}


def textbook(network: nn.Module, x: Tensor, y: Tensor, steps: int = 20) -> float:
    """The share of rows right after PGD with the gradient of the cross entropy, as in any tutorial."""
    z = x
    for _ in range(steps):
        z = z.detach().requires_grad_()
        loss = F.cross_entropy(network(z), y)
        gradient = torch.autograd.grad(loss, z, allow_unused=True)[0] if loss.requires_grad else None
        moved = z if gradient is None else z + museum.SIZE / 8 * gradient.sign()
        z = torch.minimum(torch.maximum(moved, x - museum.SIZE), x + museum.SIZE).clamp(0, 1)
    return float((network(z).argmax(1) == y).float().mean())


def standing(network: nn.Module) -> float:
    """The share of rows right after all attacks, at most LEFT: then it stops."""
    left = museum.rows()
    count = len(left)
    for attack, options in ATTACKS.values():
        threat = museum.threat(left)
        moved = attack(network, left, museum.DIGITS, threat, **options)
        left = left.pick(judged(network, left, moved, museum.DIGITS, threat) < 1)
        if len(left) <= LEFT * count:
            break
    return len(left) / count


@pytest.mark.parametrize("name", museum.MASKED)
def test_broken_defenses_fall_to_all_attacks_together(name: str):
    assert standing(museum.network(name)) <= LEFT


@pytest.mark.parametrize("name", ["scaled logits", "quantized", "distilled", "thermometer"])
def test_the_textbooks_attack_is_deceived(name: str):
    x, y = museum.rows().inputs[0], museum.rows().targets[0]
    assert textbook(museum.network(name), x, y) >= SEEMS


def test_training_against_an_attack_is_no_broken_defense():
    x, y = museum.rows().inputs[0], museum.rows().targets[0]
    network = museum.network("pgd-trained")
    left = standing(network)
    assert left >= 0.3
    assert textbook(network, x, y) - left <= 0.15


def test_a_plain_network_is_none_either():
    x, y = museum.rows().inputs[0], museum.rows().targets[0]
    assert standing(museum.plain()) <= LEFT
    assert textbook(museum.plain(), x, y) <= LEFT + 0.1
