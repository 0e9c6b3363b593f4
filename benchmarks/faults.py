"""Trainings killed at random moments, run folders and input files damaged at random: is the outcome what is promised?

python -m benchmarks.faults --json FILE [--minutes 9] [--keep FOLDER]

Each trial is drawn by its number, so the same numbers give the same trials; each result is added to FILE, and the same
command goes on where it stopped. Commands run in forked copies of one process that has imported everything. The page
is docs/reliability.md. Needs a system with `fork`.
"""

import argparse
import contextlib
import gzip
import hashlib
import importlib
import json
import os
import pkgutil
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np
import polars as pl
import torch
from benchmarks.machine import machine, processor
from PIL import Image
from sklearn import datasets

import netwright
from netwright.run_folder.records import WEIGHTS, left
from netwright.statistics import share

KILLS, CORRUPTIONS, MUTATIONS = 200, 200, 1000
MOST_KILLS = 4  # of one training
SECONDS, MEMORY = 60.0, 4 << 30  # of one command; its address space may grow by this much
ENDS = 2.0  # seconds from SIGTERM to the end
ROWS = 240
SETTINGS = {
    "epochs": 20, "width": 8, "depth": 1, "members": 1, "batch_size": 32, "checkpoint_seconds": 0.02, "threads": 1,
    "precision": "fp32", "kernels": "torch", "compile": "never",
}  # fmt: skip
KINDS = ("table", "pictures", "texts", "long series")
FORMATS = ("csv", "csv.gz", "tsv", "jsonl", "parquet", "xlsx", "txt", "png", "jpg", "idx", "series")
WHOLE, STOPPED = "a whole run", "a stopped run"


@dataclass(frozen=True)
class Outcome:
    """How one command ended."""

    code: int  # that of the shell: 128 + the signal
    text: str
    seconds: float
    memory: int  # bytes, its peak
    late: bool = False

    @property
    def fault(self) -> str:
        """What no command may do."""
        if self.late:
            return f"not ready after {SECONDS:.0f} s"
        if "Traceback" in self.text or self.code not in (0, 1, 2):
            return f"exit code {self.code}: {self.text.strip()[-300:]}"
        return ""


@dataclass(frozen=True)
class Trial:
    """One result, a line of the file."""

    part: str
    what: str
    number: int
    fault: str  # empty if the outcome is what is promised
    outcome: str
    count: int = 1  # kills, corruptions, files


def start(cwd: Path, *words: str) -> tuple[int, Path]:
    """The command in a forked process: its id, and the file with all that it says."""
    said = cwd / f".said-{time.monotonic_ns()}"
    if (pid := os.fork()) != 0:
        return pid, said
    code = 3
    try:
        os.setsid()
        os.chdir(cwd)
        handle = os.open(said, os.O_CREAT | os.O_WRONLY)
        for number in (1, 2):
            os.dup2(handle, number)
        sys.stdin = open(os.devnull)  # noqa: SIM115  until the process ends
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
        sys.argv = ["netwright", *words]
        from netwright.cli import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  the command's own fault, to be counted
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(pid: int, said: Path, seconds: float = SECONDS) -> Outcome:
    """The end of a command, which is killed if it takes longer."""
    begin, late = time.monotonic(), False
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if not late and time.monotonic() - begin > seconds:
            late = True
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.002)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    text = said.read_text(errors="replace") if said.exists() else ""
    said.unlink(missing_ok=True)
    return Outcome(code, text, time.monotonic() - begin, usage.ru_maxrss * 1024, late)


def command(cwd: Path, *words: str) -> Outcome:
    """One command, to its end."""
    return wait(*start(cwd, *words))


# The data. Made in forked processes too: threads of polars that have begun do not survive a fork.


