"""What would settle an answer of a comparison that is UNCLEAR: in words, and the command that measures it again."""

from dataclasses import dataclass

from bench.case import Case, parse_case
from bench.errors import InputError

# What a reason holds, what settles it, and how many processes that takes.
REMEDIES: tuple[tuple[str, str, int], ...] = (
    ("too few rounds for an interval", "Time both runs in several processes.", 3),
    ("one process:", "Time both runs in several processes, which show how far processes lie apart.", 3),
    ("disturbed:", "Time it again while nothing else runs on the machine.", 1),
    ("the GPU's clock moved", "Set the GPU's clock and time both runs again.", 1),
    ("earlier nights had this level too", "The level comes and goes by itself: more nights show how often.", 3),
    ("both sides reach the same times", "Two modes of the machine: more processes show how often each comes.", 5),
    ("the baselines moved far themselves", "Time both runs again on one machine within the hour.", 3),
    ("the interval reaches past the floor", "More processes, or more nights, make the interval narrower.", 5),
)
_ELSE = ("Time both runs again while nothing else runs on the machine.", 3)


@dataclass(frozen=True)
class Remedy:
    """What settles an answer.

    Attributes:
        words: In a sentence.
        command: That times the case again; empty where its id is none.
    """

    words: str
    command: str


def settling(case_id: str, reason: str) -> Remedy:
    """What would settle why a comparison could not tell.

    Args:
        case_id: Whose figure it is.
        reason: The comparison's.

    >>> settling("v3-eager-fp16-b1-t468", "disturbed: another process used the GPU.").command
    'pytest suites/test_speed.py --versions v3 --backends eager --precisions fp16 --batches 1 --frames 468'
    """
    words, processes = next(((told, number) for part, told, number in REMEDIES if part in reason), _ELSE)
    try:
        command = timing(parse_case(case_id))
    except InputError:
        return Remedy(words, "")
    return Remedy(words, f"{command} --repeats {processes}" if processes > 1 else command)


def timing(case: Case) -> str:
    """The command that times one case."""
    options = "".join(f":{key}={value}" for key, value in case.options)
    return (
        f"pytest suites/test_speed.py --versions {case.version} --backends {case.backend}{options} "
        f"--precisions {case.precision} --batches {case.batch} --frames {case.frames}"
    )
