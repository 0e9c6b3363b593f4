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
