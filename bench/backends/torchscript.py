"""TorchScript: the module traced and frozen, as GPT-SoVITS's exporter does.

``torch.jit`` is deprecated and still measured, because it is what many deployments run.
"""

import warnings

import torch
from torch import Tensor

from bench.backend import Backend, Request, Runner, register
from bench.backends.eager import place
from bench.measure.precision import observe
from bench.precision import autocast
from bench.records.schema import Build


def _release(frozen: torch.jit.ScriptModule) -> None:
    """Frees the constants of a frozen graph, which PyTorch's compilation unit keeps for the process's life."""
    for node in frozen.graph.nodes():
        if node.kind() == "prim::Constant" and node.hasAttribute("value") and node.kindOf("value") == "t":
            node.t("value").untyped_storage().resize_(0)


@register
class TorchScript(Backend):
    """``torch.jit.trace`` at the case's shape, then ``torch.jit.freeze``."""

    name = "torchscript"

    def unavailable_reason(self, _: torch.device) -> str | None:
        """None while PyTorch ships ``torch.jit``."""
        return None if hasattr(torch, "jit") else "this PyTorch has no torch.jit."

    def prepare(self, request: Request) -> Runner:
        """Traces and freezes; under autocast the casts are part of the trace."""
        model = place(request)
        precision, device = request.precision, request.device
        example = request.mel.to(precision.dtype)
        with warnings.catch_warnings(), torch.inference_mode(), autocast(precision, device):
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            # Cached casts of the weights would be left out of the trace.
            torch.set_autocast_cache_enabled(False)
            try:
                traced = torch.jit.trace(model, (example,), check_trace=False)  # deprecated
            finally:
                torch.set_autocast_cache_enabled(True)
            frozen = torch.jit.freeze(traced.eval())
        weights = str(next(model.parameters()).dtype).removeprefix("torch.")

        def run(mel: Tensor) -> Tensor:
            wave: Tensor = frozen(mel)
            return wave

        return Runner(
            run=run,
            dtype=precision.dtype,
            build=Build(seconds=0.0, details={"graph_nodes": sum(1 for _ in frozen.graph.nodes())}),
            takes=lambda _: True,
            close=lambda: _release(frozen),
            effective=lambda mel: observe(run, mel, precision, None if precision.autocast else weights),
        )
