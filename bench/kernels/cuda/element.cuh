// The 16-bit element that tensors are stored in (float16, or bfloat16 under BFLOAT16), and its conversions.
// Sums are float32 everywhere; an element is rounded once, to nearest even, when it is stored.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef u16 Element;

#define DEVICE __device__ __forceinline__

// Two elements of a 32-bit register; the first one lies in the low half.
DEVICE u32 pack(float first, float second) {
  u32 pair;
#ifdef BFLOAT16
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
#else
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
#endif
  return pair;
}

DEVICE float2 unpack(u32 pair) {
  float2 values;
#ifdef BFLOAT16
  values.x = __uint_as_float(pair << 16);
  values.y = __uint_as_float(pair & 0xffff0000u);
#else
  asm("{.reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}"
      : "=f"(values.x), "=f"(values.y)
      : "r"(pair));
#endif
  return values;
}

DEVICE float to_float(Element element) { return unpack((u32)element).x; }

// Up to eight neighbouring elements, moved in one access.
template <int COUNT> struct Elements;
template <> struct Elements<8> {
  uint4 words;
  DEVICE u32 &operator[](int i) { return (&words.x)[i]; }
};
template <> struct Elements<4> {
  uint2 words;
  DEVICE u32 &operator[](int i) { return (&words.x)[i]; }
};
template <> struct Elements<2> {
  u32 words;
  DEVICE u32 &operator[](int) { return words; }
};
template <int COUNT> DEVICE Elements<COUNT> load(const void *address) { return *(const Elements<COUNT> *)address; }
template <int COUNT> DEVICE void store(void *address, Elements<COUNT> elements) {
  *(Elements<COUNT> *)address = elements;
}

// Leaky ReLU with HiFi-GAN's slope, and its inverse: HiFi-GAN stores what follows the activation.
DEVICE float leaky(float x) { return fmaxf(x, 0.1f * x); }
DEVICE float unleaky(float y) { return fminf(y, 10.f * y); }

DEVICE u32 shared_address(const void *pointer) { return (u32)__cvta_generic_to_shared(pointer); }
