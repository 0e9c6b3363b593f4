"""Texts, from files or a table to answers; and a language model of one long text."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import netwright as nw

GOOD, BAD = ("bright", "kind", "lovely", "fresh"), ("dull", "rude", "broken", "stale")
SETTINGS = ("--set", "epochs=3", "--set", "width=16", "--set", "batch_size=16")


def review(words: tuple[str, ...], chance: random.Random) -> str:
    return " ".join(chance.choice(words if chance.random() < 0.4 else ("the", "a", "was", "room")) for _ in range(15))


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, chance = tmp_path_factory.mktemp("data") / "reviews", random.Random(0)
    for label, words in (("good", GOOD), ("bad", BAD)):
        (folder / label).mkdir(parents=True)
        for number in range(60):
            (folder / label / f"{number:02}.txt").write_text(review(words, chance), encoding="utf-8")
    return folder


def test_from_a_folder_of_texts_to_answers_on_the_command_line(
    reviews: Path, tmp_path: Path, netwright: Callable
) -> None:
    run = tmp_path / "run"
    trained = netwright("train", reviews, "--run", run, *SETTINGS)
    assert trained.code == 0, trained.err
    assert "text: text of" in trained.err
    assert json.loads(netwright("evaluate", run, reviews, "--json").out)["count"] == 120

    files = [reviews / "good/03.txt", reviews / "bad/04.txt"]
    few = list(csv.DictReader(netwright("predict", run, *files).out.splitlines()))
    assert [row["file"] for row in few] == [str(file) for file in files]
    long = tmp_path / "long.txt"
    long.write_text(files[0].read_text() * 40)
    alone = list(csv.DictReader(netwright("predict", run, long).out.splitlines()))
    assert [row["file"] for row in alone] == [str(long)], "one text is one row, however long"
    whole = netwright("predict", run, reviews, "--to", tmp_path / "answers.jsonl")
    assert "120 rows written" in whole.err
    said = list(csv.DictReader(netwright("predict", run, "--row", "text=lovely and kind").out.splitlines()))
    assert said[0]["prediction"] in ("good", "bad")
    assert netwright("show", run).code == 0
    assert netwright("weights", run).code == 0


def test_from_texts_in_memory_to_answers_in_python(tmp_path: Path) -> None:
    chance = random.Random(1)
    texts = [review(GOOD if n % 2 else BAD, chance) for n in range(120)]
    labels = ["good" if n % 2 else "bad" for n in range(120)]
    settings = {"epochs": 3, "width": 16, "batch_size": 16, "precision": "fp32"}
    run = nw.train((texts, labels), settings=settings, folder=tmp_path / "run")
    answers = nw.predict(nw.load(tmp_path / "run"), texts[:10])
    assert answers["row"].to_list() == list(range(10))
    assert answers.equals(nw.predict(run, texts[:10]))  # of as many rows: products of other sizes round otherwise


def test_a_language_model_learns_from_one_text_and_continues_it(tmp_path: Path, netwright: Callable) -> None:
    text, run = tmp_path / "verse.txt", tmp_path / "run"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 150)
    small = ("--set", "epochs=1", "--set", "width=16", "--set", "depth=1", "--set", "batch_size=8")
    trained = netwright("train", text, "--run", run, *small)
    assert trained.code == 0, trained.err
    assert "language model of" in trained.err
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("the quick ")
    [answer] = csv.DictReader(netwright("predict", run, prompt).out.splitlines())
    assert list(answer) == ["line", "text"]
    assert isinstance(answer["text"], str)
    assert netwright("evaluate", run, text).code == 0


def test_an_engineers_own_text_model_and_loaders_run_through_the_same_stages() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 50, (64, 12), generator=generator)
    y = (x < 25).sum(1).gt(6).long()
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.EmbeddingBag(50, 8), torch.nn.Linear(8, 2))
    loader = [(x[:32], y[:32]), (x[32:], y[32:])]
    run = nw.adopt(network, nw.Classification(("few", "many")), loader)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    taken = list(nw.steps(network, loader, run.task.objective(run.recipe), optimizer))
    assert [step.index for step in taken] == [0, 1]
    assert [len(step.losses) for step in taken] == [32, 32]
    assert [len(step.rows) for step in taken] == [0, 0]  # plain pairs have no row numbers
