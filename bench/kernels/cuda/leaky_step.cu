// One residual step of a narrow HiFi-GAN block in one kernel on Hopper: with y = leaky(x) stored instead of x,
// out = leaky(x + convolution2(leaky(convolution1(y)))), the first convolution dilated.
// Meaning: bench.kernels.reference.leaky_step.
//
// A block makes a strip of samples and recomputes `taps / 2` samples to either side; input, the values between the
// convolutions and the residual stay in shared memory.
#include "epilogue.cuh"
#include "launch.cuh"
#include "matrix.cuh"
#include "narrow.cuh"

constexpr int TILES = 2, WARPS = 8, BLOCK_SAMPLES = 256;
constexpr int ROWS = (BLOCK_SAMPLES + HALO) | 1, MIDDLE_ROWS = (BLOCK_SAMPLES + MIDDLE_HALO) | 1;

extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS_PER_SM)
    leaky_step(const Element *x, const Element *__restrict__ weights, const float *__restrict__ bias, Element *out,
               int samples, int taps, int dilation, int weight_bytes) {
  extern __shared__ __align__(128) u8 shared[];
  __shared__ u64 barriers[2 * RING];
  const int reach = (taps - 1) / 2, made = BLOCK_SAMPLES - 2 * reach, margin = reach + reach * dilation;
  int warp = __shfl_sync(~0u, threadIdx.x >> 5, 0), quad = threadIdx.x & 3;
  int first = blockIdx.x * made, item = blockIdx.y;
  u64 base = (u64)item * samples * CHANNELS;
  u32 tile = shared_address(shared), middle = tile + CHANNELS / 8 * ROWS * 16;
  u8 *middle_tile = shared + CHANNELS / 8 * ROWS * 16;
  WeightRing<RING, WARPS> ring;
  ring.start(middle + CHANNELS / 8 * MIDDLE_ROWS * 16, barriers, weights, weight_bytes, RING == 1 ? 1 : 2 * taps);
  wait_for_input();
  for (int i = threadIdx.x; i < (BLOCK_SAMPLES + (taps - 1) * dilation) * (CHANNELS / 8); i += 32 * WARPS) {
    int row = i / (CHANNELS / 8), group = i % (CHANNELS / 8), sample = first - margin + row;
    bool inside = sample >= 0 && sample < samples;
    copy_16(tile + (group * ROWS + row) * 16, x + base + (inside ? (u64)sample * CHANNELS + 8 * group : 0), inside);
  }
  copy_commit();
  copy_wait<0>();
  publish_shared();
  __syncthreads();

  float sums[TILES][CHANNELS / 2];
  clear(sums);
  const u32 warp_rows = (warp >> 2) * TILES * 64;
  u32 rows = (tile >> 4) + warp_rows;
  if constexpr (RING == 1) {
    barrier_wait(ring.full, 0);
    multiply_taps<CHANNELS, ROWS, TILES>(sums, rows, ring.tiles >> 4, taps, dilation);
  } else {
    ring.multiply<CHANNELS, ROWS, TILES>(sums, rows, taps, dilation);
  }
  wgmma_wait<0>();
  if constexpr (RING == 1) {
    __syncthreads();
    if (threadIdx.x == 0) ring.request(0, 1);
  }
#pragma unroll
  for (int m = 0; m < TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = thread_row<TILES>(warp, m, half), sample = first + row - reach;
      bool inside = sample >= 0 && sample < samples;
      for_each_group<CHANNELS>(quad, [&](auto kind, int sum, int channel) {
        constexpr int COUNT = Count<decltype(kind)>::value;
        Elements<COUNT> elements;
#pragma unroll
        for (int i = 0; i < COUNT / 2; i++) {
          float2 add = *(const float2 *)(bias + channel + 2 * i);
          const float *pair = &sums[m][sum + 4 * i + 2 * half];
          elements[i] = inside ? pack(leaky(pair[0] + add.x), leaky(pair[1] + add.y)) : 0;
        }
        store<COUNT>(middle_tile + (channel / 8 * MIDDLE_ROWS + row) * 16 + channel % 8 * 2, elements);
      });
    }
  publish_shared();
  __syncthreads();

  clear(sums);
  rows = (middle >> 4) + warp_rows;
  if constexpr (RING == 1) {
    barrier_wait(ring.full, 1);
    multiply_taps<CHANNELS, MIDDLE_ROWS, TILES>(sums, rows, ring.tiles >> 4, taps, 1);
  } else {
    ring.multiply<CHANNELS, MIDDLE_ROWS, TILES>(sums, rows, 2 * taps, 1);
  }
  release_next();
  wgmma_wait<0>();
#pragma unroll
  for (int m = 0; m < TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = thread_row<TILES>(warp, m, half), sample = first + row;
      if (row >= made || sample >= samples) continue;
      for_each_group<CHANNELS>(quad, [&](auto kind, int sum, int channel) {
        constexpr int COUNT = Count<decltype(kind)>::value;
        const u8 *kept = shared + (channel / 8 * ROWS + row + margin) * 16 + channel % 8 * 2;
        finish_group<COUNT, true>(sums[m] + sum, half, bias + CHANNELS + channel, (const Element *)kept,
                                  out + base + (u64)sample * CHANNELS + channel);
      });
    }
}
