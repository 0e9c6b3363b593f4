"""Flags that are now verbs of their own: they still work in this version; the next one drops them and this file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from netwright.records.errors import RecipeError
from netwright.records.options import option
from netwright.records.result import Outcome, Tell
from netwright.records.source import Source
from netwright.verbs import audit as audits
from netwright.verbs import diagnose as diagnoses
from netwright.verbs import fix as fixes
from netwright.verbs import label as labels
from netwright.verbs import prove as proofs
from netwright.verbs import treat as treatments


@dataclass(frozen=True)
class AuditFlags:
    """What `audit` used to do besides auditing."""

    fix_file: str = option("", "", word="fix", metavar="FILE", writes=True, moved="fix")
    prove: bool = option(False, "", moved="prove")
    count: int = option(0, "", word="next", metavar="N", moved="label")
    to: str = option("", "", metavar="FILE", moved="label")
    settings: Mapping[str, object] = option(dict, "", word="set", metavar="NAME=VALUE", moved="prove")


def audit(source: Source, options: audits.Options, flags: AuditFlags, tell: Tell) -> Outcome[Any]:
    """An audit, or what its old flags ask for."""
    file = flags.fix_file
    if flags.prove and not file:
        raise RecipeError("--prove needs --fix FILE", remedy="name the file in which it marks the fixes to keep.")
    if flags.prove and source.fixes:
        raise RecipeError("--prove tries fixes on the unchanged data", remedy="leave --fixes out.")
    if flags.count and (flags.prove or source.fixes or file or options.against or options.page):
        raise RecipeError("--next only lists rows", remedy="use it without the other flags.")
    if flags.to and not flags.count:
        raise RecipeError("--to is for --next", remedy="write fixes with --fix FILE.")
    if flags.count:
        how = labels.Options(flags.count, flags.to, flags.settings, options.seed)
        return labels.label(source, how, tell)
    found = audits.audit(source, options, tell)
    if not file:
        return found
    from netwright.data.fixes import as_fixes, write_fixes

    proposed = (*as_fixes(source.fixes), *found.value.fixes)
    write_fixes(proposed, file)
    asides = (*found.asides, fixes.next_step(proposed, file))
    if not flags.prove or not proposed:
        return replace(found, asides=asides)
    how = proofs.Options(proposed, file, flags.settings, options.seed)
    try:
        proof = proofs.prove(source, how, tell)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {file} holds all fixes, none of them proven.") from None
    both = found.written | {"proof": proof.written}
    return replace(found, text=f"{found}\n\n{proof}", written=both, asides=(*asides, *proof.asides))


@dataclass(frozen=True)
class DiagnoseFlags:
    """What `diagnose` used to do besides diagnosing."""

    treat: bool = option(False, "", moved="treat")
    codes: tuple[str, ...] = option((), "", word="try", metavar="CODE", moved="treat")
    seeds: int = option(0, "", moved="treat")
    to: str = option("", "", metavar="FOLDER", moved="treat")


def diagnose(run: Any, options: diagnoses.Options, flags: DiagnoseFlags, tell: Tell) -> Outcome[Any]:
    """A diagnosis, and the treatment that its old flags ask for. Any: a run, or its folder."""
    treats = flags.treat or bool(flags.codes)
    if flags.to and not treats:
        raise RecipeError("--to is for the run that --treat or --try makes", remedy="leave it out.")
    if not treats:
        return diagnoses.diagnose(run, options, tell)
    from netwright.stages.runs import loaded, reopened

    run = reopened(loaded(run, options.allow_code), options.data)
    found = diagnoses.diagnose(run, options, tell)
    how = treatments.Options(flags.codes, found.value, folder=flags.to or None)
    treated = treatments.treat(run, replace(how, seeds=flags.seeds or how.seeds), tell)
    both = found.written | {"treatment": treated.written}
    return replace(found, text=f"{found}\n\n{treated}", written=both, report=treated.report)
