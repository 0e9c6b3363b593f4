from math import exp, log

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from netwright.kinds.number import Number
from netwright.kinds.sequence import Sequence
from netwright.kinds.text import Text
from netwright.records.batch import Batch
from netwright.records.errors import DataError, NetworkError, RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.tasks.language_model import CONTINUATION, LanguageModel, continue_rows, generate

NOTHING = pl.DataFrame()


class NextIsOneMore(nn.Module):
    """Sure that after token k comes k + 1, and 2 after the last."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        following = torch.where(tokens.long() + 1 < 6, tokens.long() + 1, 2)
        return 20.0 * nn.functional.one_hot(following, 6).float()


def _batch(tokens: list[list[int]]) -> Batch:
    return Batch((torch.tensor(tokens, dtype=torch.uint8),), (), torch.arange(len(tokens)))


def _sentences(count: int, seed: int) -> list[str]:
    """A small grammar: letters follow from the word, words from the one before."""
    generator = np.random.default_rng(seed)
    words = [["the", "a"], ["cat", "dog", "bird"], ["sees", "hears"], ["the", "a"], ["sea", "wind", "moon"]]
    return [" ".join(generator.choice(choices) for choices in words) + "." for _ in range(count)]


def test_the_vocabulary_comes_from_the_one_column():
    letters = Sequence.learn("gene", pl.Series(["ACCT", "CC"]))
    assert LanguageModel.learn(NOTHING, Schema((letters,))) == LanguageModel(("C", "A", "T"))
    words = Text.learn("text", pl.Series(["the sea, the sea,", ", , ,"]))
    assert LanguageModel.learn(NOTHING, Schema((words,))) == LanguageModel((",", "sea", "the"), joiner=" ")


def test_other_inputs_and_targets_are_refused():
    number = Number.learn("age", pl.Series([1.0, 2.0]))
    with pytest.raises(DataError) as caught:
        LanguageModel.learn(NOTHING, Schema((number,)))
    assert str(caught.value) == (
        "a language model learns from one column of text or symbols, not from age (number)\n"
        "  fix: keep one such column, or name a target."
    )
    with pytest.raises(DataError, match="a language model has no targets, got y"):
        LanguageModel.learn(pl.DataFrame({"y": [1]}), Schema((number,)))
    with pytest.raises(DataError, match="not from nothing"):
        LanguageModel.learn(NOTHING)


def test_a_rows_loss_is_the_mean_over_its_tokens_after_the_first_without_padding():
    task, even = LanguageModel(("a", "b", "c", "d")), torch.zeros(2, 4, 6)
    batch = _batch([[2, 3, 4, 5], [2, 3, 0, 0]])
    total, count = (t.tolist() for t in task._totals(even, batch))
    assert (total, count) == (pytest.approx([3 * log(6), log(6)]), [3, 1])
    assert task.losses(NextIsOneMore(), batch).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_row_of_one_token_or_none_costs_nothing():
    assert LanguageModel(("a", "b", "c", "d")).losses(NextIsOneMore(), _batch([[2, 0], [0, 0]])).tolist() == [0.0, 0.0]


def test_scores_are_per_token():
    score = LanguageModel(("a", "b", "c", "d")).score()
    score.add(torch.zeros(2, 4, 6), _batch([[2, 3, 4, 5], [2, 3, 0, 0]]))
    found = {metric.name: metric.value for metric in score.result().metrics}
    assert found == pytest.approx({"log_loss": log(6), "perplexity": 6.0, "bits_per_token": log(6) / log(2)})


def test_rows_are_continued_behind_their_own_end():
    written = continue_rows(NextIsOneMore(), torch.tensor([[2, 3, 4], [5, 0, 0]]), 3)
    assert written.tolist() == [[2, 3, 4, 5, 2, 3], [5, 2, 3, 4, 0, 0]]


def test_predictions_are_continuations_in_words():
    text = LanguageModel(("a", "b", "c", "d")).predict(NextIsOneMore(), _batch([[2, 3, 0], [5, 0, 0]]))["text"]
    assert text.to_list() == ["cdab" * (CONTINUATION // 4), "abcd" * (CONTINUATION // 4)]


def test_padding_and_unknown_are_never_written():
    never = torch.zeros(1, 1, 6)
    never[..., :2] = 50.0
    drawn = continue_rows(_Always(never), torch.tensor([[2, 3]]), 40, temperature=1.0)
    assert int(drawn.min()) >= 2


class _Always(nn.Module):
    """The same answer at each step."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.answer.expand(*tokens.shape, -1)


def test_draws_depend_on_the_seed_alone():
    even, prompt = _Always(torch.zeros(1, 1, 6)), torch.tensor([[2, 3]])
    first = continue_rows(even, prompt, 20, temperature=1.0, seed=1)
    torch.manual_seed(5)
    assert torch.equal(first, continue_rows(even, prompt, 20, temperature=1.0, seed=1))
    assert not torch.equal(first, continue_rows(even, prompt, 20, temperature=1.0, seed=2))


def test_losses_and_weights_of_other_tasks_and_outputs_of_another_shape_are_refused():
    task = LanguageModel(("a", "b", "c", "d"))
    with pytest.raises(RecipeError, match="the loss 'mse' does not suit a language model"):
        task.objective(Recipe(loss="mse"))
    with pytest.raises(RecipeError, match="a language model has no class weights"):
        task.objective(Recipe(class_weights="balanced"))
    with pytest.raises(NetworkError) as caught:
        task.losses(_Always(torch.zeros(1, 1, 4)), _batch([[2, 3]]))
    assert str(caught.value) == (
        "the network returned (1, 2, 4), but language model of 6 tokens needs (1, any, 6)\n"
        "  fix: give the network outputs of shape (1, any, 6)."
    )


def test_a_network_learns_to_write():
    texts, new = pl.DataFrame({"text": _sentences(300, 0)}), pl.DataFrame({"text": _sentences(60, 1)})
    field = Sequence.learn("text", texts["text"])
    schema = Schema((field,))
    task = LanguageModel.learn(NOTHING, schema)
    recipe = Recipe().edit({"backbone": "gru", "depth": 1, "width": 64, "dropout": 0.0})
    network, objective = task.network(schema, recipe), task.objective(recipe)
    tokens = schema.encode(texts)[0]
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for epoch in range(6):
        for rows in torch.randperm(300, generator=torch.Generator().manual_seed(epoch)).split(30):
            optimizer.zero_grad()
            objective(network, Batch((tokens[rows],), (), rows)).mean().backward()
            optimizer.step()
    test = Batch(schema.encode(new), (), torch.arange(60))
    score = task.score()
    with torch.no_grad():
        network.eval()
        score.add(network(*test.inputs), test)
    letters = np.bincount(tokens[tokens > 0].numpy()) / int((tokens > 0).sum())
    unigram = exp(-(letters[letters > 0] * np.log(letters[letters > 0])).sum())
    assert score.result()["perplexity"].high < 2 < 10 < unigram
    words = generate(network, field, "the c", 20, temperature=0).split()
    assert words[:3] in (["the", "cat", "sees"], ["the", "cat", "hears"])
