// out = [residual +] convolution(SCALE^2 activation(x)) for C <= 96 channels, in one kernel on Hopper.
// Meaning: bench.kernels.reference.activated_convolution.
//
// All warps fill a shared tile with the activation, then each warp group multiplies its rows with every tap. The weights
// stay in shared memory where they fit (RING 1), else taps pass through a ring.
#include "alias_free.cuh"
#include "epilogue.cuh"
#include "launch.cuh"
#include "narrow.cuh"

constexpr int WARPS = 4 * WARP_GROUPS, BLOCK_SAMPLES = 64 * WARP_GROUPS * TILES, ROWS = (BLOCK_SAMPLES + HALO) | 1;

extern "C" __global__ void __launch_bounds__(32 * WARPS, 2)
    activated_convolution(const Element *x, const Element *__restrict__ weights, const float *__restrict__ bias,
                          const Element *residual, Element *out, const SnakeParameters *__restrict__ parameters,
                          const uint4 *__restrict__ table, int samples, int taps, int dilation, int weight_bytes) {
  extern __shared__ __align__(128) u8 shared[];
  __shared__ u64 barriers[2 * RING];
  int warp = __shfl_sync(~0u, threadIdx.x >> 5, 0);
  int first = blockIdx.x * BLOCK_SAMPLES, item = blockIdx.y;
  u64 base = (u64)item * samples * CHANNELS;
  u32 tile = shared_address(shared);
  WeightRing<RING, WARPS> ring;
  ring.start(tile + CHANNELS / 8 * ROWS * 16, barriers, weights, weight_bytes, RING == 1 ? 1 : taps);
  wait_for_input();
  activate_tile<CHANNELS, ROWS, STRIPS, WARPS, 0>(shared, x + base, 0, 0, parameters, table,
                                                  first - (taps - 1) * dilation / 2,
                                                  BLOCK_SAMPLES + (taps - 1) * dilation, samples);
  publish_shared();
  __syncthreads();
  float sums[TILES][CHANNELS / 2];
  clear(sums);
  u32 rows = (tile >> 4) + (warp >> 2) * TILES * 64;
  if constexpr (RING == 1) {
    barrier_wait(ring.full, 0);
    multiply_taps<CHANNELS, ROWS, TILES>(sums, rows, ring.tiles >> 4, taps, dilation);
  } else {
    ring.multiply<CHANNELS, ROWS, TILES>(sums, rows, taps, dilation);
  }
  release_next();
  wgmma_wait<0>();
#pragma unroll
  for (int m = 0; m < TILES; m++) {
    int row = first + thread_row<TILES>(warp, m, 0);
    finish<CHANNELS, false>(sums[m], row < samples, row + 8 < samples, bias, residual, out,
                            base + (u64)row * CHANNELS, 8 * CHANNELS);
  }
}
