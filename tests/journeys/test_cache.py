"""Decoded files on the command line: kept, shown, cleared."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.data import cache

# Arithmetic is measured, and a busy machine may measure otherwise the second time.
SETTINGS = ("epochs=1", "width=4", "precision=fp32", "kernels=torch", "compile=never", "threads=1")


def test_second_training_starts_without_decoding_and_clearing_says_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, netwright: Callable
) -> None:
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    for number in range(60):
        path = tmp_path / "photos" / ("dark", "light")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 30 + 150 * (number % 2) + number // 2, np.uint8)).save(path)
    words = ("train", tmp_path / "photos", *(w for s in SETTINGS for w in ("--set", s)))
    assert "60 files decoded in" in netwright(*words, "--run", tmp_path / "a").err
    assert "60 files already decoded in" in netwright(*words, "--run", tmp_path / "b").err
    weights = [(tmp_path / run / "weights.safetensors").read_bytes() for run in "ab"]
    assert weights[0] == weights[1]

    shown = netwright("cache")
    assert shown.code == 0
    assert f"{tmp_path}/cache/decoded: 0 MB of at most" in shown.out
    assert f"60 x 1 x 8 x 8            {tmp_path}/photos" in shown.out
    assert json.loads(netwright("cache", "--json").out)["bytes"] == nw.cache().bytes == 60 * 64

    cleared = netwright("cache", "--clear")
    assert (cleared.code, cleared.out.splitlines()[0]) == (0, "removed 0 MB")
    assert nw.cache().entries == ()
