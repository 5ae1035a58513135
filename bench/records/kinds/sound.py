"""The sound of a case: how far it is from the reference, and whether its precision allows that."""

from dataclasses import dataclass, field
from typing import Annotated

from bench.records.facts import HIGHER, LOWER, Facts
from bench.records.fidelity import Fidelity
from bench.records.kind import Result


@dataclass(frozen=True)
class InputSound:
    """The verdict on one input, and the figures that tell most about it.

    Attributes:
        verdict: ``"pass"``, ``"warn"`` or ``"fail"``.
        decided_by: Name of the metric or check that decided; empty when it passed.
        reason: Why, in one sentence; empty when it passed.
        heard: What a listener can expect, in one sentence with the figure that decided; empty in older records.
        snr_db, worst_segment_snr_db, lsd_db, heard_db: As in :class:`~bench.records.fidelity.Fidelity`; None where
            nothing was compared.
    """

    verdict: str
    decided_by: str = ""
    reason: str = ""
    heard: str = ""
    snr_db: float | None = None
    worst_segment_snr_db: float | None = None
    lsd_db: float | None = None
    heard_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sound(Fidelity, Result, kind="quality", title="sound", columns="fidelity."):
    """The fidelity of the run's speech (of a batch, of its worst item), and the verdict over all inputs.

    Attributes:
        verdict: ``"pass"``, ``"warn"`` or ``"fail"``: that of the worst input.
        decided_by: Name of the metric or check that decided; empty when it passed.
        reason: The input and why, in one sentence; empty when it passed.
        heard: What a listener can expect, in one sentence with the figure that decided; empty in older records.
        tier: Precision whose limits apply.
        reference: What the sound was compared with.
        mel: Data type in which the case was given its mel; the reference had the same values.
        mel_cost_snr_db, mel_cost_heard_db: The output against float32 on the float32 mel: what the case and a 16-bit
            mel cost together. None where the mel is float32.
        inputs: The verdict on every input and check, by name.
        error_multiple: RMS error as a multiple of eager's, both against float64; None where float64 was too dear.
        float64_snr_db, eager_float64_snr_db: SNR of the case and of eager against float64.
    """

    verdict: str
    decided_by: str = ""
    reason: str = ""
    heard: str = ""
    tier: str = ""
    reference: str = ""
    mel: str = ""
    mel_cost_snr_db: Annotated[float | None, Facts("SNR with the mel's cast", "dB", HIGHER)] = None
    mel_cost_heard_db: Annotated[float | None, Facts("Heard change with the mel's cast", "dB", LOWER)] = None
    inputs: dict[str, InputSound] = field(default_factory=dict)
    error_multiple: Annotated[float | None, Facts("Error over eager's", "", LOWER)] = None
    float64_snr_db: Annotated[float | None, Facts("SNR against float64", "dB", HIGHER)] = None
    eager_float64_snr_db: Annotated[float | None, Facts("Eager's SNR against float64", "dB", HIGHER)] = None
