"""Rankings from clicks: users like one of three groups of items, and go through a group in its order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import netwright as nw
from netwright.data.prepare import Prepared, prepare
from netwright.data.read import read_chunks, read_source
from netwright.data.split import split
from netwright.models.ranker import Ranker
from netwright.records.errors import DataError, RecipeError
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.source import Source
from netwright.tasks import ranking
from netwright.tasks.ranking import Ranking

GROUPS, EACH, USERS = 3, 12, 90
QUICK = {"epochs": 4, "width": 16, "precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1}
SAID = {"user": "user_id:token", "item": "item_id:token"}


def _clicks(users: int = USERS) -> pl.DataFrame:
    generator, rows = np.random.default_rng(0), list[tuple[str, str, int, str]]()
    for user in range(users):
        group, start, count = user % GROUPS, int(generator.integers(EACH)), int(generator.integers(5, 10))
        for step in range(count):
            item = (start + step) % EACH if generator.random() < 0.9 else int(generator.integers(EACH))
            rows.append((f"u{user}", f"{'abc'[group]}{item}", 100 * user + step, "Ulm" if group else "Bonn"))
    return pl.DataFrame(rows, schema=["user_id:token", "item_id:token", "at:float", "town"], orient="row")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clicks") / "clicks.inter"
    _clicks().write_csv(path, separator="\t")
    return path


@pytest.fixture(scope="module")
def run(table: Path) -> Run:
    return nw.train(table, **SAID, time="at:float", task="ranking", settings=QUICK, folder=table.parent / "run")


@pytest.fixture(scope="module")
def shuffled(table: Path) -> Run:
    return nw.train(
        table, **SAID, task="ranking", drop=("at:float", "town"), settings=QUICK, folder=table.parent / "shuffled"
    )


def _prepared(task: str = "ranking", time: str = "at:float") -> Prepared:
    source = Source(_clicks(), user=SAID["user"], item=SAID["item"], time=time, task=task)
    dataset = read_source(source)
    return prepare(dataset, split(dataset, source), source)


def test_in_order_it_beats_all_simple_models_on_what_follows(run: Run) -> None:
    assert run.scores is not None and isinstance(run.task, Ranking)
    baselines = dict(run.baselines)
    assert [*baselines] == ["popularity", "item neighbors", "EASE", "Markov chain"]
    names = ["ndcg@10", "recall@10", "mrr@10", "hit_rate@10", "coverage@10", "popular@10"]
    assert [metric.name for metric in run.scores.metrics] == names
    assert [metric.higher_is_better for metric in run.scores.metrics] == [True] * 5 + [False]
    lead = baselines["popularity"].lead
    assert lead is not None and lead.low > 0.2
    assert run.scores["ndcg@10"].value > baselines["EASE"]["ndcg@10"].value
    assert all(0 <= metric.low <= metric.value <= metric.high <= 1 for metric in run.scores.metrics)
    assert "at least one was right for" in run.task.plainly(run.scores, "rows")
    assert run.task.describe() == "ranking of 36 items for each user, in the order of time"
    assert isinstance(run.network, Ranker) and run.network.follows is not None


def test_without_order_it_starts_at_ease_and_is_never_worse_on_the_validation_part(shuffled: Run) -> None:
    assert isinstance(shuffled.task, Ranking) and not shuffled.task.deal.is_ordered
    assert [name for name, _ in shuffled.baselines] == ["popularity", "item neighbors", "EASE"]
    start = shuffled.build()
    batch = shuffled.test.take(shuffled.test.rows)
    ease = shuffled.task.rules(shuffled.train)["EASE"](batch)
    with torch.no_grad():
        ours = shuffled.task.forward(start.eval(), batch)
    assert isinstance(ours, torch.Tensor) and isinstance(ease, torch.Tensor)
    both = [torch.corrcoef(torch.stack([a, b]))[0, 1] for a, b in zip(ours, ease, strict=True)]
    assert min(map(float, both)) > 0.9999
    assert isinstance(start, Ranker) and start.follows is None


def test_parts_share_no_item_of_a_user_and_the_network_never_sees_what_is_asked_for() -> None:
    for task, time in (("ranking", "at:float"), ("ranking:random,seed=3", "")):
        prepared = _prepared(task, time)
        learned = prepared.task
        assert isinstance(learned, Ranking)
        for part in (prepared.valid, prepared.test):
            batch = part.take(part.rows)
            seen, asked = batch.inputs[learned.place], batch.targets[0]
            assert not ((seen[:, :, None] == asked[:, None, :]) & (asked > 0)[:, None, :]).any()
        batch = prepared.train.take(prepared.train.rows)

        class Looking(torch.nn.Module):
            def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
                tokens, wanted = inputs[learned.place], batch.targets[0]  # noqa: B023  called at once
                assert not ((tokens[:, :, None] == wanted[:, None, :]) & (wanted > 0)[:, None, :]).any()
                return torch.zeros(len(tokens), len(learned.items))  # noqa: B023

        learned.forward(Looking(), batch)


def test_what_comes_in_the_test_part_changes_nothing_that_is_learned() -> None:
    rows = _clicks()
    unique = rows.unique([SAID["user"], SAID["item"]], maintain_order=True)  # then the last row is the test's
    last = pl.int_range(pl.len()).over(SAID["user"]) == pl.len().over(SAID["user"]) - 1
    other = unique.with_columns(pl.when(last).then(pl.lit("new")).otherwise(SAID["item"]).alias(SAID["item"]))
    found = list[Prepared]()
    for frame in (unique, other):
        source = Source(frame, user=SAID["user"], item=SAID["item"], time="at:float", task="ranking")
        dataset = read_source(source)
        found.append(prepare(dataset, split(dataset, source), source))
    before, after = found
    assert before.schema == after.schema and before.task == after.task
    one, two = (part.train.take(part.train.rows) for part in found)
    assert all(torch.equal(a, b) for a, b in zip((*one.inputs, *one.targets), (*two.inputs, *two.targets), strict=True))


def test_items_that_training_never_had_are_missed_and_counted() -> None:
    prepared = _prepared()
    task = prepared.task
    assert isinstance(task, Ranking)
    wanted = task.encode(pl.DataFrame({SAID["item"]: [["a1", "never"], ["never"]]}))[0]
    assert wanted[:, :2].tolist()[1] == [1, 0] and wanted[0].tolist()[1] == 1
    batch = prepared.test.take(prepared.test.rows[:2])
    (score,) = [task.score()]
    batch = replace(batch, targets=(wanted,))
    scores = torch.zeros(2, len(task.items))
    scores[:, task.items.index("a1")] = 9.0
    score.add(scores, replace(batch, inputs=()))
    assert score.quick()["recall@10"] == pytest.approx(0.25) and score.quick()["loss"] < 1


def test_answers_are_lists_of_what_a_user_did_not_have_with_reasons(run: Run, table: Path) -> None:
    answers = nw.predict(run, table, users="u7,u2", top=3)
    assert answers.columns == ["line", "user", "rank", "item", "score", "because"]
    assert answers["user"].to_list() == ["u7"] * 3 + ["u2"] * 3 and answers["rank"].to_list() == [1, 2, 3] * 2
    had = dict(_clicks().group_by(SAID["user"]).agg(SAID["item"]).iter_rows())
    for user, item, score, because in answers.select("user", "item", "score", "because").iter_rows():
        assert item not in had[user] and 0 < score < 1
        reasons = because.split("; ")
        assert 1 <= len(reasons) <= 3 and set(reasons) <= set(had[user])
    scores = answers["score"].to_numpy().reshape(2, 3)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert nw.predict(run, table).height == 10 * USERS
    again = nw.predict(run, table, users=("u7",), top=40, exclude_seen=False)
    assert again.height == 36 and set(had["u7"]) <= set(again["item"])
    assert again["score"].sum() == pytest.approx(1.0, abs=1e-5)
    loaded = nw.load(table.parent / "run")
    assert loaded.task == run.task and nw.predict(loaded, table, users="u7,u2", top=3).equals(answers)


def test_new_items_of_a_catalog_are_ranked_by_what_they_are_like(run: Run, table: Path) -> None:
    assert isinstance(run.task, Ranking)
    known = [{"item_id:token": item, "kind": f"kind {item[0]}"} for item in run.task.items]
    stock = pl.DataFrame([*known, {"item_id:token": "fresh", "kind": "kind b"}])
    heard: list[object] = []
    answers = nw.predict(run, table, top=37, items=stock, exclude_seen=False, show=heard.append)
    assert "1 new item ranked by the known ones most alike" in heard
    places = answers.filter(item="fresh").select("user", "rank", "because").iter_rows()
    group = {user: "abc"[int(user[1:]) % GROUPS] for user in answers["user"].unique()}
    ranks = {letter: list[int]() for letter in "abc"}
    for user, rank, because in places:
        ranks[group[user]].append(rank)
        assert because or group[user] != "b"
    assert max(np.mean(ranks["b"]), 1) < min(np.mean(ranks["a"]), np.mean(ranks["c"]))
    path = table.parent / "stock.item"
    stock.write_csv(path, separator="\t")
    again = nw.predict(run, table, top=37, items=path, exclude_seen=False)
    assert again.equals(answers)


def test_very_many_users_are_answered_in_pieces(run: Run, table: Path) -> None:
    source = Source(table, user=SAID["user"], item=SAID["item"], time="at:float", task=run.task)
    pieces = [*read_chunks(source, rows=25)]
    assert [len(piece) for piece in pieces] == [25, 25, 25, 15]
    whole = next(read_chunks(source))
    assert whole.names is not None
    names, places = list[str](), list[int]()
    for piece in pieces:
        assert piece.names is not None and piece.places is not None
        assert piece.names["row"].to_list() == [*range(len(piece))]
        names += piece.names["user"].to_list()
        places += piece.places.to_list()
    assert names == whole.names["user"].to_list() and whole.places is not None and places == whole.places.to_list()


def test_who_had_nothing_known_gets_what_is_popular_and_is_counted(run: Run) -> None:
    rows = pl.DataFrame(
        {SAID["user"]: ["x", "y"], SAID["item"]: ["never", "a3"], "at:float": [1, 2], "town": ["Ulm"] * 2}
    )
    heard: list[object] = []
    answers = nw.predict(run, rows, top=2, show=heard.append)
    assert isinstance(run.task, Ranking)
    counts = dict(_clicks().group_by(SAID["item"]).len().iter_rows())
    best = sorted((int(n) for n in counts.values()), reverse=True)[:4]
    assert all(counts[item] in best for item in answers.filter(user="x")["item"])
    assert answers.filter(user="x")["because"].to_list() == ["", ""]
    assert answers.filter(user="y")["item"][0] in ("a4", "a5") and answers.filter(user="y")["because"][0] == "a3"
    told = [str(one) for one in heard]
    assert any("1 user had nothing that training knows" in one for one in told)
    assert any("hold items that training did not have" in one and "'never'" in one for one in told)


def test_items_of_one_group_are_alike(shuffled: Run, run: Run) -> None:
    for one in (shuffled, run):
        found = nw.similar(one, "b3", top=5)
        assert found.columns == ["item", "likeness"] and found.height == 5
        assert all(item.startswith("b") and item != "b3" for item in found["item"])
        sizes = found["likeness"].to_list()
        assert sizes == sorted(sizes, reverse=True) and sizes[0] <= 1
    with pytest.raises(DataError, match="training had no item_id:token 'b33'") as caught:
        nw.similar(run, "b33")
    assert "did you mean 'b3'?" in caught.value.remedy


def test_a_run_reopens_its_rows_and_scores_new_ones(run: Run, shuffled: Run, table: Path) -> None:
    for one in (run, shuffled):
        assert one.folder is not None and one.scores is not None
        scores = nw.evaluate(nw.load(one.folder), table)
        assert scores.metrics[0].value == pytest.approx(one.scores.metrics[0].value, abs=1e-6)
    report = nw.diagnose(nw.load(table.parent / "run"))
    assert not [finding.code for finding in report.findings if finding.severity == "error"]


def test_the_audit_has_no_false_alarm(table: Path) -> None:
    report = nw.audit(table, **SAID, time="at:float", task="ranking")
    assert not report.findings


def test_what_does_not_suit_is_said(run: Run, shuffled: Run, table: Path) -> None:
    with pytest.raises(RecipeError, match="--horizon does not suit ranking"):
        nw.predict(run, table, horizon=3)
    with pytest.raises(DataError, match="no user_id:token 'u700'"):
        nw.predict(run, table, users="u700")
    with pytest.raises(DataError, match="nothing can be changed a little in history"):
        nw.attack(shuffled, eps=0.1)
    task = run.task
    with pytest.raises(RecipeError, match="neither class weights nor label smoothing"):
        task.objective(Recipe(label_smoothing=0.1))
    with pytest.raises(DataError, match="examples have no order in time"):
        nw.train(table, **SAID, time="at:float", task="ranking", settings=QUICK, origins=3)
    with pytest.raises(DataError, match="splits them itself"):
        nw.train(table, **SAID, task="ranking", by_time="at:float", settings=QUICK)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"item": SAID["item"]}, "needs the column of users"),
        ({"user": SAID["user"]}, "needs the column of items"),
        ({**SAID, "time": "town"}, "neither numbers nor dates"),
        ({**SAID, "rating": "town"}, "not a number"),
        ({**SAID, "item": "itme"}, "no column 'itme'"),
    ],
)
def test_what_is_said_about_columns_is_checked(said: dict[str, str], told: str, table: Path) -> None:
    with pytest.raises(DataError, match=told):
        nw.train(table, **said, task="ranking", settings=QUICK)


def test_of_very_many_items_a_sample_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "FULL", 10)
    monkeypatch.setattr(ranking, "FULL_IN_ORDER", 10)
    for task, time in (("ranking", "at:float"), ("ranking:random", "")):
        prepared = _prepared(task, time)
        network = prepared.task.network(prepared.schema, Recipe(width=8, depth=1)).train()
        batch = prepared.train.take(prepared.train.rows)
        torch.manual_seed(0)
        losses = prepared.task.objective(Recipe())(network, batch)
        assert losses.shape == (len(batch),) and bool(losses.isfinite().all()) and losses.requires_grad
        losses.mean().backward()
        assert isinstance(network, Ranker) and network.head.weight.grad is not None
        # All items are candidates here and the network knows nothing yet: the loss is near that over all items.
        assert float(losses.detach()[losses > 0].mean()) == pytest.approx(float(np.log(36)), rel=0.2)


def test_settings_suit_the_number_of_items(run: Run) -> None:
    task = run.task
    assert isinstance(task, Ranking)
    many = replace(task, items=tuple(map(str, range(15_000))))
    assert task.defaults(run.schema, 900)["batch_size"] == 64
    assert many.defaults(run.schema, 900)["batch_size"] == 20
    assert many.defaults(run.schema, 90_000)["epochs"] == 8
