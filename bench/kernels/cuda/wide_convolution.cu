// A convolution of wide layers on Hopper's wgmma: (batch, samples, inputs) -> (batch, samples, columns), with bias,
// optional residual, and under LEAKY the leaky ReLU of the result. Meaning: bench.kernels.reference.convolution.
//
// A block makes 128 samples x COLUMNS channels. Of each chunk of 64 input channels one TMA box brings the samples with
// their halo once, in 128-byte rows with a 128-byte swizzle; a tap is a row offset into that tile, which the swizzle,
// a function of the address alone, permits for any row. Weights come in tiles of COLUMNS rows, swizzled beforehand.
// Warps 0-7 are two consumer warp groups of 64 samples each; one thread of warp 8 fetches input, one of warp 9 weights.
// Column tiles from `shifted_from` on read one sample later: the later phases of a transposed convolution.
#include "barrier.cuh"
#include "epilogue.cuh"
#include "launch.cuh"
#include "wgmma.cuh"

// Descriptor of rows of 128 bytes, swizzled in atoms of 8 rows.
constexpr u64 SWIZZLED_ROWS = (1ull << 62) | (64ull << 32) | (1ull << 16);
constexpr int BLOCK_SAMPLES = 128, CHUNK = 64, WEIGHT_BYTES = COLUMNS * CHUNK * 2;

extern "C" __global__ void __launch_bounds__(320, BLOCKS_PER_SM)
    wide_convolution(const __grid_constant__ TensorMap input, const Element *__restrict__ weights,
                     const float *__restrict__ bias, const Element *residual, Element *out, int samples, int columns,
                     int chunks, int taps, int dilation, int offset, int shifted_from, int input_bytes) {
  extern __shared__ u8 shared[];
  __shared__ u64 barriers[2 * INPUT_STAGES + 2 * WEIGHT_STAGES];
  u32 inputs = (shared_address(shared) + 1023) & ~1023u, tiles = inputs + INPUT_STAGES * input_bytes;
  u32 input_full = shared_address(barriers), input_empty = input_full + 8 * INPUT_STAGES;
  u32 weights_full = input_empty + 8 * INPUT_STAGES, weights_empty = weights_full + 8 * WEIGHT_STAGES;
  int thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  int first = blockIdx.x * BLOCK_SAMPLES, tile = blockIdx.y, item = blockIdx.z;
  if (thread == 0) {
    for (int i = 0; i < INPUT_STAGES; i++) barrier_init(input_full + 8 * i, 1), barrier_init(input_empty + 8 * i, 8);
    for (int i = 0; i < WEIGHT_STAGES; i++)
      barrier_init(weights_full + 8 * i, 1), barrier_init(weights_empty + 8 * i, 8);
    barrier_publish();
    publish_shared();
  }
  __syncthreads();

  if (warp == 8) {
    if (lane == 0) {
      wait_for_input();
      u32 bytes = (BLOCK_SAMPLES + (taps - 1) * dilation) * CHUNK * 2;
      for (int chunk = 0; chunk < chunks; chunk++) {
        int stage = chunk % INPUT_STAGES;
        barrier_wait(input_empty + 8 * stage, ((chunk / INPUT_STAGES) & 1) ^ 1);
        barrier_expect(input_full + 8 * stage, bytes);
        copy_box(inputs + stage * input_bytes, &input, chunk * CHUNK, first + offset + (tile >= shifted_from), item,
                 input_full + 8 * stage);
      }
    }
    return;
  }
  if (warp == 9) {
    if (lane == 0) {
      const Element *from = weights + (u64)tile * COLUMNS * CHUNK;
      int stage = 0, parity = 1;
      for (int i = 0; i < chunks * taps; i++) {
        barrier_wait(weights_empty + 8 * stage, parity);
        barrier_expect(weights_full + 8 * stage, WEIGHT_BYTES);
        copy_bulk(tiles + stage * WEIGHT_BYTES, from, WEIGHT_BYTES, weights_full + 8 * stage);
        from += (u64)columns * CHUNK;
        if (++stage == WEIGHT_STAGES) stage = 0, parity ^= 1;
      }
    }
    return;
  }

  float sums[COLUMNS / 2];
#pragma unroll
  for (int i = 0; i < COLUMNS / 2; i++) sums[i] = 0;
  int stage = 0, parity = 0, used_weights = -1, used_input = -1;
  u32 rows = (warp >> 2) * 64 * CHUNK * 2;
  for (int chunk = 0; chunk < chunks; chunk++) {
    int input_stage = chunk % INPUT_STAGES;
    barrier_wait(input_full + 8 * input_stage, (chunk / INPUT_STAGES) & 1);
    u32 a = inputs + input_stage * input_bytes + rows;
    for (int tap = 0; tap < taps; tap++, a += dilation * CHUNK * 2) {
      barrier_wait(weights_full + 8 * stage, parity);
      u64 left = SWIZZLED_ROWS | (a >> 4), right = SWIZZLED_ROWS | ((tiles + stage * WEIGHT_BYTES) >> 4);
      wgmma_fence();
#pragma unroll
      for (int step = 0; step < CHUNK / 16; step++) Wgmma<COLUMNS>::add(sums, left + 2 * step, right + 2 * step);
      wgmma_commit();
      wgmma_wait<1>();
      // The products before these are done; what they read may be overwritten.
      if (lane == 0) {
        if (used_weights >= 0) barrier_arrive(weights_empty + 8 * used_weights);
        if (used_input >= 0) barrier_arrive(input_empty + 8 * used_input);
      }
      used_input = tap == taps - 1 ? input_stage : -1;
      used_weights = stage;
      if (++stage == WEIGHT_STAGES) stage = 0, parity ^= 1;
    }
  }
  release_next();
  wgmma_wait<0>();
  wait_for_input();
  int row = first + (warp >> 2) * 64 + (warp & 3) * 16 + lane / 4;
  u64 at = ((u64)item * samples + row) * columns + tile * COLUMNS;
  finish<COLUMNS, LEAKY>(sums, row < samples, row + 8 < samples, bias + tile * COLUMNS, residual, out, at,
                         8 * (u64)columns);
}
