"""Signs that attacks failed because of the network's gradients, not because it resists.

Athalye, Carlini and Wagner 2018, arXiv:1802.00420, sections 3 and 4; Carlini et al. 2019, arXiv:1902.06705, section 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from netwright.checks.evidence import Skip
from netwright.records.errors import counted
from netwright.records.finding import Finding, Measure, Remedy
from netwright.statistics import share

BEHIND = 0.01  # of all rows; a transferred attack is not better by chance alone
WHOLE_LEFT = 0.05  # of rows with a known change; honest networks leave none, networks with hidden gradients 10 to 45 %
HIDDEN = 0.005  # of all rows, and FEW_HIDDEN of them: one row may be chance
FEW_HIDDEN = 2
FEW_VALUES = 50  # of a row; the smallest pictures have 64, few tables have as many
APART = 0.10  # of all rows; honest networks differ by 5 points or less between the two losses
FLAT = 0.01  # of all rows that are right
DOUBLED = 0.005  # of all rows
RISE = 0.03  # of the rows, 128 at most: three of them
PLANTED = 0.9  # of the planted answers must be found
SURFACE = 0.5  # of the right answers should stay right
READ_MORE = Remedy("do not report these numbers as robustness; try attacks made for this network (--full).")


@final
@dataclass(frozen=True)
class Signs:
    """What attacks on a network showed about themselves. None for what was not measured."""

    count: int  # rows
    right: int  # without an attack
    left: int  # under all attacks
    values: int = 0  # of a row that can move
    beaten: tuple[int, ...] = ()  # numbers of the other rows that were right
    pgd: int | None = None  # rows right under gradient steps on cross entropy
    margin: int | None = None  # and on the margin
    transfer: int | None = None  # and under changes made on other networks
    hidden: tuple[int, ...] | None = None  # numbers of rows that only attacks without its gradients beat
    whole: tuple[int, int] | None = None  # rows left by gradient steps over the whole range, of those with a known way
    flat: tuple[int, ...] | None = None  # numbers of right rows without any gradient
    is_random: bool = False  # outputs of the same rows differ between two passes
    doubled: int | None = None  # rows that twice the steps beat in addition
    curve: tuple[tuple[float, float], ...] = ()  # (size, share of rows right), each size attacked afresh
    planted: tuple[int, int] | None = None  # found, of how many
    counts_answers: bool = True  # answers are right or wrong


def transfer_wins(signs: Signs) -> Iterator[Finding]:
    """changes made elsewhere work better

    Changes made on other networks fool this one more often than changes made with its own gradients.

    Why it matters: an attack that sees the network can do whatever one that does not see it can. If it does less, its
    gradients lead nowhere, and its numbers say nothing.

    How it is decided: two networks are trained on this network's answers, and gradient steps on them leave fewer rows
    right than gradient steps on the network itself, by more than 1 % of the rows (BEHIND).
    """
    if signs.transfer is None or signs.pgd is None:
        raise Skip("no changes were made on other networks (--full)")
    if signs.pgd - signs.transfer > max(1.0, BEHIND * signs.count):
        yield Finding(
            "warning",
            f"{signs.transfer:,} of {signs.count:,} rows stay right under changes made on other networks, "
            f"{signs.pgd:,} under changes made on this one",
            measures=(_of("transferred", signs.transfer, signs.count), _of("own gradients", signs.pgd, signs.count)),
            remedies=(READ_MORE,),
        )


def whole_range(signs: Signs) -> Iterator[Finding]:
    """right at any change

    Gradient steps across the whole range of the inputs cannot make answers wrong, though a way is known.

    Why it matters: with the whole range in reach, a row can be turned into a row of another label. An attack that does
    not find this fails by itself.

    How it is decided: each row takes the values of another row; if its answer is then wrong, a change is known. Of
    these rows gradient steps over the whole range leave more than 5 % right (WHOLE_LEFT). In rows of fewer than 50
    values (FEW_VALUES) random search may help: networks for tables bend at quantiles, where slopes end.
    """
    if signs.whole is None or not signs.whole[1]:
        raise Skip("no row is known to be in reach of a wrong answer")
    left, known = signs.whole
    if left > max(1.0, WHOLE_LEFT * known):
        yield Finding(
            "warning",
            f"{left:,} of {known:,} rows stay right though every value may change over its whole range",
            measures=(share(left, known).measure("left", WHOLE_LEFT),),
            remedies=(READ_MORE,),
        )


def search_wins(signs: Signs) -> Iterator[Finding]:
    """search without gradients works better

    Attacks that do not follow the network's gradients beat rows that all gradient steps left.

    Why it matters: gradients are the shorter way if they lead anywhere.

    How it is decided: rows that random changes, random search, answers alone, or steps through operations without a
    gradient beat, and gradient steps do not, even when tried again on these rows with more steps and every label. They
    are 2 rows (FEW_HIDDEN) and more than .5 % of all (HIDDEN). Rows of fewer than 50 values (FEW_VALUES) are not
    judged: a few numbers can be searched, and in tables, where whole numbers jump, search wins honestly.
    """
    if signs.hidden is None:
        raise Skip("no attack without gradients was tried")
    if signs.values < FEW_VALUES:
        raise Skip(f"{counted(signs.values, 'value')} can be searched without gradients")
    count = len(signs.hidden)
    if count >= FEW_HIDDEN and count > HIDDEN * signs.count:
        yield Finding(
            "warning",
            f"{counted(count, 'row')} of {signs.count:,} are beaten only without the network's gradients",
            measures=(share(count, signs.count).measure("beaten without gradients", HIDDEN),),
            rows=signs.hidden,
            remedies=(READ_MORE,),
        )


def losses_disagree(signs: Signs) -> Iterator[Finding]:
    """two losses disagree

    Gradient steps on cross entropy and on the margin between logits leave very different numbers of rows right.

    Why it matters: both lead to a wrong answer. Cross entropy loses its gradient if logits are far apart: large logits
    look like robustness.

    How it is decided: the two differ by more than 10 % of the rows (APART).
    """
    if signs.pgd is None or signs.margin is None:
        raise Skip("the two losses were not compared")
    if abs(signs.pgd - signs.margin) > max(1.0, APART * signs.count):
        yield Finding(
            "warning",
            f"{signs.pgd:,} of {signs.count:,} rows stay right under gradient steps on cross entropy, "
            f"{signs.margin:,} under the same steps on the margin",
            measures=(_of("cross entropy", signs.pgd, signs.count), _of("margin", signs.margin, signs.count)),
            remedies=(Remedy("judge by the margin; softened or scaled logits only hide the way."),),
        )


def no_gradients(signs: Signs) -> Iterator[Finding]:
    """no gradient at the inputs

    For some rows no input that can change has any gradient.

    Why it matters: an operation without a gradient, such as rounding, stops gradient steps, but no adversary.

    How it is decided: more than 1 % of the rows that are right (FLAT) have a gradient of exactly zero in every value.
    """
    if signs.flat is None:
        raise Skip("no values can change")
    if len(signs.flat) > max(1.0, FLAT * signs.right):
        yield Finding(
            "warning",
            f"{counted(len(signs.flat), 'row')} of {signs.right:,} have no gradient",
            measures=(share(len(signs.flat), signs.right).measure("without a gradient", FLAT),),
            rows=signs.flat,
            remedies=(Remedy("attack it with --full, which also steps through such operations."),),
        )


def random_answers(signs: Signs) -> Iterator[Finding]:
    """answers are random

    The same row gets different outputs in two passes, in evaluation mode.

    Why it matters: an adversary who averages over passes is not stopped, while one who does not seems to fail.

    How it is decided: outputs of 16 rows differ between two passes. Attacks then average their gradients over 8
    passes, and answers are judged by the majority of 25.
    """
    if signs.is_random:
        yield Finding(
            "warning",
            "the same rows get different outputs in two passes, in evaluation mode",
            remedies=(
                Remedy("make the network deterministic in evaluation mode; check dropout and own random layers."),
            ),
        )


def not_converged(signs: Signs) -> Iterator[Finding]:
    """more steps find more

    Twice as many steps beat further rows.

    Why it matters: the attack was stopped too early, so the true number is lower.

    How it is decided: of the rows left by all attacks, twice the steps beat more than .5 % of all rows (DOUBLED).
    """
    if signs.doubled is None:
        raise Skip("attacks were not repeated with more steps (--full)")
    if signs.doubled > max(1.0, DOUBLED * signs.count):
        yield Finding(
            "warning",
            f"twice the steps beat {counted(signs.doubled, 'more row')} of {signs.count:,}",
            measures=(share(signs.doubled, signs.count).measure("beaten in addition", DOUBLED),),
            remedies=(READ_MORE,),
        )


def not_monotone(signs: Signs) -> Iterator[Finding]:
    """a larger reach does less

    With a larger reach more rows stay right.

    Why it matters: whatever a small change can do is in reach of a larger one too.

    How it is decided: each size is attacked afresh; from one to the next the share of rows that stay right rises by
    more than 3 % (RISE).
    """
    if len(signs.curve) < 2:
        raise Skip("one size was tried")
    small, large = max(zip(signs.curve, signs.curve[1:], strict=False), key=lambda pair: pair[1][1] - pair[0][1])
    if large[1] - small[1] > RISE:
        yield Finding(
            "warning",
            f"{small[1]:.1%} of the rows stay right at size {small[0]:g}, and {large[1]:.1%} at {large[0]:g}",
            measures=(Measure("rise", large[1] - small[1], threshold=RISE),),
            remedies=(READ_MORE,),
        )


def planted_missed(signs: Signs) -> Iterator[Finding]:
    """planted answers are not found

    Wrong answers were planted in reach of some rows, and gradient steps did not find them.

    Why it matters: an attack that misses what is certainly there proves nothing where it finds nothing.

    How it is decided: for 16 rows, with --full 32, one point at the border of the reach gets an answer of its own, by a
    linear layer on the network's last features. Fewer than 90 % of them (PLANTED) are found. Zimmermann et al. 2022,
    arXiv:2206.13991.
    """
    if signs.planted is None or not signs.planted[1]:
        raise Skip("no answers could be planted")
    found, there = signs.planted
    if found < PLANTED * there:
        yield Finding(
            "warning",
            f"of {counted(there, 'planted answer')} {found:,} were found",
            measures=(share(found, there).measure("found", PLANTED),),
            remedies=(READ_MORE,),
        )


def attack_surface(signs: Signs) -> Iterator[Finding]:
    """attack surface

    Changes that an adversary can make turn many right answers wrong.

    Why it matters: what seems sure on data as they come may be at the mercy of whoever sends them.

    How it is decided: fewer than half of the right answers (SURFACE) stay right under all attacks.
    """
    if not signs.counts_answers or not signs.right:
        raise Skip("answers are not right or wrong")
    if signs.left < SURFACE * signs.right:
        yield Finding(
            "warning",
            f"{signs.left:,} of {signs.right:,} right answers stay right",
            measures=(share(signs.left, signs.right).measure("stay right", SURFACE),),
            rows=signs.beaten,
            remedies=(
                Remedy(
                    "train against it: netwright harden RUN --method adversarial.", cost="3 to 10 times the training"
                ),
                Remedy("limit who can send inputs, and keep a person in the loop where a wrong answer costs much."),
            ),
        )


def _of(name: str, hits: int, count: int) -> Measure:
    return share(hits, count).measure(name)
