// The alias-free activation (twice up, snake, twice down) of one warp, both filters on the tensor cores.
//
// Snake is x + sin(ax)^2 / b = x + 1/(2b) - cos(2ax) / (2b). The constant passes the unit-gain filter unchanged, which
// leaves one cosine. A block is 16 channels x 8 samples:
//
//   up    (16 channels x 16 samples) (16 x 8 band)  -> 16 channels x (4 samples x 2 phases), two halves a block
//   snake on the sums, in registers
//   down  (16 channels x 16 phases) (16 x 8 band)   -> 16 channels x 8 samples
//
// The sums of the first product, packed, are the left factor of the second. Samples come in rows (channels last);
// `transpose` turns them in registers, so shared memory holds nothing. The taps are scaled by `SCALE`, at which they
// round best to the element type; the result is SCALE^2 times the activation, and the weights behind it are divided.
// What lies before the first or after the last sample of the doubled signal repeats its first or last value.
#pragma once
#include "matrix.cuh"

// The filter and its scale, from bench/kernels/packing.py.
#include "filter.cuh"

// Per channel: x = 2 a / SCALE, the cosine's factor; y = SCALE / (2 b), its magnitude.
typedef float2 SnakeParameters;

DEVICE float snake(float x, SnakeParameters p) { return x - p.y * __cosf(x * p.x); }

// Bands of the filters as right factors, one entry a lane (bench/kernels/packing.py: `filter_bands`).
struct FilterBands {
  u32 up[2][2];            // [half][rows 0-7, rows 8-15]
  u32 down[2];             // the block's own phases
  u32 before, after;       // the second half of the block before, the first half of the block behind
};
DEVICE FilterBands load_bands(const uint4 *table, int lane) {
  uint4 up = table[2 * lane], down = table[2 * lane + 1];
  return {{{up.x, up.y}, {up.z, up.w}}, {down.x, down.y}, down.z, down.w};
}

