"""What can be wrong with data and with a training: one function for each finding."""

# Codes never change their meaning. A check is a function (evidence) -> findings of its code; its docstring is its page.

# Of the raw rows and their tensors: cheap enough to be part of every training.
DATA_CHECKS: dict[str, str] = {
    "NW112": "netwright.checks.data.labels:contradicting_duplicates",
}

# By networks trained for the purpose: part of an audit.
MODEL_CHECKS: dict[str, str] = {
    "NW110": "netwright.checks.data.labels:label_errors",
    "NW111": "netwright.checks.data.labels:outlying_targets",
}
