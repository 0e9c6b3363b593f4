"""The zoo: what is planted, where, at which doses, and what a doctor may say of it. A new fault is one entry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from benchmarks.zoo.plans import Changes, Plan

TUNING = ("dense", "conv")  # families whose seed 1 thresholds may be tuned on; all else is for the score
# Nothing was chosen by those of fresh and full.
SEEDS = {"fast": (0,), "tuning": (1,), "fresh": (10,), "full": (20, 21, 22)}
# The tier fast has to be done in three minutes: so many of the places of each fault and control.
FAULT_PLACES, CONTROL_PLACES = 2, 1
SGD: Changes = {"optimizer": "sgd", "lr": 0.05}

# What a healthy training of each family on each of its data takes.
BASES: Mapping[str, Changes] = {
    "dense/digits": {},
    "dense/circles": {"lr": 1e-2},
    "dense/blobs": {"epochs": 6},
    "dense/tabular": {**SGD, "width": 32},
    "conv/digits": {},
    "conv/bars": {**SGD, "norm": "batch"},
    "lstm/digits": {"depth": 1, "lr": 1e-2},
    "lstm/copy": {"depth": 1, "lr": 2e-2, "epochs": 15},
    "gru/digits": {"depth": 1, "lr": 1e-2},
    "gru/copy": {"depth": 1, "lr": 1e-2},
    "attention/digits": {"depth": 1, "width": 32},
    "attention/copy": {"depth": 1, "width": 32},
    # Public data: the tier full.
    "dense/fashion": {"width": 128, "batch_size": 64, "epochs": 15, "lr": 1e-3},
    "dense/telescope": {"width": 64, "batch_size": 64, "epochs": 20},
    "dense/bikes": {**SGD, "width": 64, "batch_size": 64, "epochs": 20},
    "conv/fashion": {"width": 32, "batch_size": 64, "epochs": 8},
    "lstm/fashion": {"depth": 1, "width": 64, "batch_size": 64, "epochs": 6, "lr": 5e-3},
    "attention/fashion": {"depth": 1, "width": 32, "batch_size": 64, "epochs": 6},
    "gru/reviews": {"depth": 1, "width": 32, "batch_size": 64, "epochs": 3, "dropout": 0.3},
    "attention/reviews": {"depth": 1, "width": 32, "batch_size": 64, "epochs": 4, "dropout": 0.3, "lr": 1e-3},
}


@dataclass(frozen=True)
class Fault:
    """One kind of fault at up to some doses, the strongest first."""

    id: str  # as the list of faults counts them
    code: str  # what the doctor should say
    where: tuple[str, ...]  # of BASES
    doses: tuple[Changes, ...]
    fixes: tuple[str, ...]  # settings whose change mends it; "code" for an edit of the user's code or data
    also: tuple[str, ...] = ()  # codes that name the same cause
    base: Changes = field(default_factory=dict[str, object])  # of the healthy twin too
    real: tuple[str, ...] = ()  # of BASES, on public data


@dataclass(frozen=True)
class Control:
    """A healthy training that looks odd."""

    id: str
    where: tuple[str, ...]
    changes: Changes
    real: tuple[str, ...] = ()


SINGLE: tuple[Fault, ...] = (
    Fault("W1", "NW311", ("dense/digits", "conv/digits", "gru/digits"),
          ({"loop": "never cleared"}, {"loop": "rarely cleared"}), ("code",),
          also=("NW331", "NW333", "NW339"), base={**SGD, "epochs": 20, "loop": "careful"},
          real=("dense/fashion", "dense/telescope")),
    Fault("W2", "NW312", ("dense/digits", "conv/digits", "lstm/digits", "attention/digits"),
          ({"inside": "detached"}, {"loop": "forgotten"}), ("code",), base={"depth": 2},
          real=("conv/fashion", "attention/reviews", "gru/reviews")),
    Fault("W3", "NW313", ("dense/digits", "conv/bars", "gru/digits", "attention/copy", "dense/circles"),
          ({"end": "Softmax"}, {"end": "Sigmoid"}, {"end": "Tanh"}), ("code",),
          real=("dense/fashion", "lstm/fashion")),
    Fault("W3", "NW313", ("dense/tabular",), ({"end": "ReLU"}, {"end": "Sigmoid"}, {"end": "Tanh"}), ("code",),
          real=("dense/bikes",)),
    Fault("W4", "NW314", ("dense/digits", "conv/bars", "attention/copy"),
          tuple({"inside": "always dropped", "strength": p} for p in (0.5, 0.2, 0.05)), ("code",),
          real=("conv/fashion", "attention/reviews")),
    Fault("W4", "NW314", ("conv/digits", "dense/circles"), ({"loop": "evaluating"},), ("code",),
          base={"norm": "batch", "loop": "careful"},
          real=("dense/fashion",)),
    Fault("W5", "NW315", ("dense/digits", "conv/bars", "attention/copy", "dense/tabular"),
          ({"inside": "mixed axes"}, *({"inside": "leaking", "strength": s} for s in (1.0, 0.3, 0.05))), ("code",),
          real=("dense/telescope", "gru/reviews")),
    Fault("W6", "NW316", ("dense/digits", "conv/bars", "gru/digits", "dense/tabular"),
          ({"loader": "apart", "amount": 1.0}, {"loader": "late", "amount": 0.5}, {"loader": "apart", "amount": 0.1}),
          ("code",), base={"loader": "plain"},
          real=("dense/bikes", "conv/fashion")),
    Fault("W7", "NW317", ("dense/digits", "conv/digits", "gru/copy"),
          tuple({"inside": "own random", "strength": s} for s in (0.5, 0.1, 0.01)), ("code",),
          real=("dense/fashion", "attention/fashion")),
    Fault("D1", "NW321", ("dense/digits", "dense/tabular", "dense/circles"),
          ({"change": "uneven", "amount": 3.0}, {"change": "scaled", "amount": 300.0},
           {"change": "scaled", "amount": 1e-3}),
          ("code",), also=("NW331", "NW332"), base=SGD,
          real=("dense/telescope", "dense/bikes")),
    Fault("D1", "NW321", ("conv/digits", "gru/digits"),
          ({"change": "scaled", "amount": 1e3}, {"change": "shifted", "amount": 1e3}), ("code",),
          also=("NW331", "NW304"), base={**SGD, "epochs": 20}),
    Fault("D2", "NW322", ("dense/tabular", "conv/digits", "lstm/digits"),
          ({"change": "missing", "amount": 0.2}, {"change": "constant"}, {"change": "missing", "amount": 0.01}),
          ("code",),
          real=("dense/telescope", "lstm/fashion")),
    Fault("D3", "NW323", ("dense/digits", "conv/bars", "gru/digits"),
          ({"permuted": True, "epochs": 40, "rows": 300, "width": 96, "keep": "last"},
           {"permuted": True, "epochs": 40, "rows": 600, "width": 96, "keep": "last"}), ("code",), also=("NW346",),
          real=("dense/fashion", "gru/reviews")),
    Fault("D4", "NW324", ("dense/blobs",), ({"shares": (0.95, 0.05)}, {"shares": (0.92, 0.08)}), ("class_weights",),
          real=("dense/telescope",)),
    Fault("D5", "NW345", ("dense/digits", "conv/digits", "lstm/digits"), ({"wrong": 0.5}, {"wrong": 0.3}), ("code",),
          real=("conv/fashion", "dense/telescope")),
    Fault("I1", "NW305", ("dense/digits", "conv/bars", "dense/tabular", "lstm/copy"),
          ({"constant": 0.05}, {"constant": 0.0}), ("init", "code"),
          real=("dense/telescope", "conv/fashion")),
    Fault("I2", "NW306", ("dense/digits", "conv/bars"), ({"last": 1000.0}, {"last": 100.0}, {"last": 30.0}),
          ("init", "code"), also=("NW301",), base=SGD,
          real=("dense/fashion",)),
    Fault("I3", "NW304", ("dense/digits", "dense/tabular"), ({"gain": 100.0}, {"gain": 30.0}, {"gain": 10.0}),
          ("init", "normalization", "activation", "code"), base={"activation": "Tanh", "depth": 4},
          real=("dense/telescope",)),
    Fault("I4", "NW303", ("dense/digits", "conv/digits"), ({"bias": -20.0}, {"bias": -10.0}, {"bias": -5.0}),
          ("init", "normalization", "activation", "code"), base={"depth": 3},
          real=("conv/fashion", "dense/fashion")),
    Fault("I5", "NW302", ("dense/digits", "dense/blobs"),
          ({"activation": "Sigmoid", "depth": 20}, {"activation": "Tanh", "uniform": 0.05, "depth": 15},
           {"activation": "Sigmoid"}),
          ("activation", "init", "normalization", "depth"), also=("NW307",), base={"depth": 10, "lr": 1e-3},
          real=("dense/fashion",)),
    # As in the set of AutoTrainer (Zhang et al. 2021, ICSE): very deep, begun small, or exponential.
    Fault("I5", "NW302", ("dense/circles", "dense/digits"),
          ({"activation": "Sigmoid", "depth": 30}, {"activation": "Tanh", "uniform": 0.05, "depth": 30}),
          ("activation", "init", "normalization", "depth"), also=("NW307",), base={"depth": 10, "lr": 1e-3},
          real=("dense/telescope",)),
    Fault("I6", "NW301", ("dense/circles", "dense/digits"), ({"activation": "Exp", "depth": 6},),
          ("clip", "init", "normalization", "lr", "activation"), also=("NW306",),
          base={"depth": 3, **SGD, "clip": 0.0}, real=("dense/telescope",)),
    Fault("I6", "NW301", ("dense/digits", "conv/digits"),
          ({"gain": 8.0}, {"gain": 4.0}, {"activation": "Exp", "depth": 4}),
          ("clip", "init", "normalization", "lr", "activation"), also=("NW306",),
          base={"depth": 6, **SGD, "clip": 0.0},
          real=("dense/fashion",)),
    Fault("I7", "NW307", ("dense/digits", "conv/digits"),
          ({"gain": 0.3, "bias": 3.0}, {"gain": 0.3, "bias": 1.0}), ("normalization", "init"), also=("NW302",),
          base={"depth": 6, **SGD},
          real=("dense/fashion",)),
    Fault("S1", "NW331", ("dense/digits", "conv/digits", "lstm/digits", "gru/copy", "attention/digits"),
          ({"lr": 3.0}, {"lr": 1.0}, {"lr": 0.3}), ("lr", "warmup", "clip"), also=("NW339", "NW333"),
          real=("lstm/fashion", "attention/reviews", "conv/fashion")),
    Fault("S1", "NW331", ("dense/circles", "conv/bars"), ({"lr": 1.0, "batch_size": 1, "epochs": 1},),
          ("lr", "warmup", "clip", "batch_size"), also=("NW339", "NW333"), base=SGD,
          real=("dense/telescope",)),
    Fault("S2", "NW332", ("dense/digits", "conv/bars", "lstm/copy", "gru/digits", "attention/digits", "dense/tabular"),
          ({"lr": 1e-7}, {"lr": 1e-6}, {"lr": 1e-5}), ("lr", "optimizer"),
          real=("conv/fashion", "gru/reviews", "attention/fashion", "dense/bikes")),
    Fault("S2", "NW332", ("dense/circles",), ({"lr": 1e-3, "optimizer": "sgd", "momentum": 0.0},),
          ("lr", "optimizer"), also=("NW334",)),
    Fault("S2", "NW332", ("dense/circles",), ({"lr": 1e-3},), ("lr", "optimizer"), also=("NW334",),
          base={"optimizer": "sgd", "lr": 0.1, "momentum": 0.0, "rows": 200, "epochs": 300}),  # AutoTrainer's Circle
    Fault("S3", "NW333", ("dense/digits", "conv/digits", "attention/digits", "gru/digits"),
          ({"lr": 0.1, "schedule": "constant", "keep": "last", "epochs": 20},
           {"lr": 0.05, "schedule": "constant", "keep": "last", "epochs": 20}),
          ("lr", "schedule", "average", "batch_size"), also=("NW331",),
          real=("dense/fashion", "dense/telescope")),
    Fault("S4", "NW334", ("dense/digits", "conv/bars", "gru/digits"),
          ({"lr": 3e-3}, {"lr": 1e-2}), ("lr", "optimizer"), also=("NW332", "NW342"),
          base={"optimizer": "sgd", "lr": 0.3, "momentum": 0.0, "epochs": 20},
          real=("dense/fashion",)),
    Fault("S5", "NW335", ("dense/digits", "conv/bars", "gru/digits", "dense/tabular"),
          ({"schedule": "benchmarks.zoo.trainings:fallen"},), ("schedule",),
          real=("gru/reviews", "dense/bikes")),
    Fault("S6", "NW336", ("dense/digits", "conv/digits", "gru/copy", "attention/digits"),
          ({"l1": 0.1}, {"dropout": 0.95}, {"l1": 0.02}), ("l1", "dropout", "weight_decay"),
          real=("attention/reviews", "conv/fashion")),
    Fault("S7", "NW337", ("conv/digits", "dense/digits"),
          ({"batch_size": 2, "schedule": "constant", "epochs": 2}, {"batch_size": 4, "schedule": "constant",
                                                                    "epochs": 3}),
          ("batch_size", "normalization"), base={"norm": "batch"},
          real=("dense/fashion",)),
    Fault("S8", "NW338", ("dense/digits", "conv/bars"), ({"batch_size": 1, "epochs": 2},),
          ("batch_size", "lr"), also=("NW331", "NW333"), base={**SGD, "schedule": "constant", "epochs": 8},
          real=("dense/telescope",)),
    Fault("S9", "NW339", ("dense/digits", "conv/bars", "dense/tabular"),
          ({"change": "outliers", "amount": 1e4}, {"change": "outliers", "amount": 1e2}), ("clip", "warmup", "code"),
          also=("NW321", "NW331"), base={**SGD, "clip": 0.0},
          real=("dense/bikes", "dense/fashion")),
    Fault("C1", "NW341", ("dense/digits", "conv/bars", "gru/digits", "attention/copy"),
          ({"inside": "deaf"},), ("code", "width"), also=("NW346", "NW342", "NW312"),
          base={"depth": 2},
          real=("conv/fashion", "gru/reviews")),
    Fault("C2", "NW342", ("dense/circles", "dense/digits"), ({"width": 2}, {"inside": "narrowed"}),
          ("width", "depth", "code"),
          also=("NW341", "NW346"),
          real=("dense/fashion",)),
    Fault("C2", "NW342", ("dense/tabular", "conv/digits", "gru/copy", "attention/digits"),
          ({"epochs": 1, "schedule": "constant"}, {"epochs": 2}), ("epochs", "lr"), also=("NW332", "NW334", "NW346"),
          real=("dense/bikes", "lstm/fashion")),
    Fault("C3", "NW343", ("dense/digits", "conv/digits", "lstm/digits", "attention/digits"),
          ({"rows": 150, "wrong": 0.3, "width": 96, "epochs": 40, "keep": "last"},
           {"rows": 300, "wrong": 0.2, "width": 96, "epochs": 40, "keep": "last"}),
          ("keep", "weight_decay", "dropout", "width", "depth", "code"),
          real=("dense/fashion", "conv/fashion")),  # 150 reviews teach nothing at all
    # What is left after training, and too few rows.
    Fault("D6", "NW326", ("dense/digits", "dense/tabular"), ({"rows": 120}, {"rows": 250}), ("code", "dropout"),
          also=("NW343",), base={"epochs": 20, "deep": True}),
    Fault("T1", "NW351", ("dense/blobs",), ({"sharpened": 10.0}, {"sharpened": 4.0}), ("code", "keep")),
    Fault("T3", "NW353", ("dense/digits", "conv/bars"), ({"stamp": 4.0}, {"stamp": 2.0}), ("code",)),
)  # fmt: skip


def _double(ids: str, where: tuple[str, ...], dose: Changes, base: Changes | None = None, *real: str) -> Fault:
    """Two faults of SINGLE at once: what may be said of either may be said first, and what mends either mends."""
    one, two = (next(fault for fault in SINGLE if fault.id == name) for name in ids.split("+"))
    also = tuple(dict.fromkeys((*one.also, two.code, *two.also)))
    return Fault(ids, one.code, where, (dose,), tuple(dict.fromkeys(one.fixes + two.fixes)), also, base or {}, real)


DOUBLE: tuple[Fault, ...] = (
    _double("W3+S2", ("dense/digits", "gru/digits"), {"end": "Softmax", "lr": 1e-6}, {}, "gru/reviews"),
    _double("D1+I3", ("dense/digits",), {"change": "scaled", "amount": 1e3, "gain": 30.0},
            {"activation": "Tanh", "depth": 3}),
    _double("W2+C3", ("conv/digits",), {"inside": "detached", "rows": 150, "wrong": 0.3, "keep": "last"}, {},
            "conv/fashion"),
    _double("I1+S1", ("dense/digits",), {"constant": 0.05, "lr": 1.0}),
    _double("W5+S2", ("dense/digits",), {"inside": "leaking", "lr": 1e-6}, {}, "dense/fashion"),
    _double("D4+S2", ("dense/blobs",), {"shares": (0.95, 0.05), "lr": 1e-6}, {}, "dense/telescope"),
    _double("W6+S2", ("conv/bars",), {"loader": "apart", "amount": 0.5, "lr": 1e-6}, {"loader": "plain"}),
    _double("W4+C3", ("attention/digits",), {"inside": "always dropped", "strength": 0.3, "rows": 150, "wrong": 0.3,
                                             "keep": "last"}, {}, "attention/reviews"),
    _double("I5+S2", ("dense/circles",), {"activation": "Sigmoid", "lr": 1e-6}, {"depth": 10, "lr": 1e-3}),
    _double("I4+S1", ("conv/digits",), {"bias": -10.0, "lr": 1.0}, {"depth": 3}),
    _double("D2+W3", ("dense/tabular",), {"change": "missing", "amount": 0.1, "end": "ReLU"}, {}, "dense/bikes"),
    _double("W7+S1", ("gru/copy",), {"inside": "own random", "strength": 0.3, "lr": 1.0}),
    _double("W1+S1", ("conv/digits",), {"loop": "never cleared", "lr": 1.0}, {"loop": "careful"}),
    # Without a signal no rate is good: what the ladder says of the rate is no lesser truth.
    _double("D3+S1", ("gru/digits",), {"permuted": True, "rows": 300, "width": 96, "epochs": 40, "keep": "last",
                                       "lr": 0.3}),
    _double("S6+C2", ("lstm/digits",), {"l1": 0.05, "width": 2}, {}, "lstm/fashion"),
    _double("S5+C2", ("attention/copy",), {"schedule": "benchmarks.zoo.trainings:fallen", "width": 2}),
    _double("D1+I2", ("conv/bars",), {"change": "scaled", "amount": 300.0, "last": 100.0}, SGD),
    _double("S7+S1", ("conv/bars",), {"batch_size": 2, "epochs": 2, "lr": 1.0}, {"norm": "batch"}),
    _double("W2+S2", ("lstm/digits",), {"inside": "detached", "lr": 1e-6}, {"depth": 2}, "attention/reviews"),
    _double("W5+S1", ("attention/copy",), {"inside": "leaking", "strength": 0.3, "lr": 3.0}),
)  # fmt: skip
FAULTS = (*SINGLE, *DOUBLE)

CONTROLS: tuple[Control, ...] = (
    Control("data that overlap", ("dense/blobs",), {}),
    Control("dropout", ("dense/digits", "conv/digits", "attention/digits"), {"dropout": 0.4, "epochs": 25},
            real=("dense/fashion",)),
    Control("smoothed labels", ("dense/digits", "conv/bars", "gru/copy"), {"label_smoothing": 0.2},
            real=("conv/fashion",)),
    Control("long warm-up", ("dense/digits", "attention/copy"), {"warmup": 0.3},
            real=("attention/reviews",)),
    Control("restarts", ("dense/digits", "conv/digits", "gru/digits"),
            {"schedule": "benchmarks.zoo.trainings:restarted", "epochs": 18},
            real=("dense/telescope",)),
    Control("one cycle", ("conv/bars", "lstm/copy"), {"schedule": "one_cycle", "lr": 1e-2},
            real=("lstm/fashion",)),
    Control("imbalance handled", ("dense/blobs",), {"shares": (0.85, 0.15), "class_weights": "balanced"},
            real=("dense/telescope",)),
    Control("oversampled", ("dense/blobs",), {"shares": (0.85, 0.15), "loader": "oversampled"},
            real=("dense/telescope",)),
    Control("frozen on purpose", ("conv/digits", "dense/digits"), {"frozen": 1, "width": 96, "epochs": 20},
            real=("conv/fashion",)),
    Control("accumulation", ("dense/digits", "conv/bars", "gru/copy"), {"accumulate": 4, "batch_size": 8},
            real=("gru/reviews",)),
    Control("few rows that suffice", ("dense/blobs",), {"rows": 120, "epochs": 40, "width": 16}),
    Control("small noisy batches", ("dense/digits", "dense/circles"), {"batch_size": 8, "lr": 1e-3}),
    Control("idle units", ("dense/digits", "conv/digits"), {"bias": -0.5, "depth": 3}),
    Control("outliers, clipped", ("dense/digits",), {"change": "outliers", "amount": 10.0, "clip": 0.5}),
    Control("loss rises, score holds", ("dense/digits", "conv/bars"), {"epochs": 50, "schedule": "constant",
                                                                    "keep": "last", "lr": 1e-3}),
    Control("jittered", ("dense/digits", "conv/digits"), {"loader": "jittered", "amount": 0.2},
            real=("conv/fashion",)),
    Control("loader", ("dense/tabular", "conv/bars", "gru/digits"), {"loader": "plain"},
            real=("gru/reviews", "dense/bikes")),
    Control("last layer from zero", ("dense/digits", "attention/digits"), {"last": 0.0}),
    Control("deep and rectified", ("dense/digits",), {"depth": 16, "lr": 1e-3, "epochs": 20}),
    Control("one layer of sigmoids", ("dense/digits", "dense/circles"), {"activation": "Sigmoid", "depth": 1,
                                                                      "lr": 2e-2, "epochs": 25}),
    Control("GELU", ("conv/digits", "attention/copy"), {"activation": "GELU"}),
    Control("batch norm", ("conv/digits", "dense/circles"), {"norm": "batch", "batch_size": 16},
            real=("dense/fashion",)),
    Control("plain loop", ("dense/digits", "lstm/digits"), {"loop": "careful"},
            real=("lstm/fashion",)),
    Control("momentum", ("conv/digits", "dense/circles"), SGD),
    Control("two layers", ("lstm/digits", "gru/copy"), {"depth": 2}),
    Control("averaged weights", ("dense/digits", "conv/bars"), {"average": 1.0},
            real=("conv/fashion",)),
    Control("some wrong labels", ("dense/digits",), {"wrong": 0.02},
            real=("dense/fashion",)),
    Control("a spike that recovers", ("dense/digits", "conv/digits"),
            {"schedule": "benchmarks.zoo.trainings:spiked", "keep": "last", "epochs": 20},
            real=("dense/fashion",)),
    Control("validation better by dropout", ("dense/circles",), {"dropout": 0.5, "epochs": 30}),
    Control("validation better by jitter", ("conv/digits", "dense/digits"), {"loader": "jittered", "amount": 0.6}),
    Control("tiny data that suffice", ("dense/circles",), {"rows": 100, "epochs": 60}),
    # At the end two outputs in five are zero, and up to one unit in five for all rows; from -2 on some seeds die.
    Control("two outputs in five idle", ("dense/digits", "conv/digits"), {"bias": -1.0, "depth": 3}),
    Control("constant rate", ("dense/blobs", "attention/digits"), {"schedule": "constant", "lr": 1e-3}),
    Control("other optimizers", ("attention/copy", "dense/digits"), {"optimizer": "rmsprop", "lr": 4e-3, "epochs": 20}),
    Control("large batches", ("conv/digits", "dense/digits"), {"optimizer": "adamw", "batch_size": 256,
                                                              "lr": 1e-2, "epochs": 30},
            real=("dense/telescope",)),
    Control("long after it has converged", ("attention/copy", "dense/circles"), {"epochs": 40}),
    Control("few units that suffice", ("dense/blobs", "dense/circles"), {"width": 8, "epochs": 30}),
    Control("scales a little apart", ("dense/tabular",), {"change": "uneven", "amount": 0.3},
            real=("dense/telescope",)),
    Control("hyperbolic tangents", ("dense/digits", "dense/circles"), {"activation": "Tanh", "depth": 3, "epochs": 25},
            real=("dense/telescope",)),
    Control("strong decay", ("attention/digits", "dense/digits"), {"weight_decay": 0.2}),
    Control("a little L1", ("dense/digits", "conv/bars"), {"l1": 1e-5}),
    Control("imbalance that does no harm", ("dense/circles",), {"shares": (0.8, 0.2), "epochs": 25}),
    Control("clipped at every step", ("lstm/copy", "dense/digits"), {"clip": 0.05}, real=("attention/fashion",)),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One training of the zoo."""

    name: str
    plan: Plan
    kind: str  # fault, twin or control
    what: str  # the id of the fault or control
    dose: int = 0
    code: str = ""
    also: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    twin: str = ""  # the name of the healthy one

    @property
    def is_tuning(self) -> bool:
        """Whether thresholds may be tuned on it."""
        return self.plan.family in TUNING and self.plan.seed in SEEDS["tuning"]


