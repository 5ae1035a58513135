"""Our own GPU kernels for both vocoders: a plan, the CUDA sources, what launches them, and their plain PyTorch meaning."""
