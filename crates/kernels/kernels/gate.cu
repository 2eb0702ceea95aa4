// Gates: weights from logits, the sums of experts that they make, and their gradients.
//
// What a gate sees is a table of whole numbers that lives on the device.

#pragma once

#include "common.cuh"

enum GateActivation { SOFTMAX_GATE = 0, SIGMOID_GATE = 1, IDENTITY_GATE = 2 };

// Turns logits [rows, columns] into weights. `gates`: (activation, first column, end) of each.
// Grid: rows x gates / LIST_THREADS.
KERNEL gate_weights(const float *logits, float *weights, const int *gates, int num_gates, int num_rows,
                    int num_columns) {
  int index = blockIdx.x * LIST_THREADS + threadIdx.x;
  if (index >= num_rows * num_gates) return;
  const int *gate = gates + 3 * (index % num_gates);
  size_t row = (size_t)(index / num_gates) * num_columns;
  int activation = gate[0], first = gate[1], end = gate[2];
  if (activation != SOFTMAX_GATE) {
    for (int column = first; column < end; ++column) {
      float logit = logits[row + column];
      weights[row + column] = activation == SIGMOID_GATE ? sigmoid(logit) : logit;
    }
    return;
  }
  float largest = logits[row + first];
  for (int column = first + 1; column < end; ++column) largest = fmaxf(largest, logits[row + column]);
  float sum = 0.0f;
  for (int column = first; column < end; ++column) {
    float power = expf(logits[row + column] - largest);
    weights[row + column] = power;
    sum += power;
  }
  float factor = 1.0f / sum;
  for (int column = first; column < end; ++column) weights[row + column] *= factor;
}

// Turns gradients of weights into gradients of logits, in place.
// Grid: rows x gates / LIST_THREADS.
KERNEL gate_weight_gradients(float *gradient, const float *weights, const int *gates, int num_gates, int num_rows,
                             int num_columns) {
  int index = blockIdx.x * LIST_THREADS + threadIdx.x;
  if (index >= num_rows * num_gates) return;
  const int *gate = gates + 3 * (index % num_gates);
  size_t row = (size_t)(index / num_gates) * num_columns;
  int activation = gate[0], first = gate[1], end = gate[2];
  float mean = 0.0f;
  if (activation == SOFTMAX_GATE) {
    for (int column = first; column < end; ++column) {
      mean = fmaf(gradient[row + column], weights[row + column], mean);
    }
  }
  for (int column = first; column < end; ++column) {
    float weight = weights[row + column], value = gradient[row + column];
    if (activation == SOFTMAX_GATE) value = weight * (value - mean);
    if (activation == SIGMOID_GATE) value *= weight * (1.0f - weight);
    gradient[row + column] = value;
  }
}

// `out[o][row] = sum over summands of o of weights[row, column] matrices[matrix][row]`: the sums of experts forward, and the
// experts' gradients backward. `starts` [outs + 1] into `summands`, (column, matrix) pairs.
// Grid: (rows / TILE_ROWS, outs); block: a tile, a warp for a row.
KERNEL weighted_sums(const float *matrices, const float *weights, float *out, const int *starts, const int *summands,
                     int num_rows, int width, int num_columns) {
  int row = blockIdx.x * TILE_ROWS + threadIdx.y;
  int output = blockIdx.y;
  if (row >= num_rows) return;
  int first = starts[output], end = starts[output + 1];
  const float *of_row = weights + (size_t)row * num_columns;
  float *to = out + offset_of(output, row, num_rows, width);
  for (int unit = threadIdx.x; unit < width; unit += TILE_COLUMNS) {
    float sum = 0.0f;
    for (int index = first; index < end; ++index) {
      float value = matrices[offset_of(summands[2 * index + 1], row, num_rows, width) + unit];
      sum = fmaf(value, of_row[summands[2 * index]], sum);
    }
    to[unit] = sum;
  }
}

// The gradient of every weight: `experts[expert][row] . gradient[output][row]`, (expert, output) of each column in `uses`.
// Grid: (rows / TILE_ROWS, columns); block: a tile, a warp for a row.
KERNEL gate_inner_products(const float *experts, const float *gradient, float *out, const int *uses, int num_rows,
                           int width, int num_columns) {
  int row = blockIdx.x * TILE_ROWS + threadIdx.y;
  int column = blockIdx.y;
  float sum = 0.0f;
  if (row < num_rows) {
    const float *expert = experts + offset_of(uses[2 * column], row, num_rows, width);
    const float *of_output = gradient + offset_of(uses[2 * column + 1], row, num_rows, width);
    for (int unit = threadIdx.x; unit < width; unit += TILE_COLUMNS) sum = fmaf(expert[unit], of_output[unit], sum);
  }
  sum = warp_sum(sum);
  if (row < num_rows && threadIdx.x == 0) out[(size_t)row * num_columns + column] = sum;
}
