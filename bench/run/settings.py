"""What all cases of a run share: plain, picklable values, so that a case can run in another process."""

from dataclasses import dataclass, field
from pathlib import Path

from bench.measure.sampling import StopRule
from bench.run.load.plan import LoadPlan


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        run_id: Name of the run.
        results: Directory that holds ``run_id``'s own.
        device: ``"cpu"`` or ``"cuda:N"``.
        weights: Checkpoint paths; empty for synthetic weights. Each version takes the first that holds it.
        seed: Of synthetic weights, of the order within rounds and of every bootstrap.
        audio: Speech that the inputs are made of; None for the clip that the project carries.
        threads: CPU threads of PyTorch.
        engine_cache: Folder of the engine cache; None for the user's own, ``"off"`` for none.
        static_baseline: For which shapes an engine for a range of them runs in turn with one for the shape alone:
            ``"all"``, ``"best"`` for those that it is tuned for, or ``"off"``.
        stop: When a case has been sampled enough.
        repeats: Worker processes that share the rounds of a speed case.
        rebuilds: Builds of an engine that they share; 0 for the one of the cache.
        load: How much load the load suite makes.
    """

    run_id: str
    results: str = "results"
    device: str = "cpu"
    weights: tuple[str, ...] = ()
    seed: int = 0
    audio: str | None = None
    threads: int = 1
    engine_cache: str | None = None
    static_baseline: str = "all"
    stop: StopRule = field(default_factory=StopRule)
    repeats: int = 1
    rebuilds: int = 0
    load: LoadPlan = field(default_factory=LoadPlan)

    @property
    def directory(self) -> Path:
        """Where the run's records and files go."""
        return Path(self.results) / self.run_id
