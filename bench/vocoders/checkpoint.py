"""Reads GPT-SoVITS's vocoder checkpoints without running anything that is in them.

A checkpoint is untrusted: it is read with ``weights_only=True``, which refuses every pickle that wants more
than tensors and plain containers.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import InputError, NoVocoderError
from bench.spec import Weights
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig

V3_FILE = "bigvgan_generator.pt"
V3_PLACE = Path("GPT_SoVITS/pretrained_models/models--nvidia--bigvgan_v2_24khz_100band_256x")
V4_FILE = "vocoder.pth"
V4_PLACE = Path("GPT_SoVITS/pretrained_models/gsv-v4-pretrained") / V4_FILE
# How many names an error lists before it says how many more there are.
NAMED = 3

_WEIGHT_NORM = re.compile(r"(?P<layer>.+)\.(?:weight_(?P<old>[gv])|parametrizations\.weight\.original(?P<new>[01]))$")
_FILTER = re.compile(r"\.(?:upsample|downsample\.lowpass)\.filter$")


def find_checkpoint(version: str, path: Path) -> Path:
    """The file or directory that holds ``version``'s weights under what the user gave.

    Args:
        version: ``"v3"`` or ``"v4"``.
        path: A v3 directory, a v4 file, either one's parent, or a GPT-SoVITS checkout.

    Returns:
        For v3 the directory with ``config.json``; for v4 the file.

    Raises:
        InputError: nothing there.
        NoVocoderError: nothing for this version.
    """
    if not path.exists():
        raise InputError(f"weights {path} do not exist; give a v3 directory, a v4 {V4_FILE} or a GPT-SoVITS checkout")
    if version == "v3":
        directory = path.parent if path.name == V3_FILE else path
        for place in (directory, path / V3_PLACE):
            if (place / "config.json").is_file() and (place / V3_FILE).is_file():
                return place
        if directory.is_dir() and (directory / V3_FILE).is_file():
            raise InputError(f"weights {directory} have no config.json beside {V3_FILE}")
        if (directory / "config.json").is_file():
            raise InputError(f"weights {directory} have no {V3_FILE} beside config.json")
        raise NoVocoderError(
            f"weights {path} hold no v3 vocoder: a directory with config.json and {V3_FILE} is expected"
        )
    for place in (path, path / V4_FILE, path / V4_PLACE):
        if place.is_file() and place.name != V3_FILE:
            return place
    raise NoVocoderError(f"weights {path} hold no v4 vocoder: a {V4_FILE} is expected")


def load_checkpoint(version: str, path: Path) -> tuple[BigVgan | HifiGan, Weights]:
    """Builds the vocoder of ``version`` from a checkpoint.

    Args:
        version: ``"v3"`` or ``"v4"``.
        path: See :func:`find_checkpoint`.

    Returns:
        The eval-mode float32 CPU module and the identity of its weights.

    Raises:
        InputError: missing, truncated, not a checkpoint, wanting more than tensors, or of the wrong keys or
            shapes; one sentence that names the file.
    """
    place = find_checkpoint(version, path)
    if version == "v3":
        file = place / V3_FILE
        config = BigVganConfig.from_json(_read_json(place / "config.json"))
        state = read_state(file)
        with torch.device("meta"):
            model: BigVgan | HifiGan = BigVgan(config)
    else:
        file = place
        state = read_state(file)
        with torch.device("meta"):
            model = HifiGan(HifiGanConfig.from_state({key: value.shape for key, value in state.items()}))
    install(model, state, file)
    return model.eval().requires_grad_(False), identify(model, name=f"{file.parent.name}/{file.name}")


def identify(model: nn.Module, name: str, seed: int | None = None) -> Weights:
    """The identity of a model's weights; equal values in equal places give equal digests.

    Args:
        model: Any module on the CPU.
        name: Text for people.
        seed: Seed of synthetic weights, None for a checkpoint.
    """
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.contiguous().numpy().data)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Weights(seed is not None, name, digest.hexdigest(), parameters, seed)


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replaces weight norm's two tensors of a layer, in either of torch's spellings, by the weight they make.

    Weight norm: Salimans & Kingma (2016), over every dimension but the first, as ``torch.nn.utils`` has it.
    """
    folded: dict[str, Tensor] = {}
    halves: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        match = _WEIGHT_NORM.match(key)
        if match is None:
            folded[key] = value
        else:
            half = match["old"] or "gv"[int(match["new"])]
            halves.setdefault(match["layer"], {})[half] = value
    for layer, pair in halves.items():
        if len(pair) < 2:
            raise InputError(f"layer {layer} has one of weight norm's two tensors but not the other")
        gain, direction = pair["g"].float(), pair["v"].float()
        if gain.numel() != direction.shape[0]:
            raise InputError(f"layer {layer} has a weight norm gain of the wrong size")
        # The function behind both spellings, so that not even rounding differs from the original.
        folded[f"{layer}.weight"] = torch._weight_norm(direction, gain.view(-1, *[1] * (direction.dim() - 1)), 0)
    return folded


def install(model: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Puts ``state`` into a module built on the meta device."""
    expected = model.state_dict()
    # The filters are constants that old checkpoints carry and new ones may leave out.
    filters = {key: value for key, value in state.items() if _FILTER.search(key)}
    given = {key: value for key, value in state.items() if key not in filters}
    _complain(file, "lacks", sorted(expected.keys() - given.keys()))
    _complain(file, "has unexpected", sorted(given.keys() - expected.keys()))
    _complain(
        file,
        "has the wrong shape for",
        [
            f"{key} {tuple(given[key].shape)} instead of {tuple(value.shape)}"
            for key, value in expected.items()
            if given[key].shape != value.shape
        ],
    )
    _complain(file, "has non-finite values in", [k for k, v in state.items() if not torch.isfinite(v).all()])
    parameters = {key: value.detach().to(torch.float32).contiguous() for key, value in given.items()}
    model.load_state_dict(parameters, strict=True, assign=True)
    buffers = dict(model.named_buffers())
    _complain(
        file,
        "has unusable filters",
        [key for key, value in filters.items() if key not in buffers or buffers[key].shape != value.shape],
    )
    for key, value in filters.items():
        buffers[key].copy_(value)


def _complain(file: Path, what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise InputError(f"checkpoint {file} {what} {', '.join(names[:NAMED])}{more}")


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"cannot read {file}: a JSON object is expected")
    return data


def read_state(file: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint, bare or under the key ``generator``, weight norm folded."""
    try:
        data = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise InputError(
                f"checkpoint {file} wants to run code: it holds more than tensors, and is refused"
            ) from error
        raise InputError(f"checkpoint {file} is truncated or no PyTorch checkpoint") from error
    if isinstance(data, dict) and isinstance(data.get("generator"), dict):
        data = data["generator"]
    if not isinstance(data, dict) or not data:
        raise InputError(f"checkpoint {file} holds no state dict")
    strangers = [str(key) for key, value in data.items() if not isinstance(value, Tensor)]
    if strangers:
        _complain(file, "holds no state dict: these entries are no tensors:", strangers)
    try:
        return fold_weight_norm(data)
    except InputError as error:
        raise InputError(f"checkpoint {file}: {error}") from error
