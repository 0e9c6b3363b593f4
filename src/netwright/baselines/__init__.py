"""Simple models that a network has to beat."""

BASELINES = {
    "constant": "netwright.baselines.constant:constant",
    "linear": "netwright.baselines.linear:linear",
}
