"""A run under attack, and whether the result can be believed."""

from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter

import torch
from torch import Tensor

from netwright.attacks.campaign import Campaign
from netwright.attacks.changes import changes_of, marked
from netwright.attacks.problem import is_random
from netwright.attacks.signs import borrowed, planted, without_gradient
from netwright.attacks.space import Space
from netwright.attacks.ways import ways_of
from netwright.checks import ATTACK_CHECKS
from netwright.checks.evidence import made, report
from netwright.checks.robustness.masking import FEW_VALUES, Signs
from netwright.machine.device import prepare_device
from netwright.models.modes import evaluating
from netwright.records.batch import Batch
from netwright.records.finding import Checked, Finding, Measure, Report
from netwright.records.result import Tell
from netwright.records.robustness import Attacked, Example, Robustness
from netwright.records.run import Run
from netwright.records.threat import Reach, Threat
from netwright.resolve import resolve
from netwright.stages.siege import (
    BY_GRADIENT,
    LARGEST,
    WITHOUT_GRADIENT,
    Asked,
    Siege,
    besieged,
    chart_of,
    curve,
    everyday,
    level,
    proven,
    rows_of,
    smallest_of,
)
from netwright.statistics import share

WHOLE_STEPS, WHOLE_QUERIES = 20, 200
PLANTED = {False: 16, True: 32}  # rows with a planted answer: each is attacked alone
PROVEN, RADII = 100, (0.1, 0.25, 0.5)  # rows whose radius is computed, a thousand answers each; radii that are reported
EXAMPLES, COLUMNS = 3, 12  # rows shown, and changed columns of each
RETRIED = {"steps": 40, "labels": 9}  # of rows that only attacks without gradients beat: gradients get a last chance


def attacked(run: Run, asked: Asked, tell: Tell) -> Attacked:
    """The run under attack. Raises as `besieged`."""
    with prepare_device(run.recipe.threads):
        siege = besieged(run, asked, tell)
        asked = siege.asked
        found = [level(siege, size) for size in asked.sizes]
        first, campaign, harms = found[0]
        if asked.is_full:
            first = replace(first, certified=_certified(siege), smallest=smallest_of(siege, campaign))
        levels = (first, *(other for other, _, _ in found[1:]))
        points = curve(siege) if not asked.methods else ()
        signs = _signs(siege, campaign, harms, points)
    after = campaign.batch_found()
    _, of_rows = rows_of(run)
    beaten = campaign.right & ~campaign.standing if run.task.can_be_wrong else campaign.worst > 0
    found = Robustness(
        subject=str(run.folder or "attack"),
        count=len(siege.batch),
        of_rows=of_rows,
        reach=_told(siege),
        measure="right answers" if run.task.can_be_wrong else run.task.harm_name,
        is_share=run.task.can_be_wrong,
        clean=siege.measure("no attack", campaign.clean),
        levels=levels,
        everyday=() if asked.methods else everyday(siege),
        curve=chart_of(siege, points),
        examples=tuple(_examples(siege, after, beaten)),
        left_out=tuple(f"{what} ({why})" for what, why in siege.left_out.items()),
        report=_report(siege, signs),
        is_full=asked.is_full,
    )
    return Attacked(found, siege.batch, after, beaten)


def _certified(siege: Siege) -> tuple[Measure, ...]:
    """Rows that are right at any change up to some radii, in shares of the range; none unless answers are smoothed."""
    radii = proven(siege.run, siege.batch.keep(siege.spread(PROVEN)))
    if radii is None:
        return ()
    return tuple(
        share(int((radii >= radius).sum()), len(radii)).measure(f"proven up to a length of {radius:g}")
        for radius in RADII
    )


