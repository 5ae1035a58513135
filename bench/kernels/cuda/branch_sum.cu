// out = leaky(scale (branch 0 + branch 1 + ...)) of BRANCHES <= 4 branches, the slope `slope`, 1 for none. Branches that
// are stored as their leaky ReLU (LEAKY_IN) are inverted first. Meaning: bench.kernels.reference.branch_sum.
#include "element.cuh"
#include "launch.cuh"

extern "C" __global__ void __launch_bounds__(256)
    branch_sum(const uint4 *first, const uint4 *second, const uint4 *third, const uint4 *fourth, uint4 *out,
               u32 eights, float scale, float slope) {
  u32 at = blockIdx.x * 256 + threadIdx.x;
  release_next();
  wait_for_input();
  if (at >= eights) return;
  const uint4 *branches[4] = {first, second, third, fourth};
  // All loads are requested before the first is used.
  Elements<8> loaded[BRANCHES];
#pragma unroll
  for (int branch = 0; branch < BRANCHES; branch++) loaded[branch].words = branches[branch][at];
  float sums[8] = {};
#pragma unroll
  for (int branch = 0; branch < BRANCHES; branch++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float2 pair = unpack(loaded[branch][i]);
      sums[2 * i] += LEAKY_IN ? unleaky(pair.x) : pair.x;
      sums[2 * i + 1] += LEAKY_IN ? unleaky(pair.y) : pair.y;
    }
  Elements<8> result;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float x = sums[2 * i] * scale, y = sums[2 * i + 1] * scale;
    result[i] = pack(x > 0 ? x : slope * x, y > 0 ? y : slope * y);
  }
  out[at] = result.words;
}
