"""Quick models: what a network has to beat, and what checks ask how far the data can be predicted at all."""

SIMPLE_MODELS = {
    "constant": "netwright.simple_models.constant:fit",
    "linear": "netwright.simple_models.linear:fit",
    "nearest neighbors": "netwright.simple_models.neighbors:fit",
    "boosted trees": "netwright.simple_models.trees:fit",
    "perceptron": "netwright.simple_models.perceptron:fit",
}
