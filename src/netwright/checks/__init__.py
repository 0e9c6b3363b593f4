"""What can be wrong with data and with a training: one function for each finding."""

# Codes never change their meaning. A check is a function (evidence) -> findings of its code; its docstring is its page.

# Of the raw rows and their tensors: cheap enough to be part of every training.
DATA_CHECKS: dict[str, str] = {}

# By networks trained for the purpose: part of an audit.
MODEL_CHECKS: dict[str, str] = {}

# Of a training, stage by stage: a grave finding of one stage makes what later stages would say meaningless.
TRAINING_STAGES: dict[str, dict[str, str]] = {
    "wiring": {},
    "data": {},
    "start": {},
    "steps": {},
    "capacity": {},
    "after": {},
}
