"""Our own GPU kernels for both vocoders: a plan, CUDA sources, what launches them, their plain PyTorch meaning."""
