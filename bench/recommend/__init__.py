"""The configuration to run, chosen from records, and the runner itself.

::

    with load("results/20261128-120000", "v3", weights="GPT-SoVITS") as vocode:
        audio = vocode(mel)
"""

from bench.recommend.choice import OBJECTIVES, Pick, Recommendation, recommend
from bench.recommend.runner import Vocode, code, load

__all__ = ["OBJECTIVES", "Pick", "Recommendation", "Vocode", "code", "load", "recommend"]
