"""Trains on data three times as large as the memory that is allowed, and on the same data in memory without a limit.

    python -m benchmarks.speed.memory > memory.md
    python -m benchmarks.speed.memory --allowed 2000 --times 5 --side 224

The limit is RLIMIT_DATA, set by the process itself once its modules are imported and so beyond what they take: the
system then refuses more heap, anonymous and private writable maps. Shared maps of files are not counted: the system
takes their pages back when it needs them. Peaks are read from outside, from /proc/<pid>/status, every 20 ms. Linux
only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.speed.measure import conditions

MB = 1_000_000
CLASSES = 4
EVERY = 0.02  # seconds between two looks at the process
BLOCK = 256  # pictures made at once
# As little arithmetic as pictures can be trained with: what is measured is the path of the data.
SETTINGS = {"epochs": 1, "batch_size": 64, "layers": [{"conv": 8, "kernel": 7, "stride": 8}, "relu"], "augment": [],
            "precision": "fp32", "seed": 0, "average": 0, "threads": 1}  # fmt: skip


def pictures(count: int, side: int, seed: int) -> Any:
    """Blocks of (n, side, side, 3) bytes and their labels: a shade of the class's own under smooth noise."""
    generator = np.random.default_rng(seed)
    shades = np.linspace(60, 190, CLASSES)
    for start in range(0, count, BLOCK):
        labels = generator.integers(0, CLASSES, min(BLOCK, count - start))
        coarse = generator.normal(0, 60, (len(labels), side // 8, side // 8, 3)) + shades[labels, None, None, None]
        yield coarse.repeat(8, axis=1).repeat(8, axis=2).clip(0, 255).astype(np.uint8), labels


def make_array(folder: Path, count: int, side: int) -> None:
    """`x.npy` and `y.npy`, written through a map."""
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (count, side, side, 3))
    y, start = np.empty(count, np.int64), 0
    for block, labels in pictures(count, side, seed=0):
        x[start : start + len(block)], y[start : start + len(block)] = block, labels
        start += len(block)
    x.flush()
    np.save(folder / "y.npy", y)


def make_files(folder: Path, count: int, side: int) -> None:
    """`files/<label>/<number>.jpg`."""
    from PIL import Image

    for label in range(CLASSES):
        (folder / "files" / str(label)).mkdir(parents=True)
    number = 0
    for block, labels in pictures(count, side, seed=1):
        for picture, label in zip(block, labels, strict=True):
            Image.fromarray(picture).save(folder / "files" / str(label) / f"{number:07}.jpg", quality=90)
            number += 1


def child(data: str, folder: Path, allowed: int) -> None:
    """Trains within `allowed` bytes beyond what the imported modules take (0: no limit); prints what came out."""
    import resource

    import sklearn.linear_model
    import torch

    import netwright as nw

    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # imports half of torch
    _ = nw.train, sklearn.linear_model
    own = status(os.getpid(), "VmData")  # what RLIMIT_DATA counts
    if allowed:
        resource.setrlimit(resource.RLIMIT_DATA, (own + allowed, own + allowed))
    print(json.dumps({"own": status(os.getpid(), "RssAnon")}), flush=True)
    began = time.perf_counter()
    arrays = {"map": lambda: np.load(folder / "x.npy", mmap_mode="r"), "array": lambda: np.load(folder / "x.npy")}
    given = (arrays[data](), np.load(folder / "y.npy")) if data in arrays else folder / "files"
    run = nw.train(given, settings=SETTINGS)
    weights = blake2b(digest_size=8)
    for tensor in run.network.state_dict().values():
        weights.update(tensor.numpy().tobytes())
    assert run.scores is not None
    score = run.scores.metrics[0]
    seconds, told = time.perf_counter() - began, f"{score.name} {score.value:.6f}"
    print(json.dumps({"seconds": seconds, "score": told, "weights": weights.hexdigest()}))


def status(process: int, name: str) -> int:
    """Bytes in a line of /proc/<pid>/status; 0 where the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def measured(data: str, folder: Path, allowed: int, keeps: bool) -> dict[str, Any]:
    """One training in its own process: what it printed, and the peaks of its memory."""
    cache = {
        "NETWRIGHT_CACHE": str(folder / ("cache" if keeps else "none")),
        "NETWRIGHT_CACHE_BYTES": str(1 << 40) if keeps else "0",
    }
    words = [
        sys.executable,
        "-m",
        "benchmarks.speed.memory",
        "--child",
        data,
        "--folder",
        str(folder),
        "--allowed",
        str(allowed),
    ]
    process = subprocess.Popen(
        words, env={**os.environ, **cache}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    peaks = {"RssAnon": 0, "RssFile": 0}
    while process.poll() is None:
        peaks = {name: max(peak, status(process.pid, name)) for name, peak in peaks.items()}
        time.sleep(EVERY)
    out, err = process.communicate()
    found: dict[str, Any] = dict(peaks)
    for line in out.splitlines():
        found |= json.loads(line)
    if process.returncode:
        found["failed"] = (err.strip().splitlines() or [f"ended by signal {-process.returncode}"])[-1]
    return found


def row(name: str, size: int, allowed: int, found: dict[str, Any]) -> str:
    """A line of the table, in MB."""
    limit = f"{allowed // MB:,}" if allowed else "none"
    own = found.get("own", 0) // MB
    cells = [name, f"{size // MB:,}", limit, f"{found['RssAnon'] // MB:,}", f"{own:,}", f"{found['RssFile'] // MB:,}"]
    if "failed" in found:
        return " | ".join(["", *cells, "", f"fails: {found['failed'][:60]}", "", ""]).strip()
    return " | ".join(["", *cells, f"{found['seconds']:.0f}", found["score"], found["weights"], ""]).strip()


def main() -> None:
    """Makes the data, trains on them in six ways, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--allowed", type=int, default=500, help="MB beyond the interpreter's own, for the array")
    parser.add_argument("--files-allowed", type=int, default=300, help="the same for JPEG files")
    parser.add_argument("--times", type=float, default=3.0, help="how many times as large the data are")
    parser.add_argument("--side", type=int, default=128, help="of the pictures, in pixels, a multiple of 8")
    parser.add_argument("--folder", type=Path, default=None, help="where to make the data; a temporary folder")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.folder, given.allowed)
        return
    picture = 3 * given.side**2
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder, allowed, files_allowed = Path(name), given.allowed * MB, given.files_allowed * MB
        count, files = (int(given.times * limit) // picture for limit in (allowed, files_allowed))
        make_array(folder, count, given.side)
        make_files(folder, files, given.side)
        cases = [
            ("array, mapped", "map", count, allowed, True),
            ("array, in memory", "array", count, 0, True),
            ("array, in memory", "array", count, allowed, True),
            ("JPEG files, decoded into the cache", "files", files, files_allowed, True),
            ("JPEG files, out of the cache", "files", files, files_allowed, True),
            ("JPEG files, decoded into memory", "files", files, 0, False),
        ]
        print(
            "| data | MB of pixels | allowed MB | peak RssAnon | of it modules | peak RssFile | s | score | weights |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for label, data, rows, limit, keeps in cases:
            print(row(label, rows * picture, limit, measured(data, folder, limit, keeps)), flush=True)
    print(f"\nOne training for each row. {conditions(os.cpu_count() or 1, ('netwright', 'torch', 'numpy', 'pillow'))}")


if __name__ == "__main__":
    main()
