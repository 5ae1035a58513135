"""Checkpoints and ``config.json`` from anywhere: each unusable one is one sentence, before memory is spent on it."""

import gzip
import json
import math
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.errors import InputError
from bench.vocoders import checkpoint as checkpoints
from bench.vocoders import load_vocoder
from bench.vocoders.archive import FILE_LIMIT_BYTES, read_tensors
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from tests.conftest import ROOT, SMALL_V3, small_v3

BIAS = "conv_pre.bias"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """A small v3 state dict."""
    return small_v3().state_dict()


def refused(path: Path, version: str = "v3") -> str:
    """The sentence that a checkpoint is refused with."""
    with pytest.raises(InputError) as caught:
        load_vocoder(version, path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def directory(place: Path, content: object, **changes: object) -> Path:
    """A v3 directory."""
    (place / "config.json").write_text(json.dumps({**SMALL_V3, **changes}), encoding="utf-8")
    torch.save(content, place / "bigvgan_generator.pt")
    return place


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("upsample_initial_channel", 10**18),
        ("upsample_initial_channel", 0),
        ("upsample_initial_channel", 10**4000),
        ("sampling_rate", 0),
        ("sampling_rate", -24000),
        ("sampling_rate", 2**40),
        ("hop_size", 0),
        ("n_fft", 0),
        ("n_fft", 10**9),
        ("num_mels", 10**9),
        ("fmin", -1),
        ("fmax", 1e30),
        ("resblock_kernel_sizes", [3] * 20_000),
        ("resblock_kernel_sizes", [3, 7, 10]),
        ("resblock_dilation_sizes", [[10**9], [1], [1]]),
        ("resblock_dilation_sizes", [[1] * 1000, [1], [1]]),
        ("upsample_rates", [64] * 6),
        ("upsample_rates", []),
        ("upsample_rates", [4, 4, 2, 2, 2, 2.5]),
        ("upsample_rates", [True] * 6),
        ("snake_logscale", "false"),
        ("use_bias_at_final", "false"),
        ("use_tanh_at_final", 0),
        ("num_mels", "100"),
        ("fmax", True),
        ("activation", 7),
        ("resblock", ["1"]),
    ],
)
def test_a_field_out_of_range_or_of_another_type_is_named(field: str, value: object) -> None:
    """Each field has a type and a range, which are asked before a network is made."""
    with pytest.raises(InputError, match=field):
        BigVganConfig.from_json({**SMALL_V3, field: value})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sampling_rate": 44100}, "sampling_rate is 44100, and GPT-SoVITS feeds"),
        ({"n_fft": 2048}, "n_fft is 2048"),
        ({"win_size": 512}, "win_size is 512"),
        ({"hop_size": 240}, "hop_size is 240"),
        ({"num_mels": 80}, "num_mels is 80"),
        ({"fmin": 20}, "fmin is 20"),
        ({"fmax": 8000}, "fmax is 8000"),
        ({"upsample_rates": [4, 4, 2, 2, 2, 4]}, "hop_size is 256, and upsample_rates multiply to 512"),
    ],
)
def test_another_mel_than_the_one_fed_is_refused(
    tmp_path: Path, state: dict[str, Tensor], change: dict[str, object], said: str
) -> None:
    """A network for another mel would get the wrong input; the sentence names file and field."""
    sentence = refused(directory(tmp_path, state, **change))
    assert said in sentence
    assert str(tmp_path / "config.json") in sentence


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"num_mels": Infinity}', "Infinity is no JSON"),
        (b'{"num_mels": NaN}', "NaN is no JSON"),
        (b'{"num_mels": ' + b"9" * 10_000 + b"}", "cannot read"),
        (b"[" * 100_000, "cannot read"),
        (b"[1]", "a JSON object is expected"),
        (b"", "cannot read"),
        (b"\xff\xfe{\x00}\x00", "is UTF-16; save it as UTF-8"),
        (b'{"num_mels": "\xff"}', "is not UTF-8"),
        (b" " * (checkpoints.CONFIG_LIMIT_BYTES + 1), "too large"),
    ],
)
def test_a_config_that_is_no_json(tmp_path: Path, state: dict[str, Tensor], content: bytes, said: str) -> None:
    """Text that is no JSON, nested without end, or too long is one sentence."""
    directory(tmp_path, state)
    (tmp_path / "config.json").write_bytes(content)
    assert said in refused(tmp_path)


