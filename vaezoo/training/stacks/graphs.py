"""The step of a stack as one CUDA graph: the host asks once, in place of for hundreds of kernels.

The first steps run as they are, which loads what they need. Where the step cannot be captured, as
where a loss asks for a number of the device, all of them do; `why_not` says why. What differs from
step to step is copied into tensors that stay: minibatch, progress, learning rate, the seats that
are frozen.
"""

import torch
from torch import Tensor

from ...core import Terms
from .steps import Generators, Steps

WARM = 3  # steps before the capture


class Captured:
    """`Steps.learn` on a GPU, for the generators that it was made with."""

    def __init__(self, steps: Steps, generators: Generators) -> None:
        self.steps = steps
        self.generators = generators
        self.seen = 0
        self.why_not = ""  # the step cannot be captured
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: dict[str, Tensor] = {}
        self.terms: Terms = {}

    def learn(
        self, x: Tensor, c: Tensor | None, progress: float, factor: Tensor, frozen: Tensor
    ) -> Terms:
        """As `Steps.learn`, at weight 1 of KL."""
        if self.seen >= WARM and not self.graph and not self.why_not:
            self._capture(x, c, factor, frozen)
        self.seen += 1
        if not self.graph:
            return self.steps.learn(x, c, progress, factor, frozen, self.generators)
        given = {"x": x, "factor": factor, "frozen": frozen}
        for name, tensor in given.items():
            self.inputs[name].copy_(tensor)
        if c is not None:
            self.inputs["c"].copy_(c)
        self.inputs["progress"].fill_(progress)
        self.graph.replay()
        return {name: value.clone() for name, value in self.terms.items()}

    def _capture(self, x: Tensor, c: Tensor | None, factor: Tensor, frozen: Tensor) -> None:
        """Nothing is computed by it, and where it fails nothing has changed."""
        progress = torch.zeros((), dtype=torch.float64, device=x.device)
        inputs = {"x": x, "factor": factor, "frozen": frozen, "progress": progress}
        if c is not None:
            inputs["c"] = c
        self.inputs = {name: tensor.clone() for name, tensor in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph):
                self.terms = self.steps.learn(
                    self.inputs["x"],
                    self.inputs.get("c"),
                    self.inputs["progress"],
                    self.inputs["factor"],
                    self.inputs["frozen"],
                    self.generators,
                )
        except (RuntimeError, TypeError) as error:  # a schedule may want a number
            self.why_not = str(error).strip().partition("\n")[0]
            return
        self.graph = graph
