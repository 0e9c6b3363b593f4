import pytest
import torch
from tests.sick_trainings.loops import looped, rings, run
from torch import nn

import netwright as nw
from netwright.checks.evidence import Skip
from netwright.checks.training.replay import another_loop, replayed


@pytest.mark.parametrize(
    ("fault", "batch_size", "words"),
    [
        ("labels of the next row", 50, "your loop's loss is"),
        ("strong penalty", 50, "your loop's loss is"),
        ("sum", 50, "50 times as much: a sum over the batch"),
    ],
)
def test_a_loop_that_does_something_else_is_named_first_with_both_numbers(fault: str, batch_size: int, words: str):
    report = nw.diagnose(run(fault, epochs=20, batch_size=batch_size))
    first = report.findings[0]
    assert (first.code, first.severity) == ("NW319", "error")
    assert words in first.summary
    assert not [remedy for finding in report.findings for remedy in finding.remedies if "lr" in remedy.edit]


@pytest.mark.parametrize("epochs", [4, 8, 20])
def test_a_healthy_loop_is_not_behind_its_replay(epochs: int) -> None:
    evidence = looped(epochs=epochs)
    assert not replayed(evidence).is_behind
    assert not list(another_loop(evidence))


def test_other_names_of_the_classes_are_no_misaligned_labels() -> None:
    assert nw.diagnose(run("renamed labels")).findings[0].code == "NW319"


def test_labels_of_other_rows_are_seen_in_the_loss() -> None:
    first = nw.diagnose(run("other labels")).findings[0]
    assert (first.code, first.severity) == ("NW316", "error")


def test_a_loop_with_two_optimizers_is_not_replayed() -> None:
    x, y = rings()
    network = nn.Sequential(nn.Linear(10, 3))
    both = [torch.optim.SGD([p], lr=0.0001) for p in network.parameters()]
    with nw.watch(network, *both) as watch:
        for _ in range(3):
            nn.functional.cross_entropy(network(x), y).backward()
            for optimizer in both:
                optimizer.step()
    evidence = nw.adopt(network, nn.CrossEntropyLoss(), (x, y), watch=watch)
    with pytest.raises(Skip, match="several optimizers"):
        replayed(looped().__class__(**{**vars(looped()), "run": evidence}))
