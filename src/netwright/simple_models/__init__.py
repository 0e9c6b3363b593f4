"""Quick models: the baselines of a network; checks use them to see how predictable the data are."""

SIMPLE_MODELS = {
    "constant": "netwright.simple_models.constant:fit",
    "linear": "netwright.simple_models.linear:fit",
    "nearest neighbors": "netwright.simple_models.neighbors:fit",
    "boosted trees": "netwright.simple_models.trees:fit",
    "kernel": "netwright.simple_models.kernel:fit",
    "perceptron": "netwright.simple_models.perceptron:fit",
}
