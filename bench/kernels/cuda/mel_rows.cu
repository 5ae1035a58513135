// The mel, float32 (batch, bands, frames), as rows of elements (batch, frames, 3 PADDED): high part, low part, high part.
// With weights split likewise (high, high, low) the first convolution keeps some 22 bits of both factors.
// Meaning: bench.kernels.reference.mel_rows.
#include "element.cuh"
#include "launch.cuh"

extern "C" __global__ void __launch_bounds__(256)
    mel_rows(const float *__restrict__ mel, Element *__restrict__ rows, int bands, int frames, int padded) {
  __shared__ float tile[32][33];
  int frame = blockIdx.x * 32, band = blockIdx.y * 32, x = threadIdx.x & 31, y = threadIdx.x >> 5;
  const float *from = mel + (u64)blockIdx.z * bands * frames;
  release_next();
  wait_for_input();
  for (int i = y; i < 32; i += 8)
    tile[i][x] = band + i < bands && frame + x < frames ? from[(u64)(band + i) * frames + frame + x] : 0.f;
  __syncthreads();
  for (int i = y; i < 32; i += 8) {
    if (frame + i >= frames || band + x >= padded) continue;
    float value = tile[x][i];
    u32 high = pack(value, 0.f) & 0xffff, low = pack(value - unpack(high).x, 0.f) & 0xffff;
    Element *to = rows + ((u64)blockIdx.z * frames + frame + i) * 3 * padded + band + x;
    to[0] = to[2 * padded] = (Element)high;
    to[padded] = (Element)low;
  }
}
