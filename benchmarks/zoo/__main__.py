"""What the doctor says of trainings with a known fault, of their healthy twins, and of healthy ones that look odd.

    python -m benchmarks.zoo --tier fast --json zoo.jsonl > zoo.md
    python -m benchmarks.zoo --tier full --data FOLDER --json full.jsonl > full.md

Cases that stand in the results file are not trained again, so a run can be done in parts and stopped.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.speed.measure import conditions
from benchmarks.zoo.bars import below
from benchmarks.zoo.cases import SEEDS, cases
from benchmarks.zoo.measure import Row, measure
from benchmarks.zoo.scores import page, rules, said


def main() -> None:
    """Trains what is missing in the results file, and prints the page of all that it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tier", choices=SEEDS, default="fast", help="tuning has what thresholds may be tuned on")
    parser.add_argument("--only", nargs="+", default=[], help="parts of the cases' names: all of them have to occur")
    parser.add_argument("--json", type=Path, help="lines are added to it")
    parser.add_argument("--repair", action="store_true", help="treat the faulty ones, and score what that brings")
    parser.add_argument("--data", type=Path, help="folder of the public files that the tier full takes")
    parser.add_argument("--bars", action="store_true", help="exit with 1 where the tier fast is worse than it was")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread")
    options = parser.parse_args()
    if options.tier == "full" and options.data is None:
        parser.error("the tier full takes public data: say --data FOLDER")
    file: Path | None = options.json
    lines = file.read_text().splitlines() if file is not None and file.exists() else []
    found: dict[str, Row] = {row["name"]: row for row in map(json.loads, lines) if row["rules"] == rules()}
    every = {case.name: case for case in cases(options.tier, str(options.data or ""))}
    wanted = [case for case in every.values() if all(word in case.name for word in options.only)]
    twins = {case.name: every[case.twin].plan for case in wanted if options.repair and case.kind == "fault"}
    missing = [
        case for case in wanted if case.name not in found or (case.name in twins) > ("repair" in found[case.name])
    ]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for number, done in enumerate(
            as_completed([pool.submit(measure, case, twins.get(case.name)) for case in missing]), 1
        ):
            if (error := done.exception()) is not None:
                pool.shutdown(cancel_futures=True)
                raise error
            row = done.result()
            found[row["name"]] = row
            if file is not None:
                with file.open("a") as results:
                    results.write(json.dumps(row) + "\n")
            seconds = row["train_seconds"] + row["doctor_seconds"]
            told = f"{row['name']} {row['code']}: {said(row)} {row['held_out']}"
            print(f"{number}/{len(missing)}, {seconds:.1f} s, {told}", file=sys.stderr, flush=True)
    print(page([found[case.name] for case in wanted]))
    print("\n" + conditions(1, ("netwright", "torch", "scikit-learn")))
    if options.bars and (missed := below([found[case.name] for case in wanted])):
        sys.exit("; ".join(missed))


if __name__ == "__main__":
    main()
