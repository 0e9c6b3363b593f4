"""What training can resist: one function (objective, task, hardening) -> objective for each defense."""

DEFENSES = {
    "distillation": "netwright.defenses.distillation:distillation",
    "trades": "netwright.defenses.trades:trades",
    "adversarial": "netwright.defenses.adversarial:adversarial",
    "fast": "netwright.defenses.fast:fast",
    "noise": "netwright.defenses.noise:noise",
}
