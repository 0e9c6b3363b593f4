"""What is predicted: one class for each task, tried in this order."""

TASKS = {
    "multilabel": "netwright.tasks.multilabel:Multilabel",
    "classification": "netwright.tasks.classification:Classification",
    "regression": "netwright.tasks.regression:Regression",
    "segmentation": "netwright.tasks.segmentation:Segmentation",
    "language_model": "netwright.tasks.language_model:LanguageModel",
    "forecasting": "netwright.tasks.forecasting:Forecasting",
    "ranking": "netwright.tasks.ranking:Ranking",
}

LOSSES = {
    "cross_entropy": "netwright.tasks.losses:cross_entropy",
    "focal": "netwright.tasks.losses:focal",
    "binary": "netwright.tasks.losses:binary",
    "mse": "netwright.tasks.losses:mse",
    "mae": "netwright.tasks.losses:mae",
    "huber": "netwright.tasks.losses:huber",
    "quantile": "netwright.tasks.losses:quantile",
}
