// One residual step of a narrow AMP block in one kernel on Hopper:
// out = x + convolution2(SCALE^2 activation2(convolution1(SCALE^2 activation1(x)))), the first convolution dilated.
// Meaning: bench.kernels.reference.snake_step.
//
// A block makes a strip of samples and recomputes what lies `taps / 2 + 6` samples to either side. All of one
// convolution's weights are in shared memory at a time.
#include "alias_free.cuh"
#include "epilogue.cuh"
#include "launch.cuh"
#include "narrow.cuh"

constexpr int WARPS = 4 * WARP_GROUPS, BLOCK_SAMPLES = 64 * WARP_GROUPS * TILES, ROWS = (BLOCK_SAMPLES + HALO) | 1;
constexpr int MIDDLE_ROWS = BLOCK_SAMPLES | 1;

extern "C" __global__ void __launch_bounds__(32 * WARPS, 2)
    snake_step(const Element *x, const Element *__restrict__ weights, const float *__restrict__ bias, Element *out,
               const SnakeParameters *__restrict__ parameters, const uint4 *__restrict__ table, int samples, int taps,
               int dilation, int weight_bytes) {
  extern __shared__ __align__(128) u8 shared[];
  __shared__ u64 barriers[2];
  const int reach = (taps - 1) / 2, made = BLOCK_SAMPLES - 12 - 2 * reach;
  int warp = __shfl_sync(~0u, threadIdx.x >> 5, 0), quad = threadIdx.x & 3;
  int first = blockIdx.x * made, item = blockIdx.y, middle_first = first - reach - 6;
  u64 base = (u64)item * samples * CHANNELS;
  u32 tile = shared_address(shared);
  u8 *middle = shared + CHANNELS / 8 * ROWS * 16;
  WeightRing<1, WARPS> ring;
  ring.start(tile + CHANNELS / 8 * (ROWS + MIDDLE_ROWS) * 16, barriers, weights, weight_bytes, 1);
  wait_for_input();
  activate_tile<CHANNELS, ROWS, STRIPS, WARPS, 0>(shared, x + base, 0, 0, parameters, table,
                                                  middle_first - reach * dilation,
                                                  BLOCK_SAMPLES + (taps - 1) * dilation, samples);
  publish_shared();
  __syncthreads();
  float sums[TILES][CHANNELS / 2];
  clear(sums);
  const u32 rows = (tile >> 4) + (warp >> 2) * TILES * 64;
  barrier_wait(ring.full, 0);
  multiply_taps<CHANNELS, ROWS, TILES>(sums, rows, ring.tiles >> 4, taps, dilation);
  wgmma_wait<0>();
#pragma unroll
  for (int m = 0; m < TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = thread_row<TILES>(warp, m, half);
      for_each_group<CHANNELS>(quad, [&](auto kind, int sum, int channel) {
        constexpr int COUNT = Count<decltype(kind)>::value;
        finish_group<COUNT, false>(sums[m] + sum, half, bias + channel, nullptr,
                                   (Element *)(middle + (channel / 8 * MIDDLE_ROWS + row) * 16 + channel % 8 * 2));
      });
    }
  __syncthreads();
  // The first weights are read: the second convolution's take their place.
  if (threadIdx.x == 0) ring.request(0, 1);
  activate_tile<CHANNELS, ROWS, STRIPS, WARPS, MIDDLE_ROWS>(shared, middle, middle_first, BLOCK_SAMPLES,
                                                            parameters + CHANNELS, table, first - reach,
                                                            made + 2 * reach, samples);
  publish_shared();
  __syncthreads();
  clear(sums);
  barrier_wait(ring.full, 1);
  multiply_taps<CHANNELS, ROWS, TILES>(sums, rows, ring.tiles >> 4, taps, 1);
  release_next();
  wgmma_wait<0>();
#pragma unroll
  for (int m = 0; m < TILES; m++) {
    int row = thread_row<TILES>(warp, m, 0), sample = first + row;
    finish<CHANNELS, false>(sums[m], row < made && sample < samples, row + 8 < made && sample + 8 < samples,
                            bias + CHANNELS, x, out, base + (u64)sample * CHANNELS, 8 * CHANNELS);
  }
}
