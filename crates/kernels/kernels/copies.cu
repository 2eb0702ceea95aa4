// Many small matrices copied, added or filled in one launch: weights of several variables packed side by side for one
// product, and their gradients handed back.

#pragma once

#include "common.cuh"

// As `COPIES` in cuda/copies.rs.
constexpr int COPIES = 24;

// Rows start `to_stride` and `from_stride` elements apart; a null source is zeros, a stride of 0 repeats one row.
struct Copies {
  float *to[COPIES];
  const float *from[COPIES];
  int to_stride[COPIES];
  int from_stride[COPIES];
  int rows[COPIES];
  int columns[COPIES];
  int add[COPIES];
};

// No two copies of a launch may write to the same place.
// Grid: (elements / LIST_THREADS of the largest, up to some, copies).
KERNEL copy_blocks(Copies copies) {
  int copy = blockIdx.y;
  int columns = copies.columns[copy];
  size_t count = (size_t)copies.rows[copy] * columns;
  const float *from = copies.from[copy];
  float *to = copies.to[copy];
  for (size_t index = (size_t)blockIdx.x * LIST_THREADS + threadIdx.x; index < count;
       index += (size_t)gridDim.x * LIST_THREADS) {
    size_t row = index / columns, column = index % columns;
    float value = from ? from[row * copies.from_stride[copy] + column] : 0.0f;
    size_t at = row * copies.to_stride[copy] + column;
    to[at] = copies.add[copy] ? to[at] + value : value;
  }
}
