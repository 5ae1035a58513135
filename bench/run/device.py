"""Where to run."""

import torch

from bench.errors import InputError


def find_device(name: str | None) -> torch.device:
    """The device of that name, tried out.

    Args:
        name: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; None for the first GPU, or the CPU without one.

    Raises:
        InputError: no such device here.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return torch.device("cuda:0" if count else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cpu" and not index:
        return torch.device("cpu")
    if kind != "cuda" or (index and not index.isdecimal()):
        raise InputError(f"unknown device {name!r}; give cpu or cuda:N")
    number = int(index or 0)
    if number >= count:
        have = f"{count} CUDA GPU{'s' * (count != 1)}" if count else "no CUDA GPU"
        raise InputError(f"device {name} is not here: PyTorch sees {have}; give cpu or another number")
    return torch.device("cuda", number)
