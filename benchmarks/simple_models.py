"""The simple models beside the networks: scikit-learn, fitted on training rows only, scalers and vocabularies too."""

from collections.abc import Callable

import numpy as np
import polars as pl
from sklearn import metrics
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV, RidgeCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

ALPHAS = np.logspace(-3, 5, 17)  # ridge penalties, chosen by leave-one-out on the training rows
RESAMPLED_STEPS = 16  # series of 7 to 29 steps are stretched to as many, linearly
MOST_CATEGORIES = 255  # the most that scikit-learn's boosting takes as categories

Model = Callable[[pl.DataFrame, int], Pipeline]
"""(training inputs, seed) -> an unfitted pipeline."""


def score(model: Model, train: pl.DataFrame, test: pl.DataFrame, target: str, seed: int) -> dict[str, float]:
    """Fits on the training rows and scores the test rows once."""
    inputs, truth = train.drop(target), test[target].to_numpy()
    fitted = model(inputs, seed).fit(inputs, train[target].to_numpy())
    answers = fitted.predict(test.drop(target))
    if not hasattr(fitted[-1], "classes_"):
        return {"rmse": float(metrics.root_mean_squared_error(truth, answers)), "r2": metrics.r2_score(truth, answers)}
    found = {"accuracy": float(metrics.accuracy_score(truth, answers))}
    if len(fitted.classes_) == 2 and hasattr(fitted, "predict_proba"):
        chances = fitted.predict_proba(test.drop(target))
        rarer = int(np.argmin([(truth == label).sum() for label in fitted.classes_]))
        found["auc"] = float(metrics.roc_auc_score(truth == fitted.classes_[rarer], chances[:, rarer]))
        found["average_precision"] = float(
            metrics.average_precision_score(truth == fitted.classes_[rarer], chances[:, rarer])
        )
    return found


def _logistic(inputs: pl.DataFrame, seed: int) -> Pipeline:
    numbers, words = _columns(inputs)
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), words),
    )
    return make_pipeline(prepared, LogisticRegression(max_iter=2000, random_state=seed))


def _ridge(inputs: pl.DataFrame, seed: int) -> Pipeline:
    return make_pipeline(StandardScaler(), RidgeCV(ALPHAS))


def _boosting(inputs: pl.DataFrame, seed: int) -> Pipeline:
    numbers, words = _columns(inputs)
    ordinal = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=MOST_CATEGORIES,
    )
    prepared = make_column_transformer(("passthrough", numbers), (ordinal, words))
    categorical = [False] * len(numbers) + [True] * len(words)
    return make_pipeline(prepared, HistGradientBoostingClassifier(categorical_features=categorical, random_state=seed))


def _boosting_regressor(inputs: pl.DataFrame, seed: int) -> Pipeline:
    return make_pipeline(FunctionTransformer(pl.DataFrame.to_numpy), HistGradientBoostingRegressor(random_state=seed))


def _pixels_logistic(inputs: pl.DataFrame, seed: int) -> Pipeline:
    # tol: with the default 1e-4 the solver runs for minutes on 60,000 pictures and answers no better.
    return make_pipeline(FunctionTransformer(_pixels), LogisticRegression(tol=1e-3, max_iter=1000, random_state=seed))


def _pixels_svc(inputs: pl.DataFrame, seed: int) -> Pipeline:
    return make_pipeline(FunctionTransformer(_pixels), SVC())


def _tfidf_logistic(inputs: pl.DataFrame, seed: int) -> Pipeline:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    return make_pipeline(FunctionTransformer(_only_text), words, LogisticRegression(C=3.0, max_iter=1000))


def _letters_logistic(inputs: pl.DataFrame, seed: int) -> Pipeline:
    one_hot = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(FunctionTransformer(_letters), one_hot, LogisticRegression(max_iter=2000, random_state=seed))


def _resampled_ridge(inputs: pl.DataFrame, seed: int) -> Pipeline:
    return make_pipeline(FunctionTransformer(_resampled), StandardScaler(), RidgeClassifierCV(ALPHAS))


def _resampled_neighbor(inputs: pl.DataFrame, seed: int) -> Pipeline:
    return make_pipeline(FunctionTransformer(_resampled), StandardScaler(), KNeighborsClassifier(1))


def _columns(inputs: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Columns of numbers and columns of words."""
    numbers = [name for name in inputs.columns if inputs[name].dtype.is_numeric()]
    return numbers, [name for name in inputs.columns if name not in numbers]


def _pixels(inputs: pl.DataFrame) -> np.ndarray:
    return inputs["image"].to_numpy().reshape(inputs.height, -1).astype(np.float32) / 255


def _only_text(inputs: pl.DataFrame) -> list[str]:
    return inputs["text"].to_list()


def _letters(inputs: pl.DataFrame) -> np.ndarray:
    return np.array([list(letters) for letters in inputs["sequence"]])


def _resampled(inputs: pl.DataFrame) -> np.ndarray:
    """(series, channels * RESAMPLED_STEPS)."""
    rows = []
    for sound in inputs["sound"]:
        channels = np.array(list(sound.values()))  # (channels, steps)
        at = np.linspace(0, channels.shape[1] - 1, RESAMPLED_STEPS)
        rows.append(np.concatenate([np.interp(at, np.arange(channels.shape[1]), channel) for channel in channels]))
    return np.array(rows)


MODELS: dict[str, Model] = {
    "logistic": _logistic,
    "ridge": _ridge,
    "boosting": _boosting,
    "boosting (regressor)": _boosting_regressor,
    "pixels + logistic": _pixels_logistic,
    "pixels + SVC": _pixels_svc,
    "TF-IDF + logistic": _tfidf_logistic,
    "one-hot + logistic": _letters_logistic,
    "resampled + ridge": _resampled_ridge,
    "resampled + 1-NN": _resampled_neighbor,
}
