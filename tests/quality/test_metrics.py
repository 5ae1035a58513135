"""Every metric against an independent implementation or its formula."""

import sys

import auraloss
import librosa
import numpy as np
import pyloudnorm
import pytest
import scipy.fft
import soundfile
import torch
from numpy.typing import NDArray

from bench.quality import compare, perceptual, spectral, waveform
from tests.quality_signals import SPEECH, known


def noisy(rate: int, seconds: int = 4) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speech at a rate, and the same with 35 dB of noise."""
    clip, native = soundfile.read(SPEECH)
    signal = librosa.resample(clip[: seconds * native], orig_sr=native, target_sr=rate, res_type="soxr_hq")
    noise = np.random.default_rng(0).standard_normal(signal.size)
    return signal, signal + noise * np.linalg.norm(signal) / np.linalg.norm(noise) / 10 ** (35 / 20)


@pytest.mark.parametrize("rate", [24000, 48000])
def test_mr_stft_is_auraloss(rate: int) -> None:
    """MR-STFT equals auraloss's default loss of output against target."""
    reference, test = noisy(rate)
    expected = auraloss.freq.MultiResolutionSTFTLoss()(
        torch.tensor(test, dtype=torch.float32)[None, None], torch.tensor(reference, dtype=torch.float32)[None, None]
    )
    assert compare(reference, test, rate).mr_stft == pytest.approx(float(expected), rel=1e-5)


def test_mr_stft_takes_the_shortest_signal_that_it_says_it_does() -> None:
    """1025 samples are measured; 1024, which auraloss cannot reflect, are not."""
    noise = np.random.default_rng(0).standard_normal(1025)
    assert known(spectral.multi_resolution_stft(noise, 0.5 * noise)) > 0.0
    assert spectral.multi_resolution_stft(noise[:-1], noise[:-1]) is None


@pytest.mark.parametrize("rate", [24000, 48000])
def test_si_sdr_and_snr_are_auraloss(rate: int) -> None:
    """SNR and SI-SDR equal auraloss's losses with the sign turned."""
    reference, test = noisy(rate)
    pair = [torch.tensor(0.8 * test)[None], torch.tensor(reference)[None]]
    assert waveform.si_sdr_db(reference, 0.8 * test) == pytest.approx(
        -float(auraloss.time.SISDRLoss(zero_mean=False)(*pair)), abs=1e-4
    )
    assert waveform.snr_db(reference, 0.8 * test) == pytest.approx(
        -float(auraloss.time.SNRLoss(zero_mean=False)(*pair)), abs=1e-4
    )


def test_loudness_change_is_pyloudnorm() -> None:
    """The loudness change equals the difference of two integrated loudnesses."""
    reference, test = noisy(48000)
    meter = pyloudnorm.Meter(48000)
    expected = meter.integrated_loudness(2 * test) - meter.integrated_loudness(reference)
    assert waveform.loudness_change_lu(reference, 2 * test, 48000) == pytest.approx(expected, abs=1e-9)


def test_lag_is_the_peak_of_the_full_correlation() -> None:
    """The lag equals that of numpy's direct cross-correlation."""
    generator = np.random.default_rng(0)
    reference = generator.standard_normal(2000)
    test = 0.3 * np.roll(reference, 17) + 0.1 * generator.standard_normal(2000)
    direct = int(np.argmax(np.abs(np.correlate(test, reference, "full")))) - 1999
    assert known(waveform.alignment(reference, test, 24000))[0] == direct == 17


def test_worst_segment_is_that_of_a_plain_loop() -> None:
    """The worst segment SNR and level loss equal a loop over 20 ms windows every 5 ms, quiet ones left out."""
    reference, test = noisy(24000, 2)
    reference, test = reference[:23111], 0.9 * test[:23111]
    windows = [slice(start, start + 480) for start in [*range(0, 23111 - 480, 120), 23111 - 480]]
    powers = [np.mean(reference[w] ** 2) for w in windows]
    heard = [w for w, power in zip(windows, powers, strict=True) if power >= max(powers) / 1e4]
    ratios = [np.mean(reference[w] ** 2) / np.mean((test[w] - reference[w]) ** 2) for w in heard]
    levels = [np.mean(test[w] ** 2) / np.mean(reference[w] ** 2) for w in heard]
    assert len(heard) < len(windows)
    assert waveform.segment_snrs_db(reference, test, 24000).min() == pytest.approx(10 * np.log10(min(ratios)))
    assert waveform.segment_level_change_db(reference, test, 24000) == pytest.approx(10 * np.log10(min(levels)))


