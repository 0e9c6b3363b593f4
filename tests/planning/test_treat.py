"""What a treatment keeps, and what it leaves alone."""

from collections.abc import Collection

import numpy as np
import pytest
import torch
from torch import nn

from netwright.data.examples import empty
from netwright.planning.edits import OF_THE_NETWORK
from netwright.planning.mends import are_equal
from netwright.planning.paired import Measured, gain
from netwright.planning.treat import measured, treat_run
from netwright.records.errors import DataError, NetworkError
from netwright.records.finding import Checked, Finding, Remedy, Report
from netwright.records.note import Note
from netwright.records.proof import Gain
from netwright.records.recipe import Recipe, settings
from netwright.records.run import Run
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression
from netwright.training.adopt import adopt, designed

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
    return Finding(severity, "said so", code=code, title=code, remedies=remedies)


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
    assert note.tried[0].reason == "it causes NW301"


def test_a_grave_finding_that_no_remedy_removes_does_not_hide_the_next(run: Run) -> None:
    hopeless = finding("NW305", Remedy("say so again.", {"lr": 1e-6}), Remedy("go wider.", {"width": 512}))
    _, note, asked = treated(run, report(hopeless), report(finding("NW342", FASTER, severity="warning")))
    assert asked == [("NW305",), ()]
    assert [(tried.code, tried.is_kept) for tried in note.tried] == [("NW305", False), ("NW342", True)]
    assert note.tried[0].reason == "the recipe already says so"
    assert note.advised == ("NW305  go wider. That is width=512 in a recipe.",)
    assert note.changes == {"lr": 0.05}


def test_random_changes_of_an_own_network_are_those_of_its_training(run: Run) -> None:
    remedies = (FASTER, *(Remedy("wait.", {"lr": 1e-7 * k}) for k in (1, 2, 3)))
    _, note, _ = treated(run, report(finding("NW332", *reversed(remedies))), report())
    assert len(note.controls) == 4
    searched = {s.name: s.metadata["search"] for s in settings()}
    for control in note.controls:
        ((name, value),) = control.edit.items()
        assert name not in OF_THE_NETWORK
        low, high = searched[name] or (0, 0)
        assert name == "optimizer" or low <= value <= high


def test_without_validation_rows_nothing_can_be_proven(run: Run) -> None:
    lonely = adopt(build(), Regression(), rows(64, 1), recipe=CALM)
    assert len(lonely.valid) == len(empty())
    with pytest.raises(DataError, match="no validation part"):
        treated(lonely, report(finding("NW332", FASTER)), report())


def test_a_training_that_fails_is_told_and_rolled_back(run: Run) -> None:
    broken = Remedy("take huge steps.", {"lr": 10.0, "optimizer": "sgd", "momentum": 0.99, "clip": 0.0, "epochs": 40})
    _, note, _ = treated(run, report(finding("NW332", broken, severity="warning")), report())
    assert not note.tried[0].is_kept
    assert note.tried[0].reason.startswith("training with it fails: ")
    assert np.isfinite(next(iter(run.network.parameters())).detach().numpy()).all()


def of_recipe(recipe: Recipe) -> nn.Module:
    """Follows the width alone."""
    return nn.Sequential(nn.Linear(2, recipe.width), nn.Sigmoid(), nn.Linear(recipe.width, 1))


def test_settings_of_the_network_are_tried_through_the_function_that_builds_it() -> None:
    recipe = CALM.edit({"lr": 0.02, "width": 1, "epochs": 12})
    network = designed(of_recipe, recipe.edit({"seed": 5}))
    run = adopt(network, Regression(), rows(256, 1), rows(200, 2), recipe=recipe, build=of_recipe)
    assert are_equal(run.build(), designed(of_recipe, recipe))
    narrow = finding(
        "NW342", Remedy("go deeper.", {"depth": 7}), Remedy("bend less.", {"activation": "gelu"}),
        Remedy("normalize.", {"normalization": "rms"}), Remedy("go wider.", {"width": 24}), severity="warning",
    )  # fmt: skip
    outcome, note, _ = treated(run, report(narrow), report(narrow))
    assert note.tried[0].reason == "the network does not follow depth"
    assert note.tried[1].mends == ("activation",)
    assert note.tried[2].reason.startswith("the network does not follow normalization: ")
    assert [bool(tried.gains) for tried in note.tried[:4]] == [False, True, False, True]
    assert note.changes["width"] == 24
    assert outcome.build()[0].out_features == 24
    assert len(note.controls) == sum(bool(tried.gains) for tried in note.tried)


