"""Records of older schemas, rewritten to the newest. Nothing is lost on the way."""

from typing import Any

# Schema 1 kept the fields of a speed record beside the case's, and a sound as one open table.
_SPEED_1 = (
    "timing",
    "throughput",
    "speedup_same_precision",
    "speedup_fp32",
    "speedup_static",
    "memory",
    "gpu_state",
)


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """A record's JSON object in the newest schema; the object itself where it is that already."""
    return _from_1(data) if data["schema_version"] == 1 else data


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    fidelity = data.get("fidelity")
    speed = {name: data[name] for name in _SPEED_1 if data.get(name) is not None}
    result = fidelity if data.get("kind") == "quality" else speed
    envelope = {name: value for name, value in data.items() if name not in (*_SPEED_1, "fidelity")}
    return {**envelope, "result": result or None, "schema_version": 2}
