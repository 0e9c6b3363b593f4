"""What can be wrong with data and with a training: one function for each finding."""

# Codes never change their meaning. A check is a function (evidence) -> findings of its code; its docstring is its page.

# Of the raw rows and their tensors: cheap enough to be part of every training.
DATA_CHECKS: dict[str, str] = {
    "NW113": "netwright.checks.data.balance:class_imbalance",
    "NW130": "netwright.checks.data.missing:missing_values",
    "NW131": "netwright.checks.data.useless:constant_columns",
    "NW132": "netwright.checks.data.useless:duplicate_columns",
    "NW133": "netwright.checks.data.useless:id_columns",
    "NW134": "netwright.checks.data.target_leaks:leaking_columns",
    "NW135": "netwright.checks.data.target_leaks:joint_leaks",
    "NW136": "netwright.checks.data.mixed:mixed_types",
    "NW137": "netwright.checks.data.values:impossible_values",
    "NW138": "netwright.checks.data.values:outlying_values",
    "NW139": "netwright.checks.data.units:unit_change",
    "NW125": "netwright.checks.data.leaks:time_leaks",
    "NW126": "netwright.checks.data.leaks:groups_in_several_parts",
    "NW127": "netwright.checks.data.leaks:test_rows_in_training",
    "NW170": "netwright.checks.data.duplicates:duplicate_rows",
    "NW171": "netwright.checks.data.duplicates:near_duplicates",
    "NW101": "netwright.checks.data.unreadable:unreadable",
    "NW140": "netwright.checks.data.pictures:blank",
    "NW141": "netwright.checks.data.pictures:dark",
    "NW142": "netwright.checks.data.pictures:blurred",
    "NW143": "netwright.checks.data.sizes:odd_sizes",
    "NW144": "netwright.checks.data.pictures:noisy",
    "NW150": "netwright.checks.data.texts:empty_texts",
    "NW151": "netwright.checks.data.texts:garbled_texts",
    "NW152": "netwright.checks.data.texts:repeated_texts",
    "NW153": "netwright.checks.data.symbols:odd_sequences",
    "NW160": "netwright.checks.data.steps:flat",
    "NW161": "netwright.checks.data.steps:clipped",
    "NW162": "netwright.checks.data.steps:gappy",
    "NW163": "netwright.checks.data.steps:noisy",
    "NW121": "netwright.checks.data.drift:parts_drift",
    "NW122": "netwright.checks.data.drift:new_data_drift",
    "NW123": "netwright.checks.data.coverage:few_rows",
    "NW112": "netwright.checks.data.labels:contradicting_duplicates",
}

# By networks trained for the purpose: part of an audit.
MODEL_CHECKS: dict[str, str] = {
    "NW124": "netwright.checks.data.coverage:worse_groups",
    "NW129": "netwright.checks.data.learning_curve:little_data",
    "NW110": "netwright.checks.data.labels:label_errors",
    "NW111": "netwright.checks.data.labels:outlying_targets",
}
