// What a convolution does with its sums: bias, residual, leaky ReLU, one rounding, one store.
//
// Weights are packed with their output channels permuted (bench/kernels/packing.py: `channel_order`), so that a
// thread's sums are neighbours in memory: 8 channels in each group of 32, then 4 in a group of 16, 2 in one of 8.
#pragma once
#include "element.cuh"

// Channels that a thread owns of the groups of a tile of `COLUMNS` channels: visit(count, first sum, first channel).
template <int COLUMNS, class VISIT> DEVICE void for_each_group(int quad, VISIT visit) {
#pragma unroll
  for (int group = 0; group < COLUMNS / 32; group++) visit(Elements<8>(), 16 * group, 32 * group + 8 * quad);
  constexpr int wide = COLUMNS / 32 * 32;
  if constexpr (COLUMNS % 32 >= 16) visit(Elements<4>(), wide / 2, wide + 4 * quad);
  if constexpr (COLUMNS % 16 != 0) visit(Elements<2>(), (COLUMNS - 8) / 2, COLUMNS - 8 + 2 * quad);
}

// One group: out = [leaky](sums + bias + residual). `half` selects row g (0) or g + 8 (1). Where LEAKY, what is
// stored is the leaky ReLU of the value, so that a residual is inverted first.
template <int COUNT, bool LEAKY>
DEVICE void finish_group(const float *sums, int half, const float *bias, const Element *residual, Element *out) {
  float values[COUNT];
#pragma unroll
  for (int i = 0; i < COUNT; i += 2) {
    float2 add = *(const float2 *)(bias + i);
    values[i] = sums[2 * i + 2 * half] + add.x;
    values[i + 1] = sums[2 * i + 2 * half + 1] + add.y;
  }
  Elements<COUNT> elements;
  if (residual) {
    elements = load<COUNT>(residual);
#pragma unroll
    for (int i = 0; i < COUNT / 2; i++) {
      float2 add = unpack(elements[i]);
      values[2 * i] += LEAKY ? unleaky(add.x) : add.x;
      values[2 * i + 1] += LEAKY ? unleaky(add.y) : add.y;
    }
  }
#pragma unroll
  for (int i = 0; i < COUNT / 2; i++)
    elements[i] = LEAKY ? pack(leaky(values[2 * i]), leaky(values[2 * i + 1])) : pack(values[2 * i], values[2 * i + 1]);
  store<COUNT>(out, elements);
}

template <class ELEMENTS> struct Count;
template <int COUNT> struct Count<Elements<COUNT>> {
  static constexpr int value = COUNT;
};

// Both rows of a thread; `first` and `second` say whether they exist, `at` is the offset of row g, `step` the distance
// of row g + 8.
template <int COLUMNS, bool LEAKY>
DEVICE void finish(const float *sums, bool first, bool second, const float *bias, const Element *residual, Element *out,
                   u64 at, u64 step) {
  int quad = threadIdx.x & 3;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (half ? !second : !first) continue;
    u64 row = at + (half ? step : 0);
    for_each_group<COLUMNS>(quad, [&](auto kind, int sum, int channel) {
      finish_group<Count<decltype(kind)>::value, LEAKY>(sums + sum, half, bias + channel,
                                                        residual ? residual + row + channel : nullptr,
                                                        out + row + channel);
    });
  }
}
