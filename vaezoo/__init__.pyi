from . import bench as bench, sklearn as sklearn
from .core import (
    VAE as VAE,
    Decoder as Decoder,
    Encoder as Encoder,
    Latent as Latent,
    Loss as Loss,
    Model as Model,
    Prior as Prior,
    Recipe as Recipe,
    Spec as Spec,
    Trace as Trace,
    Unsupported as Unsupported,
)
from .data.data import Card as Card, Data as Data
from .data.files import Files as Files
from .distributions import at_centre as at_centre, draw as draw
from .evaluation.by_column import cells_by_column as cells_by_column
from .evaluation.measurement import evaluate as evaluate
from .hooks import (
    Column as Column,
    Metric as Metric,
    Part as Part,
    hookimpl as hookimpl,
    tags as tags,
)
from .hyperparameters import HyperparameterError as HyperparameterError
from .losses import ELBO as ELBO
from .registry.entries import Variant as Variant
from .registry.registry import Registry as Registry
from .registry.selection import SelectionError as SelectionError
from .training.budget import Budget as Budget, Diverged as Diverged, History as History
from .training.checkpoint import CheckpointError as CheckpointError, load as load, save as save
from .training.training import fit as fit
from .use import (
    dataset as dataset,
    decode as decode,
    encode as encode,
    impute as impute,
    log_prob as log_prob,
    reconstruct as reconstruct,
    rows_from as rows_from,
    sample as sample,
    variants as variants,
)

__version__: str
