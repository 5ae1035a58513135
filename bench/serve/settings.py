"""What a service is told: which case it runs, where, and how much it takes."""

from dataclasses import dataclass, field

from bench.case import Case
from bench.errors import InputError
from bench.spec import SPECS

MIB = 1 << 20
POLICIES = ("least-loaded", "round-robin")
# Seconds that a client is asked to wait when the service cannot know better.
RETRY_AFTER_S = 1


@dataclass(frozen=True)
class EngineSettings:
    """What one worker runs.

    Attributes:
        case: Version, backend, precision and options; its batch and frames are the shape that the runner is built for.
        device: ``"cpu"`` or ``"cuda:N"``.
        weights: Checkpoint paths; empty for synthetic weights.
        seed: Of synthetic weights.
        threads: CPU threads of PyTorch.
        engine_cache: As :attr:`bench.run.settings.Settings.engine_cache`.
        fallback: Whether eager runs a shape that the backend does not take; else that is an error.
        step_frames: Batches are padded to a multiple of this, so that a backend with a graph or an engine a shape meets
            few shapes. Answers stay exact: see :mod:`bench.serve.batching`.
    """

    case: Case
    device: str = "cpu"
    weights: tuple[str, ...] = ()
    seed: int = 0
    threads: int = 1
    engine_cache: str | None = None
    fallback: bool = False
    step_frames: int = 1


@dataclass(frozen=True)
class BatchLimits:
    """What one inference may hold.

    Attributes:
        frames: Most frames in all, padding included; 0 for no batching. A longer item runs alone.
        items: Most items.
        wait_s: How long a worker that is free waits for company of the first item.
        padding: Largest share of the frames that may be padding.
    """

    frames: int = 4096
    items: int = 16
    wait_s: float = 0.0
    padding: float = 0.25


@dataclass(frozen=True)
class RequestLimits:
    """What the service takes.

    Attributes:
        body_bytes: Largest body; more is 413.
        frames: Longest mel; more is 413.
        body_s: Longest that a body may take to arrive; more is 408.
        request_s: Longest that a request may wait and run; more is 503.
        queue: Requests that wait or run in all; more is 503.
        client: Requests at once of one address; more is 429.
    """

    body_bytes: int = 16 * MIB
    frames: int = 12_000
    body_s: float = 10.0
    request_s: float = 60.0
    queue: int = 256
    client: int = 128


@dataclass(frozen=True)
class ServeSettings:
    """A whole service.

    Attributes:
        engine: What every worker runs; its device is that of the worker.
        devices: One worker each.
        processes: Whether workers are processes of their own, which may die without the service.
        policy: How requests are spread over workers, one of :data:`POLICIES`.
        batch: Of one inference.
        limits: Of requests.
        chunk_s: Length of a stream's chunks unless the request says otherwise.
        ray: Whether workers are replicas of Ray Serve, which chooses their devices: ``devices`` says how many and of
            which kind.
    """

    engine: EngineSettings
    devices: tuple[str, ...] = ("cpu",)
    processes: bool = True
    policy: str = "least-loaded"
    batch: BatchLimits = field(default_factory=BatchLimits)
    limits: RequestLimits = field(default_factory=RequestLimits)
    chunk_s: float = 0.25
    ray: bool = False

    def __post_init__(self) -> None:
        """Refuses what no service can be."""
        if self.policy not in POLICIES:
            raise InputError(f"--policy is {' or '.join(POLICIES)}, not {self.policy!r}")
        if self.engine.case.version not in SPECS or not self.devices:
            raise InputError("a service needs a version and at least one device")