@cache
def made(what: str) -> tuple[Path, list[str]]:
    """A folder with data of a kind or in a format, and the words that name them for `train` and `audit`."""
    folder = Path(tempfile.mkdtemp(prefix="faults"))
    (folder / "data").mkdir()
    if (pid := os.fork()) == 0:
        code = 1
        try:
            words = (make if what in KINDS else write)(what, folder / "data")
            (folder / "words.json").write_text(json.dumps(words))
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(pid, 0)[1] != 0:
        raise RuntimeError(f"{what}: the data could not be made")
    return folder / "data", json.loads((folder / "words.json").read_text())


def make(kind: str, folder: Path) -> list[str]:
    """Real data of a kind in a folder, and the words that name them for `train` and `audit`."""
    digits = datasets.load_digits()
    if kind == "pictures":
        pictures(folder / "i", "png")
        return ["i"]
    if kind == "long series":
        rows = [(n, t, *map(float, digits.images[n][t])) for n in range(ROWS) for t in range(8)]
        pl.DataFrame(rows, ["id", "t", *(f"c{n}" for n in range(8))], orient="row").write_csv(folder / "s.csv")
        labels = {"id": list(range(ROWS)), "y": [f"d{n}" for n in digits.target[:ROWS]]}
        pl.DataFrame(labels).write_csv(folder / "labels.csv")
        return ["s.csv", "--series=id", "--time=t", "--labels=labels.csv", "-t", "y"]
    if kind == "texts":
        names = ("breast_cancer", "diabetes", "digits", "iris", "wine_data", "linnerud", "california_housing")
        texts = {n: (Path(datasets.__file__).parent / "descr" / f"{n}.rst").read_text() for n in names}
        rows = [(line, n) for n, text in texts.items() for line in text.splitlines() if len(line.split()) > 5]
        pl.DataFrame(rows[:ROWS], ["text", "y"], orient="row").write_csv(folder / "x.csv")
        return ["x.csv", "-t", "y", "--kind=text=text"]
    frame().write_csv(folder / "t.csv")
    return ["t.csv", "-t", "y"]


def frame() -> pl.DataFrame:
    """Numbers, a category and a label."""
    data = datasets.load_breast_cancer()
    cells = pl.DataFrame(data.data[:ROWS, :6].round(4), [f"c{n}" for n in range(6)], orient="row")
    size = pl.Series("size", ["small" if x < 13 else "large" for x in data.data[:ROWS, 0]])
    return cells.with_columns(size, pl.Series("y", [str(data.target_names[n]) for n in data.target[:ROWS]]))


def pictures(folder: Path, ending: str, count: int = ROWS) -> None:
    """Digits, by label."""
    digits = datasets.load_digits()
    for number in range(count):
        place = folder / f"d{digits.target[number]}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 15).astype(np.uint8)).save(place / f"{number:03}.{ending}")


def write(ending: str, folder: Path) -> list[str]:
    """Sound data in a format, and the words that name them."""
    if ending in ("png", "jpg"):
        pictures(folder / "i", ending, 40)
        return ["i"]
    if ending == "series":
        return make("long series", folder)
    if ending == "idx":
        digits = datasets.load_digits()
        (folder / "i").mkdir()
        head, images = (0x803).to_bytes(4) + (100).to_bytes(4) + (8).to_bytes(4) * 2, digits.images[:100] * 15
        (folder / "i" / "train-images-idx3-ubyte").write_bytes(head + images.astype(np.uint8).tobytes())
        labels = (0x801).to_bytes(4) + (100).to_bytes(4) + digits.target[:100].astype(np.uint8).tobytes()
        (folder / "i" / "train-labels-idx1-ubyte").write_bytes(labels)
        return ["i"]
    name = f"t.{ending}"
    if ending == "txt":
        (folder / name).write_text((Path(datasets.__file__).parent / "descr" / "digits.rst").read_text())
        return [name]
    data = frame()
    if ending == "csv.gz":
        (folder / name).write_bytes(gzip.compress(data.write_csv().encode(), mtime=0))
    elif ending == "tsv":
        data.write_csv(folder / name, separator="\t")
    elif ending == "xlsx":
        data.write_excel(folder / name)
    else:
        {"csv": data.write_csv, "jsonl": data.write_ndjson, "parquet": data.write_parquet}[ending](folder / name)
    return [name, "-t", "y"]