def test_a_byte_order_mark_is_accepted(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """As Windows editors write it."""
    directory(tmp_path, {"generator": state})
    file = tmp_path / "config.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert isinstance(load_vocoder("v3", tmp_path), BigVgan)


def test_a_network_too_large_is_refused_before_it_is_made(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """Values each within its range may still multiply to gigabytes."""
    changes = {"upsample_initial_channel": 4096, "resblock_kernel_sizes": [63, 63, 63]}
    assert "describes a network of" in refused(directory(tmp_path, state, **changes))


def _changed(name: str, value: Tensor) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: {**state, name: value}


def _number_for_a_key(state: dict[str, Tensor]) -> dict[str | int, Tensor]:
    changed: dict[str | int, Tensor] = {}
    changed.update(state)
    changed[1] = torch.zeros(1)
    return changed


def _weight_norm(gain: Tensor, direction: Tensor) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: {
        **{key: value for key, value in state.items() if key != "conv_pre.weight"},
        "conv_pre.weight_g": gain,
        "conv_pre.weight_v": direction,
    }


STRANGE: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "stride 0": (_changed(BIAS, torch.zeros(1).expand(5 * 2**30)), "repeats its values"),
    "int32": (_changed(BIAS, torch.zeros(64, dtype=torch.int32)), "tensor of int32 in conv_pre.bias"),
    "bool": (_changed(BIAS, torch.zeros(64, dtype=torch.bool)), "tensor of bool"),
    "complex": (_changed(BIAS, torch.zeros(64, dtype=torch.complex64)), "tensor of complex64"),
    "float8": (_changed(BIAS, torch.zeros(64).to(torch.float8_e4m3fn)), "tensor of float8"),
    "meta": (_changed(BIAS, torch.zeros(64, device="meta")), "tensor without values"),
    "sparse": (_changed(BIAS, torch.zeros(64).to_sparse()), "sparse tensor"),
    "empty": (_changed(BIAS, torch.zeros(0)), "an empty tensor"),
    "scalar": (_changed(BIAS, torch.tensor(1.0)), "wrong shape"),
    "infinite": (_changed(BIAS, torch.full((64,), math.inf)), "non-finite values in conv_pre.bias"),
    "overflow": (_changed(BIAS, torch.full((64,), 1e300, dtype=torch.float64)), "non-finite values in conv_pre.bias"),
    "huge": (_changed("conv_pre.weight", torch.full((64, 100, 7), 1e38)), "output is not finite"),
    "number for a key": (_number_for_a_key, "a key of type int"),
    "nested dict": (lambda state: {**state, "a": {"b": torch.zeros(1)}}, "are no tensors: a"),
    "escape in a key": (lambda state: {**state, "a\x1b[31m\n": torch.zeros(1)}, "has unexpected a\ufffd[31m"),
    "weight norm of rank 0": (_weight_norm(torch.zeros(64, 1, 1), torch.tensor(1.0)), "layer conv_pre has a weight"),
    "weight norm of rank 2": (_weight_norm(torch.zeros(64, 1), torch.zeros(64, 100)), "layer conv_pre has a weight"),
    "weight norm of another size": (_weight_norm(torch.zeros(3), torch.zeros(64, 100, 7)), "gain of the wrong size"),
    "weight norm of nothing": (_weight_norm(torch.zeros(0), torch.zeros(0, 1, 1)), "an empty tensor"),
    "weight norm of zeros": (_weight_norm(torch.zeros(64, 1, 1), torch.zeros(64, 100, 7)), "non-finite values"),
    "a GPT-SoVITS model": (lambda state: {"weight": state, "config": {}, "info": "2k steps"}, "a GPT-SoVITS model"),
    "an optimiser": (lambda _: {"mpd": {}, "optim_g": {}, "steps": 9}, "these entries are no tensors"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_tensor_of_another_kind_is_named(tmp_path: Path, state: dict[str, Tensor], name: str) -> None:
    """What is no plain array of finite floats is refused, in one sentence that names file and key."""
    make, said = STRANGE[name]
    sentence = refused(directory(tmp_path, make(state)))
    assert said in sentence
    assert "bigvgan_generator.pt" in sentence


@pytest.mark.filterwarnings("ignore")
def test_quantised_and_nested_tensors_are_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """PyTorch still writes these, with warnings of its own."""
    for value, said in (
        (torch.quantize_per_tensor(torch.zeros(64), 0.1, 0, torch.qint8), "quantised"),
        (torch.nested.nested_tensor([torch.zeros(3), torch.zeros(4)]), "nested"),
        (torch.zeros(5, 5).to_sparse_csr(), "sparse"),
    ):
        assert said in refused(directory(tmp_path, {**state, BIAS: value}))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "generator.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("nested", ["", "generator", "state_dict"])
def test_prefixes_of_trainers_and_compilers_load(
    tmp_path: Path, state: dict[str, Tensor], prefix: str, nested: str
) -> None:
    """What DataParallel, torch.compile and trainers put in front of the names is left out."""
    content: Any = {f"{prefix}{key}": value for key, value in state.items()}
    loaded = load_vocoder("v3", directory(tmp_path, {nested: content} if nested else content))
    assert torch.equal(loaded.state_dict()[BIAS], state[BIAS])


def test_a_generator_beside_a_discriminator_loads(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """A trainer's file of one flat mapping: the generator's part counts."""
    content = {f"generator.{key}": value for key, value in state.items()} | {"discriminator.x": torch.zeros(1)}
    assert isinstance(load_vocoder("v3", directory(tmp_path, content)), BigVgan)


def test_float64_and_half_weights_load(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """Other floats than float32 are converted."""
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        loaded = load_vocoder("v3", directory(tmp_path, {key: value.to(dtype) for key, value in state.items()}))
        assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}


def _sovits(file: Path) -> None:
    torch.save({"weight": {"a": torch.zeros(1)}}, file)
    file.write_bytes(b"04" + file.read_bytes()[2:])


def _zip(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "text")


def _packed(file: Path) -> None:
    torch.save({"a": torch.zeros(1)}, file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


class Malice:
    """Asks the unpickler for a function call."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("ran",))


def _sparse_file(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(FILE_LIMIT_BYTES + 1)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "lfs": (
        lambda file: file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 57000000\n"),
        "is a Git LFS pointer, not the file itself: git lfs pull",
    ),
    "html": (lambda file: file.write_text("\n<!DOCTYPE html><title>not found</title>"), "is a web page"),
    "json": (lambda file: file.write_text('{"error": "no access"}'), "is JSON"),
    "gzip": (lambda file: file.write_bytes(gzip.compress(b"x" * 100)), "is packed with gzip"),
    "random": (lambda file: file.write_bytes(bytes(range(7, 250)) * 20), "truncated or no PyTorch checkpoint"),
    "empty": (lambda file: file.write_bytes(b""), "is empty"),
    "sovits": (_sovits, "is a GPT-SoVITS model"),
    "zip": (_zip, "is a ZIP archive and no PyTorch checkpoint"),
    "packed inside": (_packed, "is packed inside"),
    "safetensors": (
        lambda file: file.write_bytes((64).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1]}}'),
        "is a safetensors file",
    ),
    "too large": (_sparse_file, "too large"),
    "pipe": (os.mkfifo, "are a pipe"),
    "device": (lambda file: file.symlink_to("/dev/zero"), "are a device"),
    "loop": (lambda file: file.symlink_to(file), "leads back to itself"),
    "endless lists": (lambda file: file.write_bytes(b"\x80\x02" + b"]" * 10**6 + b"."), "holds more than tensors"),
    "a pickle that runs": (lambda file: file.write_bytes(pickle.dumps({"a": Malice()})), "wants to run code"),
    "an old file that runs": (
        lambda file: torch.save({"a": Malice()}, file, _use_new_zipfile_serialization=False),
        "wants to run code (__builtin__.print)",
    ),
    "a file that runs": (lambda file: torch.save({"a": Malice()}, file), "wants to run code (__builtin__.print)"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A file is called what it is; only a pickle that asks for code is said to."""
    make, said = FILES[name]
    file = tmp_path / "vocoder.pth"
    make(file)
    sentence = refused(file, "v4")
    assert said in sentence
    assert str(file) in sentence
    assert ("run code" in sentence) == ("runs" in name)
    assert "ran" not in capsys.readouterr().out


def test_a_folder_in_the_place_of_a_file(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """A v3 directory whose weights are a folder or a pipe."""
    directory(tmp_path, state)
    file = tmp_path / "bigvgan_generator.pt"
    file.unlink()
    file.mkdir()
    assert "have no bigvgan_generator.pt" in refused(tmp_path)
    file.rmdir()
    os.mkfifo(file)
    assert "is a pipe; give a regular file" in refused(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    """Neither truncated nor wanting to run code."""
    file = tmp_path / "secret.pth"
    torch.save({"a": torch.zeros(1)}, file)
    file.chmod(0o600)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    process = os.fork()
    if process == 0:
        os.seteuid(54321)
        try:
            read_tensors(file)
        except InputError as error:
            os._exit(7 if "may not be read by this user" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 7


MEASURED = """
import resource, sys
from bench.errors import InputError
from bench.vocoders import load_vocoder
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try: load_vocoder('v4', sys.argv[1])
except InputError as error: print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_small_file_cannot_take_the_machines_memory(tmp_path: Path) -> None:
    """A file of 4 KB that claims 20 GiB is refused within the memory that any file may take."""
    file = tmp_path / "vocoder.pth"
    torch.save({BIAS: torch.zeros(1).expand(5 * 2**30)}, file)
    assert file.stat().st_size < 5000
    command = [sys.executable, "-c", MEASURED, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    sentence, mebibytes = done.stdout.splitlines()
    assert "repeats its values" in sentence
    assert int(mebibytes) < 100


def test_too_many_conditioning_channels(tmp_path: Path) -> None:
    """The one size of a v4 network that its file decides is bounded."""
    with torch.device("meta"):
        keys = HifiGan(HifiGanConfig(gin_channels=1)).state_dict()
    small = {key: torch.zeros(1) for key in keys} | {"cond.weight": torch.zeros(1, 5000, 1)}
    torch.save(small, tmp_path / "vocoder.pth")
    assert "5000 channels in cond.weight" in refused(tmp_path / "vocoder.pth", "v4")
