"""What a backend did to the sound, as :mod:`bench.quality` measures it and records keep it."""

from dataclasses import dataclass, field
from typing import Annotated

from bench.records.facts import HIGHER, LOWER, ZERO, Facts


@dataclass(frozen=True)
class Fidelity:
    """What a backend did to the sound, test against reference. None: not measured, with the reason in ``notes``.

    Full scale is 1. Values in dB lie within ±200: identical signals have an SNR of 200. Definitions and sources are in
    :mod:`bench.quality.waveform`, :mod:`bench.quality.spectral` and :mod:`bench.quality.perceptual`.

    Attributes:
        samples: Length of each signal.
        sample_rate: Hz.
        nan_count, inf_count: Samples of the output that are not numbers. If there are any, nothing else is measured.
        clipped_count, reference_clipped_count: Samples at or beyond full scale.
        reference_level_db, level_db: RMS level of the reference and of the output, dB re 1.
        mse, mae: Mean squared and mean absolute error.
        similarity: ``1 - mae``. Legacy: digital silence scores 0.93. It decides nothing.
        max_abs: Largest absolute error.
        max_error_ratio: ``max_abs`` over the peak of the reference; None for a silent reference.
        p999_abs: 99.9th percentile of the absolute error.
        error_crest: ``max_abs`` over the RMS of the error in the 20 ms around it; None without an error.
        snr_db, si_sdr_db: Signal-to-noise ratio, and its scale-invariant form.
        worst_segment_snr_db: Lowest SNR of a 20 ms segment within 40 dB of the loudest.
        segment_level_change_db: Largest loss of level of such a segment, negative; 0 if none lost any.
        lag_samples: Delay of the output; None if the signals are too unlike.
        gain_db: Level factor at that delay.
        polarity_flipped: Whether that factor is negative.
        peak_change_db, lufs_change_lu: Change of peak and of integrated loudness (BS.1770).
        lsd_db: Log-spectral distance; ``lsd_0_4_db`` ... ``lsd_16_24_db`` within a band in kHz, up to Nyquist.
        level_change_0_4_db: ... ``level_change_16_24_db``: change of power in that band.
        mr_stft: Multi-resolution STFT distance (auraloss).
        mel_l1: Mean absolute difference of log-mel spectrograms (natural logarithm).
        mcd_db: Mel-cepstral distortion, variant MFCC-13.
        pesq_wb, stoi, visqol: PESQ wide-band, STOI, ViSQOL audio mode.
        notes: Why a metric is None, by its name.
    """

    samples: Annotated[int, Facts("Length", "samples", HIGHER)] = 0
    sample_rate: Annotated[int, Facts("Sample rate", "Hz", HIGHER)] = 0
    nan_count: Annotated[int, Facts("NaN", "samples", LOWER)] = 0
    inf_count: Annotated[int, Facts("Infinities", "samples", LOWER)] = 0
    clipped_count: Annotated[int, Facts("Clipped", "samples", LOWER)] = 0
    reference_clipped_count: Annotated[int, Facts("Clipped in the reference", "samples", LOWER)] = 0
    reference_level_db: Annotated[float | None, Facts("Level of the reference", "dB", HIGHER)] = None
    level_db: Annotated[float | None, Facts("Level", "dB", HIGHER)] = None
    mse: Annotated[float | None, Facts("MSE", "", LOWER)] = None
    mae: Annotated[float | None, Facts("MAE", "", LOWER)] = None
    similarity: Annotated[float | None, Facts("1 - MAE", "", HIGHER)] = None
    max_abs: Annotated[float | None, Facts("Largest error", "", LOWER)] = None
    max_error_ratio: Annotated[float | None, Facts("Largest error over peak", "", LOWER)] = None
    p999_abs: Annotated[float | None, Facts("p99.9 of the error", "", LOWER)] = None
    error_crest: Annotated[float | None, Facts("Error crest", "", LOWER)] = None
    snr_db: Annotated[float | None, Facts("SNR", "dB", HIGHER, help="Against eager fp32.")] = None
    si_sdr_db: Annotated[float | None, Facts("SI-SDR", "dB", HIGHER)] = None
    worst_segment_snr_db: Annotated[float | None, Facts("Worst segment's SNR", "dB", HIGHER)] = None
    segment_level_change_db: Annotated[float | None, Facts("Largest loss of a segment", "dB", HIGHER)] = None
    lag_samples: Annotated[int | None, Facts("Delay", "samples", ZERO)] = None
    gain_db: Annotated[float | None, Facts("Gain", "dB", ZERO)] = None
    polarity_flipped: Annotated[bool | None, Facts("Polarity flipped", "", LOWER)] = None
    peak_change_db: Annotated[float | None, Facts("Change of peak", "dB", ZERO)] = None
    lufs_change_lu: Annotated[float | None, Facts("Change of loudness", "LU", ZERO)] = None
    lsd_db: Annotated[float | None, Facts("LSD", "dB", LOWER, help="Log-spectral distance.")] = None
    lsd_0_4_db: Annotated[float | None, Facts("LSD, 0 to 4 kHz", "dB", LOWER)] = None
    lsd_4_8_db: Annotated[float | None, Facts("LSD, 4 to 8 kHz", "dB", LOWER)] = None
    lsd_8_16_db: Annotated[float | None, Facts("LSD, 8 to 16 kHz", "dB", LOWER)] = None
    lsd_16_24_db: Annotated[float | None, Facts("LSD, 16 to 24 kHz", "dB", LOWER)] = None
    level_change_0_4_db: Annotated[float | None, Facts("Level, 0 to 4 kHz", "dB", ZERO)] = None
    level_change_4_8_db: Annotated[float | None, Facts("Level, 4 to 8 kHz", "dB", ZERO)] = None
    level_change_8_16_db: Annotated[float | None, Facts("Level, 8 to 16 kHz", "dB", ZERO)] = None
    level_change_16_24_db: Annotated[float | None, Facts("Level, 16 to 24 kHz", "dB", ZERO)] = None
    mr_stft: Annotated[float | None, Facts("Multi-resolution STFT", "", LOWER)] = None
    mel_l1: Annotated[float | None, Facts("Log-mel L1", "", LOWER)] = None
    mcd_db: Annotated[float | None, Facts("MCD", "dB", LOWER)] = None
    pesq_wb: Annotated[float | None, Facts("PESQ", "", HIGHER)] = None
    stoi: Annotated[float | None, Facts("STOI", "", HIGHER)] = None
    visqol: Annotated[float | None, Facts("ViSQOL", "", HIGHER)] = None
    notes: dict[str, str] = field(default_factory=dict)
