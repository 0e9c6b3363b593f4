import polars as pl
import pytest
import torch

from netwright.kinds.category import Category
from netwright.kinds.number import Number
from netwright.models.item_weights import ItemWeights
from netwright.models.ranker import Ranker, fading, latest, ranker, spread, standardized
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema

ITEMS, FIRST = 20, 2
NOBODY = Schema(())
SMALL = Recipe(width=8, depth=1, dropout=0.0)
TOKENS = torch.tensor([[2, 5, 9, 0], [7, 0, 0, 0], [0, 0, 0, 0], [3, 4, 5, 6]])


def _ranker(others: Schema = NOBODY, place: int = 0, recipe: Recipe = SMALL, *, ordered: bool = False) -> Ranker:
    network = ranker(others, place, ITEMS, FIRST, 3, is_ordered=ordered, recipe=recipe)
    assert isinstance(network, Ranker)
    generator = torch.Generator().manual_seed(0)
    for part in (network.likes, network.follows):
        if part is not None:
            part.weight[FIRST:] = torch.rand(ITEMS, ITEMS, generator=generator)
    network.popularity.copy_(-torch.arange(ITEMS).float())
    return network


@pytest.mark.parametrize("ordered", [False, True])
def test_at_the_start_the_fitted_part_ranks_and_who_had_nothing_gets_what_is_popular(ordered: bool) -> None:
    network = _ranker(ordered=ordered).eval()
    with torch.no_grad():
        scores = network(TOKENS)
    shares = network.shares.tolist()
    assert sum(shares) == pytest.approx(1.0)
    expected = shares[0] * standardized(network.likes(TOKENS))
    if network.follows is not None:
        expected = expected + shares[1] * standardized(network.follows(TOKENS, fading(TOKENS, network.decay)))
    assert torch.allclose(scores[[0, 1, 3]], expected[[0, 1, 3]], atol=1e-5)
    assert torch.equal(scores[2], network.popularity)


@pytest.mark.parametrize("ordered", [False, True])
def test_in_training_the_trained_part_answers_alone(ordered: bool) -> None:
    network = _ranker(ordered=ordered).train()
    torch.nn.init.normal_(network.head.weight)
    scores = network(TOKENS)
    network.likes.weight.zero_()
    assert torch.equal(network(TOKENS), scores) and scores.shape == (4, ITEMS)
    among = torch.tensor([3, 11])
    assert torch.allclose(network(TOKENS, among=among), scores[:, among], atol=1e-6)


def test_in_order_each_step_sees_only_what_came_before() -> None:
    network = _ranker(ordered=True).train()
    torch.nn.init.normal_(network.head.weight)
    other = TOKENS.clone()
    other[3, 2] = 12
    at = torch.zeros(4, 3, dtype=torch.bool)
    at[3] = True
    one, two = network(TOKENS[:, :3], at=at), network(other[:, :3], at=at)
    assert one.shape == (3, ITEMS)
    assert torch.allclose(one[:2], two[:2]) and not torch.allclose(one[2], two[2])
    late = network(TOKENS[3:, 1:], at=at[3:])[-1:]
    assert torch.allclose(network(TOKENS)[3:], late, atol=1e-5)  # of a longer history the last 3


def test_what_follows_counts_the_latest_most() -> None:
    assert latest(TOKENS, 2).tolist() == [[5, 9], [7, 0], [0, 0], [5, 6]]
    assert fading(TOKENS, torch.tensor(0.7))[0, :3].tolist() == pytest.approx([0.49, 0.7, 1.0])
    assert fading(TOKENS, torch.tensor(0.0))[0, :3].tolist() == [0.0, 0.0, 1.0]


def test_reasons_add_up_to_the_fitted_score() -> None:
    network = _ranker(ordered=True).eval()
    items = torch.arange(ITEMS).expand(4, -1)
    with torch.no_grad():
        found = network(TOKENS, reasons=items)
        assert network.follows is not None
        likes, follows = network.likes(TOKENS), network.follows(TOKENS, fading(TOKENS, network.decay))
    expected = network.shares[0] * likes / spread(likes) + network.shares[1] * follows / spread(follows)
    assert torch.allclose(found.sum(1), expected, atol=1e-4)
    assert not found[0, 3].any() and not found[2].any()


def test_columns_of_users_move_the_trained_part() -> None:
    ages, towns = pl.Series("age", [1.0, 2.0, 3.0, 50.0]), pl.Series("town", ["a", "b", "a", "b"] * 5)
    others = Schema((Number.learn("age", ages), Category.learn("town", towns)))
    network = _ranker(others, place=2).train()  # categories, then numbers, then the history
    torch.nn.init.normal_(network.head.weight)
    torch.nn.init.normal_(network.context.head.weight)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue, reportArgumentType]
    town, age = others.blocks[0].encode(pl.DataFrame([towns.head(4)])), others.blocks[1].encode(pl.DataFrame([ages]))
    one, two = network(town, age, TOKENS), network(town, age.flip(0), TOKENS)
    assert not torch.allclose(one[0], two[0])
    lengths = torch.tensor([3, 1, 1, 4])
    assert torch.equal(network(town, age, TOKENS, lengths), one)


def test_of_very_many_items_each_has_few_weights() -> None:
    network = ranker(NOBODY, 0, 5_000, FIRST, 3, is_ordered=False, recipe=SMALL)
    assert isinstance(network, Ranker) and network.likes.entries == 100
    with torch.no_grad():
        assert network.eval()(TOKENS).shape == (4, 5_000)
    assert isinstance(network.likes, ItemWeights) and not list(network.likes.parameters())


@pytest.mark.parametrize("changes", [{"members": 4}, {"ensemble": 2}, {"smoothing": 0.1}, {"guard": "quantize"}])
def test_settings_that_it_lacks_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="does not suit ranking"):
        _ranker(recipe=SMALL.edit(changes))


def test_a_backbone_that_sees_later_items_is_refused_and_layers_may_replace_it() -> None:
    with pytest.raises(RecipeError, match="sees later items"):
        _ranker(recipe=SMALL.edit({"backbone": "bigru"}), ordered=True)
    with pytest.raises(RecipeError, match="leave out pooling"):
        _ranker(recipe=SMALL.edit({"layers": '["global_pool"]'}), ordered=True)
    network = _ranker(recipe=SMALL.edit({"layers": '[{"dense": 5}, "relu"]'}))
    assert network.head.in_features == 5
