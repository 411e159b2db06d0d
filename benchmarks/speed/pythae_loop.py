"""The trainer of pythae (Chadebec, Vincent & Allassonnière 2022, arXiv:2206.08309) on the layers of
the bare loop, where it is installed.
"""

import logging
import tempfile
from importlib.util import find_spec
from typing import Any

import torch
from bare import BATCH, RATE, Bare
from torch import Tensor

IS_THERE = find_spec("pythae") is not None


def train(layers: Bare, x: Tensor, epochs: int) -> None:
    """Trains a VAE with these layers, as pythae does when nothing else is asked for."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.read = layers.read

        def forward(self, x: Tensor) -> Any:
            loc, log_variance = self.read(x).chunk(2, -1)
            return ModelOutput(embedding=loc, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.write = layers.write

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.write(z)))

    logging.disable(logging.INFO)
    about = VAEConfig(
        input_dim=layers.spec.shape, latent_dim=layers.spec.latent, reconstruction_loss="bce"
    )
    with tempfile.TemporaryDirectory() as folder:
        asked = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            no_cuda=True,
        )
        rows = x[: len(x) // BATCH * BATCH]
        BaseTrainer(VAE(about, Encoder(), Decoder()), rows_of(rows), training_config=asked).train()


def rows_of(x: Tensor) -> Any:
    """The rows as a data set of pythae."""
    from pythae.data.datasets import BaseDataset

    return BaseDataset(x, torch.zeros(len(x)))
