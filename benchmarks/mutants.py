"""Do the tests notice a wrong sign? Random single changes of the source, each against the mirrored test file alone.

python -m benchmarks.mutants [MODULE ...] [--seed 0] [--each 8] [--minutes 10]    (`make mutants` installs cosmic-ray)

The changes are cosmic-ray's: a comparison, an operator, a constant; at most one at a place. They are made in a copy of
the tree. A change with which the tests cannot be collected counts neither way. What is done is kept in build/mutants,
until source or tests change, so that the same command resumes.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import cosmic_ray.plugins
import numpy  # noqa: F401 # it and the next three are imported once: each mutant is tested in a fork
import polars  # noqa: F401
import pytest
import sklearn.metrics  # noqa: F401
import torch
from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_item import MutationSpec

SUBJECTS = {
    "tasks/metrics": "tasks/test_metrics",
    "data/split": "data/test_split",
    "data/fixes": "data/test_fixes",
    "checks/data/values": "checks/test_values",
    "kinds/number": "kinds/test_number",
    "run_folder": "test_run_folder",
    "training/loop": "training/test_loop",
    "training/schedule": "training/test_schedule",
    "training/average": "training/test_average",
}
# Whether equal numbers are one object is an accident of Python: `is` in place of `==` says nothing of the tests.
OPERATORS = re.compile(
    r"core/(ReplaceComparisonOperator_(Is_IsNot|IsNot_Is|(?!\w*_Is))|ReplaceBinaryOperator|ReplaceUnaryOperator|"
    r"NumberReplacer|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceTrueWithFalse|ReplaceFalseWithTrue)"
)
SLOW = 5  # times as long as without a change: it never ends, and is caught
CAUGHT, SURVIVED, UNUSABLE = "caught", "survived", "unusable"
OF_EXIT = {pytest.ExitCode.OK: SURVIVED, pytest.ExitCode.TESTS_FAILED: CAUGHT, None: CAUGHT}  # None: it never ended


def main() -> None:
    """Prints a table, and what survived."""
    words = argparse.ArgumentParser(description="Random single changes of the source, caught by the tests or not.")
    words.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(SUBJECTS)}")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--each", type=int, default=8, help="mutants of each module")
    words.add_argument("--minutes", type=float, default=10.0)
    said = words.parse_args()
    end = time.monotonic() + 60 * said.minutes
    torch.set_num_threads(1)
    os.environ["POLARS_MAX_THREADS"] = "1"  # its threads start with the first use, in the fork
    modules = said.modules or list(SUBJECTS)
    with tempfile.TemporaryDirectory() as folder:
        tree = _copied(Path(folder))
        told = {module: _judged(tree, module, said.seed, said.each, end) for module in modules}
    print("| module | mutants | caught |\n|---|---|---|")
    for module, verdicts in told.items():
        print(f"| {module} | {len(verdicts)} | {sum(v == CAUGHT for v in verdicts.values())} |")
    every = [verdict for verdicts in told.values() for verdict in verdicts.values()]
    caught = every.count(CAUGHT)
    print(f"| all, seed {said.seed} | {len(every)} | {caught} ({caught / max(1, len(every)):.0%}) |\n")
    for verdicts in told.values():
        print("".join(f"{change}\n" for change, verdict in verdicts.items() if verdict == SURVIVED), end="")
    if time.monotonic() > end:
        sys.exit("time is up: the same command resumes here.")


def _copied(folder: Path) -> Path:
    """A copy of what git knows of the tree, first on the path and compiled."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    for name in filter(os.path.isfile, listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, folder / name)
    subprocess.run([sys.executable, "-m", "compileall", "-q", folder / "src"], check=True)
    sys.path.insert(0, str(folder / "src"))
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return folder


def _judged(tree: Path, module: str, seed: int, each: int, end: float) -> dict[str, str]:
    """Each change that counts, as text, with its verdict."""
    source, tests = tree / f"src/netwright/{module}.py", tree / f"tests/{SUBJECTS[module]}.py"
    original = source.read_text()
    key = sha256((original + tests.read_text()).encode()).hexdigest()[:16]
    memory = Path("build/mutants") / f"{module.replace('/', '.')}.{seed}.json"
    kept = json.loads(memory.read_text()) if memory.exists() else {}
    verdicts: dict[str, str] = kept["verdicts"] if kept.get("key") == key else {}
    found, limit = dict[str, str](), 0.0
    for change, mutated in _changes(source, seed):
        if len(found) == each or time.monotonic() > end:
            break
        if change not in verdicts:
            if not limit:
                start = time.monotonic()
                if _exit_code(tests, tree, 600) != pytest.ExitCode.OK:
                    sys.exit(f"{tests.relative_to(tree)} fails without any change.")
                limit = SLOW * (time.monotonic() - start) + 5
            Path(source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc").unlink(True)
            source.write_text(mutated)
            verdicts[change] = OF_EXIT.get(_exit_code(tests, tree, limit), UNUSABLE)
            source.write_text(original)
            print(f"{verdicts[change]:9} {change}", file=sys.stderr, flush=True)
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.write_text(json.dumps({"key": key, "verdicts": verdicts}))
        if verdicts[change] != UNUSABLE:
            found[change] = verdicts[change]
    return found


def _changes(source: Path, seed: int) -> Iterator[tuple[str, str]]:
    """Changes in random order, as text and as the whole file: one for each place, so that no place counts thirteen."""
    operators = [name for name in cosmic_ray.plugins.operator_names() if OPERATORS.match(name)]
    places: dict[tuple[int, int], list[MutationSpec]] = {}
    for item in _all_work_items([source], {}):
        mutation = item.mutations[0]
        if mutation.operator_name in operators:
            places.setdefault(mutation.start_pos, []).append(mutation)
    draw, original = random.Random(seed), source.read_text()
    for place in draw.sample(sorted(places), len(places)):
        chosen = draw.choice(places[place])
        mutated = mutate_code(original, cosmic_ray.plugins.get_operator(chosen.operator_name)(), chosen.occurrence)
        if mutated is not None and mutated != original:
            old, new = original.splitlines()[place[0] - 1].strip(), mutated.splitlines()[place[0] - 1].strip()
            yield f"{'/'.join(source.parts[-3:])}:{place[0]}  {old}  ->  {new}", mutated


def _exit_code(tests: Path, tree: Path, seconds: float) -> int | None:
    """Of pytest in a fork; None if it took longer."""
    fork = multiprocessing.get_context("fork").Process(target=_test, args=(tests, tree))
    fork.start()
    fork.join(seconds)
    if fork.exitcode is None:
        fork.kill()
        fork.join()
        return None
    return fork.exitcode


def _test(tests: Path, tree: Path) -> None:
    os.chdir(tree)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tests)]))


if __name__ == "__main__":
    main()
