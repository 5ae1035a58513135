// y = SCALE^2 activation(x), both (batch, samples, CHANNELS). One warp walks a strip of `blocks` blocks of 8 samples.
// Meaning: bench.kernels.reference.activation.
#include "alias_free.cuh"
#include "launch.cuh"

extern "C" __global__ void __launch_bounds__(128, 8)
    activation(const Element *__restrict__ x, Element *__restrict__ y, const SnakeParameters *__restrict__ parameters,
               const uint4 *__restrict__ table, int samples, int blocks, int strips, int tasks) {
  constexpr int GROUPS = (CHANNELS + 15) / 16;
  int task = blockIdx.x * 4 + (threadIdx.x >> 5), row = (threadIdx.x & 31) >> 2, quad = threadIdx.x & 3;
  release_next();
  wait_for_input();
  if (task >= tasks) return;
  int channel = task % GROUPS * 16, first = task / GROUPS % strips * blocks * 8, item = task / (GROUPS * strips);
  u64 base = (u64)item * samples * CHANNELS;
  Element *to = y + base + (u64)(first + row) * CHANNELS + channel;
  int left = samples - first - row;
  if (CHANNELS % 16 == 0 || channel + 16 <= CHANNELS)
    activate_global<CHANNELS, false>(x + base, parameters, table, channel, first, blocks, samples,
                                     [&](int block, u32 a, u32 b) {
                                       if (8 * block < left)
                                         *(uint2 *)(to + (u64)block * 8 * CHANNELS + 4 * quad) = make_uint2(a, b);
                                     });
  else
    activate_global<CHANNELS, true>(x + base, parameters, table, channel, first, blocks, samples,
                                    [&](int block, u32 a, u32) {
                                      if (8 * block < left)
                                        *(u32 *)(to + (u64)block * 8 * CHANNELS + 2 * quad) = a;
                                    });
}
