"""What the backends that build engines have in common."""

from bench.backend import Backend
from bench.case import Case
from bench.trt.options import options_of


class EngineBackend(Backend):
    """A backend whose options are those of :class:`bench.trt.options.Options`."""

    def check(self, case: Case) -> None:
        """Reads the options."""
        options_of(case)

    def static_baseline(self, case: Case, /, *, anywhere: bool = True) -> Case | None:
        """The case with an engine for its shape alone; None where it has one, or away from the best shapes.

        >>> ranged = Case("v4", "an-engine", "fp16", 1, 500, (("level", "1"), ("shapes", "dynamic")))
        >>> EngineBackend.static_baseline(None, ranged).id
        'v4-an-engine-fp16-b1-t500-level=1'
        """
        shape = case.batch, case.frames
        shapes = options_of(case).shapes
        wanted = shapes.dynamic and (anywhere or shape in [profile.best for profile in shapes.profiles])
        return case.without("shapes") if wanted else None
