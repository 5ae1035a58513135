"""How much load, for how long."""

from dataclasses import dataclass

CLIENTS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class LoadPlan:
    """The settings of the load suite.

    Attributes:
        name: On the command line.
        clients: Of the closed loops.
        point_s: Length of a point.
        rates: Open-loop points, as shares of the saturation rate.
        probes: Most probes of a bisection; 0 for none.
        speakers: Most speakers that are tried; 0 for none.
        utterances: Different mels.
        scale: Factor on the lengths of utterances: a processor is far slower than speech.
        soak_s: Length of the soak; 0 for none.
    """

    name: str = "standard"
    clients: tuple[int, ...] = CLIENTS
    point_s: float = 10.0
    rates: tuple[float, ...] = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
    probes: int = 8
    speakers: int = 4096
    utterances: int = 64
    scale: float = 1.0
    soak_s: float = 0.0


PLANS = {
    plan.name: plan
    for plan in (
        LoadPlan(),
        LoadPlan("smoke", (1, 2), 1.0, (0.5,), 3, 2, utterances=4, scale=0.02),
    )
}
PLAN_OF_DEVICE = {"cpu": "smoke", "cuda": "standard"}