def test_a_fault_in_the_last_samples_is_seen() -> None:
    """The last segment ends at the last sample, so that a broken tail has its SNR."""
    reference = np.sin(np.arange(24000 + 77) / 10)
    test = reference.copy()
    test[-77:] = 0.0
    assert waveform.segment_snrs_db(reference, test, 24000).min() == pytest.approx(10 * np.log10(480 / 77), abs=0.5)


@pytest.mark.parametrize("rate", [24000, 48000])
def test_lsd_is_its_formula(rate: int) -> None:
    """LSD over the whole band and within one equals the formula on a direct windowed transform."""
    reference, test = noisy(rate)
    window = np.hanning(2049)[:-1]
    powers = []
    for signal in (reference, test):
        padded = np.pad(signal, 1024)
        frames = [padded[start : start + 2048] * window for start in range(0, padded.size - 2047, 512)]
        powers.append(np.abs(np.fft.rfft(frames)) ** 2)
    floor = powers[0].max() / 1e8
    difference = 10 * np.log10(np.maximum(powers[1], floor)) - 10 * np.log10(np.maximum(powers[0], floor))
    found = compare(reference, test, rate)
    assert found.lsd_db == pytest.approx(np.mean(np.sqrt(np.mean(difference**2, axis=1))), rel=1e-6)
    frequencies = np.fft.rfftfreq(2048, 1 / rate)
    band = difference[:, (frequencies >= 4000) & (frequencies < 8000)]
    assert found.lsd_4_8_db == pytest.approx(np.mean(np.sqrt(np.mean(band**2, axis=1))), rel=1e-6)


def test_bands_cover_the_spectrum_once() -> None:
    """The bands of every rate share no bin and leave none out."""
    for rate in (22050, 24000, 44100, 48000):
        bins = [spectral.band_bins(band, rate) for band in spectral.BANDS]
        covered = [index for part in bins if part for index in range(1025)[part]]
        assert covered == list(range(1025)), rate


def test_mel_l1_is_the_vocoders_own_mel() -> None:
    """At 24 kHz, away from the edges, the log-mel equals one made of librosa's filters by hand."""
    reference, _ = noisy(24000)
    window = np.hanning(1025)[:-1]
    frames = np.stack([reference[start : start + 1024] * window for start in range(0, 24000, 256)])
    magnitudes = np.abs(np.fft.rfft(frames)).T
    filters = librosa.filters.mel(sr=24000, n_fft=1024, n_mels=100, fmin=0, fmax=None)
    expected = np.log(np.maximum(filters @ magnitudes, 1e-5))
    # librosa centres its frames: its third begins at the first sample.
    assert spectral.log_mel(reference, 24000)[:, 2 : 2 + expected.shape[1]] == pytest.approx(expected, abs=1e-5)


def test_mcd_is_the_rms_distance_of_smooth_envelopes() -> None:
    """A cosine ripple of ``a`` dB RMS between log-mel spectra is ``a`` up to cepstrum 13, else 0."""
    bands = np.arange(100)
    flat = np.zeros((100, 3))
    for order, expected in [(0, 0.0), (1, 2.0), (13, 2.0), (14, 0.0)]:
        ripple_db = 2.0 * np.sqrt(2) * np.cos(np.pi * order * (bands + 0.5) / 100)
        ripple = (ripple_db * np.log(10) / 20)[:, None]
        assert spectral.mel_cepstral_distortion_db(flat, flat + ripple) == pytest.approx(expected, abs=1e-9)


def test_mcd_is_librosas_mfcc() -> None:
    """MCD equals the usual formula on librosa's orthonormal MFCC, brought to a cosine series."""
    mels = [spectral.log_mel(signal, 24000) for signal in noisy(24000)]
    cepstra = [librosa.feature.mfcc(S=mel, n_mfcc=14, norm="ortho")[1:] * np.sqrt(2 / 100) for mel in mels]
    distance = np.sqrt(2 * np.sum((cepstra[0] - cepstra[1]) ** 2, axis=0))
    expected = np.mean(10 / np.log(10) * distance)
    assert spectral.mel_cepstral_distortion_db(*mels) == pytest.approx(expected)
    assert scipy.fft.dct(np.ones(4))[1:] == pytest.approx(np.zeros(3))


@pytest.mark.parametrize("rate", [24000, 48000])
def test_pesq_is_pesq_at_16_khz(rate: int) -> None:
    """PESQ equals the library's on signals resampled by SoX; identical signals have its top score."""
    library = pytest.importorskip("pesq", reason="pesq is an optional extra")
    reference, test = noisy(rate)
    at_16k = [
        librosa.resample(signal, orig_sr=rate, target_sr=16000, res_type="soxr_hq") for signal in (reference, test)
    ]
    assert perceptual.pesq_wb(reference, test, rate) == pytest.approx(library.pesq(16000, *at_16k, "wb"))
    assert perceptual.pesq_wb(reference, reference, rate) == pytest.approx(4.6439, abs=1e-3)


