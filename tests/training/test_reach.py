"""Ranges of outputs, and losses that cannot use them: pairs that fit, and pairs that do not, all unlike each other."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.checks.training.evidence import of_run
from netwright.checks.training.outputs import loss_and_outputs
from netwright.records.batch import Batch
from netwright.records.finding import Finding
from netwright.training.adopt import adopt
from netwright.training.reach import Ends, ends

N = 96
Loss = Callable[..., Tensor]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


X = drawn(N, 6)
SUM = X.sum(1, keepdim=True)
CLASSES = (X[:, 0] > 0).long() + (X[:, 1] > 0.5).long()
BITS = (X[:, :3] > 0).float()
SHARES = (X[:, :4] * 2).softmax(1)
COUNTS = torch.poisson((0.5 * X[:, :1]).exp(), generator=torch.Generator().manual_seed(1))


class Ending(nn.Module):
    """Two layers, and what is done to their outputs."""

    def __init__(self, width: int, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.end = nn.Linear(6, 16), nn.Linear(16, width), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.last(self.first(x).tanh()))


def found(width: int, end: Callable[[Tensor], Tensor], loss: Any, *targets: Tensor) -> list[Finding]:
    data = [Batch((X,), targets, torch.arange(N))] if len(targets) > 1 else (X, *targets)
    return list(loss_and_outputs(of_run(adopt(Ending(width, end), loss, data))))


def same(outputs: Tensor) -> Tensor:
    return outputs


def softmax(outputs: Tensor) -> Tensor:
    return outputs.softmax(1)


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    surprise = F.cross_entropy(outputs, targets, reduction="none")
    return ((1 - (-surprise).exp()) ** 2 * surprise).mean()


def binary_focal(outputs: Tensor, targets: Tensor) -> Tensor:
    surprise = F.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    return ((1 - (-surprise).exp()) ** 2 * surprise).mean()


def dice(outputs: Tensor, targets: Tensor) -> Tensor:
    return 1 - 2 * (outputs * targets).sum() / (outputs.sum() + targets.sum() + 1e-6)


def ordinal(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs, (targets[:, None] > torch.arange(2)).float())


def likelihood(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.gaussian_nll_loss(outputs[:, :1], targets, F.softplus(outputs[:, 1:]) + 1e-3)


def triplets(outputs: Tensor, targets: Tensor) -> Tensor:
    """The hardest pairs of a batch: rows are compared on purpose. Hermans et al. 2017, arXiv:1703.07737."""
    apart, alike = torch.cdist(outputs, outputs), targets[:, None] == targets[None]
    return F.relu((apart * alike).amax(1) - (apart + 1e3 * alike).amin(1) + 0.3).mean()


def supervised_contrast(outputs: Tensor, targets: Tensor) -> Tensor:
    """Khosla et al. 2020, arXiv:2004.11362."""
    logits = outputs @ outputs.T / 0.1 - 1e9 * torch.eye(len(outputs))
    alike = (targets[:, None] == targets[None]).float() - torch.eye(len(outputs))
    return -((logits.log_softmax(1) * alike).sum(1) / alike.sum(1).clamp(min=1)).mean()


def tall(outputs: Tensor) -> Tensor:
    return outputs.unflatten(1, (4, 2, 2))


def steps(outputs: Tensor) -> Tensor:
    return outputs.unflatten(1, (5, 4))


AREAS = CLASSES[:, None, None].expand(N, 2, 2)
WORDS = (CLASSES[:, None] + torch.arange(5)) % 4
LOGITS, LOGARITHMS, RANGE = "takes logits", "logarithms of probabilities", "can only be"

# width, end, loss, targets; words of the finding
FAULTY: dict[str, tuple[int, Callable[[Tensor], Tensor], Any, Tensor, str]] = {
    "softmax, cross entropy": (3, softmax, nn.CrossEntropyLoss(), CLASSES, LOGITS),
    "softmax, weights": (3, softmax, nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 5.0])), CLASSES, LOGITS),
    "softmax, smoothing": (3, softmax, nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES, LOGITS),
    "softmax, a sum": (3, softmax, nn.CrossEntropyLoss(reduction="sum"), CLASSES, LOGITS),
    "softmax, focal": (3, softmax, focal, CLASSES, LOGITS),
    "softmax, soft targets": (4, softmax, nn.CrossEntropyLoss(), SHARES, LOGITS),
    "softmax, divergence": (4, softmax, lambda o, t: F.kl_div(o.log_softmax(1), t, reduction="batchmean"), SHARES, ""),
    "softmax, areas": (16, lambda o: tall(o).softmax(1), nn.CrossEntropyLoss(), AREAS, LOGITS),
    "softmax, words": (20, lambda o: steps(o).softmax(-1),
                       lambda o, t: F.cross_entropy(o.flatten(0, 1), t.flatten()), WORDS, LOGITS),
    "two softmaxes of two classes": (2, softmax, nn.CrossEntropyLoss(), (CLASSES > 0).long(), LOGITS),
    "softmax, words as they are": (20, lambda o: steps(o).softmax(-1), lambda o, t: F.cross_entropy(o.mT, t), WORDS,
                                   "sum to 1"),
    "sigmoid, cross entropy": (3, torch.sigmoid, nn.CrossEntropyLoss(), CLASSES, LOGITS),
    "tanh, cross entropy": (3, torch.tanh, F.cross_entropy, CLASSES, LOGITS),
    "sigmoid, binary": (1, torch.sigmoid, nn.BCEWithLogitsLoss(), BITS[:, :1], LOGITS),
    "sigmoid, rare": (1, torch.sigmoid, nn.BCEWithLogitsLoss(pos_weight=torch.tensor(9.0)), BITS[:, :1], LOGITS),
    "sigmoid, several": (3, torch.sigmoid, nn.MultiLabelSoftMarginLoss(), BITS, LOGITS),
    "sigmoid, binary focal": (3, torch.sigmoid, binary_focal, BITS, LOGITS),
    "tanh, margin": (1, torch.tanh, nn.SoftMarginLoss(), 2 * BITS[:, :1] - 1, LOGITS),
    "relu, binary": (3, F.relu, nn.BCEWithLogitsLoss(), BITS, ""),
    "relu, weights": (3, F.relu, nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 5.0])), CLASSES, LOGITS),
    "logits, nll": (3, same, nn.NLLLoss(), CLASSES, LOGARITHMS),
    "logits, weighted nll": (3, same, nn.NLLLoss(torch.tensor([1.0, 2.0, 5.0])), CLASSES, LOGARITHMS),
    "logits, nll in a sum": (3, same, nn.NLLLoss(reduction="sum"), CLASSES, LOGARITHMS),
    "softmax, nll": (3, softmax, F.nll_loss, CLASSES, LOGARITHMS),
    "softmax, nll of areas": (16, lambda o: tall(o).softmax(1), nn.NLLLoss(), AREAS, LOGARITHMS),
    "softmax, kl_div": (4, softmax, nn.KLDivLoss(reduction="batchmean"), SHARES, LOGARITHMS),
    "logits, kl_div": (4, same, nn.KLDivLoss(reduction="batchmean"), SHARES, LOGARITHMS),
    "sigmoid, numbers": (1, torch.sigmoid, nn.MSELoss(), SUM, RANGE),
    "tanh, standardized numbers": (1, torch.tanh, nn.L1Loss(), 2 * SUM / SUM.std(), RANGE),
    "relu, numbers of both signs": (1, F.relu, nn.HuberLoss(), SUM, RANGE),
    "softplus, numbers of both signs": (1, F.softplus, nn.MSELoss(), SUM, RANGE),
    "exp, numbers of both signs": (1, torch.exp, nn.L1Loss(), SUM, RANGE),
    "five stars of ten": (1, lambda o: 5 * o.sigmoid(), nn.MSELoss(), 10 * SUM.sigmoid(), RANGE),
    "softmax, numbers": (3, softmax, nn.MSELoss(), X[:, :3], ""),
    "normalized pictures": (16, torch.sigmoid, nn.MSELoss(), drawn(N, 16, seed=3), RANGE),
}  # fmt: skip

FITTING: dict[str, tuple[int, Callable[[Tensor], Tensor], Any, Tensor]] = {
    "logits, cross entropy": (3, same, nn.CrossEntropyLoss(label_smoothing=0.2), CLASSES),
    "logits, focal": (3, same, focal, CLASSES),
    "log softmax, nll": (3, lambda o: o.log_softmax(1), nn.NLLLoss(torch.tensor([1.0, 2.0, 5.0])), CLASSES),
    "log softmax, cross entropy: the same twice": (3, lambda o: o.log_softmax(1), nn.CrossEntropyLoss(), CLASSES),
    "log softmax, nll of words": (20, lambda o: steps(o).log_softmax(-1),
                                  lambda o, t: F.nll_loss(o.flatten(0, 1), t.flatten()), WORDS),
    "log softmax, kl_div": (4, lambda o: o.log_softmax(1), nn.KLDivLoss(reduction="batchmean"), SHARES),
    "log softmax, mean kl_div": (4, lambda o: o.log_softmax(1), nn.KLDivLoss(), SHARES),
    "softmax, logarithm in the loss": (3, softmax, lambda o, t: F.nll_loss((o + 1e-8).log(), t), CLASSES),
    "softmax, squares": (4, softmax, nn.MSELoss(), SHARES),
    "softmax, one minus the right share": (3, softmax, lambda o, t: (1 - o.gather(1, t[:, None])).mean(), CLASSES),
    "softmax, binary": (3, softmax, nn.BCELoss(), F.one_hot(CLASSES, 3).float()),
    "margins": (3, same, nn.MultiMarginLoss(), CLASSES),
    "cut logits": (3, lambda o: 30 * (o / 30).tanh(), nn.CrossEntropyLoss(), CLASSES),
    "sigmoid, binary": (3, torch.sigmoid, nn.BCELoss(), BITS),
    "sigmoid kept from the ends": (1, lambda o: o.sigmoid().clamp(1e-6, 1 - 1e-6), nn.BCELoss(), BITS[:, :1]),
    "sigmoid, dice": (3, torch.sigmoid, dice, BITS),
    "sigmoid, shares": (1, torch.sigmoid, nn.MSELoss(), SUM.sigmoid()),
    "sigmoid, scaled stars": (1, lambda o: 1 + 4 * o.sigmoid(), nn.L1Loss(), 1 + 4 * SUM.sigmoid()),
    "logits, binary": (3, same, binary_focal, BITS),
    "ordinal": (2, same, ordinal, CLASSES),
    "tanh, scaled numbers": (1, torch.tanh, nn.MSELoss(), SUM / SUM.abs().max()),
    "tanh, a few outliers": (1, torch.tanh, nn.MSELoss(), SUM / SUM.abs().sort(0).values[-3]),
    "tanh, hinge": (1, torch.tanh, lambda o, t: F.relu(1 - t * o).mean(), 2 * BITS[:, :1] - 1),
    "softplus, positive numbers": (1, F.softplus, nn.MSELoss(), SUM.exp()),
    "softplus, a rate": (1, F.softplus, nn.PoissonNLLLoss(log_input=False), COUNTS),
    "exp, times": (1, torch.exp, lambda o, t: (o.log() - t.log()).square().mean(), SUM.exp()),
    "relu, numbers above zero": (1, F.relu, nn.MSELoss(), SUM.abs() + 0.1),
    "logarithm of a rate": (1, same, nn.PoissonNLLLoss(), COUNTS),
    "relu, mostly zero": (1, F.relu, nn.HuberLoss(), SUM.relu()),
    "mean and variance": (2, same, likelihood, SUM),
    "numbers": (1, same, nn.SmoothL1Loss(), SUM),
    "quantiles": (3, same, lambda o, t: torch.maximum(torch.tensor([0.1, 0.5, 0.9]) * (t - o),
                                                      torch.tensor([-0.9, -0.5, -0.1]) * (t - o)).mean(), SUM),
    "cosine": (4, same, lambda o, t: 1 - F.cosine_similarity(o, t).mean(), X[:, :4]),
    "hardest triplets": (4, lambda o: F.normalize(o, dim=1), triplets, CLASSES),
    "supervised contrast": (4, lambda o: F.normalize(o, dim=1), supervised_contrast, CLASSES),
    "critic": (1, same, lambda o, t: (o * (1 - 2 * t)).mean(), BITS[:, :1]),
    "masked logits": (3, lambda o: o.masked_fill(torch.tensor([False, False, True]), -1e9), nn.CrossEntropyLoss(),
                      CLASSES.clamp(max=1)),
    "pictures": (16, torch.sigmoid, nn.L1Loss(), drawn(N, 16, seed=3).sigmoid()),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("name", FAULTY)
def test_a_loss_that_cannot_use_the_outputs_is_an_error(name: str) -> None:
    width, end, loss, targets, words = FAULTY[name]
    (one,) = found(width, end, loss, targets)
    assert one.severity == "error" and words in one.summary


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("name", FITTING)
def test_a_loss_that_fits_the_outputs_is_silent(name: str) -> None:
    assert not found(*FITTING[name])


def seen(end: Callable[[Tensor], Tensor], width: int = 3) -> Ends:
    return ends(Ending(width, end), Batch((X,), (), torch.arange(N)))[1]


def test_the_range_is_that_of_the_function_at_the_end() -> None:
    inf = float("inf")
    assert seen(same) == Ends(-inf, inf, is_cut=False)
    assert seen(torch.sigmoid) == Ends(0.0, 1.0, is_cut=False)
    assert seen(lambda o: 2 + 3 * o.tanh()) == Ends(-1.0, 5.0, is_cut=False)
    assert seen(F.relu) == Ends(0.0, inf, is_cut=True)
    assert seen(lambda o: -F.softplus(o)) == Ends(-inf, -0.0, is_cut=False)
    assert seen(lambda o: o.clamp(0, 1)) == Ends(0.0, 1.0, is_cut=True)
    assert seen(softmax, 40) == Ends(0.0, 1.0, is_cut=False)
    assert seen(lambda o: F.leaky_relu(o, 0.01)).is_open
    assert seen(lambda o: F.normalize(o, dim=1)).is_open


def test_looking_for_the_range_changes_no_weight() -> None:
    network = Ending(3, torch.sigmoid)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    ends(network, Batch((X,), (), torch.arange(N)))
    assert all(torch.equal(before[name], weight) for name, weight in network.state_dict().items()) and network.training


def test_a_network_that_gives_probabilities_only_in_evaluation_mode_is_judged_by_what_its_loss_gets() -> None:
    class Switching(Ending):
        def forward(self, x: Tensor) -> Tensor:
            logits = super().forward(x)
            return logits if self.training else logits.softmax(1)

    assert not list(loss_and_outputs(of_run(adopt(Switching(3, same), nn.CrossEntropyLoss(), (X, CLASSES)))))


def test_an_untrained_relu_above_positive_targets_may_still_learn_but_not_if_all_its_outputs_are_zero() -> None:
    assert not found(1, F.relu, nn.MSELoss(), SUM.exp())
    network = Ending(1, F.relu)
    nn.init.constant_(network.last.bias, -9.0)
    (one,) = loss_and_outputs(of_run(adopt(network, nn.MSELoss(), (X, SUM.exp()))))
    assert "cut off (0 or more" in one.summary


def test_a_range_is_seen_behind_weights_that_no_layer_calls() -> None:
    class Tied(nn.Module):
        """Words are answered by the vectors that words enter by, after a recurrent layer."""

        def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.end = end
            self.embed, self.layer = nn.Embedding(9, 4), nn.GRU(4, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.end(self.layer(self.embed(x))[0] @ self.embed.weight.T)

    words = torch.randint(0, 9, (N, 5), generator=torch.Generator().manual_seed(0))
    assert ends(Tied(same), Batch((words,), (), torch.arange(N)))[1].is_open
    network = Tied(lambda logits: logits.softmax(-1))
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    assert ends(network, Batch((words,), (), torch.arange(N)))[1] == Ends(0.0, 1.0, is_cut=False)
    assert all(torch.equal(before[name], weight) for name, weight in network.state_dict().items())