# Kills.


@cache
def undisturbed(kind: str) -> tuple[Path, list[str], float]:
    """A folder with data and `whole`, a training that nothing disturbed; its command, and its seconds."""
    folder, words = made(kind)
    words = ["train", *words, "--no-audit", *(f"--set={name}={value}" for name, value in SETTINGS.items())]
    done = command(folder, *words, "--run=whole")
    if done.code != 0:
        raise RuntimeError(f"{kind}: the undisturbed training failed: {done.text}")
    return folder, words, done.seconds


def content(run: Path) -> dict[str, str]:
    """A hash of each file that holds no times; the names of the others."""
    timed = {"history.jsonl", "origin.json", "diagnosis.json", "outcome.json", "digests.json", "augmented.png"}
    return {p.name: "" if p.name in timed else hashlib.sha256(p.read_bytes()).hexdigest() for p in run.iterdir()}


def killed(number: int) -> Trial:
    """One training, killed up to MOST_KILLS times, with SIGKILL or SIGTERM, then run to its end."""
    kind, draw = KINDS[number % len(KINDS)], random.Random(f"kill {number}")
    folder, words, seconds = undisturbed(kind)
    run, kills, told = folder / "run", 0, list[str]()
    shutil.rmtree(run, ignore_errors=True)
    try:
        for _ in range(draw.randint(1, MOST_KILLS)):
            pid, said = start(folder, *words, "--run=run")
            time.sleep(draw.uniform(0, seconds))
            way = draw.choice((signal.SIGKILL, signal.SIGTERM))
            os.kill(pid, way)
            kills += 1
            done = wait(pid, said)
            told.append(f"{way.name} {done.code}")
            if "Traceback" in done.text or done.code not in (0, 128 + way):
                return Trial("kill", kind, number, f"{way.name}: exit code {done.code}: {done.text[-300:]}", "", kills)
            if way == signal.SIGTERM and done.seconds > ENDS:
                return Trial("kill", kind, number, f"{done.seconds:.1f} s from SIGTERM to the end", "", kills)
            if done.code == 0:
                break
        # Killed while it printed its summary, the command has nothing left to do.
        is_finished = done.code == 0 or ((run / WEIGHTS).exists() and not left(run))
        if not is_finished and (done := command(folder, *words, "--run=run")).code != 0:
            return Trial("kill", kind, number, f"after {', '.join(told)}: {done.text[-300:]}", "", kills)
        fault = "" if content(run) == content(folder / "whole") else f"other files: {sorted(content(run))}"
        return Trial("kill", kind, number, fault, ", ".join(told), kills)
    finally:
        shutil.rmtree(run, ignore_errors=True)


# Corruptions.


@cache
def stopped() -> tuple[Path, list[str]]:
    """The run folder of a training that was killed after some checkpoints, and its command."""
    folder, words, _ = undisturbed("table")
    pid, said = start(folder, *words, "--run=stopped")
    history = folder / "stopped" / "history.jsonl"
    while not (history.exists() and history.read_bytes().count(b"\n") > 5):
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    wait(pid, said)
    return folder / "stopped", words


def corrupted(number: int) -> Trial:
    """A file of a run, damaged: refused, or the answers (of a whole run) or weights (of a stopped one) as before."""
    draw, what = random.Random(f"corrupt {number}"), (WHOLE, STOPPED)[number % 2]
    folder, _, _ = undisturbed("table")
    source = folder / "whole" if what == WHOLE else stopped()[0]
    run, answers = folder / "run", folder / "answers.csv"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(source, run)
    name = draw.choice(sorted(p.name for p in run.iterdir() if p.name[0] != "."))
    way = damage(run / name, draw)
    try:
        if what == WHOLE:
            done = command(folder, "predict", "run", "t.csv", "--to=answers.csv")
            same = answers.exists() and answers.read_bytes() == sound_answers()
        else:
            done = command(folder, *stopped()[1], "--run=run")
            same = (run / WEIGHTS).exists() and content(run)[WEIGHTS] == content(folder / "whole")[WEIGHTS]
        fault = done.fault or ("" if done.code == 2 or same else f"another answer, exit code {done.code}")
        fault = fault and f"{name}, {way}: {fault}"
        return Trial("corrupt", what, number, fault, "refused" if done.code == 2 else "the same")
    finally:
        shutil.rmtree(run, ignore_errors=True)
        answers.unlink(missing_ok=True)


