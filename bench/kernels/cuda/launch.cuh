// Programmatic dependent launch: a kernel starts while the one before it ends. Both do nothing in an ordinary launch.
#pragma once

// Waits until the kernels in front are done and their writes are visible.
__device__ __forceinline__ void wait_for_input() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel start its own prologue.
__device__ __forceinline__ void release_next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
