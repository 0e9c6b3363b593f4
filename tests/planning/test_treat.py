"""What a treatment keeps, and what it leaves alone."""

from collections.abc import Collection

import numpy as np
import pytest
import torch
from torch import nn

from netwright.data.examples import empty
from netwright.planning.treat import OF_THE_NETWORK, SPANS, treat_run
from netwright.records.errors import DataError
from netwright.records.finding import Checked, Finding, Remedy, Report
from netwright.records.note import Note
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.tasks.regression import Regression
from netwright.training.adopt import adopt

CALM = Recipe(lr=1e-6, epochs=3, batch_size=32, precision="fp32", kernels="torch", compile="never", keep="last")
FASTER = Remedy("take longer steps.", {"lr": 0.05})


def rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return x, x.sum(1)


def build() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Linear(2, 1)


@pytest.fixture
def run() -> Run:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return adopt(nn.Linear(2, 1), Regression(), rows(256, 1), rows(200, 2), recipe=CALM, build=build)


def finding(code: str, *remedies: Remedy, severity: str = "error") -> Finding:
    return Finding(code, severity, code, "said so", remedies=remedies)


def report(*findings: Finding, silent: Collection[str] = ()) -> Report:
    codes = [*(f.code for f in findings), *silent]
    return Report("training", 256, findings, tuple(Checked(code, code, 0.0) for code in codes))


def treated(run: Run, first: Report, later: Report) -> tuple[Run, Note, list[tuple[str, ...]]]:
    asked = list[tuple[str, ...]]()

    def judge(_run: Run, without: Collection[str]) -> Report:
        asked.append(tuple(without))
        return later

    outcome, note = treat_run(run, first, codes=(), seeds=(0, 1, 2), judge=judge, tell=lambda _: None)
    return outcome, note, asked


def test_a_remedy_that_helps_is_kept_and_the_first_seed_is_the_treated_run(run: Run) -> None:
    outcome, note, asked = treated(run, report(finding("NW332", FASTER)), report())
    assert note.changes == {"lr": 0.05}
    assert (outcome.recipe.lr, outcome.recipe.seed) == (0.05, 0)
    assert outcome.diagnosis == report()
    assert note.gains[0].low > 0
    assert note.gains[0].after < 0.5 < note.gains[0].before
    assert len(note.controls) == 1
    assert asked == [()]


def test_a_finding_that_stays_is_treated_further(run: Run) -> None:
    stays = finding("NW332", Remedy("take longer steps.", {"lr": 0.003}), FASTER, Remedy("wait.", {"epochs": 4}))
    _, note, asked = treated(run, report(stays), report(stays))
    assert [tried.is_kept for tried in note.tried[:2]] == [True, True]
    assert note.changes["lr"] == 0.05
    assert len(asked) == sum(tried.is_kept for tried in note.tried) + 1


def test_a_remedy_that_brings_a_grave_finding_is_rolled_back(run: Run) -> None:
    first = report(finding("NW332", FASTER, severity="warning"), silent=["NW301"])
    outcome, note, _ = treated(run, first, report(finding("NW301")))
    assert outcome is run
    assert note.tried[0].gains[0].low > 0
    assert note.tried[0].reason == "it brings NW301"


def test_a_grave_finding_that_no_remedy_removes_does_not_hide_the_next(run: Run) -> None:
    hopeless = finding("NW305", Remedy("say so again.", {"lr": 1e-6}), Remedy("draw weights.", {"init": "auto"}))
    _, note, asked = treated(run, report(hopeless), report(finding("NW342", FASTER, severity="warning")))
    assert asked == [("NW305",), ()]
    assert [(tried.code, tried.is_kept) for tried in note.tried] == [("NW305", False), ("NW342", True)]
    assert note.tried[0].reason == "the recipe says so already"
    assert note.advised == ("NW305  draw weights. That is init=auto in a recipe.",)
    assert note.changes == {"lr": 0.05}


def test_random_changes_of_an_own_network_are_those_of_its_training(run: Run) -> None:
    remedies = (FASTER, *(Remedy("wait.", {"lr": 1e-7 * k}) for k in (1, 2, 3)))
    _, note, _ = treated(run, report(finding("NW332", *reversed(remedies))), report())
    assert len(note.controls) == 4
    for control in note.controls:
        ((name, value),) = control.edit.items()
        assert name not in OF_THE_NETWORK
        assert name == "optimizer" or SPANS[name][0] <= value <= SPANS[name][1]


def test_without_validation_rows_nothing_can_be_proven(run: Run) -> None:
    lonely = adopt(build(), Regression(), rows(64, 1), recipe=CALM)
    assert len(lonely.valid) == len(empty())
    with pytest.raises(DataError, match="no validation part"):
        treated(lonely, report(finding("NW332", FASTER)), report())


def test_a_training_that_fails_is_told_and_rolled_back(run: Run) -> None:
    broken = Remedy("take huge steps.", {"lr": 10.0, "optimizer": "sgd", "momentum": 0.99, "clip": 0.0, "epochs": 40})
    _, note, _ = treated(run, report(finding("NW332", broken, severity="warning")), report())
    assert not note.tried[0].is_kept
    assert note.tried[0].reason.startswith("it cannot be trained so: ")
    assert np.isfinite(next(iter(run.network.parameters())).detach().numpy()).all()
