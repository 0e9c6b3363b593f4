"""Each peer's way to train one network, as its own tutorials do it; frameworks are imported where they are used."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.speed.cases import CLASSES, LR, RESERVED, TOKENS, WEIGHT_DECAY, Array, Case, Parts

EPSILON = 1e-8  # AdamW's; torch's default, and Keras' and fastai's are others
SQUARES = 0.999  # AdamW's second beta; fastai's default is another
TEST_BATCH = 250


@dataclass(frozen=True)
class Trained:
    """What a peer leaves behind."""

    seconds: list[float]  # of each epoch
    parameters: int
    answers: Callable[[Array], Array]  # test rows to classes, (N,) or (N, T)


@dataclass(frozen=True)
class Peer:
    """A way to train; `needs` is the package that has to be there, `only` the networks that it can train (all: ())."""

    name: str
    title: str
    train: Callable[[Case, Parts, int, int], Trained]  # case, data, epochs, seed
    needs: str
    versions: tuple[str, ...]  # packages that the page names
    only: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


@dataclass
class Stopwatch:
    """Seconds of epochs, told by a peer's callbacks."""

    seconds: list[float]
    began: float = 0.0

    def start(self, *_: object) -> None:
        """An epoch begins."""
        self.began = time.perf_counter()

    def stop(self, *_: object) -> None:
        """An epoch has ended."""
        self.seconds.append(time.perf_counter() - self.began)


def ours(case: Case, parts: Parts, epochs: int, seed: int) -> Trained:
    """netwright: `adopt` the network with the whole data, `train`; arithmetic, kernels and threads as it chooses."""
    import torch

    import netwright as nw

    network = _network(case, seed)
    if case.name == "gpt":  # the input is its own target: the last character's is not learned, 1 of 128
        task = nw.LanguageModel(tuple(map(chr, range(TOKENS - RESERVED))))
    else:
        task = nw.Classification(tuple(map(str, range(CLASSES))))
    run = nw.adopt(network, task, (torch.tensor(parts.x), torch.tensor(parts.y)))
    settings = {
        "epochs": epochs, "batch_size": case.batch_size, "lr": LR, "optimizer": "adamw", "weight_decay": WEIGHT_DECAY,
        "schedule": "constant", "warmup": 0.0, "clip": 0.0, "seed": seed,
    }  # fmt: skip
    run = nw.train(run, settings=settings)
    return _of_module(run.network, [epoch.seconds for epoch in run.history.epochs])


def loop(case: Case, parts: Parts, epochs: int, seed: int) -> Trained:
    """A hand-written loop in fp32 over a DataLoader, with torch's defaults."""
    import torch
    from benchmarks.speed.networks import loss

    network, loader, watch = _network(case, seed), _loader(case, parts), Stopwatch([])
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    for _ in range(epochs):
        watch.start()
        for x, y in loader:
            optimizer.zero_grad()
            loss(network(x), y).backward()
            optimizer.step()
        watch.stop()
    return _of_module(network, watch.seconds)


def lightning(case: Case, parts: Parts, epochs: int, seed: int) -> Trained:
    """Lightning's Trainer with its defaults: progress bar, log and checkpoints, into a temporary folder."""
    import lightning
    import torch
    from benchmarks.speed.networks import loss

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = _network(case, seed)

        def training_step(self, batch: Any, _index: int) -> Any:
            return loss(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)

    watch, module = Stopwatch([]), Module()
    timer = lightning.pytorch.callbacks.LambdaCallback(on_train_epoch_start=watch.start, on_train_epoch_end=watch.stop)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", callbacks=[timer], default_root_dir=folder
        )  # fmt: skip
        trainer.fit(module, _loader(case, parts))
    return _of_module(module.network, watch.seconds)


def skorch(case: Case, parts: Parts, epochs: int, seed: int) -> Trained:
    """skorch's NeuralNet without a validation part."""
    import torch
    from benchmarks.speed.networks import loss
    from skorch import NeuralNet
    from torch import nn

    class Loss(nn.Module):
        def forward(self, logits: Any, targets: Any) -> Any:
            return loss(logits, targets)

    network = _network(case, seed)
    net = NeuralNet(
        network, Loss, optimizer=torch.optim.AdamW, optimizer__weight_decay=WEIGHT_DECAY, lr=LR,
        max_epochs=epochs, batch_size=case.batch_size, iterator_train__shuffle=True, train_split=None,
    )  # fmt: skip
    net.fit(_floats(parts.x), parts.y)
    return _of_module(net.module_, net.history[:, "dur"])


