// Binary cross-entropy from logits over all tasks at once.

#pragma once

#include "common.cuh"

// `max(x, 0)` that keeps a NaN.
__device__ inline float rectified(float x) { return x < 0.0f ? 0.0f : x; }

// Each logit's weighted loss, summed over a block's elements into `parts`, and its slope. A factor of 0 leaves out even a
// label that is no number. `positive` has one factor per task or is null.
// Grid: blocks of elements_per_block; block: LIST_THREADS.
KERNEL loss_parts(const float *logits, const float *labels, const float *factors, const float *positive, float *slopes,
                  double *parts, int count, int num_tasks, int elements_per_block) {
  SHARED double sums[LIST_THREADS];
  int end = min(count, (int)(blockIdx.x + 1) * elements_per_block);
  double sum = 0.0;
  for (int index = blockIdx.x * elements_per_block + threadIdx.x; index < end; index += LIST_THREADS) {
    float logit = logits[index], factor = factors[index], label = labels[index];
    float power = expf(-fabsf(logit));
    float tail = log1pf(power);
    // sigmoid(x) and 1 - sigmoid(x), each without cancellation.
    float larger = 1.0f / (1.0f + power), smaller = power / (1.0f + power);
    float probability = logit < 0.0f ? smaller : larger, rest = logit < 0.0f ? larger : smaller;
    float yes = label * (positive ? positive[index % num_tasks] : 1.0f), no = 1.0f - label;
    float loss = (yes * (rectified(-logit) + tail) + no * (rectified(logit) + tail)) * factor;
    float slope = (no * probability - yes * rest) * factor;
    slopes[index] = factor == 0.0f ? 0.0f : slope;
    sum += factor == 0.0f ? 0.0 : (double)loss;
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int half = LIST_THREADS / 2; half > 0; half /= 2) {
    if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) parts[blockIdx.x] = sums[0];
}

// Adds up the blocks of `loss_parts`.
// Grid: 1 block of 1 warp, of which one lane adds.
KERNEL loss_total(const double *parts, float *out, int num_parts) {
  if (threadIdx.x != 0) return;
  double sum = 0.0;
  for (int part = 0; part < num_parts; ++part) sum += parts[part];
  *out = (float)sum;
}

// `out = values factor`, the factor read on the device.
// Grid: count / LIST_THREADS.
KERNEL scale_by(const float *values, const float *factor, float *out, int count) {
  int index = blockIdx.x * LIST_THREADS + threadIdx.x;
  if (index < count) out[index] = values[index] * *factor;
}
