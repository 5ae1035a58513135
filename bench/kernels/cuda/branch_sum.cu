// out = scale (branch 0 + branch 1 + ...), up to four branches. Branches that are stored as their leaky ReLU
// (LEAKY_IN) are inverted first; what is stored is the leaky ReLU of the sum with slope `last_slope`, 1 for
// none. Meaning: bench.kernels.reference.branch_sum.
#include "element.cuh"
#include "launch.cuh"

extern "C" __global__ void __launch_bounds__(256)
    branch_sum(const uint4 *first, const uint4 *second, const uint4 *third, const uint4 *fourth, uint4 *out,
               u32 eights, float scale, float last_slope) {
  u32 at = blockIdx.x * 256 + threadIdx.x;
  release_next();
  wait_for_input();
  if (at >= eights) return;
  float sums[8] = {};
  auto add = [&](const uint4 *branch) {
    Elements<8> elements;
    elements.words = branch[at];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float2 pair = unpack(elements[i]);
      sums[2 * i] += LEAKY_IN ? unleaky(pair.x) : pair.x;
      sums[2 * i + 1] += LEAKY_IN ? unleaky(pair.y) : pair.y;
    }
  };
  add(first);
  if (second) add(second);
  if (third) add(third);
  if (fourth) add(fourth);
  Elements<8> result;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float x = sums[2 * i] * scale, y = sums[2 * i + 1] * scale;
    result[i] = pack(x > 0 ? x : last_slope * x, y > 0 ? y : last_slope * y);
  }
  out[at] = result.words;
}
