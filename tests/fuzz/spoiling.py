"""Ways to spoil a good file, each from a source of chance."""

import copy
import io
import json
import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import msgspec
import numpy as np
import soundfile
import torch
from torch import Tensor

from bench.audio.mel import default_speech

Spoil: TypeAlias = Callable[[bytes, random.Random], bytes]

_EXTREMES = (
    *(b"0", b"-1", b"1e999", b"NaN", b"9" * 400, b"null", b"true", b'"x"', b"[" * 3000, b"\xff\xfe", b"\0", b"{}"),
    *(b"\n", b"\xef\xbb\xbf", b"\\ud800", b"1e18", b"2147483648", b"\x1b[2J"),
)
_VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 1e-300, 1e300, 10**18, 2**31, 2**63, 10**400, 0.5, -0.5, 1e18),
    *(float("nan"), float("inf"), -float("inf"), None, True, False),
    *("", "x", "false", "1", "NaN", "../../x", "=1+1", "\x1b[2J", "\ud800", "\u202e", "é" * 300, "x" * 100_000),
    *([], {}, [[]], [None], [1, 2], ["x"], {"x": 1}, {"": None}, [0] * 10_000, ["x", 1, None]),
)
_TOML = (
    *("0", "-1", "1e308", "nan", "inf", "-inf", "9223372036854775807", "1e-300", "true", '""', '"x"', "[]", "[1]"),
    *('["x"]', "[[]]", "{}", "{x = 1}", "1979-05-27", "07:32:00", "1" * 400, "[0, -1]", '["t_ref", 1]', "[1.5]"),
    *("[true]", "[nan]", '["' + "x" * 500 + '"]', '"\\u001b[2J"', "[200000, 1000000]", '["v3", "v4", "v3"]'),
)
_YAML = (
    *("0", "-1", ".nan", ".inf", "~", "true", "'x'", "[]", "{}", "{x: 1}", "2001-01-01", "1" * 400, "&a [*a]"),
    *("!!python/object:os.system x", "!!binary '='", "[[[]]]", "0o17", "fp16", "1e999", "{? [x] : y}", "|\n x"),
)


def anywhere(content: bytes, chance: random.Random) -> bytes:
    """The content with one to four changes, most of them near its start, where headers are."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        near = int(chance.expovariate(1 / 300)) if chance.random() < 0.7 else chance.randrange(len(data) + 1)
        start, length, way = min(len(data), near), chance.randint(1, 12), chance.randrange(5)
        if way == 0:
            data[start : start + length] = chance.randbytes(length)
        elif way == 1:
            data[start : start + length] = chance.choice(_EXTREMES)
        elif way == 2:
            del data[start:]
        elif way == 3:
            data[start:start] = data[start : start + 200] * chance.randint(1, 20)
        else:
            data[start : start + 4] = chance.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0"))
    return bytes(data)


def json_values(content: bytes, chance: random.Random) -> bytes:
    """A JSON text of which one to three values are others, gone, doubled or nested."""
    return _spoiled(content, chance)


def json_lines(content: bytes, chance: random.Random) -> bytes:
    """Lines of JSON, of which one or two are spoiled, gone, doubled or joined."""
    lines = content.splitlines()
    for _ in range(chance.randint(1, 2)):
        place, way = chance.randrange(len(lines)), chance.random()
        if way < 0.85:
            lines[place] = _spoiled(lines[place], chance)
        elif way < 0.9 and len(lines) > 1:
            del lines[place]
        else:
            lines[place] = lines[place] + chance.choice((b"", b" ", b"\n")) + lines[chance.randrange(len(lines))]
    return b"\n".join(lines) + chance.choice((b"\n", b""))


def header_values(content: bytes, chance: random.Random) -> bytes:
    """An engine's header of one line, spoiled, before what it was."""
    for number, line in enumerate(lines := content.split(b"\n")):
        if line.startswith(b"{"):
            lines[number] = _spoiled(line, chance)
            return b"\n".join(lines)
    return anywhere(content, chance)


