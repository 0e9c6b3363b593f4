from dataclasses import replace
from itertools import product

import polars as pl
import pytest
import torch
from tests.attacks.rows import classified, fields, genes, harm, learned, measured, reviews, table
from torch import nn

from netwright.attacks.neighbors import with_neighbors
from netwright.attacks.swaps import swaps
from netwright.attacks.ways import ways_between, ways_of
from netwright.kinds.category import ABSENT, FIRST
from netwright.kinds.padded import FIRST as FIRST_WORD
from netwright.kinds.padded import UNKNOWN
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.recipe import Recipe
from netwright.records.threat import FIXED, NEVER, Reach, Threat, Way
from netwright.tasks.classification import Classification
from netwright.tasks.language_model import LanguageModel
from netwright.tasks.multilabel import Multilabel


def only_categories(case, size=1.0, **threat):
    pairs = zip(ways_of(case.schema, Reach()), case.batch.inputs, strict=True)
    return Threat(tuple(way if x.dtype == torch.int32 else FIXED for way, x in pairs), size, **threat)


def each_swap(case):
    """Every batch with one category of every row swapped, by brute force."""
    place = next(k for k, x in enumerate(case.batch.inputs) if x.dtype == torch.int32)
    x = case.batch.inputs[place]
    fields = case.schema.blocks[place].fields
    for column, value in product(range(x.shape[1]), range(3)):
        changed = x.clone()
        fits = (x[:, column] != ABSENT) & (value < len(fields[column].values))
        changed[fits, column] = FIRST + value
        yield replace(case.batch, inputs=tuple(changed if k == place else y for k, y in enumerate(case.batch.inputs)))


def test_one_swap_in_a_table_is_the_best_there_is():
    case = classified()
    possible = torch.stack([harm(case, batch) for batch in each_swap(case)]).amax(0)
    found = harm(case, swaps(case.network, case.batch, case.task, only_categories(case)))
    assert torch.equal(found, possible)
    assert harm(case, case.batch).sum() < found.sum()


def test_numbers_change_as_much_as_one_swap_can_either_way():
    case = measured()
    possible = torch.stack([harm(case, batch) for batch in each_swap(case)]).amax(0)
    found = harm(case, swaps(case.network, case.batch, case.task, only_categories(case)))
    torch.testing.assert_close(found, possible)


def test_the_gradient_finds_more_than_chance_and_most_of_what_trying_everything_finds():
    case, blind = genes(), nn.Sequential()
    blind.forward = case.network.forward  # a form of its own: nobody knows where its symbols become vectors
    threat = Threat(ways_of(case.schema, Reach()), 3.0)
    networks = ((blind, 6), (case.network, 6), (case.network, 1000))
    chance, guided, everything = (
        harm(case, swaps(n, case.batch, case.task, threat, tried=k)).sum() for n, k in networks
    )
    assert harm(case, case.batch).sum() < chance < guided
    assert guided >= 0.8 * everything


def test_in_a_wide_table_the_gradient_says_what_to_try():
    case = classified()
    few, everything = (
        harm(case, swaps(case.network, case.batch, case.task, only_categories(case), tried=n)) for n in (1, 1000)
    )
    assert few.sum() >= 0.8 * everything.sum()


def test_more_cells_are_swapped_only_as_far_as_the_reach_allows():
    case = genes()
    for size, most in ((1.0, 1), (8.0, 3)):
        after = swaps(case.network, case.batch, case.task, Threat(ways_of(case.schema, Reach()), size))
        swapped = (after.inputs[0] != case.batch.inputs[0]).sum(1)
        assert 1 <= swapped.max() <= most
    assert most == int(8.0 * 0.02 * 24)


def test_padding_stays_and_new_symbols_are_known():
    case = genes()
    after = swaps(case.network, case.batch, case.task, Threat(ways_of(case.schema, Reach()), 20.0))
    assert torch.equal(after.inputs[0] == 0, case.batch.inputs[0] == 0)
    assert after.inputs[0].max() <= case.schema.inputs[0].high
    assert after.inputs[0].dtype == case.batch.inputs[0].dtype


def test_words_are_swapped_for_words_alone():
    case = reviews()
    after = swaps(case.network, case.batch, case.task, Threat(ways_of(case.schema, Reach()), 9.0))
    groups = ways_of(case.schema, Reach())[0].groups
    before, now = case.batch.inputs[0].long(), after.inputs[0].long()
    swapped = before != now
    assert swapped.any()
    is_misspelled = swapped & (now == UNKNOWN)
    assert torch.equal(groups[before][~is_misspelled], groups[now][~is_misspelled])
    assert (groups[before][is_misspelled] != NEVER).all()
    assert (before[swapped] >= FIRST_WORD).all() and (groups[before[swapped]] > 0).all()


