"""An engineer's own run in a folder: written by `train`, loaded with their network, loss and loaders."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import netwright as nw
from netwright.records.errors import NetworkError, NetwrightError

X = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
CLASSES, HEIGHTS = (X[:, 0] > 0).long(), X[:, :1] * 2
SETTINGS = {"epochs": 2, "precision": "fp32", "kernels": "torch", "threads": 1, "compile": "never"}


def network(outputs: int) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))


def rows(targets: torch.Tensor, low: int, high: int, *, as_loader: bool) -> Any:
    pair = X[low:high], targets[low:high]
    return DataLoader(TensorDataset(*pair), 16) if as_loader else pair


@pytest.mark.parametrize("as_loader", [True, False])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.SmoothL1Loss()], ids=["a task", "an own loss"])
def test_an_adopted_run_is_written_and_loaded_again(loss: nn.Module, as_loader: bool, tmp_path: Path) -> None:
    is_known = isinstance(loss, nn.CrossEntropyLoss)
    targets, outputs = (CLASSES, 2) if is_known else (HEIGHTS, 1)
    train, test = rows(targets, 0, 80, as_loader=as_loader), rows(targets, 80, 120, as_loader=as_loader)
    folder = tmp_path / "run"
    done = nw.train(nw.adopt(network(outputs), loss, train, test, test_loader=test), folder=folder, settings=SETTINGS)
    assert done.folder == folder
    own = {} if is_known else {"task": loss}
    again = nw.load(folder, network=network(outputs), train=train, valid=test, **own)
    pairs = zip(again.network.parameters(), done.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert nw.evaluate(again) == done.scores
    assert nw.evaluate(again, test) == done.scores
    assert nw.diagnose(again).count == 80
    if is_known:
        answers = nw.predict(again, X[:5])
        assert answers.columns[:3] == ["row", "prediction", "probability"]
        assert answers["prediction"].to_list() == [str(int(k)) for k in again.network(X[:5]).argmax(1)]


def test_a_folder_of_an_own_loss_or_network_asks_for_them(tmp_path: Path) -> None:
    run = nw.adopt(network(1), nn.SmoothL1Loss(), (X, HEIGHTS))
    nw.train(run, folder=tmp_path / "run", settings=SETTINGS, diagnose=False)
    with pytest.raises(NetwrightError, match="trained with the user's own loss") as caught:
        nw.load(tmp_path / "run", network=network(1))
    assert "load(folder, task=loss" in caught.value.remedy
    with pytest.raises(NetwrightError, match="is the user's own") as caught:
        nw.load(tmp_path / "run", task=nn.SmoothL1Loss())
    assert "network=..." in caught.value.remedy
    with pytest.raises(NetworkError, match="got a str"):
        nw.load(tmp_path / "run", network=network(1), task="mse")  # pyright: ignore[reportArgumentType]  as users do


def test_new_rows_of_an_own_network_are_tensors_and_not_a_path(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    run = nw.adopt(network(2), nn.CrossEntropyLoss(), (X, CLASSES))
    for verb in (nw.predict, nw.evaluate):
        with pytest.raises(NetwrightError, match="your own network, which takes tensors") as caught:
            verb(run, str(tmp_path / "x.csv"))
        assert caught.value.remedy == "give a loader, or tensors."