// Activates samples first .. first + 8 blocks - 1 of 16 channels (8 where HALF).
//
//   load(sample)          two registers: channels 4q .. 4q + 3 of a sample (HALF: one, 2q and 2q + 1), q = lane % 4
//   value(sample, c)      one value, for the edges
//   store(block, a, b)    sample lane / 4 of a block, channels as loaded
//
// Quads of registers alternate between two roles (`swapped`), and their bands with them, so that nothing is moved.
template <bool HALF, bool EDGES, class LOAD, class VALUE, class STORE>
DEVICE void activate_strip(LOAD load, VALUE value, const SnakeParameters *__restrict__ parameters,
                           const uint4 *__restrict__ table, int channel, int first, int blocks, int samples,
                           STORE store) {
  int lane = threadIdx.x & 31, row = lane >> 2, quad = lane & 3;
  FilterBands bands = load_bands(table, lane);
  // Channels of this thread's rows `row` and `row + 8` after the transposition.
  int upper = channel + (HALF ? row : 4 * (row >> 1) + (row & 1)), lower = HALF ? upper : upper + 2;
  SnakeParameters p_upper = parameters[upper], p_lower = parameters[lower];
  float left_upper = 0, right_upper = 0, left_lower = 0, right_lower = 0;
  if (EDGES) {
#pragma unroll
    for (int m = 0; m < 6; m++) {
      int left = min(max(m - 3, 0), samples - 1), right = max(min(samples - 3 + m, samples - 1), 0);
      float even = 2 * SCALE * FILTER[11 - 2 * m], odd = 2 * SCALE * FILTER[10 - 2 * m];
      left_upper += even * value(left, upper);
      right_upper += odd * value(right, upper);
      if (!HALF) left_lower += even * value(left, lower), right_lower += odd * value(right, lower);
    }
    left_upper = snake(left_upper, p_upper), right_upper = snake(right_upper, p_upper);
    left_lower = snake(left_lower, p_lower), right_lower = snake(right_lower, p_lower);
  }
  float constant_upper = p_upper.y * SCALE, constant_lower = p_lower.y * SCALE;

  u32 window[4], block_a[4], block_b[4]; // 16 samples; the phases of two neighbouring blocks
  auto take = [&](int half, uint2 pairs) {
    window[2 * half] = transpose(pairs.x);
    window[2 * half + 1] = HALF ? 0 : transpose(pairs.y);
  };
  auto load_block = [&](int block) { return load(first - 4 + 8 * block + row); };
  auto upsample = [&](int half, int block, bool swapped, u32 *phases) {
    float u[4];
    u32 b0 = bands.up[half][0], b1 = bands.up[half][1];
    mma(u, window[0], window[1], window[2], window[3], swapped ? b1 : b0, swapped ? b0 : b1, 0.f, 0.f, 0.f, 0.f);
    u[0] = snake(u[0], p_upper), u[1] = snake(u[1], p_upper);
    if (!HALF) u[2] = snake(u[2], p_lower), u[3] = snake(u[3], p_lower);
    if (EDGES) {
      int sample = first + 8 * block + 4 * half + quad;
      if (sample < 0) u[0] = u[1] = left_upper, u[2] = u[3] = left_lower;
      if (sample >= samples) u[0] = u[1] = right_upper, u[2] = u[3] = right_lower;
    }
    phases[2 * half] = pack(u[0], u[1]);
    phases[2 * half + 1] = HALF ? 0 : pack(u[2], u[3]);
  };
  // `around` holds the first half of the block behind and, still, the second half of the one before.
  auto downsample = [&](int block, const u32 *own, const u32 *around) {
    float y[4];
    mma(y, own[0], own[1], own[2], own[3], bands.down[0], bands.down[1], constant_upper, constant_upper,
        constant_lower, constant_lower);
    mma(y, around[0], around[1], around[2], around[3], bands.after, bands.before, y[0], y[1], y[2], y[3]);
    store(block, transpose(pack(y[0], y[1])), HALF ? 0 : transpose(pack(y[2], y[3])));
  };

  uint2 before = load_block(-1), now = load_block(0), next = load_block(1);
  uint2 ahead_a = load_block(2), ahead_b = blocks > 1 ? load_block(3) : next;
  take(0, before), take(1, now);
  upsample(1, -1, false, block_b);
  take(0, next);
  upsample(0, 0, true, block_a), upsample(1, 0, true, block_a);
#pragma unroll 1
  for (int block = 0; block < blocks; block += 2) {
    take(1, ahead_a);
    if (block + 2 < blocks) ahead_a = load_block(block + 4);
    upsample(0, block + 1, false, block_b);
    downsample(block, block_a, block_b);
    upsample(1, block + 1, false, block_b);
    if (block + 1 >= blocks) break;
    take(0, ahead_b);
    if (block + 3 < blocks) ahead_b = load_block(block + 5);
    upsample(0, block + 2, true, block_a);
    downsample(block + 1, block_b, block_a);
    upsample(1, block + 2, true, block_a);
  }
}

// Whether a strip reads outside its sequence.
DEVICE bool at_edge(int first, int blocks, int samples) { return first < 12 || first + 8 * blocks + 28 > samples; }

// A strip of a (samples, CHANNELS) tensor in global memory.
template <int CHANNELS, bool HALF, class STORE>
DEVICE void activate_global(const Element *x, const SnakeParameters *parameters, const uint4 *table, int channel,
                            int first, int blocks, int samples, STORE store) {
  const Element *mine = x + channel + (HALF ? 2 : 4) * (threadIdx.x & 3);
  auto load = [&](int sample) {
    const Element *at = mine + (u64)sample * CHANNELS;
    return HALF ? make_uint2(*(const u32 *)at, 0) : *(const uint2 *)at;
  };
  auto clamped = [&](int sample) { return load(min(max(sample, 0), samples - 1)); };
  auto value = [&](int sample, int c) { return to_float(x[(u64)sample * CHANNELS + c]); };
  if (at_edge(first, blocks, samples))
    activate_strip<HALF, true>(clamped, value, parameters, table, channel, first, blocks, samples, store);
  else
    activate_strip<HALF, false>(load, value, parameters, table, channel, first, blocks, samples, store);
}

