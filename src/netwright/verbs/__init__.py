"""Verbs: what a person asks for, in Python (`nw.audit(...)`) and on the command line (`netwright audit ...`)."""

# By group, as help lists them. A verb is a function (source or run, options, tell) -> Result.
VERBS = {
    "data": {
        "audit": "netwright.verbs.audit:audit",
        "fix": "netwright.verbs.fix:fix",
        "prove": "netwright.verbs.prove:prove",
        "label": "netwright.verbs.label:label",
        "rule": "netwright.verbs.rule:rule",
    },
    "training": {
        "train": "netwright.verbs.train:train",
        "diagnose": "netwright.verbs.diagnose:diagnose",
        "treat": "netwright.verbs.treat:treat",
        "harden": "netwright.verbs.harden:harden",
        "recipe": "netwright.verbs.recipe:recipe",
    },
    "answers": {
        "predict": "netwright.verbs.predict:predict",
        "evaluate": "netwright.verbs.evaluate:evaluate",
        "show": "netwright.verbs.show:show",
        "weights": "netwright.verbs.weights:weights",
        "similar": "netwright.verbs.similar:similar",
    },
    "trust": {
        "attack": "netwright.verbs.attack:attack",
    },
    "housekeeping": {
        "cache": "netwright.verbs.cache:cache",
    },
}

# Verbs with old flags that are now verbs; for this version only.
MOVED = {
    "audit": "netwright.moved:audit",
    "diagnose": "netwright.moved:diagnose",
}