def test_stoi_is_pystoi() -> None:
    """STOI equals the library's, and identical speech has 1."""
    library = pytest.importorskip("pystoi", reason="pystoi is an optional extra")
    reference, test = noisy(24000)
    assert perceptual.stoi(reference, test, 24000) == pytest.approx(library.stoi(reference, test, 24000))
    assert perceptual.stoi(reference, reference, 24000) == pytest.approx(1.0, abs=1e-6)


def test_visqol_hears_what_pesq_cannot() -> None:
    """A missing band above 8 kHz costs ViSQOL audio mode a good part of its score."""
    pytest.importorskip("visqol", reason="visqol-python is an optional extra")
    noise = np.random.default_rng(0).standard_normal(48000 * 2) * 0.1
    low = librosa.resample(librosa.resample(noise, orig_sr=48000, target_sr=16000), orig_sr=16000, target_sr=48000)
    assert perceptual.visqol_audio(noise, noise, 48000) == pytest.approx(4.73, abs=0.05)
    without = perceptual.visqol_audio(noise, low, 48000)
    assert isinstance(without, float)
    assert without < 4.0


def test_a_score_that_fails_is_a_reason() -> None:
    """Silence, noise under a gate, a click-long or an over-long signal give a sentence, never a number."""
    pytest.importorskip("pesq", reason="the optional extras are not installed")
    pytest.importorskip("pystoi", reason="the optional extras are not installed")
    pytest.importorskip("visqol", reason="the optional extras are not installed")
    speech = noisy(24000, 2)[0]
    found = compare(speech[20000:22304], 0.9 * speech[20000:22304], 24000, perceptual=True)
    silent = compare(speech, 0 * speech, 24000, perceptual=True)
    for metric in ("pesq_wb", "stoi", "visqol"):
        assert getattr(found, metric) is None
        assert metric in found.notes
    assert (silent.pesq_wb, silent.visqol) == (None, None)
    long = np.resize(speech, 31 * 24000)
    assert "30 s" in str(perceptual.pesq_wb(long, long, 24000))


@pytest.mark.parametrize(("metric", "module"), [("pesq_wb", "pesq"), ("stoi", "pystoi"), ("visqol", "visqol")])
def test_an_absent_library_is_named(monkeypatch: pytest.MonkeyPatch, metric: str, module: str) -> None:
    """Without its library a perceptual metric is None, and the note names the library and how to install it."""
    for name in ("pesq", "pystoi", "visqol"):
        monkeypatch.setitem(sys.modules, name, None)
    perceptual._visqol.cache_clear()
    tone = np.sin(np.arange(24000) / 10)
    found = compare(tone, tone, 24000, perceptual=True)
    assert getattr(found, metric) is None
    assert f"{module}" in found.notes[metric]
    assert "pip install" in found.notes[metric]


def test_lsd_is_floored_80_db_under_the_largest_bin() -> None:
    """A bin 120 dB under the largest counts as one 80 dB under it: 10 dB from a bin at 70, over two bins."""
    reference, test = np.array([[1.0], [1e-12]]), np.array([[1.0], [1e-7]])
    assert spectral.log_spectral_distance_db(reference, test) == pytest.approx(10 / np.sqrt(2))
    assert spectral.log_spectral_distance_db(test, reference) == pytest.approx(10 / np.sqrt(2))
    assert spectral.log_spectral_distance_db(reference, np.array([[1.0], [0.0]])) == 0.0


def test_mel_l1_and_a_bands_level_by_hand() -> None:
    """A mean of magnitudes; a ratio of powers, but for a band with less than 80 dB under the largest bin."""
    assert spectral.mel_l1(np.array([[1.0, 2.0]]), np.array([[3.0, -3.0]])) == 3.5
    reference, test = np.array([[1.0, 1.0], [1e-8, 0.0], [4e-8, 1e-8]]), np.full((3, 2), 5e-9)
    assert spectral.band_level_change_db(reference, test, slice(0, 1)) == pytest.approx(10 * np.log10(5e-9))
    assert spectral.band_level_change_db(reference, test, slice(1, 2)) is None
    assert spectral.band_level_change_db(reference, test, slice(2, 3)) == pytest.approx(10 * np.log10(0.2))


@pytest.mark.parametrize(("rate", "size"), [(16000, 1024), (24000, 1024), (44100, 2048), (48000, 2048)])
def test_the_mel_window_keeps_its_duration(rate: int, size: int) -> None:
    """A hop is a quarter of it; a band without sound lies at the floor."""
    assert spectral.log_mel(np.zeros(rate), rate).shape == (100, 1 + rate // (size // 4))
    assert spectral.log_mel(np.zeros(9), rate).max() == pytest.approx(np.log(1e-5))
