"""Quick models: the baselines of a network; checks use them to see how predictable the data are."""

SIMPLE_MODELS = {
    "constant": "netwright.simple_models.constant:fit",
    "linear": "netwright.simple_models.linear:fit",
    "nearest neighbors": "netwright.simple_models.neighbors:fit",
    "boosted trees": "netwright.simple_models.trees:bounded",
    "kernel": "netwright.simple_models.kernel:fit",
    "perceptron": "netwright.simple_models.perceptron:fit",
}

# Thousands of words or pixels would drown these.
OF_FEW_COLUMNS = ("nearest neighbors", "boosted trees", "kernel", "perceptron")
OF_SHAPES = ("nearest neighbors",)  # compared only for pictures and series, where distances mean something
