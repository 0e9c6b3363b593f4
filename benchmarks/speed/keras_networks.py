"""The same networks in Keras' own layers, with Keras' own defaults for the order of axes."""

from collections.abc import Callable

import keras
from benchmarks.speed.cases import CHANNELS, CLASSES, STEPS, TOKENS, WINDOW
from keras import layers

EPSILON = 1e-5  # torch's layer norm; Keras' own is 1e-3


def mlp() -> keras.Model:
    """784-512-512-10."""
    dense = (layers.Dense(512, activation="relu"), layers.Dense(512, activation="relu"), layers.Dense(CLASSES))
    return keras.Sequential([keras.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten(), *dense])


def conv() -> keras.Model:
    """Two convolutions with pooling, two dense layers."""
    return keras.Sequential(
        [
            *(keras.Input((28, 28)), layers.Rescaling(1 / 255), layers.Reshape((28, 28, 1))),
            *(layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(64, 3, padding="same", activation="relu"), layers.MaxPooling2D()),
            *(layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(CLASSES)),
        ]
    )


class Positions(layers.Layer):
    """Adds a learned vector to each place."""

    def build(self, shape: tuple[int, ...]) -> None:
        """One vector for each place."""
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.positions = self.add_weight(shape=shape[1:], initializer=initializer, name="positions")

    def call(self, x: object) -> object:
        """(B, T, width)."""
        return x + self.positions


def _blocks(x: object, width: int, count: int, *, is_causal: bool) -> object:
    for _ in range(count):
        normed = layers.LayerNormalization(epsilon=EPSILON)(x)
        attention = layers.MultiHeadAttention(num_heads=4, key_dim=width // 4)
        x = x + attention(normed, normed, use_causal_mask=is_causal)
        hidden = layers.Dense(4 * width)(layers.LayerNormalization(epsilon=EPSILON)(x))
        x = x + layers.Dense(width)(layers.Activation(_gelu)(hidden))
    return layers.LayerNormalization(epsilon=EPSILON)(x)


def _gelu(x: object) -> object:
    return keras.activations.gelu(x, approximate=False)


def vit() -> keras.Model:
    """Patches of 4 x 4, six blocks of width 128, the mean of the tokens."""
    picture = keras.Input((32, 32))
    x = layers.Reshape((32, 32, 1))(layers.Rescaling(1 / 255)(picture))
    x = layers.Reshape((64, 128))(layers.Conv2D(128, 4, strides=4)(x))
    x = _blocks(Positions()(x), 128, 6, is_causal=False)
    return keras.Model(picture, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


def gpt() -> keras.Model:
    """Four causal blocks of width 256."""
    tokens = keras.Input((WINDOW,), dtype="int32")
    x = _blocks(Positions()(layers.Embedding(TOKENS, 256)(tokens)), 256, 4, is_causal=True)
    return keras.Model(tokens, layers.Dense(TOKENS)(x))


def lstm() -> keras.Model:
    """128 units, answered from the last state."""
    return keras.Sequential([keras.Input((STEPS, CHANNELS)), layers.LSTM(128), layers.Dense(CLASSES)])


NETWORKS: dict[str, Callable[[], keras.Model]] = {"mlp": mlp, "conv": conv, "vit": vit, "gpt": gpt, "lstm": lstm}
