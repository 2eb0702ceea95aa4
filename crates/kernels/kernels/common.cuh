// What every kernel here uses: sizes of blocks, small by-value tables of pointers, and numbers.
//
// The same source is compiled by nvcc for devices and, for the tests, by a C++ compiler for the host, where `emulator.h`
// stands in for CUDA and runs a grid block by block. So: no vendor headers, C++17, `SHARED` for memory of a block, and
// `full_mask` for every shuffle. Sums have a fixed order everywhere; there are no atomics.

#pragma once

#ifdef HOMEBENCH_ON_HOST
#include "emulator.h"
#else
#define SHARED __shared__
#define KERNEL extern "C" __global__ void
#endif

// Threads of a block that walks over a matrix: 32 columns by 8 rows.
constexpr int TILE_COLUMNS = 32;
constexpr int TILE_ROWS = 8;
// Threads of a block over a list of elements.
constexpr int LIST_THREADS = 256;
// Pointers of one launch: experts of a stack or embedding tables. As `POINTERS` in cuda/arguments.rs.
constexpr int POINTERS = 64;
constexpr unsigned full_mask = 0xffffffffu;

// One pointer per expert or table, passed by value so that nothing has to be copied to the device.
struct Pointers {
  float *at[POINTERS];
};

enum Activation { IDENTITY = 0, RELU = 1, SILU = 2 };

// Within (0, 1) and finite for every finite x, as on the processor: the exponent's argument is clamped.
__device__ inline float sigmoid(float x) {
  float power = expf(fminf(fmaxf(-x, -87.0f), 88.0f));
  // fmaxf would turn a NaN into a number and hide it.
  return x == x ? 1.0f / (1.0f + power) : x;
}

__device__ inline size_t offset_of(int matrix, int row, int num_rows, int width) {
  return ((size_t)matrix * num_rows + row) * width;
}

// The sum over a warp's lanes, in every lane, in a fixed order.
__device__ inline float warp_sum(float value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(full_mask, value, distance);
  }
  return value;
}
