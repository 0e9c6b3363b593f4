"""Code of the user's own in a training, and in files that may be somebody else's."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import netwright as nw
from netwright.records.errors import RunError

SMALL = [f"--set={text}" for text in ("epochs=1", "width=8", "depth=1", "precision=fp32", "kernels=torch", "threads=1")]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text("import torch\n\n\nclass Bent(torch.nn.ReLU):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    x = [n % 17 for n in range(120)]
    pl.DataFrame({"x": x, "y": ["a" if n > 8 else "b" for n in x]}).write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


def test_code_that_the_user_types_runs_and_code_of_a_file_only_if_allowed(
    table: Path, tmp_path: Path, netwright: Callable
) -> None:
    run = tmp_path / "run"
    own = ["--set=activation=mine:Bent", "--no-audit", "--quiet", *SMALL]
    assert netwright("train", table, "-t", "y", "--run", run, *own).code == 0

    for words in (("predict", run, table), ("show", run), ("weights", run), ("evaluate", run), ("diagnose", run)):
        refused = netwright(*words)
        assert refused.code == 2, words
        assert "recipe.toml names code from outside netwright: activation = 'mine:Bent'" in refused.err, words
        assert "--allow-code" in refused.err
    assert netwright("predict", run, table, "--allow-code").code == 0
    assert netwright("show", run, "--allow-code").code == 0

    recipe = ("--recipe", run / "recipe.toml", "--no-audit", "--no-diagnose", "--quiet")
    refused = netwright("train", table, "-t", "y", "--run", tmp_path / "again", *recipe)
    assert refused.code == 2
    assert "recipe.toml names code from outside netwright: activation = 'mine:Bent'" in refused.err
    assert netwright("train", table, "-t", "y", "--run", tmp_path / "again", *recipe, "--allow-code").code == 0

    with pytest.raises(RunError, match="activation = 'mine:Bent'"):
        nw.diagnose(run)
    with pytest.raises(RunError, match="activation = 'mine:Bent'"):
        nw.treat(run)
    assert nw.diagnose(run, allow_code=True).subject == str(run)