def test_what_can_be_done_of_a_remedy_is_tried_without_the_rest(run: Run) -> None:
    both = Remedy("drop less, step further.", {"dropout": 0.3, "lr": 0.05})
    _, note, _ = treated(run, report(finding("NW342", both)), report())
    assert note.changes == {"lr": 0.05}
    assert note.mends == ()


def test_a_mend_that_an_own_network_does_not_need_is_not_trained(run: Run) -> None:
    remedies = (Remedy("let all train.", mend="unfrozen"), Remedy("no softmax.", mend="logits"))
    outcome, note, _ = treated(run, report(finding("NW313", *remedies)), report())
    assert outcome is run
    assert [tried.reason for tried in note.tried] == [
        "it cannot be mended: none of its parameters is frozen",
        "it cannot be mended: no module at its end bounds the outputs",
    ]


def test_notes_are_treated_where_nothing_else_was_found(run: Run) -> None:
    note = finding("NW332", FASTER, severity="note")
    assert treated(run, report(note), report())[1].changes == {"lr": 0.05}
    beside = finding("NW342", Remedy("say so again.", {"lr": 1e-6}), severity="warning")
    assert not treated(run, report(beside, note), report(beside, note))[1].is_changed


def test_a_function_that_builds_another_network_is_refused() -> None:
    with pytest.raises(NetworkError, match="build returns a different network: 'weight' has shape"):
        adopt(nn.Linear(2, 1), Regression(), rows(64, 1), build=lambda: nn.Linear(1, 2))


def test_an_infinite_loss_is_worse_than_any_finite_one() -> None:
    before = np.array([[np.inf, np.inf, 1.0, np.nan], [np.inf, 3.0, 1.0, 2.0]])
    after = np.array([[5.0, 4.0, 1.0, 1.0], [5.0, 3.0, 1.0, 1.0]])
    found = _gain(before, after, 0)
    assert found.count == 3
    assert found.value == pytest.approx((2 * 5 + 6) / 6)
    assert _gain(after[:, :3], before[:, :3], 0).value == -found.value
    assert _gain(np.full((3, 4), np.inf), np.full((3, 4), np.inf), 0).value == 0


def test_batch_norm_with_batches_of_two_becomes_group_norm() -> None:
    def network(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(2, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 1))

    recipe = CALM.edit({"lr": 0.01, "batch_size": 2, "epochs": 1})
    run = adopt(network(1), Regression(), rows(128, 1), rows(200, 2), recipe=recipe, build=lambda: network(0))
    found = finding("NW337", Remedy("normalize over groups.", {"normalization": "group"}))
    outcome, note, _ = treated(run, report(found), report())
    assert note.mends == ("normalization",)
    assert note.gains[0].low > 0
    assert [type(module) for module in outcome.network] == [nn.Linear, nn.GroupNorm, nn.ReLU, nn.Linear]


def _gain(before: np.ndarray, after: np.ndarray, seed: int) -> Gain:
    return gain("loss", Measured(before, "lower"), Measured(after, "lower"), seed)


@pytest.mark.parametrize(
    ("typed", "labels"), [("text", ("n", "p")), ("integer", ("0", "1")), ("boolean", ("false", "true"))]
)
def test_answers_are_right_whatever_type_labels_have(typed, labels: tuple[str, str]) -> None:
    x, total = rows(200, 3)
    network = nn.Linear(2, 2)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        network.bias.zero_()
    part = (x, (total > 0).long())
    run = adopt(network, Classification(labels, (), typed), part, part, recipe=CALM)
    assert measured(run)["accuracy"].values.mean() == 1.0
