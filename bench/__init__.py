"""Speed, memory and fidelity of the GPT-SoVITS v3 and v4 vocoders, measured.

The way through: a sweep yields cases, a backend turns a vocoder into a runner, the runner is measured
or judged, and every outcome becomes one record on disk. Reports and comparisons read records only.
"""

__version__ = "0.1.0"
