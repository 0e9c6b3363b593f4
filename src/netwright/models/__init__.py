"""Networks: sizes in, modules out."""

BACKBONES = {
    "mlp": "netwright.models.mlp:mlp",
    "convnet": "netwright.models.convnet:convnet",
    "convnet1d": "netwright.models.convnet1d:convnet1d",
    "lstm": "netwright.models.recurrent:lstm",
    "bilstm": "netwright.models.recurrent:bilstm",
    "gru": "netwright.models.recurrent:gru",
    "bigru": "netwright.models.recurrent:bigru",
    "transformer": "netwright.models.transformer:transformer",
    "bag": "netwright.models.bag:bag",
}

DENSE_BACKBONES = {  # an answer for each pixel or step: same backbones, full resolution
    "convnet": "netwright.models.convnet:pyramid",
    "convnet1d": "netwright.models.convnet1d:full_length",
    "lstm": "netwright.models.recurrent:lstm",
    "bilstm": "netwright.models.recurrent:bilstm",
    "gru": "netwright.models.recurrent:gru",
    "bigru": "netwright.models.recurrent:bigru",
    "transformer": "netwright.models.transformer:transformer",
}

CAUSAL_BACKBONES = {  # the answer for a step sees only that step and earlier ones
    "lstm": "netwright.models.recurrent:lstm",
    "gru": "netwright.models.recurrent:gru",
    "transformer": "netwright.models.transformer:causal_transformer",
}

ACTIVATIONS = {
    "relu": "torch.nn:ReLU",
    "leaky_relu": "torch.nn:LeakyReLU",
    "elu": "torch.nn:ELU",
    "selu": "torch.nn:SELU",
    "gelu": "torch.nn:GELU",
    "silu": "torch.nn:SiLU",
    "mish": "torch.nn:Mish",
    "relu6": "torch.nn:ReLU6",
    "celu": "torch.nn:CELU",
    "softplus": "torch.nn:Softplus",
    "softsign": "torch.nn:Softsign",
    "hardswish": "torch.nn:Hardswish",
    "hardtanh": "torch.nn:Hardtanh",
    "hardsigmoid": "torch.nn:Hardsigmoid",
    "sigmoid": "torch.nn:Sigmoid",
    "tanh": "torch.nn:Tanh",
    "softmax": "netwright.models.activations:Softmax",
    "identity": "torch.nn:Identity",
}

NORMALIZATIONS = {
    "none": "netwright.models.normalizations:none",
    "batch": "netwright.models.normalizations:batch",
    "layer": "netwright.models.normalizations:layer",
    "group": "netwright.models.normalizations:group",
    "rms": "netwright.models.normalizations:rms",
}

INITS = {
    "he": "netwright.models.inits:he",
    "xavier": "netwright.models.inits:xavier",
    "lecun": "netwright.models.inits:lecun",
    "orthogonal": "netwright.models.inits:orthogonal",
    "normal": "netwright.models.inits:normal",
    "zeros": "netwright.models.inits:zeros",
}

NUMBER_EMBEDDINGS = {
    "none": "netwright.models.stems:plain",
    "piecewise": "netwright.models.stems:piecewise",
    "periodic": "netwright.models.stems:periodic",
}

GUARDS = {  # they hide gradients, and protect from nobody who knows them
    "quantize": "netwright.models.guards:quantize",
    "random": "netwright.models.guards:random",
    "no_gradient": "netwright.models.guards:no_gradient",
}
