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
        segment_snr_median_db, segment_snr_p05_db: Median and 5th percentile of the SNR of those segments.
        heard_db: Level changes in the ear's bands, over the threshold of hearing: RMS over bands, mean over frames.
        heard_peak_db: The same over the worst tenth of a second.
        heard_band_db: Mean change of the band that changed most.
        band_loss_db: Largest loss of power in one of those bands over the whole signal, negative.
        dc_db: Magnitude of the mean error, dB re 1.
        click_crest: How far the most isolated sample of the error stands out; 0 if none is heard.
        click_train: Amplitude of clicks at a constant distance; 0 if there are none.
        tone_db: How far the steadiest line of the error stands out of its neighbours; 0 if none is heard.
        image_db: Level of a copy of the signal elsewhere in the spectrum; -200 if there is none.
        hole_db: Largest loss of level within 5 ms, negative.
        still_s: Longest time for which the output stands still while the reference moves.
        slip_samples: Delay of a part of the output; 0 if there is none.
        gain_swing_db: Amplitude of a periodic swing of the gain; 0 if none stands out.
        distillmos_change: Change of DistillMOS; a figure, which decides nothing.
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
    segment_snr_median_db: Annotated[float | None, Facts("Median segment's SNR", "dB", HIGHER)] = None
    segment_snr_p05_db: Annotated[float | None, Facts("5th percentile of segments' SNR", "dB", HIGHER)] = None
    heard_db: Annotated[float | None, Facts("Heard change", "dB", LOWER, help="Over the ear's bands.")] = None
    heard_peak_db: Annotated[float | None, Facts("Heard change, worst 0.1 s", "dB", LOWER)] = None
    heard_band_db: Annotated[float | None, Facts("Heard change, worst band", "dB", LOWER)] = None
    band_loss_db: Annotated[float | None, Facts("Largest loss of a band", "dB", HIGHER)] = None
    dc_db: Annotated[float | None, Facts("DC", "dB", LOWER)] = None
    click_crest: Annotated[float | None, Facts("Click over its surroundings", "", LOWER)] = None
    click_train: Annotated[float | None, Facts("Train of clicks", "", LOWER)] = None
    tone_db: Annotated[float | None, Facts("Tone over its neighbours", "dB", LOWER)] = None
    image_db: Annotated[float | None, Facts("Image", "dB", LOWER)] = None
    hole_db: Annotated[float | None, Facts("Hole", "dB", HIGHER)] = None
    still_s: Annotated[float | None, Facts("Stands still", "s", LOWER)] = None
    slip_samples: Annotated[int | None, Facts("Slip", "samples", ZERO)] = None
    gain_swing_db: Annotated[float | None, Facts("Swing of the gain", "dB", LOWER)] = None
    distillmos_change: Annotated[float | None, Facts("Change of DistillMOS", "", ZERO)] = None
    pesq_wb: Annotated[float | None, Facts("PESQ", "", HIGHER)] = None
    stoi: Annotated[float | None, Facts("STOI", "", HIGHER)] = None
    visqol: Annotated[float | None, Facts("ViSQOL", "", HIGHER)] = None
    notes: dict[str, str] = field(default_factory=dict)
