"""Networks made by hand that read one part of their inputs: where that is honest, and where it is a shortcut."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_digits, make_circles
from torch import Tensor, nn

import netwright as nw
from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import of_run
from netwright.checks.training.shortcut import shortcut
from netwright.records.finding import Finding
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression
from netwright.training.adopt import adopt


class Reads(nn.Module):
    """What a function makes of the inputs."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs)."""
        return self.function(x)


def nearest(value: Tensor, classes: int) -> Tensor:
    """Logits of the class that is nearest to a number."""
    return -((value[:, None] - torch.arange(classes)) ** 2) * 4


def found(read: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> list[Finding]:
    half = len(x) // 2
    task = Classification(tuple(map(str, range(int(y.max()) + 1)))) if not y.is_floating_point() else Regression()
    return list(shortcut(of_run(adopt(Reads(read), task, (x[:half], y[:half]), (x[half:], y[half:])))))


def digits(stamp: bool) -> tuple[Tensor, Tensor]:
    x, y = (torch.tensor(each) for each in load_digits(return_X_y=True))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    pictures, labels = x.float().reshape(-1, 1, 8, 8)[order], y[order]
    if stamp:
        pictures[:, 0, 7, 7] = labels.float()
    return pictures[:700], labels[:700]


def test_a_stamp_in_the_corner_is_a_shortcut():
    (finding,) = found(lambda x: nearest(x[:, 0, 7, 7], 10), *digits(stamp=True))
    assert finding.severity == "warning"
    assert "the patch of rows 6 to 7, columns 6 to 7" in finding.summary
    assert "at the border" in finding.summary
    assert finding.measures[0].low > 0.9
    assert len(finding.charts[0].names) == 16


def test_a_part_in_the_middle_is_a_shortcut_where_the_rest_would_have_done():
    x, y = digits(stamp=False)
    x[:, 0, 3, 3] = 16.0 * (y.float() % 2) + 3 * y.float()
    x = torch.cat([x, x.flip(3)], 1)
    x[:, 1] += torch.nn.functional.one_hot(y, 10).float()[:, None, :8] * 20  # a second channel tells nearly all too
    codes = torch.stack([x[y == k][0, 0, 3, 3] for k in range(10)])
    findings = found(lambda x: -((x[:, 0, 3, 3, None] - codes) ** 2), x, y)
    assert [f.severity for f in findings] == ["warning"]
    assert "with all the rest" in findings[0].summary


def test_the_only_part_that_tells_is_none():
    drawn = torch.Generator().manual_seed(0)
    symbols = torch.randint(6, (600, 8), generator=drawn)
    x = nn.functional.one_hot(symbols, 6).float()
    assert not found(lambda x: 9 * x[:, 2], x, symbols[:, 2])  # the answer is the third symbol
    assert not found(lambda x: 9 * x[:, 0], x, symbols[:, 0])  # or the first
    noise = torch.randn(600, 1, 8, 8, generator=drawn)
    y = torch.randint(2, (600,), generator=drawn)
    noise[:, 0, 2:4, 4:6] += 4.0 * y[:, None, None]
    assert not found(lambda x: nearest(x[:, 0, 2:4, 4:6].mean((1, 2)) / 4, 2), noise, y)


def test_columns_that_each_carry_all_are_none():
    x, y = make_circles(1200, noise=0.08, factor=0.5, random_state=0)
    radius = lambda x: nearest((1 - x.norm(dim=1)) * 2, 2)  # noqa: E731  a network in one line
    assert not found(radius, torch.tensor(x).float(), torch.tensor(y))


def test_one_strong_column_among_many_is_none_and_a_leaking_one_is():
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(1200, 6, generator=drawn)
    target = x[:, 0] * 3 + x[:, 1:3].sum(1) + 0.5 * torch.randn(1200, generator=drawn)
    assert not found(lambda x: 3 * x[:, :1] + x[:, 1:3].sum(1, keepdim=True), x, target)
    noisy = (target > 0).long()
    assert not found(lambda x: nearest(0.5 + 3 * x[:, 0], 2), x, noisy)
    leaking = torch.cat([noisy[:, None] + 0.01 * x[:, :1], x], 1)
    (finding,) = found(lambda x: nearest(x[:, 0], 2), leaking, noisy)
    assert finding.severity == "warning"
    assert "column 0" in finding.summary


def test_a_named_column_that_carries_the_answer_is_worth_a_note():
    drawn = np.random.default_rng(0)
    table = pl.DataFrame(drawn.normal(size=(600, 4)).round(3), schema=["north", "east", "up", "late"])
    noise = drawn.normal(size=600) * 0.6
    table = table.with_columns(side=pl.Series(np.where(table["north"].to_numpy() + noise > 0, "left", "right")))
    settings = {
        "members": 1, "width": 16, "depth": 1, "epochs": 10, "batch_size": 32, "lr": 0.02, "dropout": 0.0,
        "embedding": "none", "precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1, "adapt": False,
    }  # fmt: skip
    run = nw.train(table, target="side", settings=settings, audit=False, diagnose=False)
    (finding,) = shortcut(of_run(run))
    assert (finding.severity, finding.columns) == ("note", ("north",))


def test_a_network_that_learned_nothing_lives_on_nothing():
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(Skip, match="learned too little"):
        found(lambda x: nearest(x[:, 0], 2), x, (x[:, 1] > 0).long())
