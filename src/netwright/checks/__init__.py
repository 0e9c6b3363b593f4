"""What can be wrong with data and with a training: one function for each finding."""

# Codes never change their meaning. A check is a function (evidence) -> findings of its code; its docstring is its page.

# Of the raw rows and their tensors: cheap enough to be part of every training.
DATA_CHECKS: dict[str, str] = {
    "NW113": "netwright.checks.data.balance:class_imbalance",
    "NW131": "netwright.checks.data.useless:constant_columns",
    "NW132": "netwright.checks.data.useless:duplicate_columns",
    "NW133": "netwright.checks.data.useless:id_columns",
    "NW134": "netwright.checks.data.target_leaks:leaking_columns",
    "NW135": "netwright.checks.data.target_leaks:joint_leaks",
}

# By networks trained for the purpose: part of an audit.
MODEL_CHECKS: dict[str, str] = {}