def test_rows_that_are_beaten_stay_as_they_are():
    case = classified()
    wrong = harm(case, case.batch) > 0
    targets = (torch.where(torch.arange(len(case.batch)) % 2 == 0, 1 - case.batch.targets[0], case.batch.targets[0]),)
    batch = replace(case.batch, targets=targets)
    after = swaps(case.network, batch, case.task, only_categories(case))
    beaten = wrong ^ (torch.arange(len(batch)) % 2 == 0)
    pairs = zip(after.inputs, batch.inputs, strict=True)
    assert beaten.any() and all(torch.equal(x[beaten].nan_to_num(), y[beaten].nan_to_num()) for x, y in pairs)


def test_a_language_model_reads_swapped_words_and_is_judged_by_the_true_ones():
    case = genes()
    task = LanguageModel.learn(pl.DataFrame(), case.schema)
    network = task.network(case.schema, Recipe(width=16, depth=1, dropout=0.0)).eval()
    batch = replace(case.batch, targets=())
    after = swaps(network, batch, task, Threat(ways_of(case.schema, Reach()), 2.0))
    with torch.no_grad():
        rise = task.harm(task.forward(network, after), task.forward(network, batch), batch)
    assert (rise > 0).all()


def test_yes_and_no_to_several_labels_are_attacked_too():
    cells = table()
    answers = pl.DataFrame({"old": cells["age"].fill_null(50) > 50, "warm": cells["color"].fill_null("red") == "red"})
    case = learned(cells.with_columns(answers), fields(cells), Multilabel.learn(answers), ("old", "warm"))
    after = swaps(case.network, case.batch, case.task, only_categories(case, 2.0))
    assert harm(case, after).sum() > harm(case, case.batch).sum()


def test_a_goal_is_reached_or_not_but_never_missed_for_another():
    case = classified()
    goal = 1 - case.batch.targets[0]
    after = swaps(case.network, case.batch, case.task, only_categories(case, goal=goal))
    wanted = swaps(case.network, case.batch, case.task, only_categories(case))
    assert torch.equal(harm(case, after), harm(case, wanted))  # of two labels, the other is the goal


def test_the_same_threat_gives_the_same_rows_whatever_the_generator_of_torch_says():
    case = genes()
    threat = Threat(ways_of(case.schema, Reach()), 3.0)
    torch.manual_seed(1)
    first = swaps(case.network, case.batch, case.task, threat, tried=5)
    torch.manual_seed(2)
    assert torch.equal(first.inputs[0], swaps(case.network, case.batch, case.task, threat, tried=5).inputs[0])


def test_rows_do_not_depend_on_what_is_attacked_beside_them():
    case = genes()
    threat = Threat(ways_of(case.schema, Reach()), 3.0)
    whole = swaps(case.network, case.batch, case.task, threat)
    part = swaps(case.network, case.batch.pick(torch.arange(7)), case.task, threat)
    assert torch.equal(whole.inputs[0][:7, : part.inputs[0].shape[1]], part.inputs[0])


def test_batches_without_lengths_are_padded_where_the_network_says():
    case = genes()
    threat = Threat(ways_of(case.schema, Reach()), 3.0)
    bare = replace(case.batch, lengths=())
    found = swaps(case.network, bare, case.task, threat)
    assert torch.equal(found.inputs[0], swaps(case.network, case.batch, case.task, threat).inputs[0])


def test_a_network_without_known_inputs_cannot_be_attacked_by_swaps():
    task, rows = Classification(("a", "b")), torch.arange(4)
    network = nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(6, 2))
    batch = Batch((torch.ones(4, 2, dtype=torch.int64),), (rows % 2,), rows)
    with pytest.raises(DataError, match="no input holds categories"):
        swaps(network, batch, task, Threat((FIXED,), 1.0))
    floats = Threat(ways_between((torch.ones(4, 2),), 0.0, 1.0), 1.0)
    with pytest.raises(DataError, match="no input holds categories"):
        swaps(network, batch, task, floats)


def test_words_of_an_engineer_s_own_network_stay():
    way = Way(groups=torch.tensor([0, 0, 1, 1]))
    assert way.is_open and way.can_swap
    batch = Batch((torch.tensor([[2, 3]]),), (), torch.arange(1))
    assert with_neighbors((way,), nn.Linear(2, 2), batch)[0].swaps is None


class Noisy(nn.Module):
    """Its answers are random, and right on average."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        answers = self.network(*tensors)
        return answers + 0.5 * torch.randn_like(answers)


def test_a_lucky_answer_of_a_random_network_is_no_harm():
    case = classified()
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    found = harm(case, swaps(Noisy(case.network), case.batch, case.task, only_categories(case)))
    assert torch.equal(torch.random.get_rng_state(), state)
    honest = harm(case, swaps(case.network, case.batch, case.task, only_categories(case)))
    assert 0.8 * honest.sum() <= found.sum() <= honest.sum()
