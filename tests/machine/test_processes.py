import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

import netwright as nw
from netwright.machine.processes import refuse_ranks
from netwright.records.errors import RunError


@pytest.mark.parametrize(
    "environment",
    [
        {}, {"RANK": "0", "WORLD_SIZE": "1"}, {"WORLD_SIZE": "4"}, {"RANK": "2"}, {"RANK": "", "WORLD_SIZE": ""},
        {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, {"RANK": "0", "WORLD_SIZE": "many"},
    ],
)  # fmt: skip
def test_one_process_is_taken_for_one(environment: dict[str, str]) -> None:
    refuse_ranks(environment)


def test_one_of_several_processes_is_refused_with_its_number() -> None:
    with pytest.raises(RunError, match=r"this is process 3 of 4 \(RANK and WORLD_SIZE are set\)") as caught:
        refuse_ranks({"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"})
    assert caught.value.remedy == "start one process: without torchrun, or with --nproc-per-node 1."


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pl.DataFrame({"x": range(40), "y": ["a", "b"] * 20}).write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


def test_training_is_refused_in_every_process_of_torchrun_and_writes_nothing(table: Path, tmp_path: Path) -> None:
    code = f"import netwright as nw; nw.train({str(table)!r}, target='y', folder={str(tmp_path / 'run')!r})"
    (tmp_path / "go.py").write_text(code)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "go.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode != 0
    assert "parallel training is not supported yet" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["train", "treat", "prove", "label"])
def test_every_verb_that_trains_refuses_before_it_reads(
    monkeypatch: pytest.MonkeyPatch, table: Path, verb: str
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = {"fixes": table} if verb == "prove" else {}
    with pytest.raises(RunError, match="this is process 2 of 2"):
        getattr(nw, verb)(table, **words)


def test_an_initialized_process_group_counts_though_no_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("is_initialized", True), ("get_rank", 0), ("get_world_size", 2)):
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    with pytest.raises(RunError, match=r"process 1 of 2 \(torch.distributed is initialized\)"):
        refuse_ranks({})