def _examples(siege: Siege, after: Batch, beaten: Tensor) -> Iterator[Example]:
    """A few beaten rows in words; none if the columns of the inputs are not known."""
    if not siege.run.schema.inputs:
        return
    part, _ = rows_of(siege.run)
    places = beaten.nonzero()[:, 0].cpu()
    for place in places[:: max(1, len(places) // EXAMPLES)][:EXAMPLES].tolist():
        changed = changes_of(siege.run.schema, siege.batch, after, place)
        before, now = (_answer(siege, batch, place) for batch in (siege.batch, after))
        said = tuple((one.column, *marked(one)) for one in changed[:COLUMNS])
        row = int(siege.batch.rows[place])
        yield Example(row, part.locate(row), before, now, said)


def _answer(siege: Siege, batch: Batch, place: int) -> str:
    frame = siege.run.task.predict(siege.run.network, batch.keep(torch.tensor([place])))
    answer = frame["prediction"][0] if "prediction" in frame.columns else ""
    return f"{answer:.6g}" if isinstance(answer, float) else str(answer)


def _signs(
    siege: Siege, campaign: Campaign, harms: dict[str, Tensor], points: tuple[tuple[float, Tensor], ...]
) -> Signs:
    """What the attacks showed about themselves."""
    right = int(campaign.right.sum())
    signs = Signs(
        count=len(siege.batch),
        right=right,
        left=int(campaign.standing.sum()),
        beaten=_numbers(siege, campaign.right & ~campaign.standing),
        values=_values(siege, campaign.threat),
        counts_answers=siege.run.task.can_be_wrong,
    )
    if siege.asked.methods:
        return signs
    with torch.no_grad():
        with evaluating(siege.run.network):
            signs = replace(signs, is_random=is_random(siege.run.network, siege.batch, siege.run.task))
        if not siege.run.task.can_be_wrong or not any(way.moves for way in siege.ways):
            return signs
        left = {name: int((harm < 1).sum()) for name, harm in harms.items()}
        few = siege.batch.keep(siege.spread(PLANTED[siege.asked.is_full]))
        flat = without_gradient(siege.run.network, siege.batch, siege.run.task, campaign.threat) & campaign.right
        return replace(
            signs,
            pgd=left.get("pgd"),
            margin=left.get("pgd_margin"),
            transfer=left.get("transfer"),
            hidden=_numbers(siege, _hidden(siege, harms)),
            whole=_whole(siege),
            flat=_numbers(siege, flat),
            doubled=_doubled(siege, campaign) if siege.asked.is_full else None,
            curve=tuple((size, float((harm < 1).double().mean())) for size, harm in points),
            planted=planted(siege.run.network, few, siege.run.task, campaign.threat, "pgd"),
        )


def _numbers(siege: Siege, which: Tensor) -> tuple[int, ...]:
    return tuple(siege.batch.rows[which.to(siege.batch.rows.device)].tolist())


def _hidden(siege: Siege, harms: dict[str, Tensor]) -> Tensor:
    """(N,) bool: rows that no gradient step beats, though something else does."""
    by_gradient, without = (
        torch.stack([harm >= 1 for name, harm in harms.items() if name in names]).any(0)
        for names in (BY_GRADIENT, WITHOUT_GRADIENT)
    )
    hidden = without & ~by_gradient
    if not bool(hidden.any()) or siege.labels is None:
        return hidden
    again = siege.campaign(siege.asked.sizes[0])
    again.attack("apgd_targeted", hidden, RETRIED)
    return hidden & again.standing


def _whole(siege: Siege) -> tuple[int, int] | None:
    """Rows that gradient steps over the whole range leave right, of those for which a wrong answer is known to be in
    reach."""
    if siege.labels is None:
        return None
    ways = siege.ways
    if siege.run.schema.inputs:
        ways = ways_of(siege.run.schema, Reach(is_share=True, immutable=frozenset(siege.asked.immutable)))
    threat = Threat(ways, LARGEST, "inf", seed=siege.run.recipe.seed)
    campaign = Campaign(siege.run.network, siege.batch, siege.run.task, threat)
    known = borrowed(campaign, campaign.right)
    campaign.attack("pgd", known, {"steps": WHOLE_STEPS, "loss": "plain"})
    if _values(siege, threat) < FEW_VALUES:
        campaign.attack("square", known & campaign.standing, {"queries": WHOLE_QUERIES})
    return int((known & campaign.standing).sum()), int(known.sum())


def _values(siege: Siege, threat: Threat) -> int:
    """How many values of a row can move."""
    return int(Space(siege.batch.keep(torch.arange(1)), threat).free.sum())


def _doubled(siege: Siege, campaign: Campaign) -> int:
    """Rows that are beaten in addition by twice the steps."""
    before = int(campaign.standing.sum())
    again = siege.campaign(campaign.threat.size)
    again.attack("apgd_targeted", campaign.standing, {"steps": 200, "labels": 9})
    return before - int((campaign.standing & again.standing).sum())


def _report(siege: Siege, signs: Signs) -> Report:
    """The findings of all checks of attacks."""
    findings, checks = list[Finding](), list[Checked]()
    for code, path in ATTACK_CHECKS.items():
        skipped = "only some attacks were asked for" if siege.asked.methods and code != "NW510" else ""
        found, checked = made(code, resolve("check", path, ATTACK_CHECKS), signs, perf_counter, skipped=skipped)
        findings += found
        checks.append(checked)
    part, _ = rows_of(siege.run)
    return report(str(siege.run.folder or "attack"), len(siege.batch), findings, checks, part.locate)


def _told(siege: Siege) -> str:
    """What the adversary can do, in words."""
    asked = siege.asked
    sizes = " or ".join(f"{size:g}" for size in asked.sizes)
    how = "each value" if asked.norm == "inf" else "all values together (Euclidean norm)"
    if asked.reach().is_share:
        told = f"{how} by up to {sizes} of its range"
    else:
        told = f"{how} by up to {sizes} times what a person would not notice"
    kept = f"; unchanged: {', '.join(asked.immutable)}" if asked.immutable else ""
    return told + kept