@cache
def sound_answers() -> bytes:
    """Those of the whole run."""
    folder, _, _ = undisturbed("table")
    command(folder, "predict", "whole", "t.csv", "--to=sound.csv")
    return (folder / "sound.csv").read_bytes()


def damage(path: Path, draw: random.Random) -> str:
    """Damages a file in one of many ways; says which."""
    way = draw.choice((*CHANGES, "removed", "made a folder", "made a pipe", "linked to itself"))
    data = path.read_bytes()
    path.unlink()
    if way == "made a folder":
        path.mkdir()
    elif way == "made a pipe":
        os.mkfifo(path)
    elif way == "linked to itself":
        path.symlink_to(path.name)
    elif way != "removed":
        path.write_bytes(CHANGES[way](data, draw))
    return way


# Mutations.


def _place(data: bytes, draw: random.Random) -> tuple[int, int]:
    first = draw.randrange(len(data) + 1)
    return first, min(len(data), first + draw.choice((1, 4, 64, 1000)))


def _flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 8, 200)) if data else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _with(make: Callable[[bytes, random.Random], bytes]) -> Callable[[bytes, random.Random], bytes]:
    """A change of a piece."""

    def change(data: bytes, draw: random.Random) -> bytes:
        first, last = _place(data, draw)
        return data[:first] + make(data[first:last], draw) + data[last:]

    return change


TOKENS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"\r", b"\n\n", b",,,,", b"\t", b"[" * 5000, b"{" * 5000, b"1" * 5000,
    b"1e999", b"nan", b"-0", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa9", b"=cmd()", b"\x1b]0;x\x07",
    b"x" * 100_000, b"9" * 30, b"\\",
)  # fmt: skip
CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bits flipped": _flipped,
    "cut off": lambda data, draw: data[: draw.randrange(len(data) + 1)],
    "a piece left out": _with(lambda piece, draw: b""),
    "a piece zeroed": _with(lambda piece, draw: bytes(len(piece))),
    "a piece doubled": _with(lambda piece, draw: piece * draw.choice((2, 50))),
    "random bytes put in": _with(lambda piece, draw: piece + draw.randbytes(draw.choice((1, 20, 500)))),
    "a token put in": _with(lambda piece, draw: piece + draw.choice(TOKENS)),
    "a token in its place": _with(lambda piece, draw: draw.choice(TOKENS)),
    "bytes appended": lambda data, draw: data + draw.randbytes(draw.choice((1, 100))),
}


