"""What can be wrong with data and with a training: one function for each finding."""

# Codes never change their meaning. A check is a function (evidence) -> findings of its code; its docstring is its page.

# Of the raw rows and their tensors: cheap enough to be part of every training.
DATA_CHECKS: dict[str, str] = {
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
}

# By networks trained for the purpose: part of an audit.
MODEL_CHECKS: dict[str, str] = {}
