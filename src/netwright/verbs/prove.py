"""Proof that fixes of data help."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from netwright.machine.processes import refuse_ranks
from netwright.records.options import option, seed_option, settings_option
from netwright.records.result import Outcome, Tell
from netwright.records.source import Source

if TYPE_CHECKING:
    from netwright.records.proof import Proof


@dataclass(frozen=True)
class Options:
    """Which fixes to prove, and how to train the networks."""

    fixes: Any = option(  # Any: a file, or a sequence of Fix
        (), "The fixes to prove: a file that `netwright fix` wrote.", metavar="FIXES", is_argument=True,
        is_required=True, is_many=False, reads=True,
    )  # fmt: skip
    to: str = option(
        "", "Write the fixes to FILE, with apply = no for those rolled back.", metavar="FILE", writes=True,
        replaces="fixes",
    )  # fmt: skip
    settings: Mapping[str, object] = settings_option("A setting for the networks; by default they train quickly.")
    seed: int = seed_option()
    # With three pairs, one in nine bootstrap samples would hold a single seed.
    seeds: int = option(5, "Number of trainings with the fixes, and without.")


def prove(source: Source, options: Options, tell: Tell) -> "Outcome[Proof]":
    """Test whether fixes of the data help: train networks with and without them.

    Both use the same seeds and the same validation and test rows, which no fix changes. Each kind of fix is tried
    alone, then all together; fixes whose gain is not beyond chance are rolled back. The seeds of training start from
    the seed of the split.

    In Python, `proof.kept` are the kept ones, and `nw.write_fixes(fixes, path, proof.rolled_back)` writes both.
    """
    refuse_ranks()
    from netwright.records.recipe import early

    early(options.settings, source.task)
    from netwright.data.fixes import as_fixes, write_fixes
    from netwright.data.read import read_source
    from netwright.data.split import split
    from netwright.machine.device import prepare_device
    from netwright.planning.prove import Trial, prove_fixes

    dataset = read_source(source)
    parts = split(dataset, source, seed=options.seed)
    fixes = as_fixes(options.fixes)
    trial = Trial(source, options.settings, tuple(range(options.seed, options.seed + options.seeds)), tell)
    with prepare_device():
        proof = prove_fixes(dataset, parts, fixes, trial)
    asides = ()
    if options.to:
        write_fixes(fixes, options.to, proof.rolled_back)
        asides = (f"{options.to} has apply = no for those rolled back",)
    return Outcome(proof, str(proof), asdict(proof), asides=asides)