def mutated(number: int, keep: Path | None = None) -> Trial:
    """An input file, changed one to three times, is audited."""
    draw, ending = random.Random(f"mutate {number}"), FORMATS[number % len(FORMATS)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source, words = made(ending)
        shutil.copytree(source, folder, dirs_exist_ok=True)
        path = draw.choice(sorted(p for p in folder.rglob("*") if p.is_file()))
        ways = [draw.choice(sorted(CHANGES)) for _ in range(draw.randint(1, 3))]
        is_inside = path.suffix == ".gz" and draw.random() < 0.7  # else nothing could be unpacked
        data = gzip.decompress(path.read_bytes()) if is_inside else path.read_bytes()
        for way in ways:
            data = CHANGES[way](data, draw)
        path.write_bytes(gzip.compress(data, mtime=0) if is_inside else data)
        done = command(folder, "audit", *words, "--fast", "--quiet", "--fail-on", "never")
        if done.fault and keep is not None:
            shutil.copytree(folder, keep / f"{number}-{ending}", dirs_exist_ok=True)
            (keep / f"{number}-{ending}.txt").write_text(f"audit {' '.join(words)}\n{', '.join(ways)}\n{done.text}")
        fault = done.fault and f"{', '.join(ways)}: {done.fault}"
        return Trial("mutate", ending, number, fault, "refused" if done.code == 2 else "audited")


# All of it.


def trials(done: set[tuple[str, int]], kills: int, keep: Path | None) -> Iterator[Trial]:
    """Those that are not done yet, in turn."""

    def killing() -> Iterator[Trial]:
        left, number = KILLS - kills, 0
        while left > 0:
            if ("kill", number) not in done:
                yield (trial := killed(number))
                left -= trial.count
            number += 1

    def numbered(part: str, count: int, make: Callable[[int], Trial]) -> Iterator[Trial]:
        yield from (make(number) for number in range(count) if (part, number) not in done)

    mutating = numbered("mutate", MUTATIONS, lambda number: mutated(number, keep))
    fives = iter(lambda: [t for _ in range(5) if (t := next(mutating, None))], [])
    for row in zip_longest(killing(), numbered("corrupt", CORRUPTIONS, corrupted), fives):
        for some in row:
            yield from some if isinstance(some, list) else [some] if some else []


def page(found: list[Trial]) -> str:
    """The table of the page, then the faults."""
    groups, rows = defaultdict[tuple[str, str], list[Trial]](list), list[tuple[str, ...]]()
    for trial in found:
        groups[trial.part, trial.what].append(trial)
    for part, title, promise in (
        ("kill", "kills: training on", "finished by the same command, same weights and scores"),
        ("corrupt", "a damaged file of", "refused, or the same answers"),
        ("mutate", "a mutated", "exit code 0, 1 or 2, no traceback, within time and memory"),
    ):
        for (_, what), some in sorted(item for item in groups.items() if item[0][0] == part):
            good = sum(not trial.fault for trial in some)
            low = share(good, len(some)).low
            high = 1.0 if good == len(some) else share(good, len(some)).high
            kills = f"{sum(trial.count for trial in some):,}" if part == "kill" else ""
            refused = f"{sum(trial.outcome == 'refused' for trial in some):,}" if part != "kill" else ""
            interval = f"{low:.3f} to {high:.3f}"
            rows.append((f"{title} {what}", promise, f"{len(some):,}", kills, refused, f"{good:,}", interval))
    lines = ["| what | right if | trials | kills | refused | right | 95 % interval |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    faults = [f"- {trial.part} {trial.number}, {trial.what}: {trial.fault}" for trial in found if trial.fault]
    return "\n".join([*lines, "", machine(processor(1), ("torch", "polars", "numpy")), "", *faults])


def main() -> None:
    """The bounded form; prints the page."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--json", type=Path, required=True)
    words.add_argument("--minutes", type=float, default=9.0)
    words.add_argument("--keep", type=Path)
    given = words.parse_args()
    end = time.monotonic() + 60 * given.minutes
    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(netwright.__path__, "netwright."):
        if ".testing" not in module.name:
            importlib.import_module(module.name)
    lines = given.json.read_text().splitlines() if given.json.exists() else []
    found = [Trial(**json.loads(line)) for line in lines]
    kills = sum(trial.count for trial in found if trial.part == "kill")
    with given.json.open("a") as file, tempfile.TemporaryDirectory() as place:
        os.environ["NETWRIGHT_CACHE"] = tempfile.tempdir = place
        for trial in trials({(trial.part, trial.number) for trial in found}, kills, given.keep):
            found.append(trial)
            file.write(json.dumps(asdict(trial)) + "\n")
            file.flush()
            if time.monotonic() > end:
                break
    print(page(found))


if __name__ == "__main__":
    main()
