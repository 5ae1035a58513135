"""Reads GPT-SoVITS's vocoder checkpoints without running anything that is in them.

A checkpoint is untrusted: see :mod:`bench.vocoders.archive` for how its tensors are read. Sizes in ``config.json``
are checked before a network is made of them, and a network is tried before it is handed out.
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
from bench.files import kind_of, read_text
from bench.spec import Weights
from bench.vocoders.archive import VALUES_LIMIT, read_tensors
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig

V3_FILE = "bigvgan_generator.pt"
V3_PLACE = Path("GPT_SoVITS/pretrained_models/models--nvidia--bigvgan_v2_24khz_100band_256x")
V4_FILE = "vocoder.pth"
V4_PLACE = Path("GPT_SoVITS/pretrained_models/gsv-v4-pretrained") / V4_FILE
CONFIG_LIMIT_BYTES = 1 << 20
# Channels of a v4 file's optional conditioning.
MAX_CONDITIONING = 4096
# Frames of the mel that new weights are tried on, and its level: that of speech.
TRIED_FRAMES, TRIED_LEVEL = 2, -6.0
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
    kind = kind_of(path, "weights")
    if kind is None:
        raise InputError(f"weights {path} do not exist; give a v3 directory, a v4 {V4_FILE} or a GPT-SoVITS checkout")
    if kind not in ("a file", "a folder"):
        raise InputError(f"weights {path} are {kind}; give a v3 directory, a v4 {V4_FILE} or a GPT-SoVITS checkout")
    if version == "v3":
        directory = path.parent if path.name == V3_FILE else path
        for place in (directory, path / V3_PLACE):
            if _has(place / "config.json") and _has(place / V3_FILE):
                return place
        if _has(directory / V3_FILE):
            raise InputError(f"weights {directory} have no config.json beside {V3_FILE}")
        if _has(directory / "config.json"):
            raise InputError(f"weights {directory} have no {V3_FILE} beside config.json")
        raise NoVocoderError(
            f"weights {path} hold no v3 vocoder: a directory with config.json and {V3_FILE} is expected"
        )
    for place in (path, path / V4_FILE, path / V4_PLACE):
        if _has(place) and place.name != V3_FILE:
            return place
    raise NoVocoderError(f"weights {path} hold no v4 vocoder: a {V4_FILE} is expected")


def _has(file: Path) -> bool:
    """Whether there is something other than a folder; what it is, its reader says."""
    return kind_of(file, "weights") not in (None, "a folder")


def load_checkpoint(version: str, path: Path) -> tuple[BigVgan | HifiGan, Weights]:
    """Builds the vocoder of ``version`` from a checkpoint.

    Args:
        version: ``"v3"`` or ``"v4"``.
        path: See :func:`find_checkpoint`.

    Returns:
        The eval-mode float32 CPU module and the identity of its weights.

    Raises:
        InputError: missing, truncated, not a checkpoint, wanting more than tensors, too large, of the wrong keys or
            shapes, or giving no finite sound; one sentence that names the file.
    """
    place = find_checkpoint(version, path)
    if version == "v3":
        file = place / V3_FILE
        config_file = place / "config.json"
        config = BigVganConfig.from_json(_read_json(config_file), str(config_file))
        config.check_mel(str(config_file))
        with torch.device("meta"):
            model: BigVgan | HifiGan = BigVgan(config)
        values = sum(parameter.numel() for parameter in model.parameters())
        if values > VALUES_LIMIT:
            raise InputError(f"{config_file} describes a network of {values} values, more than {VALUES_LIMIT}")
        state = read_state(file)
    else:
        file = place
        state = read_state(file)
        conditioning = HifiGanConfig.from_state({key: value.shape for key, value in state.items()})
        if not 0 <= conditioning.gin_channels <= MAX_CONDITIONING:
            raise InputError(f"checkpoint {file} has {conditioning.gin_channels} channels in cond.weight: too many")
        with torch.device("meta"):
            model = HifiGan(conditioning)
    install(model, state, file)
    _try(model.eval(), file)
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
        # The function below ends the process for a tensor without values.
        if direction.dim() != 3 or direction.numel() == 0:
            raise InputError(f"layer {layer} has a weight norm direction of the wrong shape {tuple(direction.shape)}")
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
    parameters = {key: value.detach().to(torch.float32).contiguous() for key, value in given.items()}
    # After the conversion, in which a large float64 becomes infinite.
    _complain(
        file,
        "has non-finite values in",
        [key for key, value in {**filters, **parameters}.items() if not torch.isfinite(value.float()).all()],
    )
    model.load_state_dict(parameters, strict=True, assign=True)
    buffers = dict(model.named_buffers())
    _complain(
        file,
        "has unusable filters",
        [key for key, value in filters.items() if key not in buffers or buffers[key].shape != value.shape],
    )
    for key, value in filters.items():
        buffers[key].copy_(value)


def _try(model: BigVgan | HifiGan, file: Path) -> None:
    """Raises where a speech-like mel does not become a finite sound."""
    with torch.inference_mode():
        mel = torch.full((1, model.spec.bands, TRIED_FRAMES), TRIED_LEVEL)
        if not torch.isfinite(model(mel)).all():
            raise InputError(f"checkpoint {file} has weights whose output is not finite; load the file anew")


def _complain(file: Path, what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise InputError(f"checkpoint {file} {what} {', '.join(names[:NAMED])}{more}")


def _read_json(file: Path) -> Mapping[str, Any]:
    text = read_text(file, "config", CONFIG_LIMIT_BYTES)
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot read {file}: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"cannot read {file}: a JSON object is expected")
    return data


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def read_state(file: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint, bare or under the key ``generator``, weight norm folded."""
    state = read_tensors(file)
    try:
        return fold_weight_norm(state)
    except InputError as error:
        raise InputError(f"checkpoint {file}: {error}") from error
