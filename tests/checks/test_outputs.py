"""What the doctor says of outputs and inputs of the wrong shape, of rows that leak, and of states that are kept."""

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


class Reshaped(nn.Module):
    """A function of the inputs, a layer, and the mean of what is left."""

    def __init__(self, change: Callable[[Tensor], Tensor], layer: nn.Module) -> None:
        super().__init__()
        self.change, self.layer = change, layer

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(self.change(x))
        return (h[0] if isinstance(h, tuple) else h).flatten(1).mean(1, keepdim=True)


def mixed() -> dict[str, tuple[Callable[[Tensor], Tensor], nn.Module]]:
    """Weights from a seed: what is drawn at import depends on the tests that were collected before."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return {
            "steps and channels": (lambda x: x.view(-1, 2, 6), nn.Conv1d(2, 3, 2)),
            "reshaped for a recurrent layer": (lambda x: x.reshape(len(x), 2, 6), nn.GRU(6, 3, batch_first=True)),
            "channels last, merged": (lambda x: x.unflatten(1, (2, 3)).reshape(len(x), 2, 6), nn.Linear(6, 3)),
        }


MIXED = mixed()
KEPT: dict[str, tuple[Callable[[Tensor], Tensor], nn.Module]] = {
    "exchanged": (lambda x: x.transpose(1, 2), nn.Conv1d(2, 3, 2)),
    "flattened": (lambda x: x.flatten(1), nn.Linear(12, 3)),
    "an axis of one more": (lambda x: x.view(-1, 1, 6, 2), nn.Conv2d(1, 3, 2)),
    "steps in pairs": (lambda x: x.reshape(-1, 3, 4), nn.GRU(4, 3, batch_first=True)),
    "as they are": (lambda x: x, nn.GRU(2, 3, batch_first=True)),
}


@pytest.mark.parametrize("name", MIXED)
def test_a_view_that_only_permute_could_replace_mixes_axes_up(name: str) -> None:
    found = first(nw.adopt(Reshaped(*MIXED[name]), nw.Regression(), rows()))
    assert found.code == "NW320" and "rows (6, 2) enter layer as (2, 6)" in found.summary
    assert found.remedies[0].advice.startswith("exchange axes with x.permute(0, 2, 1)")


@pytest.mark.parametrize("name", KEPT)
def test_views_that_keep_the_order_of_axes_do_not(name: str) -> None:
    assert not loud(nw.adopt(Reshaped(*KEPT[name]), nw.Regression(), rows()), "NW320")


def test_rows_that_look_the_same_in_any_order_are_not_judged() -> None:
    x = torch.ones(ROWS, 6, 2) * torch.arange(ROWS)[:, None, None]
    run = nw.adopt(Reshaped(*MIXED["steps and channels"]), nw.Regression(), (x, torch.arange(ROWS).float()))
    assert not loud(run, "NW320")


class Remembering(nn.Module):
    """A recurrent network that begins each batch where the last one ended, or computes a table once."""

    def __init__(self, *, remembers: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.out, self.remembers = nn.GRUCell(2, 4), nn.Linear(4, 1), remembers
        self.memory: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        state = self.memory if self.remembers and self.memory is not None else torch.zeros(1, 4)
        state = state.mean(0, keepdim=True).expand(len(x), 4)
        for step in x.unbind(1):
            state = self.cell(step, state)
        self.memory = state.detach()
        return self.out(state)


def test_a_state_carried_from_batch_to_batch_is_named_by_its_attribute() -> None:
    found = first(nw.adopt(Remembering(remembers=True), nw.Regression(), rows()))
    assert (found.code, found.title) == ("NW314", "a state carried from batch to batch")
    assert found.layers == ("memory",) and found.summary.startswith("memory is carried from batch to batch")


def test_a_tensor_that_is_kept_but_not_used_again_is_not_a_state() -> None:
    assert not loud(nw.adopt(Remembering(remembers=False), nw.Regression(), rows()), "NW314")


def test_random_answers_are_still_dropout_and_not_a_state() -> None:
    def noisy(x: Tensor) -> Tensor:
        return F.dropout(x, 0.5)

    found = first(nw.adopt(Reshaped(noisy, nn.GRU(2, 3, batch_first=True)), nw.Regression(), rows()))
    assert (found.code, found.title) == ("NW314", "wrong mode")
