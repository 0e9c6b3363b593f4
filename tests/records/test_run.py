from dataclasses import fields
from pathlib import Path

from torch import nn

from netwright.data.examples import empty
from netwright.records.history import Epoch, History
from netwright.records.recipe import Recipe
from netwright.records.run import OF_THE_DATA, Run, fresh, with_result
from netwright.records.schema import Schema
from netwright.records.source import Source
from netwright.records.watched import Loop, Watched
from netwright.run_folder import RESULTS
from netwright.tasks.classification import Classification

# What another training starts from, and what came out of the last one: a new field of Run belongs to one of them.
STAYS = {
    "network", "task", "schema", "recipe", "train", "valid", "test", "build", "source", "sample", "notes", "design",
    "bounds", "teacher",
}  # fmt: skip
GOES = {"history": History(), "watched": Watched(), "folder": None, "loop": None}


def taught() -> Run:
    """A run that another one learns from."""
    network = nn.Linear(2, 2)
    return Run(network, Classification(("a", "b")), Schema(()), Recipe(), *[empty()] * 3, lambda: network)


def trained() -> Run:
    """A run that has something in every field."""
    network = nn.Linear(2, 2)
    epoch = Epoch(1, 3, 0.7, {"log_loss": 0.6}, 1e-3, 1.0, 0.5, 100.0, 2**27, is_best=True)
    return Run(
        network, Classification(("a", "b")), Schema(()), Recipe(lr=0.5), empty(), empty(), empty(), lambda: network,
        history=History((epoch,), "done"), folder=Path("run"), source=Source(target="y"), sample=(network.weight,),
        notes=("a note",), watched=Watched(steps=3), loop=Loop((), None, 0, None, False, False),
        design=lambda _: network, bounds=(0.0, 1.0), teacher=taught(),
        results={stage: f"the result of {stage}" for stage in RESULTS},
    )  # fmt: skip


def test_every_field_of_a_run_stays_or_goes_when_it_is_trained_again() -> None:
    run = trained()
    new = fresh(run)
    assert {f.name for f in fields(Run)} == STAYS | GOES.keys() | {"results"}
    for name in STAYS:
        assert getattr(new, name) is getattr(run, name), name
    for name, empty_again in GOES.items():
        assert getattr(run, name) != empty_again == getattr(new, name), name


def test_results_of_a_training_go_and_those_of_its_data_stay() -> None:
    run = trained()
    assert set(RESULTS) - set(OF_THE_DATA) == {
        "scores",
        "diagnosis",
        "treatment",
        "robustness",
        "hardening",
        "origins",
    }  # a new stage belongs to one of them
    assert fresh(run).results == {stage: run.results[stage] for stage in OF_THE_DATA}


def test_a_result_takes_the_place_of_an_older_one() -> None:
    run = trained()
    new = with_result(run, "diagnosis", "another")
    assert (new.diagnosis, new.audit, run.diagnosis) == ("another", run.audit, "the result of diagnosis")


def test_a_stage_that_was_not_made_has_no_result() -> None:
    run = fresh(with_result(trained(), "treatment", None))
    assert (run.scores, run.diagnosis, run.treatment) == (None, None, None)
    assert Run(run.network, run.task, run.schema, run.recipe, *[empty()] * 3, run.build).baselines == ()
