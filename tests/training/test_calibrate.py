from dataclasses import replace

import numpy as np
import pytest
import torch

import netwright as nw
from netwright.data.examples import InMemory
from netwright.records.run import Run
from netwright.training.calibrate import fit_temperature
from netwright.training.evaluate import evaluate


@pytest.fixture(scope="module")
def run() -> Run:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(1200, 4)).astype(np.float32)
    labels = (inputs[:, 0] + generator.normal(size=1200) > 0).astype(int)
    return nw.train((inputs, labels), settings={"epochs": 3, "members": 1, "width": 16, "depth": 1})


def _sharpened(run: Run, factor: float) -> Run:
    network = run.build()
    network.load_state_dict(run.network.state_dict())
    with torch.no_grad():
        for weights in network.head.parameters():
            weights.mul_(factor)
    return replace(run, network=network.eval())


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_network_made_too_sure_or_too_timid_is_set_right_by_that_factor(run: Run, factor: float):
    spoiled = _sharpened(run, factor)
    temperature = fit_temperature(spoiled)
    # the trained run is calibrated already, so what was multiplied is divided out again, to rounding
    assert temperature == pytest.approx(factor, rel=1e-3)


def test_no_answer_changes(run: Run):
    spoiled = _sharpened(run, 3.0)
    before = evaluate(spoiled.network, run.task, run.test, run.recipe).quick()
    fit_temperature(spoiled)
    after = evaluate(spoiled.network, run.task, run.test, run.recipe).quick()
    assert after["accuracy"] == before["accuracy"]
    assert after["log_loss"] < before["log_loss"]


def test_a_small_validation_part_changes_nothing(run: Run):
    few = replace(run, valid=_first_rows(run, 50))
    assert fit_temperature(few) == 1.0


def _first_rows(run: Run, count: int) -> InMemory:
    batch = next(run.valid.batches(count, seed=None))
    return InMemory(batch.inputs, batch.targets, torch.arange(count), str)
