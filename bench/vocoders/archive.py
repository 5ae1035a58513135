"""What a checkpoint file is, and its tensors, without running anything that is in it and within a bound of memory.

PyTorch reads with ``weights_only=True``, which builds tensors and plain containers only. Before that the file is
told apart by its first bytes, and the instructions of its pickle are counted; after it every tensor is asked what it
is, because a tensor may claim more values than the file holds.
"""

import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from bench.errors import InputError, shown
from bench.files import MIB, open_regular

# The published v3 file has 449 MB and 113 million values.
FILE_LIMIT_BYTES = 960 * MIB
VALUES_LIMIT = 160_000_000
# A v3 checkpoint's pickle has some 30,000 instructions.
_INSTRUCTIONS_LIMIT = 400_000
_PICKLE_LIMIT_BYTES = 8 * MIB
_RECORDS_LIMIT = 20_000
_HEAD_BYTES = 512
_LEGACY_PICKLES = 5
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# What a state dict's pickle asks for; PyTorch itself decides which names of these modules it hands out.
_KNOWN_MODULES = ("torch", "collections", "_codecs", "numpy")
_PREFIXES = ("module.", "_orig_mod.", "generator.")
_WANTS_CODE = ("GLOBAL", "Trying to call reduce", "Can only create new object", "Can only build")
_NO_MEMORY = ("allocate memory", "out of memory", "bad_alloc")
NO_CHECKPOINT = "is truncated or no PyTorch checkpoint"


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint: floating-point CPU tensors by name.

    It may lie bare, under the key ``generator`` or ``state_dict``, and its names may all begin with what
    ``DataParallel`` (``module.``), ``torch.compile`` (``_orig_mod.``) or a trainer (``generator.``) put there.

    Raises:
        InputError: no checkpoint, more than tensors, no state dict, or tensors of another kind; one sentence.
    """
    with open_regular(file, "checkpoint", FILE_LIMIT_BYTES) as source:
        try:
            head = source.read(_HEAD_BYTES)
            _check_kind(file, head)
            source.seek(0)
            _check_pickle(file, source, head)
            source.seek(0)
        except OSError as error:
            raise InputError(f"checkpoint {file} cannot be read: {error.strerror}") from error
        data = _load(file, source)
    state = _unwrapped(file, data)
    _check_tensors(file, state)
    return state


def _check_kind(file: Path, head: bytes) -> None:
    """Raises for what is no checkpoint, by the first bytes."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    zipped = head[2:4] == b"\x03\x04"
    for wrong, what in (
        (not head, "is empty; load it anew"),
        (text.startswith(b"version https://git-lfs"), "is a Git LFS pointer, not the file itself: git lfs pull"),
        (text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")), "is a web page; load the file itself"),
        (text.startswith((b"{", b"[")), "is JSON, such as an error that a server sent; load the file itself"),
        (head.startswith(b"\x1f\x8b"), "is packed with gzip; unpack it first"),
        (head.startswith(b"BZh"), "is packed with bzip2; unpack it first"),
        (head.startswith(b"\xfd7zXZ"), "is packed with xz; unpack it first"),
        (head.startswith((b"7z\xbc\xaf", b"Rar!")), "is a packed archive; unpack it first"),
        (head[8:9] == b"{" and b'"dtype"' in head, "is a safetensors file; give the .pt or .pth file"),
        (
            zipped and re.match(rb"\d\d", head) is not None,
            "is a GPT-SoVITS model (its first two bytes are changed), no vocoder; give the vocoder's own file",
        ),
    ):
        if wrong:
            raise InputError(f"checkpoint {file} {what}")


def _check_pickle(file: Path, source: BinaryIO, head: bytes) -> None:
    """Raises where a file's pickles have more instructions than a checkpoint's, or an archive is packed."""
    if not head.startswith(b"PK\x03\x04"):
        _count_instructions(file, source, _LEGACY_PICKLES)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            records = archive.infolist()
            pickles = [record for record in records if record.filename.split("/", 1)[-1] == "data.pkl"]
            if any(record.filename.split("/", 1)[-1] == "constants.pkl" for record in records):
                raise InputError(f"checkpoint {file} is a TorchScript program, which would run; give a state dict")
            if len(pickles) != 1:
                raise InputError(f"checkpoint {file} is a ZIP archive and no PyTorch checkpoint; unpack it first")
            total = sum(record.file_size for record in records)
            if total > FILE_LIMIT_BYTES or len(records) > _RECORDS_LIMIT or pickles[0].file_size > _PICKLE_LIMIT_BYTES:
                raise InputError(f"checkpoint {file} claims {total} bytes in {len(records)} parts: too much")
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                raise InputError(f"checkpoint {file} is packed inside, which PyTorch never does; save it anew")
            with archive.open(pickles[0]) as part:
                _count_instructions(file, part, 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"checkpoint {file} {NO_CHECKPOINT}") from error


def _count_instructions(file: Path, source: Any, pickles: int) -> None:
    """Raises for pickles of more instructions than a checkpoint has, and for one that asks for foreign functions."""
    count = 0
    for _ in range(pickles):
        texts: list[str] = []
        asked: list[str] = []
        try:
            for instruction, argument, _position in pickletools.genops(source):
                count += 1
                size = len(argument) if isinstance(argument, str | bytes) else 0
                if count > _INSTRUCTIONS_LIMIT or size > _PICKLE_LIMIT_BYTES:
                    raise InputError(f"checkpoint {file} holds more than tensors: too much of it is not")
                if instruction.name == "GLOBAL":
                    asked.append(str(argument).replace(" ", "."))
                elif instruction.name == "STACK_GLOBAL":
                    asked.append(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts = [*texts[-1:], argument]
        except InputError:
            raise
        except Exception:  # noqa: BLE001 - what is no pickle is said to be none by the reader that follows
            return
        foreign = [name for name in asked if name.partition(".")[0] not in _KNOWN_MODULES]
        if foreign:
            raise _wants_code(file, foreign[0])


def _wants_code(file: Path, name: str) -> InputError:
    what = f" ({shown(name, 80)})" if name else ""
    return InputError(f"checkpoint {file} wants to run code{what}: it holds more than tensors, and is refused")


def _load(file: Path, source: BinaryIO) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:
        text = str(error)
        if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
            raise InputError(f"checkpoint {file} claims more memory than there is; load the file anew") from error
        if any(words in text for words in _WANTS_CODE):
            asked = re.search(r"GLOBAL ([\w.]+)", text)
            raise _wants_code(file, asked[1] if asked else "") from error
        raise InputError(f"checkpoint {file} {NO_CHECKPOINT}") from error


def _unwrapped(file: Path, data: Any) -> dict[str, Tensor]:
    """The mapping of names to tensors inside what a file holds."""
    for _ in range(3):
        inner = [data[key] for key in ("generator", "state_dict") if key in data] if isinstance(data, dict) else []
        nested = next((value for value in inner if isinstance(value, dict)), None)
        if nested is None:
            break
        data = nested
    if not isinstance(data, dict) or not data:
        raise InputError(f"checkpoint {file} holds no state dict; give the vocoder's own file")
    if {"weight", "config"} <= {key for key in data if isinstance(key, str)}:
        raise InputError(f"checkpoint {file} holds no state dict: it is a GPT-SoVITS model, no vocoder")
    strangers = [key for key, value in data.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if strangers:
        names = [shown(key, 60) if isinstance(key, str) else f"a key of type {type(key).__name__}" for key in strangers]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise InputError(
            f"checkpoint {file} holds no state dict: these entries are no tensors: {', '.join(names[:3])}{more}"
        )
    return _without_prefixes(data)


def _without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names without what trainers and compilers put in front of all of them."""
    found = dict(state)
    for _ in range(len(_PREFIXES)):
        for prefix in _PREFIXES:
            # A trainer's file may hold a discriminator beside the generator.
            chosen = {key: value for key, value in found.items() if key.startswith(prefix)}
            if chosen and (len(chosen) == len(found) or prefix == "generator."):
                found = {key.removeprefix(prefix): value for key, value in chosen.items()}
    return found


def _check_tensors(file: Path, state: Mapping[str, Tensor]) -> None:
    """Raises for a tensor that is no plain array of floats in memory, before anything is computed with it."""
    total = 0
    for key, value in state.items():
        kind = _strange(value)
        if kind is not None:
            raise InputError(f"checkpoint {file} has {kind} in {shown(key)}; plain floating-point tensors are expected")
        total += value.numel()
    if total > VALUES_LIMIT:
        raise InputError(f"checkpoint {file} has {total} values; a vocoder has at most {VALUES_LIMIT}")


def _strange(value: Tensor) -> str | None:
    """What a tensor is, where it is no plain array of floats in memory."""
    if type(value) not in (Tensor, torch.nn.Parameter):
        return f"a {type(value).__name__}"
    if value.is_nested:
        return "a nested tensor"
    if value.layout is not torch.strided:
        return f"a sparse tensor ({value.layout})"
    if value.is_quantized:
        return "a quantised tensor"
    if value.device.type != "cpu":
        return f"a tensor without values (device {value.device.type})"
    if value.dtype not in _FLOATS:
        return f"a tensor of {str(value.dtype).removeprefix('torch.')}"
    if value.numel() == 0:
        return "an empty tensor"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"a tensor that repeats its values to {value.numel()}"
    return None
