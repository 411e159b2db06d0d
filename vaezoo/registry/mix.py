"""The variant `mix`: registered parts, put together from the command line.

    mix[posterior=iaf,prior=vamp,prior.components=50,loss=iwae,likelihood=logistic]

    mix[model=vrnn,model.particles=0,loss=iwae]

A key names a part; a key with a dot is a hyperparameter of that part. `model` names a variant that
brings encoder, decoder and prior in one, such as a recurrent one, to be trained by another loss.

A builder that has an argument called spec, encoder, decoder or prior is given it, so parts are
built in the order in which they need one another.
"""

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import torch

from ..core import VAE, Model, Spec, Unsupported
from ..hooks import Part
from ..hyperparameters import Hyperparameter, HyperparameterError, did_you_mean, listed, resolve
from ..likelihoods import head
from ..parts import canonical_text

if TYPE_CHECKING:
    from .entries import Variant

KINDS = ("encoder", "decoder", "prior", "loss")
NAMED = ("likelihood", "network")  # what a spec names in text
DEFAULTS = {"encoder": "gaussian", "decoder": "network", "prior": "normal", "loss": "elbo"}
ALIASES = {"posterior": "encoder"}

Parts = Mapping[str, Mapping[str, Part]]


class Mix:
    """Encoder, decoder, prior and loss chosen by name, each with its own hyperparameters.

    Minimises what the chosen loss says; a loss refuses parts with which it would be no bound.

    Paper: none of its own; each part cites its own.
    """

    tags = frozenset({"mix"})

    def __init__(
        self,
        parts: Parts,
        hashes: Mapping[tuple[str, str], str] | None = None,
        variants: "Mapping[str, Variant] | None" = None,
    ) -> None:
        self.parts = parts
        self.hashes = hashes or {}  # (kind, name) -> SHA-256 of the file that brings the part
        self.variants = variants or {}  # what `model` can name

    @property
    def doc(self) -> str:
        return inspect.getdoc(type(self)) or ""

    @property
    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """What can be chosen, by key. Keys with a dot depend on what is chosen: see `resolve`."""
        chosen = {kind: _choice(kind, tuple(self.parts[kind]), DEFAULTS[kind]) for kind in KINDS}
        return {
            **chosen,
            "model": _choice("model", tuple(self.variants), "none"),
            "likelihood": _choice("likelihood", tuple(self.parts["likelihood"]), "the data's"),
            "network": _choice("network", tuple(self.parts["network"]), "the data's"),
        }

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The four parts, all their hyperparameters under dotted keys, and what was said of the
        data.

        Raises: HyperparameterError.
        """
        given = _without_aliases(given)
        kinds = ("loss",) if "model" in given else KINDS
        values: dict[str, Any] = {kind: self._chosen(kind, given) for kind in kinds}
        for kind in kinds:
            known = resolve(
                self.parts[kind][values[kind]].build, _inner(given, kind), f"{kind} {values[kind]}"
            )
            values |= {f"{kind}.{key}": value for key, value in known.items()}
        if "model" in given:
            values["model"] = _one_of("model", str(given["model"]), tuple(self.variants))
            known = self.variants[values["model"]].resolve(_inner(given, "model"))
            values |= {f"model.{key}": value for key, value in known.items()}
        for key in NAMED:
            if given.get(key, None) is not None:
                values[key] = canonical_text(key, str(given[key]))
        self._refuse_unknown(given, values)
        return values

    def origins(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """SHA-256 of the files of the chosen parts."""
        whole = (self.variants[values["model"]].plugin.source_hash,) if "model" in values else ()
        return (
            *whole,
            *(self.hashes.get((kind, values[kind]), "") for kind in KINDS if kind in values),
            *(self.hashes.get((k, values[k].partition("[")[0]), "") for k in NAMED if k in values),
        )

    def build(self, spec: Spec, values: Mapping[str, Any]) -> Model:
        """The VAE of these parts, or the model of another variant with this loss.

        Raises: Unsupported where parts do not fit each other or the data.
        """
        spec = replace(spec, **{key: values[key] for key in NAMED if key in values})
        model = (
            self._with_another_loss(spec, values)
            if "model" in values
            else self._of_parts(spec, values)
        )
        model.check()
        if "likelihood" in values:
            _must_have_head(model, spec)
        must_train(model, spec, f"the loss {values['loss']}")
        return model

    def _of_parts(self, spec: Spec, values: Mapping[str, Any]) -> VAE:
        """The VAE of the chosen parts, each built when those that it needs are there."""
        made: dict[str, Any] = {"spec": spec}
        waiting = {kind: self.parts[kind][values[kind]].build for kind in KINDS}
        while waiting:
            ready = [kind for kind, build in waiting.items() if not _needs(build) & waiting.keys()]
            if not ready:
                raise Unsupported(_circle(waiting, values))
            for kind in ready:
                made[kind] = _call(waiting.pop(kind), made, _inner(values, kind))
        return VAE(made["encoder"], made["decoder"], made["prior"], made["loss"])

    def _with_another_loss(self, spec: Spec, values: Mapping[str, Any]) -> Model:
        """The model of a variant, to be trained by the chosen loss."""
        model = self.variants[values["model"]].builder.build(spec, _inner(values, "model"))
        made: dict[str, Any] = {"spec": spec}
        if isinstance(model, VAE):
            made |= {"encoder": model.encoder, "decoder": model.decoder, "prior": model.prior}
        build = _must_find(self.parts["loss"][values["loss"]], made)
        model.loss = _call(build, made, _inner(values, "loss"))
        return model

    def _chosen(self, kind: str, given: Mapping[str, Any]) -> str:
        return _one_of(kind, str(given.get(kind, DEFAULTS[kind])), tuple(self.parts[kind]))

    def _refuse_unknown(self, given: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        known = [*values, "likelihood", "network"]
        for key in given:
            if key not in known:
                raise HyperparameterError(
                    f"mix has no hyperparameter {key!r}{did_you_mean(key, known)}; "
                    f"with these parts it has {listed(dict.fromkeys(known))}"
                )


def _choice(key: str, names: tuple[str, ...], default: str) -> Hyperparameter:
    return Hyperparameter(key, Literal[names], default)


def _without_aliases(given: Mapping[str, Any]) -> dict[str, Any]:
    """posterior is another word for encoder, also before a dot."""
    plain: dict[str, Any] = {}
    for key, value in given.items():
        head, dot, rest = key.partition(".")
        name = ALIASES.get(head, head) + dot + rest
        if name in plain:
            raise HyperparameterError(
                f"mix is given {name} twice: posterior is another word for encoder"
            )
        plain[name] = value
    return plain


def _one_of(key: str, name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        near = did_you_mean(name, names) or f"; there are {', '.join(names) or 'none'}"
        raise HyperparameterError(f"mix[{key}={name}]: no {key} is called {name!r}{near}")
    return name


@cache  # there are some sixty builders, and `matrix` calls them thousands of times
def _arguments(build: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(build).parameters)


def _needs(build: Callable[..., Any]) -> frozenset[str]:
    return _arguments(build) & set(KINDS)


def _inner(values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        key.removeprefix(f"{kind}."): value
        for key, value in values.items()
        if key.startswith(f"{kind}.")
    }


def _call(build: Callable[..., Any], made: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    wanted = _arguments(build)
    return build(**{name: thing for name, thing in made.items() if name in wanted}, **values)


def _must_find(part: Part, made: Mapping[str, Any]) -> Callable[..., Any]:
    """The builder of a loss.

    Raises: Unsupported where it needs a part that the model has not.
    """
    missing = _needs(part.build) - made.keys()
    if missing:
        raise Unsupported(
            f"the loss {part.name} needs the {' and '.join(sorted(missing))} apart; "
            "this model has no such parts"
        )
    return part.build


def _must_have_head(model: Model, spec: Spec) -> None:
    """Raises: Unsupported where the likelihood that was asked for is none of the model's."""
    asked = type(head(spec))
    if not any(isinstance(part, asked) for part in model.modules()):
        raise Unsupported(
            f"likelihood={spec.likelihood} was asked for, and this decoder brings one of its own"
        )