def _spoiled(text: bytes, chance: random.Random) -> bytes:
    try:
        data = json.loads(text)
    except ValueError:
        return anywhere(text, chance)
    for _ in range(chance.randint(1, 3)):
        places = [*_places(data)]
        if not places:
            break
        holder, key = chance.choice(places)
        way = chance.random()
        if way < 0.8:
            value = holder[key]
            holder[key] = _near(value, chance) if chance.random() < 0.4 else copy.deepcopy(chance.choice(_VALUES))
        elif way < 0.9:
            del holder[key]
        elif isinstance(holder, dict):
            holder[chance.choice(("", "x", "\x1b", "é", str(key) + " "))] = holder[key]
        else:
            holder[key:key] = [holder[key]] * chance.choice((1, 3, 500))
    made = json.dumps(data, ensure_ascii=chance.random() < 0.5)
    return made.encode(errors="surrogatepass" if chance.random() < 0.1 else "replace")


def _near(value: Any, chance: random.Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice((value + 1, -value, value * 2, 0, value * 10**9, value + 0.5))
    if isinstance(value, float):
        return chance.choice((-value, value * 1e6, value * 1e-6, 0.0, value * 1e300, value // 1))
    if isinstance(value, str):
        return chance.choice((value * 2, value[:-1], value.upper(), value + "\x00", value + "\n", f" {value}"))
    if isinstance(value, list):
        return chance.choice((value[:-1], value * 2, value[::-1], value[:1], [value]))
    return value


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Every place of a value: what holds it, and its key. The values of long lists count as a few."""
    found: list[tuple[Any, Any]] = []
    stack = [data]
    while stack:
        holder = stack.pop()
        keys = list(holder) if isinstance(holder, dict) else list(range(min(len(holder), 3)))
        found += [(holder, key) for key in keys]
        stack += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    return found


def toml_values(content: bytes, chance: random.Random) -> bytes:
    """A TOML text of which one to three values are others, or lines are gone or doubled."""
    return _lines(content, chance, re.compile(rb"^(\s*[\w.-]+\s*=\s*)([^#]*)", re.ASCII), _TOML)


def yaml_values(content: bytes, chance: random.Random) -> bytes:
    """The same of YAML."""
    return _lines(content, chance, re.compile(rb"^(\s*[\w.-]+:)(.*)"), tuple(f" {value}" for value in _YAML))


def _lines(content: bytes, chance: random.Random, pattern: re.Pattern[bytes], values: tuple[str, ...]) -> bytes:
    lines = content.split(b"\n")
    for _ in range(chance.randint(1, 3)):
        known = [number for number, line in enumerate(lines) if pattern.match(line)]
        if not known:
            break
        number = chance.choice(known)
        way = chance.random()
        if way < 0.8:
            value = chance.choice(values).encode()
            match = pattern.match(lines[number])
            lines[number] = (match[1] if match else b"") + value
        elif way < 0.9:
            del lines[number]
        else:
            lines.insert(number, lines[chance.choice(known)])
    return b"\n".join(lines)


def tensors(_content: bytes, chance: random.Random) -> bytes:
    """A checkpoint of which some entries are what no checkpoint should hold."""
    state: dict[Any, Any] = dict(_state())
    names = list(state)
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(names)
        way = chance.random()
        if way < 0.75:
            state[name] = chance.choice(_TENSORS)(_state()[name])
        elif way < 0.85:
            state.pop(name, None)
        elif way < 0.95:
            state[chance.choice((1, None, ("x",), b"x", "", "\x1b[2J", name + " ", f"module.{name}"))] = _state()[name]
        else:
            state = {chance.choice(("generator", "state_dict", "x", 1)): state}
            names = list(state)
            break
    whole: Any = chance.choice((state, {"generator": state}, {"generator": state, "x": chance.choice(_VALUES[:20])}))
    made = io.BytesIO()
    torch.save(chance.choice((whole, whole, whole, [whole], (whole,), None, state.get(names[0]))), made)
    return made.getvalue()


@cache
def _state() -> dict[str, Tensor]:
    from tests.conftest import small_v3

    return dict(small_v3().state_dict())


_TENSORS: tuple[Callable[[Tensor], Any], ...] = (
    lambda one: one.double() * 1e300,
    lambda one: one * float("nan"),
    lambda one: one + float("inf"),
    lambda one: one.to(torch.complex64),
    lambda one: one.to(torch.int64),
    lambda one: one > 0,
    lambda one: one.to(torch.float8_e4m3fn),
    lambda one: one.to(torch.bfloat16),
    lambda one: one.to_sparse(),
    lambda one: one.to("meta"),
    lambda one: torch.quantize_per_tensor(one.float(), 0.1, 0, torch.qint8),
    lambda _: torch.zeros(1).expand(1 << 33),
    lambda one: torch.zeros(1).expand(*one.shape) if one.dim() else torch.zeros(1).expand(1 << 32),
    lambda one: one.flatten(),
    lambda one: one[None],
    lambda one: one.reshape(-1)[:0],
    lambda one: one.transpose(0, -1) if one.dim() else one,
    lambda one: torch.nn.Parameter(one.clone()),
    lambda one: one.numpy(),
    lambda one: {"x": one},
    lambda one: [one],
    lambda _: "x",
    lambda _: None,
    lambda _: torch.zeros(()),
    lambda _: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    lambda one: one * 1e30,
)


@cache
def short_speech(form: str = "FLAC") -> bytes:
    """Two seconds of the project's clip."""
    samples, rate = soundfile.read(default_speech(), dtype="float32", stop=96_000)
    made = io.BytesIO()
    soundfile.write(made, samples, rate, format=form)
    return made.getvalue()


def sounds(_content: bytes, chance: random.Random) -> bytes:
    """A sound file of an odd rate, length, channels, form or content, at times changed as well."""
    if chance.random() < 0.2:
        # libsndfile's encoders of these die of what is no sound.
        return anywhere(short_speech(chance.choice(("OGG", "MP3"))), chance)
    rate = chance.choice(
        (1, 100, 3999, 4000, 8000, 16000, 22050, 24000, 32000, 44099, 44100, 47999, 48000, 192000, 384000)
    )
    rate = chance.choice((rate, rate, chance.randint(1, 400_000)))
    count = chance.choice((0, 1, 100, rate // 20, rate, 3 * rate))
    channels = chance.choice((1, 1, 2, 3, 16, 17))
    generator = np.random.default_rng(chance.randrange(1 << 30))
    samples = generator.normal(0, chance.choice((0.0, 1e-7, 0.1, 3.0)), (min(count, 600_000), channels)).astype(
        np.float32
    )
    if chance.random() < 0.2 and samples.size:
        samples[chance.randrange(len(samples))] = chance.choice((np.nan, np.inf, 1e30, -1e38))
    form, subtype = chance.choice(
        (
            ("WAV", "FLOAT"),
            ("WAV", "PCM_16"),
            ("WAV", "PCM_U8"),
            ("FLAC", "PCM_24"),
            ("W64", "DOUBLE"),
            ("AU", "FLOAT"),
            ("CAF", "PCM_16"),
            ("AIFF", "PCM_16"),
            ("WAV", "ULAW"),
            ("RF64", "FLOAT"),
        )
    )
    if subtype not in ("FLOAT", "DOUBLE"):
        samples = np.clip(np.nan_to_num(samples), -1, 1)[:, : 8 if form == "FLAC" else 17]
    made = io.BytesIO()
    try:
        with soundfile.SoundFile(made, "w", rate, samples.shape[1], subtype, format=form) as sound:
            for start in range(0, len(samples), 4096):
                sound.write(samples[start : start + 4096])
    except (soundfile.SoundFileError, ValueError):
        return anywhere(short_speech(), chance)
    content = made.getvalue()
    return anywhere(content, chance) if chance.random() < 0.3 else content


def plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON values."""
    made: dict[str, Any] = msgspec.to_builtins(settings)
    return made
