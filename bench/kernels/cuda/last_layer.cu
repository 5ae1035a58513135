// The last layer: activation, convolution of CHANNELS channels to one, then tanh or a clamp to [-1, 1], in float32.
// SNAKE: the alias-free activation (times SCALE^2); else none, because the sum in front stored its leaky ReLU.
// Meaning: bench.kernels.reference.last_layer.
#include "alias_free.cuh"
#include "launch.cuh"

constexpr int MADE = 506, WARPS = 8;

extern "C" __global__ void __launch_bounds__(32 * WARPS)
    last_layer(const Element *x, const float *__restrict__ weights, float bias,
               const SnakeParameters *__restrict__ parameters, const uint4 *__restrict__ table,
               float *__restrict__ out, int samples, int use_tanh) {
  constexpr int HELD = MADE + TAPS - 1, ROWS = HELD | 1;
  extern __shared__ __align__(16) u8 shared[];
  float *kept = (float *)(shared + CHANNELS / 8 * ROWS * 16);
  int first = blockIdx.x * MADE, item = blockIdx.y;
  const Element *from = x + (u64)item * samples * CHANNELS;
  for (int i = threadIdx.x; i < TAPS * CHANNELS; i += 32 * WARPS) kept[i] = weights[i];
  release_next();
  wait_for_input();
  if constexpr (SNAKE) {
    activate_tile<CHANNELS, ROWS, 8, WARPS, 0>(shared, from, 0, 0, parameters, table, first - TAPS / 2, HELD, samples);
  } else {
    for (int i = threadIdx.x; i < HELD * (CHANNELS / 8); i += 32 * WARPS) {
      int row = i / (CHANNELS / 8), group = i % (CHANNELS / 8), sample = first - TAPS / 2 + row;
      bool inside = sample >= 0 && sample < samples;
      copy_16(shared_address(shared) + (group * ROWS + row) * 16,
              from + (inside ? (u64)sample * CHANNELS + 8 * group : 0), inside);
    }
    copy_commit();
    copy_wait<0>();
  }
  __syncthreads();
  for (int i = threadIdx.x; i < MADE && first + i < samples; i += 32 * WARPS) {
    float sum = bias;
#pragma unroll 1
    for (int tap = 0; tap < TAPS; tap++)
#pragma unroll
      for (int group = 0; group < CHANNELS / 8; group++) {
        Elements<8> elements = load<8>(shared + (group * ROWS + i + tap) * 16);
#pragma unroll
        for (int k = 0; k < 4; k++) {
          float2 pair = unpack(elements[k]), w = *(const float2 *)(kept + tap * CHANNELS + 8 * group + 2 * k);
          sum += pair.x * w.x + pair.y * w.y;
        }
      }
    out[(u64)item * samples + first + i] = use_tanh ? tanhf(sum) : fminf(fmaxf(sum, -1.f), 1.f);
  }
}
