"""Objectives, optimizers, the loop, evaluation and recording."""

OPTIMIZERS = {
    "sgd": "netwright.training.optimizer:sgd",
    "adam": "netwright.training.optimizer:adam",
    "adamw": "netwright.training.optimizer:adamw",
    "rmsprop": "netwright.training.optimizer:rmsprop",
    "muon": "netwright.training.optimizer:muon",
}

SCHEDULES = {
    "constant": "netwright.training.schedule:constant",
    "one_cycle": "netwright.training.schedule:one_cycle",
    "triangular": "netwright.training.schedule:triangular",
    "cosine": "netwright.training.schedule:cosine",
    "flat_cosine": "netwright.training.schedule:flat_cosine",
    "plateau": "netwright.training.schedule:plateau",
}
