"""What can be wrong with data and with a training: one function for each finding."""

# Codes never change their meaning. A check is a function (evidence) -> findings of its code; its docstring is its page.

# Of the raw rows and their tensors: cheap enough to be part of every training.
DATA_CHECKS: dict[str, str] = {
    "NW121": "netwright.checks.data.drift:parts_drift",
    "NW122": "netwright.checks.data.drift:new_data_drift",
    "NW123": "netwright.checks.data.coverage:few_rows",
}

# By networks trained for the purpose: part of an audit.
MODEL_CHECKS: dict[str, str] = {
    "NW124": "netwright.checks.data.coverage:worse_groups",
    "NW129": "netwright.checks.data.learning_curve:little_data",
}
