// Products of a narrow convolution for one warp group of Hopper: TILES tiles of 64 rows from a shared input tile
// [C / 8][ROWS][8] without a swizzle, of which any row offset is a legal address, and weights [steps of 16][2][C][8].
#pragma once
#include "barrier.cuh"
#include "wgmma.cuh"

template <int TILES, int COUNT> DEVICE void clear(float (&sums)[TILES][COUNT]) {
#pragma unroll
  for (int m = 0; m < TILES; m++)
#pragma unroll
    for (int i = 0; i < COUNT; i++) sums[m][i] = 0;
}

// One tap; `rows` and `weights` in units of 16 bytes.
template <int C, int ROWS, int TILES> DEVICE void multiply_tap(float (&sums)[TILES][C / 2], u32 rows, u32 weights) {
  const u64 left = plain_rows(ROWS), right = plain_rows(C);
#pragma unroll
  for (int step = 0; step < C / 16; step++)
#pragma unroll
    for (int m = 0; m < TILES; m++)
      Wgmma<C>::add(sums[m], left | (rows + step * 2 * ROWS + m * 64), right | (weights + step * 2 * C));
}

// All taps, weights resident. 24 channels are a step and a half: the halves of two neighbouring taps are one step whose
// two groups of eight channels lie `dilation` rows apart.
template <int C, int ROWS, int TILES>
DEVICE void multiply_taps(float (&sums)[TILES][C / 2], u32 rows, u32 weights, int taps, int dilation) {
  if constexpr (C % 16 == 0) {
#pragma unroll 1
    for (int tap = 0; tap < taps; tap++, rows += dilation, weights += C / 16 * 2 * C) {
      wgmma_fence();
      multiply_tap<C, ROWS, TILES>(sums, rows, weights);
      wgmma_commit();
    }
  } else {
    static_assert(C == 24, "narrow products take 24 channels or a multiple of 16");
    const u64 left = plain_rows(ROWS), both = plain_rows(dilation), right = plain_rows(C);
#pragma unroll 1
    for (int tap = 0; tap + 1 < taps; tap += 2, rows += 2 * dilation, weights += 144) {
      wgmma_fence();
#pragma unroll
      for (int m = 0; m < TILES; m++) Wgmma<C>::add(sums[m], left | (rows + m * 64), right | weights);
#pragma unroll
      for (int m = 0; m < TILES; m++)
        Wgmma<C>::add(sums[m], left | (rows + dilation + m * 64), right | (weights + 48));
#pragma unroll
      for (int m = 0; m < TILES; m++)
        Wgmma<C>::add(sums[m], both | (rows + 2 * ROWS + m * 64), right | (weights + 96));
      wgmma_commit();
    }
    wgmma_fence();
#pragma unroll
    for (int m = 0; m < TILES; m++) Wgmma<C>::add(sums[m], left | (rows + m * 64), right | weights);
#pragma unroll
    for (int m = 0; m < TILES; m++) Wgmma<C>::add(sums[m], left | (rows + ROWS + m * 64), right | (weights + 48));
    wgmma_commit();
  }
}

// A ring of STAGES weight tiles, `bytes` each, of which `count` pass through it. The first thread refills a stage when
// all WARPS warps have read it.
template <int STAGES, int WARPS> struct WeightRing {
  u32 tiles, full, empty, bytes;
  int count, position, stage, parity;
  const Element *source;

  DEVICE void start(u32 tiles_, u64 *barriers, const Element *source_, u32 bytes_, int count_) {
    tiles = tiles_, full = shared_address(barriers), empty = full + 8 * STAGES, bytes = bytes_, count = count_;
    source = source_, position = 0, stage = 0, parity = 0;
    if (threadIdx.x == 0) {
      for (int i = 0; i < STAGES; i++) barrier_init(full + 8 * i, 1), barrier_init(empty + 8 * i, WARPS);
      barrier_publish();
      publish_shared();
      for (int i = 0; i < STAGES && i < count; i++) request(i, i);
    }
  }
  DEVICE void request(int into, int tile) {
    barrier_expect(full + 8 * into, bytes);
    copy_bulk(tiles + into * bytes, source + (u64)tile * bytes / 2, bytes, full + 8 * into);
  }
  // Taps `position` .. end - 1 of the ring: each waits for its weights, multiplies, and refills the stage before.
  template <int C, int ROWS, int TILES>
  DEVICE void multiply(float (&sums)[TILES][C / 2], u32 rows, int end, int dilation) {
    const int begin = position;
#pragma unroll 1
    for (int tap = begin; tap < end; tap++) {
      barrier_wait(full + 8 * stage, parity);
      wgmma_fence();
      multiply_tap<C, ROWS, TILES>(sums, rows + (tap - begin) * dilation, (tiles + stage * bytes) >> 4);
      wgmma_commit();
      wgmma_wait<1>();
      if (tap > 0 && tap - 1 + STAGES < count) {
        int into = stage ? stage - 1 : STAGES - 1;
        if ((threadIdx.x & 31) == 0) barrier_arrive(empty + 8 * into);
        if (threadIdx.x == 0) {
          barrier_wait(empty + 8 * into, stage ? parity : parity ^ 1);
          request(into, tap - 1 + STAGES);
        }
      }
      if (++stage == STAGES) stage = 0, parity ^= 1;
    }
    position = end;
  }
};

// Row of a thread in the tile `m` of its warp group, `half` 0 or 1.
template <int TILES> DEVICE int thread_row(int warp, int m, int half) {
  return ((warp >> 2) * TILES + m) * 64 + (warp & 3) * 16 + (threadIdx.x & 31) / 4 + 8 * half;
}
