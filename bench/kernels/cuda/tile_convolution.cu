// A convolution on mma.sync, for every NVIDIA GPU since Ampere and for layers of any width: (batch, samples, inputs) ->
// (batch, samples, columns), with bias, optional residual, and under LEAKY the leaky ReLU of the result.
// Meaning: bench.kernels.reference.convolution.
//
// A block makes BLOCK_SAMPLES samples x COLUMNS channels. Of each chunk of CHUNK input channels the samples with their
// halo are copied once; a tap is a row offset into that tile. Rows are an odd number of 16-byte units long, so that the
// eight rows of a matrix load fall into different banks. Weights pass through a ring of WEIGHT_STAGES tiles; where
// RESIDENT, all of them and the whole input are copied first, and no barrier follows.
// Column tiles from `shifted_from` on read one sample later: the later phases of a transposed convolution.
#include "epilogue.cuh"
#include "launch.cuh"
#include "matrix.cuh"

constexpr int THREADS = 32 * WARPS_ALONG * WARPS_ACROSS;
constexpr int WARP_SAMPLES = BLOCK_SAMPLES / WARPS_ALONG, WARP_COLUMNS = COLUMNS / WARPS_ACROSS;
constexpr int ROW_TILES = WARP_SAMPLES / 16, COLUMN_TILES = WARP_COLUMNS / 8;
constexpr int GROUPS = CHUNK / 8, ROW_BYTES = (GROUPS | 1) * 16, WEIGHT_BYTES = COLUMNS * ROW_BYTES;
constexpr int PIECE_GROUPS = PIECE / 8, PIECES = CHUNK / PIECE;