def fastai(case: Case, parts: Parts, epochs: int, seed: int) -> Trained:
    """fastai's Learner over the plain loop's own DataLoader, its Adam with torch's betas; validation left out."""
    from functools import partial

    from benchmarks.speed.networks import loss
    from fastai.basics import Callback, CancelValidException, DataLoaders, Learner
    from fastai.optimizer import Adam

    watch = Stopwatch([])

    class Timer(Callback):
        def before_train(self) -> None:
            watch.start()

        def after_train(self) -> None:
            watch.stop()

        def before_validate(self) -> None:
            raise CancelValidException

    loader = _loader(case, parts)
    rule = partial(Adam, sqr_mom=SQUARES, eps=EPSILON)
    learner = Learner(DataLoaders(loader, loader), _network(case, seed), loss_func=loss, opt_func=rule, cbs=[Timer()])
    learner.fit(epochs, lr=LR, wd=WEIGHT_DECAY)
    return _of_module(learner.model, watch.seconds)


def keras(case: Case, parts: Parts, epochs: int, seed: int) -> Trained:
    """Keras' compile and fit on the backend that KERAS_BACKEND names; one line for each epoch."""
    import keras
    from benchmarks.speed.keras_networks import NETWORKS

    keras.utils.set_random_seed(seed)
    watch, network = Stopwatch([]), NETWORKS[case.name]()
    network.compile(
        optimizer=keras.optimizers.AdamW(LR, weight_decay=WEIGHT_DECAY, epsilon=EPSILON),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    timer = keras.callbacks.LambdaCallback(on_epoch_begin=watch.start, on_epoch_end=watch.stop)
    network.fit(
        _floats(parts.x), parts.y, batch_size=case.batch_size, epochs=epochs, callbacks=[timer], verbose=2
    )  # fmt: skip
    return Trained(
        watch.seconds,
        network.count_params(),
        lambda x: network.predict(_floats(x), batch_size=TEST_BATCH, verbose=0).argmax(-1),
    )


def scikit_learn(case: Case, parts: Parts, epochs: int, seed: int) -> Trained:
    """MLPClassifier: Adam with its own L2 penalty, as it has no AdamW; one `partial_fit` for each epoch."""
    from sklearn.neural_network import MLPClassifier

    def pixels(x: Array) -> Array:
        return x.reshape(len(x), -1).astype(np.float32) / 255

    network = MLPClassifier((512, 512), batch_size=case.batch_size, learning_rate_init=LR, random_state=seed)
    x, watch = pixels(parts.x), Stopwatch([])
    for _ in range(epochs):
        watch.start()
        network.partial_fit(x, parts.y, classes=np.arange(CLASSES))
        watch.stop()
    parameters = sum(weights.size for weights in (*network.coefs_, *network.intercepts_))
    return Trained(watch.seconds, parameters, lambda test: network.predict(pixels(test)))


def _network(case: Case, seed: int) -> Any:
    import torch
    from benchmarks.speed.networks import NETWORKS

    torch.manual_seed(seed)
    return NETWORKS[case.name]()


def _loader(case: Case, parts: Parts) -> Any:
    """A DataLoader over a TensorDataset of floats (or tokens), its workers and its order by default."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    rows = TensorDataset(torch.tensor(_floats(parts.x)), torch.tensor(parts.y))
    return DataLoader(rows, batch_size=case.batch_size, shuffle=True)


def _floats(x: Array) -> Array:
    """Pixels and series as float32; tokens stay whole."""
    return x if x.dtype == np.int64 else x.astype(np.float32)


def _of_module(network: Any, seconds: list[float]) -> Trained:
    import torch

    def answers(x: Array) -> Array:
        with torch.no_grad():
            return np.concatenate([network(part).argmax(-1).numpy() for part in torch.tensor(x).split(TEST_BATCH)])

    network.eval()
    return Trained(seconds, sum(p.numel() for p in network.parameters()), answers)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("netwright", "netwright", ours, "netwright", ("netwright", "torch")),
        Peer("loop", "plain PyTorch loop, DataLoader", loop, "torch", ("torch",)),
        Peer("lightning", "Lightning, defaults", lightning, "lightning", ("lightning",)),
        Peer("keras-torch", "Keras 3 on torch", keras, "keras", ("keras",), (), (("KERAS_BACKEND", "torch"),)),
        Peer("keras-jax", "Keras 3 on JAX", keras, "jax", ("keras", "jax"), (), (("KERAS_BACKEND", "jax"),)),
        Peer("skorch", "skorch", skorch, "skorch", ("skorch",)),
        Peer("fastai", "fastai", fastai, "fastai", ("fastai",)),
        Peer("scikit-learn", "scikit-learn MLPClassifier", scikit_learn, "sklearn", ("scikit-learn",), ("mlp",)),
    )
}