// A strip of a tile [CHANNELS / 8][ROWS][8] in shared memory whose row 0 is sample `origin` and that holds `rows` rows.
template <int ROWS, bool HALF, class STORE>
DEVICE void activate_shared(const u8 *tile, int origin, int rows, const SnakeParameters *parameters,
                            const uint4 *table, int channel, int first, int blocks, int samples, STORE store) {
  int quad = threadIdx.x & 3, low = max(origin, 0), high = min(origin + rows, samples) - 1;
  const u8 *mine = tile + (HALF ? channel / 8 * ROWS * 16 + 4 * quad
                                : (channel / 8 + (quad >> 1)) * ROWS * 16 + 8 * (quad & 1));
  auto load = [&](int sample) {
    const u8 *at = mine + (min(max(sample, low), high) - origin) * 16;
    return HALF ? make_uint2(*(const u32 *)at, 0) : *(const uint2 *)at;
  };
  auto value = [&](int sample, int c) {
    return to_float(*(const Element *)(tile + (c / 8 * ROWS + min(max(sample, low), high) - origin) * 16 + c % 8 * 2));
  };
  if (at_edge(first, blocks, samples))
    activate_strip<HALF, true>(load, value, parameters, table, channel, first, blocks, samples, store);
  else
    activate_strip<HALF, false>(load, value, parameters, table, channel, first, blocks, samples, store);
}

// Fills a shared tile [CHANNELS / 8][ROWS][8] with the activation of samples first .. first + count - 1, zero outside the
// sequence. WARPS warps share STRIPS strips of each 16 channels. SOURCE_ROWS > 0: the input is a shared tile of that
// many rows, else global memory.
template <int CHANNELS, int ROWS, int STRIPS, int WARPS, int SOURCE_ROWS>
DEVICE void activate_tile(u8 *tile, const void *x, int origin, int rows, const SnakeParameters *parameters,
                          const uint4 *table, int first, int count, int samples) {
  constexpr int FULL = CHANNELS / 16, TASKS = STRIPS * FULL + (CHANNELS % 16 ? STRIPS : 0);
  int warp = threadIdx.x >> 5, row = (threadIdx.x & 31) >> 2, quad = threadIdx.x & 3;
  int blocks = ((count + 7) / 8 + STRIPS - 1) / STRIPS;
  for (int task = warp; task < TASKS; task += WARPS) {
    bool half = task >= STRIPS * FULL;
    int channel = half ? FULL * 16 : task % FULL * 16, strip = half ? task - STRIPS * FULL : task / FULL;
    int start = strip * blocks * 8, left = count - start - row, sample = first + start + row;
    if (start >= count) continue;
    u8 *to = tile + (start + row) * 16 +
             (half ? channel / 8 * ROWS * 16 + 4 * quad : (channel / 8 + (quad >> 1)) * ROWS * 16 + 8 * (quad & 1));
    auto inside = [&](int block) { return sample + 8 * block >= 0 && sample + 8 * block < samples; };
    auto put_4 = [&](int block, u32 a, u32 b) {
      bool in = inside(block);
      if (8 * block < left) *(uint2 *)(to + block * 128) = make_uint2(in ? a : 0, in ? b : 0);
    };
    auto put_2 = [&](int block, u32 a, u32) {
      if (8 * block < left) *(u32 *)(to + block * 128) = inside(block) ? a : 0;
    };
    if constexpr (SOURCE_ROWS > 0) {
      const u8 *source = (const u8 *)x;
      if (CHANNELS % 16 && half)
        activate_shared<SOURCE_ROWS, true>(source, origin, rows, parameters, table, channel, first + start, blocks,
                                           samples, put_2);
      else
        activate_shared<SOURCE_ROWS, false>(source, origin, rows, parameters, table, channel, first + start, blocks,
                                            samples, put_4);
    } else {
      const Element *source = (const Element *)x;
      if (CHANNELS % 16 && half)
        activate_global<CHANNELS, true>(source, parameters, table, channel, first + start, blocks, samples, put_2);
      else
        activate_global<CHANNELS, false>(source, parameters, table, channel, first + start, blocks, samples, put_4);
    }
  }
}
