"""Ways of running a vocoder, one file each. See :mod:`bench.backends.base`."""
