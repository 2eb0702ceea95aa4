// What the kernels use of CUDA, for a C++ compiler: indices, block memory, barriers and shuffles.
//
// Every thread of a block is a fiber that runs until it waits, so that barriers and shuffles behave as on a device.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#define __global__
#define __device__
#define KERNEL static void
// Blocks run one after another, and a whole launch on one thread.
#define SHARED static thread_local

using std::min;

struct Index {
  unsigned x;
  unsigned y;
  unsigned z;
};

static thread_local Index threadIdx, blockIdx, blockDim, gridDim;

// Waits for every thread of the block.
void __syncthreads();

// Waits for every lane of the warp.
void __syncwarp(unsigned mask);

// The value that the lane at `distance` (by exclusive or) holds.
float __shfl_xor_sync(unsigned mask, float value, int distance);
