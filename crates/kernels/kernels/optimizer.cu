// Dense optimisers and clipping over many tensors in one launch.

#pragma once

#include "common.cuh"

// As `TENSORS` and `BLOCK_ELEMENTS` in cuda/optimizer.rs.
constexpr int TENSORS = 32;
constexpr int BLOCK_ELEMENTS = 1024;

// Tensor t has the blocks first_block[t] .. first_block[t + 1].
struct Tensors {
  float *values[TENSORS];
  float *gradients[TENSORS];
  float *first[TENSORS];
  float *second[TENSORS];
  int num_elements[TENSORS];
  int first_block[TENSORS + 2];
};

struct Piece {
  int tensor;
  int start;
  int end;
};

__device__ inline Piece piece_of(const Tensors &tensors, int block) {
  int tensor = 0;
  while (block >= tensors.first_block[tensor + 1]) ++tensor;
  int start = (block - tensors.first_block[tensor]) * BLOCK_ELEMENTS;
  return {tensor, start, min(tensors.num_elements[tensor], start + BLOCK_ELEMENTS)};
}

// The factors of one step, as `StepFactors` in optimizer/adam.rs.
struct AdamFactors {
  float beta1;
  float beta2;
  float complement1;
  float complement2;
  float epsilon;
  float rate;
  float inverse_root;
  float keep;
};

__device__ inline void adam_element(float *value, float *first, float *second, float slope, const AdamFactors &of) {
  float mean = fmaf(*first, of.beta1, slope * of.complement1);
  float square = fmaf(*second, of.beta2, slope * slope * of.complement2);
  *first = mean;
  *second = square;
  float root = fmaf(sqrtf(square), of.inverse_root, of.epsilon);
  *value = fmaf(*value, of.keep, -of.rate * mean / root);
}

// Grid: all blocks of all tensors, as for every kernel of this file that takes `Tensors`.
KERNEL adam_update(Tensors tensors, AdamFactors factors) {
  Piece piece = piece_of(tensors, blockIdx.x);
  int t = piece.tensor;
  for (int index = piece.start + threadIdx.x; index < piece.end; index += LIST_THREADS) {
    adam_element(tensors.values[t] + index, tensors.first[t] + index, tensors.second[t] + index,
                 tensors.gradients[t][index], factors);
  }
}

KERNEL adagrad_update(Tensors tensors, float rate, float epsilon, float decay) {
  Piece piece = piece_of(tensors, blockIdx.x);
  float *values = tensors.values[piece.tensor], *squares = tensors.first[piece.tensor];
  for (int index = piece.start + threadIdx.x; index < piece.end; index += LIST_THREADS) {
    float slope = fmaf(values[index], decay, tensors.gradients[piece.tensor][index]);
    float square = fmaf(slope, slope, squares[index]);
    squares[index] = square;
    values[index] -= rate * slope / (sqrtf(square) + epsilon);
  }
}

KERNEL momentum_update(Tensors tensors, float rate, float momentum, float decay) {
  Piece piece = piece_of(tensors, blockIdx.x);
  float *values = tensors.values[piece.tensor], *velocity = tensors.first[piece.tensor];
  for (int index = piece.start + threadIdx.x; index < piece.end; index += LIST_THREADS) {
    float slope = fmaf(values[index], decay, tensors.gradients[piece.tensor][index]);
    float speed = fmaf(velocity[index], momentum, slope);
    velocity[index] = speed;
    values[index] = fmaf(speed, -rate, values[index]);
  }
}

KERNEL descent_update(Tensors tensors, float rate, float decay) {
  Piece piece = piece_of(tensors, blockIdx.x);
  float *values = tensors.values[piece.tensor];
  for (int index = piece.start + threadIdx.x; index < piece.end; index += LIST_THREADS) {
    float slope = fmaf(values[index], decay, tensors.gradients[piece.tensor][index]);
    values[index] = fmaf(slope, -rate, values[index]);
  }
}

// The block's sum of `own` over its threads, in thread 0.
__device__ inline double block_sum(double *sums, double own) {
  sums[threadIdx.x] = own;
  __syncthreads();
  for (int half = LIST_THREADS / 2; half > 0; half /= 2) {
    if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  return sums[0];
}

// The sum of squared gradients of each block into `parts`.
KERNEL gradient_squares(Tensors tensors, double *parts) {
  SHARED double sums[LIST_THREADS];
  Piece piece = piece_of(tensors, blockIdx.x);
  double own = 0.0;
  for (int index = piece.start + threadIdx.x; index < piece.end; index += LIST_THREADS) {
    double slope = tensors.gradients[piece.tensor][index];
    own += slope * slope;
  }
  double sum = block_sum(sums, own);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// The norm from the blocks' sums, and the factor that brings it down to `max_norm`: out [norm, factor].
// Grid: 1 block.
KERNEL clip_factor(const double *parts, float *out, int num_parts, double max_norm) {
  SHARED double sums[LIST_THREADS];
  double own = 0.0;
  for (int part = threadIdx.x; part < num_parts; part += LIST_THREADS) own += parts[part];
  double norm = sqrt(block_sum(sums, own));
  if (threadIdx.x != 0) return;
  double factor = max_norm / (norm + 1e-6);
  out[0] = (float)norm;
  out[1] = factor < 1.0 ? (float)factor : 1.0f;
}

// Scales the gradients by `clip_factor`'s second number.
KERNEL scale_gradients(Tensors tensors, const float *norm_and_factor) {
  float factor = norm_and_factor[1];
  // Not >=: a norm that is no number must not pass as one.
  if (factor == 1.0f) return;
  Piece piece = piece_of(tensors, blockIdx.x);
  for (int index = piece.start + threadIdx.x; index < piece.end; index += LIST_THREADS) {
    tensors.gradients[piece.tensor][index] *= factor;
  }
}