def cases(tier: str, folder: str = "") -> Iterator[Case]:
    """All cases of a tier; no training comes twice under two names. A fault's twin stands before it.

    `folder` holds the public files, which the tier full needs.
    """
    names, other = dict[Plan, str](), dict[str, str]()
    for case in (*_faults(tier), *_controls(tier)):
        is_new = case.plan not in names
        other[case.name] = names.setdefault(case.plan, case.name)
        if is_new:
            yield replace(case, plan=replace(case.plan, folder=folder), twin=other.get(case.twin, ""))


def _places(tier: str, entry: Fault | Control, number: int) -> Iterator[tuple[int, str]]:
    """The places of the entry of this number: which, and a key of BASES. In turn, so that all families come up."""
    places = [*enumerate(entry.real if tier == "full" else entry.where)]
    if tier == "fast":
        begin, most = number % len(places), FAULT_PLACES if isinstance(entry, Fault) else CONTROL_PLACES
        places = [*places[begin:], *places[:begin]][:most]
    return ((place, base) for place, base in places if tier != "tuning" or base.split("/")[0] in TUNING)


def _faults(tier: str) -> Iterator[Case]:
    for number, fault in enumerate(FAULTS):
        for (place, base), seed in product(_places(tier, fault, number), SEEDS[tier]):
            dose = (place + seed) % len(fault.doses)  # one of each place, in turn
            twin = _case("twin", "", base, seed, fault.base)
            yield twin
            yield _case("fault", fault.id, base, seed, {**fault.base, **fault.doses[dose]}, fault, dose, twin.name)


def _controls(tier: str) -> Iterator[Case]:
    for number, control in enumerate(CONTROLS):
        for (_, base), seed in product(_places(tier, control, number), SEEDS[tier]):
            yield _case("control", control.id, base, seed, control.changes)


def _case(
    kind: str, what: str, base: str, seed: int, changes: Changes, fault: Fault | None = None, dose: int = 0,
    twin: str = "",
) -> Case:  # fmt: skip
    family, data = base.split("/")
    plan = Plan(family, data, seed).edit({**BASES[base], **changes})
    told = " ".join(f"{name}={value}" for name, value in changes.items())
    name = f"{kind} {what or 'healthy'} {base} seed {seed} {told}".strip()
    if fault is None:
        return Case(name, plan, kind, what or "twin")
    return Case(name, plan, kind, what, dose, fault.code, fault.also, fault.fixes, twin)
