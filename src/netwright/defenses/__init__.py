"""Training that resists an adversary: one function (objective, task, hardening) -> objective for each defense."""

DEFENSES: dict[str, str] = {}