def must_train(model: Model, spec: Spec, who: str) -> None:
    """One step of the loss on two rows of zeros, after which the model is as it was.

    Raises: Unsupported where the loss refuses what it sees, or leaves a parameter without gradient.
    """
    before = deepcopy(model.state_dict())
    moving = {name: p for name, p in model.named_parameters() if p.requires_grad}
    x = torch.zeros(2, *spec.shape)
    c = torch.eye(spec.classes)[[0, 0]] if spec.classes else None
    with torch.random.fork_rng(devices=()), torch.enable_grad():
        loss = model(x, c, 0.5)["loss"]
        gradients = torch.autograd.grad(loss, list(moving.values()), allow_unused=True)
    model.load_state_dict(before)

    idle = [name for name, g in zip(moving, gradients, strict=True) if g is None]
    if idle:
        more = f" and {len(idle) - 1} more" if len(idle) > 1 else ""
        raise Unsupported(
            f"no gradient of {who} reaches {idle[0]}{more}: what no term reads is not trained"
        )


def _circle(waiting: Mapping[str, Callable[..., Any]], values: Mapping[str, Any]) -> str:
    who = ", ".join(
        f"{kind} {values[kind]} needs the {' and '.join(sorted(_needs(b)))}"
        for kind, b in waiting.items()
    )
    return f"these parts need each other, so none can be built first: {who}"
