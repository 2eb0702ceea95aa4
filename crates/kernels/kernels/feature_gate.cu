// Feature gates: the passes over rows between their low-rank products.
//
// `hidden` [rows, stride] is the packed product of one input: the LoRAs' columns, then the softmax logits of each gate that
// reads it, `num_lora` at a time from `first` on. `gates` names those gates.

#pragma once

#include "common.cuh"

// Softmax over each gate's logits, in place.
// Grid: rows x gates / LIST_THREADS.
KERNEL feature_gate_weights(float *hidden, int num_rows, int stride, int first, int num_gates, int num_lora) {
  int index = blockIdx.x * LIST_THREADS + threadIdx.x;
  if (index >= num_rows * num_gates) return;
  float *logits = hidden + (size_t)(index / num_gates) * stride + first + (index % num_gates) * num_lora;
  float largest = logits[0];
  for (int lora = 1; lora < num_lora; ++lora) largest = fmaxf(largest, logits[lora]);
  float sum = 0.0f;
  for (int lora = 0; lora < num_lora; ++lora) {
    logits[lora] = expf(logits[lora] - largest);
    sum += logits[lora];
  }
  float factor = 1.0f / sum;
  for (int lora = 0; lora < num_lora; ++lora) logits[lora] *= factor;
}

// `out = x sum_l 2 w_l sigmoid(LoRA_l)`; leaves the sigmoids in place of `loras` [gates, loras, rows, dim].
// Grid: (rows / TILE_ROWS, gates of the input); block: a tile, a warp for a row.
KERNEL feature_gate_forward(const float *xs, float *loras, const float *hidden, float *out, const int *gates,
                            int num_rows, int dim, int stride, int first, int num_lora) {
  int row = blockIdx.x * TILE_ROWS + threadIdx.y;
  if (row >= num_rows) return;
  int gate = gates[blockIdx.y];
  const float *weights = hidden + (size_t)row * stride + first + blockIdx.y * num_lora;
  const float *x = xs + (size_t)row * dim;
  float *to = out + offset_of(gate, row, num_rows, dim);
  for (int unit = threadIdx.x; unit < dim; unit += TILE_COLUMNS) {
    float sum = 0.0f;
    for (int lora = 0; lora < num_lora; ++lora) {
      float *value = loras + offset_of(gate * num_lora + lora, row, num_rows, dim) + unit;
      float of_lora = sigmoid(*value);
      *value = of_lora;
      sum = fmaf(of_lora, 2.0f * weights[lora], sum);
    }
    to[unit] = x[unit] * sum;
  }
}

// The gradients of the input (its direct part), of each LoRA's output and of the softmax logits, gates in order.
// `slopes` [gates, loras, rows, dim]; the logits' gradients go to the same columns of `hidden_gradient` as the weights have
// in `hidden`.
// Grid: rows / TILE_ROWS; block: a tile, a warp for a row.
KERNEL feature_gate_backward(const float *xs, const float *gradient, const float *sigmoids, const float *hidden,
                             float *slopes, float *hidden_gradient, float *input_gradient, const int *gates,
                             int num_gates, int num_rows, int dim, int stride, int first, int num_lora) {
  int row = blockIdx.x * TILE_ROWS + threadIdx.y;
  bool inside = row < num_rows;
  // Every lane of a warp takes part in its sums; warps beyond the last row sum zeros.
  int at = inside ? row : 0;
  const float *x = xs + (size_t)at * dim;
  float *of_input = input_gradient + (size_t)at * dim;
  if (inside) {
    for (int unit = threadIdx.x; unit < dim; unit += TILE_COLUMNS) of_input[unit] = 0.0f;
  }
  for (int position = 0; position < num_gates; ++position) {
    int gate = gates[position];
    size_t columns = (size_t)at * stride + first + position * num_lora;
    const float *slope_of_output = gradient + offset_of(gate, at, num_rows, dim);
    float mean = 0.0f;
    for (int lora = 0; lora < num_lora; ++lora) {
      size_t start = offset_of(gate * num_lora + lora, at, num_rows, dim);
      float weight = 2.0f * hidden[columns + lora];
      float sum = 0.0f;
      for (int unit = threadIdx.x; inside && unit < dim; unit += TILE_COLUMNS) {
        float value = sigmoids[start + unit];
        float slope = slope_of_output[unit];
        float product = slope * x[unit];
        of_input[unit] = fmaf(slope * value, weight, of_input[unit]);
        slopes[start + unit] = product * weight * (value - value * value);
        sum = fmaf(product, value, sum);
      }
      sum = 2.0f * warp_sum(sum);
      mean = fmaf(sum, hidden[columns + lora], mean);
      if (inside && threadIdx.x == 0) hidden_gradient[columns + lora] = sum;
    }
    if (inside && threadIdx.x == 0) {
      for (int lora = 0; lora < num_lora; ++lora) {
        float *of_logit = hidden_gradient + columns + lora;
        *of_logit = hidden[columns + lora] * (*of_logit - mean);
      }
    }
  }
}
