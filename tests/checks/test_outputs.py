"""What the doctor says of losses that get outputs of the wrong shape, and of rows that leak."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netwright as nw
from netwright.records.finding import Finding, Report
from netwright.records.run import Run
from netwright.training.watch import Watching

ROWS = 96

pytestmark = pytest.mark.filterwarnings("ignore:Using a target size")


def rows(*, steps: int = 6) -> tuple[Tensor, Tensor]:
    """Inputs (N, steps, 2), and a number for each: the sum of the first channel."""
    x = torch.randn(ROWS, steps, 2, generator=torch.Generator().manual_seed(0))
    return x, x[:, :, 0].sum(1)


class Sequence(nn.Module):
    """A recurrent network that answers with its last step."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.out = layer, nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(x)[0][:, -1])


def first(run: Run) -> Finding:
    return worst(nw.diagnose(run))


def worst(report: Report) -> Finding:
    assert report.findings, "nothing was found"
    return report.findings[0]


def loud(run: Run, *codes: str) -> list[str]:
    """What it says of these codes, notes left out."""
    return [str(f) for f in nw.diagnose(run).findings if f.code in codes and f.severity != "note"]


def flat(width: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, width))


def looped(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], y: Tensor, *, epochs: int = 2) -> Watching:
    """A loop as in a tutorial, watched."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    with nw.watch(network, optimizer) as watch:
        for _ in range(epochs):
            for part in torch.arange(ROWS).split(32):
                optimizer.zero_grad()
                loss(network(rows()[0][part]), y[part]).backward()
                optimizer.step()
    return watch


def test_a_broadcast_loss_comes_first_with_both_shapes_in_a_network_nobody_watched() -> None:
    found = first(nw.adopt(flat(1), nn.HuberLoss(), rows()))
    assert (found.code, found.severity) == ("NW318", "error")
    assert "outputs (64, 1) and targets (64,) to (64, 64)" in found.summary
    assert (
        found.remedies[0].advice == "give outputs and targets one shape: outputs.squeeze(1), or targets.unsqueeze(1)."
    )


def test_a_loop_that_broadcast_is_named_whatever_task_it_was_adopted_with() -> None:
    network, (x, y) = flat(1), rows()
    run = nw.adopt(network, nw.Regression(), (x, y), watch=looped(network, lambda o, t: (o - t).abs().mean(), y))
    found = first(run)
    assert found.code == "NW318"
    assert "the loss of the loop broadcasts outputs (32, 1) and targets (32,) to (32, 32)" in found.summary


def test_the_same_loop_with_one_shape_is_not_named() -> None:
    network, (x, y) = flat(1), rows()
    watch = looped(network, F.mse_loss, y[:, None])
    assert not loud(nw.adopt(network, nw.Regression(), (x, y), watch=watch), "NW318")
    assert not loud(nw.adopt(network, nn.MSELoss(), (x, y[:, None]), watch=watch), "NW318")


def test_a_loss_of_pairs_of_rows_is_not_named_in_a_watched_loop() -> None:
    def later(outputs: Tensor, times: Tensor) -> Tensor:
        """A proportional hazard: each row beside those with later times."""
        risk = (times[None] >= times[:, None]).float()
        return ((outputs.exp() * risk.T).sum(0).log() - outputs[:, 0]).mean()

    network, (x, y) = flat(1), rows()
    assert not loud(nw.adopt(network, later, (x, y), watch=looped(network, later, y)), "NW318")


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_recurrent_layer_that_runs_over_the_rows_leaks_though_the_first_row_sees_no_other(
    layer: type[nn.RNNBase], batch_first: bool
) -> None:
    torch.manual_seed(0)
    run = nw.adopt(Sequence(layer(2, 8, batch_first=batch_first), 8), nw.Regression(), rows())
    if batch_first:
        assert not loud(run, "NW315")
    else:
        found = first(run)
        assert found.code == "NW315" and found.summary.startswith("15 of 16 answers change")
        assert found.layers[0] == "layer" and "batch_first=True" in found.remedies[0].advice
