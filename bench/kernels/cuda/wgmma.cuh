// Matrix products of a warp group (wgmma) with both factors in shared memory.
// Wgmma<N>::add(sums, a, b): sums(64 x N) += a(64 x 16) b(16 x N); a and b are matrix descriptors. A thread of warp w
// (g = lane / 4, q = lane % 4) holds rows 16 w + g and 16 w + g + 8; sums[4 i + 2 r + k] is row g + 8 r, column
// 8 i + 2 q + k.
#pragma once
#include "element.cuh"

DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int PENDING> DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

#ifdef BFLOAT16
#define WGMMA_TYPES "f32.bf16.bf16"
#else
#define WGMMA_TYPES "f32.f16.f16"
#endif

// Written by bench/kernels/sources.py for the kernel's width.
#include "wgmma_widths.cuh"

// Descriptor of rows of 16 bytes without a swizzle: 8 rows lie together, the next 8 channels `channel_stride` times 16
// bytes further on.
DEVICE u64 plain_rows(u32 channel_stride) { return (8ull << 32) | ((u64)channel_stride << 16); }
