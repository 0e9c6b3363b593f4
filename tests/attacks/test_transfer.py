import pytest
import torch
from tests.attacks import linear, museum

from netwright.attacks.problem import judged
from netwright.attacks.transfer import surrogates_of, transfer
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.tasks.regression import Regression


def test_surrogates_of_a_network_without_gradients_learn_to_answer_as_it_does_and_beat_it():
    network, rows = museum.network("quantized"), museum.rows()
    x, y, _, _ = museum.pictures()
    (surrogate,) = surrogates_of(network, Batch((x,), (y,), torch.arange(len(x))), museum.DIGITS, [museum.convnet])
    with torch.no_grad():
        same = surrogate(rows.inputs[0]).argmax(1) == network(rows.inputs[0]).argmax(1)
    assert same.float().mean() > 0.9
    threat = museum.threat(rows)
    moved = transfer(network, rows, museum.DIGITS, threat, surrogates=[surrogate])
    assert judged(network, rows, moved, museum.DIGITS, threat).mean() > 0.5


def test_the_same_seed_makes_the_same_surrogates_and_leaves_torchs_generator_alone():
    layer, task = linear.network(2), linear.task(2)
    rows = linear.rows(layer, count=50)
    before = torch.get_rng_state()
    one, other = (surrogates_of(layer, rows, task, [lambda: torch.nn.Linear(12, 2)], steps=5)[0] for _ in range(2))
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(before, torch.get_rng_state())


def test_numbers_transfer_too():
    layer, task = linear.network(1), Regression()
    rows = linear.rows(layer, count=100)
    rows = Batch(rows.inputs, (torch.zeros(100),), rows.rows)
    surrogates = surrogates_of(layer, rows, task, [lambda: torch.nn.Linear(12, 1)], steps=200)
    moved = transfer(layer, rows, task, linear.threat(rows, 0.5, "inf"), surrogates=surrogates)
    change = (layer(moved.inputs[0]) - layer(rows.inputs[0])).abs()[:, 0]
    assert change.median() > 0.4 * layer.weight.abs().sum()


def test_without_surrogates_it_says_what_is_missing():
    layer = linear.network(2)
    rows = linear.rows(layer)
    with pytest.raises(DataError, match="no surrogate networks were given"):
        transfer(layer, rows, linear.task(2), linear.threat(rows, 1.0, "inf"))