// One tap of one chunk: sums += input rows x weights.
DEVICE void multiply(float (&sums)[ROW_TILES][4 * COLUMN_TILES], u32 rows, u32 weights, int lane) {
  u32 left = rows + (lane % 16) * ROW_BYTES + lane / 16 * 16;
  u32 right = weights + (lane % 8 + lane / 16 * 8) * ROW_BYTES + lane / 8 % 2 * 16;
#pragma unroll
  for (int step = 0; step < CHUNK / 16; step++) {
    u32 a[ROW_TILES][4];
#pragma unroll
    for (int m = 0; m < ROW_TILES; m++) load_matrices(a[m], left + m * 16 * ROW_BYTES + step * 32);
#pragma unroll
    for (int n = 0; n + 1 < COLUMN_TILES; n += 2) {
      u32 b[4];
      load_matrices(b, right + n * 8 * ROW_BYTES + step * 32);
#pragma unroll
      for (int m = 0; m < ROW_TILES; m++) {
        mma_add(&sums[m][4 * n], a[m], b[0], b[1]);
        mma_add(&sums[m][4 * n + 4], a[m], b[2], b[3]);
      }
    }
    if constexpr (COLUMN_TILES % 2) {
      u32 b[2];
      load_matrices(b, right + (COLUMN_TILES - 1) * 8 * ROW_BYTES + step * 32);
#pragma unroll
      for (int m = 0; m < ROW_TILES; m++) mma_add(&sums[m][4 * COLUMN_TILES - 4], a[m], b[0], b[1]);
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
    tile_convolution(const Element *__restrict__ x, const Element *__restrict__ weights,
                     const float *__restrict__ bias, const Element *residual, Element *out, int samples, int inputs,
                     int columns, int packed_columns, int chunks, int taps, int dilation, int offset, int shifted_from,
                     int input_stages) {
  extern __shared__ __align__(16) u8 shared[];
  int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
  int first = blockIdx.x * BLOCK_SAMPLES, tile = blockIdx.y, item = blockIdx.z;
  int rows = BLOCK_SAMPLES + (taps - 1) * dilation, origin = first + offset + (tile >= shifted_from);
  int input_bytes = rows * ROW_BYTES, total = chunks * taps, weight_stages = RESIDENT ? total : WEIGHT_STAGES;
  u32 input_tiles = shared_address(shared), weight_tiles = input_tiles + input_stages * input_bytes;
  const Element *source = x + (u64)item * samples * inputs;

  int fetched = 0, fetch_chunk = 0, fetch_tap = 0, fetch_input = 0, fetch_weight = 0;
  auto fetch_weights = [&] {
    u32 to = weight_tiles + fetch_weight * WEIGHT_BYTES;
    for (int i = thread; i < COLUMNS * GROUPS; i += THREADS) {
      int column = i / GROUPS, group = i % GROUPS, piece = group / PIECE_GROUPS;
      u64 row = ((u64)(fetch_chunk * PIECES + piece) * taps + fetch_tap) * packed_columns + tile * COLUMNS + column;
      copy_16(to + column * ROW_BYTES + group * 16, weights + row * PIECE + group % PIECE_GROUPS * 8, true);
    }
  };
  auto fetch_input_chunk = [&] {
    u32 to = input_tiles + fetch_input * input_bytes;
    for (int i = thread; i < rows * GROUPS; i += THREADS) {
      int row = i / GROUPS, group = i % GROUPS, sample = origin + row, channel = fetch_chunk * CHUNK + group * 8;
      bool inside = sample >= 0 && sample < samples && channel < inputs;
      copy_16(to + row * ROW_BYTES + group * 16, source + (inside ? (u64)sample * inputs + channel : 0), inside);
    }
  };
  // Requests the next tap's weights, and with a chunk's first tap its input.
  auto fetch = [&] {
    if (fetched >= total) return;
    fetch_weights();
    if (fetch_tap == 0) fetch_input_chunk();
    fetched++;
    if (++fetch_weight == weight_stages) fetch_weight = 0;
    if (++fetch_tap == taps) {
      fetch_tap = 0, fetch_chunk++;
      if (++fetch_input == input_stages) fetch_input = 0;
    }
  };

  float sums[ROW_TILES][4 * COLUMN_TILES];
#pragma unroll
  for (int m = 0; m < ROW_TILES; m++)
#pragma unroll
    for (int i = 0; i < 4 * COLUMN_TILES; i++) sums[m][i] = 0;
  u32 warp_rows = warp / WARPS_ACROSS * WARP_SAMPLES * ROW_BYTES;
  u32 warp_weights = warp % WARPS_ACROSS * WARP_COLUMNS * ROW_BYTES;
  constexpr int AHEAD = WEIGHT_STAGES - 1;

  wait_for_input();
  for (int i = 0; i < (RESIDENT ? total : AHEAD); i++) {
    fetch();
    if (!RESIDENT) copy_commit();
  }
  if (RESIDENT) {
    copy_commit();
    copy_wait<0>();
    __syncthreads();
  }
  int weight_stage = 0, input_stage = 0, tap = 0;
#pragma unroll 1
  for (int i = 0; i < total; i++) {
    if (!RESIDENT) {
      copy_wait<AHEAD - 1>();
      __syncthreads();
      fetch();
      copy_commit();
    }
    multiply(sums, input_tiles + input_stage * input_bytes + warp_rows + tap * dilation * ROW_BYTES,
             weight_tiles + weight_stage * WEIGHT_BYTES + warp_weights, lane);
    if (++weight_stage == weight_stages) weight_stage = 0;
    if (++tap == taps) {
      tap = 0;
      if (++input_stage == input_stages) input_stage = 0;
    }
  }
  release_next();

  int column = tile * COLUMNS + warp % WARPS_ACROSS * WARP_COLUMNS;
#pragma unroll
  for (int m = 0; m < ROW_TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = first + warp / WARPS_ACROSS * WARP_SAMPLES + m * 16 + half * 8 + lane / 4;
      if (row >= samples) continue;
      u64 at = ((u64)item * samples + row) * columns;
      for_each_group<WARP_COLUMNS>(lane & 3, [&](auto kind, int sum, int channel) {
        int c = column + channel;
        if (c < columns)
          finish_group<Count<decltype(kind)>::value, LEAKY>(sums[m] + sum, half, bias + c,
                                                            residual ? residual + at + c : nullptr, out + at + c);
      });
    }
}
