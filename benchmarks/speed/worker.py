"""One peer trains one network in a process of its own and prints what it measured as its last line; see peers.py."""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.machine import versions
from benchmarks.speed.cases import CASES
from benchmarks.speed.trainers import PEERS


def main() -> None:
    """Trains, then notes seconds and memory, then scores the test rows."""
    options = _options()
    case, peer = CASES[options.case], PEERS[options.peer]
    parts = case.load(options.data, options.rows)
    trained = peer.train(case, parts, options.epochs, options.seed)
    total = time.time() - options.began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {
        "seconds": trained.seconds,
        "total": total,
        "peak_bytes": peak if sys.platform == "darwin" else peak * 1024,  # Linux counts in KiB
        "accuracy": float((trained.answers(parts.test_x) == parts.test_y).mean()),
        "parameters": int(trained.parameters),
        "versions": versions(peer.versions),
    }
    print("\n" + json.dumps(found), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True, choices=CASES)
    parser.add_argument("--peer", required=True, choices=PEERS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--began", type=float, required=True, help="when the process was started, Unix time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
