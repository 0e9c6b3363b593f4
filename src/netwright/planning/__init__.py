"""The cost of training, settings that fit data and device, and tests whether changes help."""

# Edits of an engineer's own network, in the order in which they are made. Those named like settings carry them out.
MENDS = {
    "standardized": "netwright.planning.mends:standardized",
    "logits": "netwright.planning.mends:logits",
    "unfrozen": "netwright.planning.mends:unfrozen",
    "activation": "netwright.planning.mends:activation",
    "normalization": "netwright.planning.mends:normalization",
    "dropout": "netwright.planning.mends:dropout",
    "init": "netwright.planning.mends:init",
    "answer": "netwright.planning.mends:answer",
}
