// Passes over [experts, rows, width] whose columns have parameters of their own: bias or batch norm, activation, their
// gradients, and the column sums that these need.
//
// Sums over rows go in two steps with a fixed partition: each block sums a chunk of rows, then one thread per column adds the
// chunks in order, in double precision.

#pragma once

#include "common.cuh"

// Count, mean and summed squared distance of some values.
struct Moments {
  float count;
  float mean;
  float squares;
};

// Chan's combination of two parts.
__device__ inline Moments merged(Moments a, Moments b) {
  float count = a.count + b.count;
  if (count == 0.0f) return a;
  float distance = b.mean - a.mean;
  float share = b.count / count;
  return {count, a.mean + distance * share, a.squares + b.squares + distance * distance * a.count * share};
}

// The moments of each column over each chunk of rows: parts [experts, chunks, 3, width].
// Grid: (column tiles, chunks, experts); block: a tile.
KERNEL column_moments(const float *values, float *parts, int num_rows, int width, int chunk_rows) {
  SHARED Moments of_rows[TILE_ROWS][TILE_COLUMNS];
  int column = blockIdx.x * TILE_COLUMNS + threadIdx.x;
  int chunk = blockIdx.y, expert = blockIdx.z;
  int end = min(num_rows, (chunk + 1) * chunk_rows);
  Moments own = {0.0f, 0.0f, 0.0f};
  if (column < width) {
    for (int row = chunk * chunk_rows + threadIdx.y; row < end; row += TILE_ROWS) {
      float value = values[offset_of(expert, row, num_rows, width) + column];
      own.count += 1.0f;
      float before = value - own.mean;
      own.mean += before / own.count;
      own.squares = fmaf(before, value - own.mean, own.squares);
    }
  }
  of_rows[threadIdx.y][threadIdx.x] = own;
  __syncthreads();
  if (threadIdx.y == 0 && column < width) {
    for (int other = 1; other < TILE_ROWS; ++other) own = merged(own, of_rows[other][threadIdx.x]);
    float *part = parts + ((size_t)expert * gridDim.y + chunk) * 3 * width;
    part[column] = own.count;
    part[width + column] = own.mean;
    part[2 * width + column] = own.squares;
  }
}

// Factors of a column: `y = scale z + shift` and `normalised = inverse z + offset`.
__device__ inline void write_factors(float *factors, int expert, int column, int width, double mean, double variance,
                                     float scale, float shift, double epsilon) {
  double inverse = 1.0 / sqrt(variance + epsilon);
  double factor = (double)scale * inverse;
  float *of_expert = factors + (size_t)expert * 4 * width;
  of_expert[column] = (float)factor;
  of_expert[width + column] = (float)((double)shift - mean * factor);
  of_expert[2 * width + column] = (float)inverse;
  of_expert[3 * width + column] = (float)(-mean * inverse);
}

// Batch norm's factors from the chunks' moments, factors [experts, 4, width]; moves the running statistics.
// Grid: (columns / LIST_THREADS, experts).
KERNEL batch_norm_factors(const float *parts, float *factors, int num_chunks, int num_rows, int width, Pointers scale,
                          Pointers shift, Pointers running_mean, Pointers running_variance, double momentum,
                          double epsilon) {
  int column = blockIdx.x * LIST_THREADS + threadIdx.x;
  int expert = blockIdx.y;
  if (column >= width) return;
  double count = 0.0, mean = 0.0, squares = 0.0;
  for (int chunk = 0; chunk < num_chunks; ++chunk) {
    const float *part = parts + ((size_t)expert * num_chunks + chunk) * 3 * width;
    double more = part[column];
    double distance = (double)part[width + column] - mean;
    double total = count + more;
    if (total == 0.0) continue;
    mean += distance * (more / total);
    squares += (double)part[2 * width + column] + distance * distance * (count * more / total);
    count = total;
  }
  double variance = squares / count;
  float *of_mean = running_mean.at[expert] + column, *of_variance = running_variance.at[expert] + column;
  double unbiased = variance * ((double)num_rows / ((double)num_rows - 1.0));
  *of_mean = (float)((double)*of_mean * (1.0 - momentum) + mean * momentum);
  *of_variance = (float)((double)*of_variance * (1.0 - momentum) + unbiased * momentum);
  write_factors(factors, expert, column, width, mean, variance, scale.at[expert][column], shift.at[expert][column],
                epsilon);
}

// Batch norm's factors in evaluation, from the running statistics.
// Grid: (columns / LIST_THREADS, experts).
KERNEL running_norm_factors(float *factors, int width, Pointers scale, Pointers shift, Pointers running_mean,
                            Pointers running_variance, double epsilon) {
  int column = blockIdx.x * LIST_THREADS + threadIdx.x;
  int expert = blockIdx.y;
  if (column >= width) return;
  write_factors(factors, expert, column, width, running_mean.at[expert][column], running_variance.at[expert][column],
                scale.at[expert][column], shift.at[expert][column], epsilon);
}

// Factors without a norm: 1 and the bias, where there is one.
// Grid: (columns / LIST_THREADS, experts).
KERNEL bias_factors(float *factors, int width, Pointers bias) {
  int column = blockIdx.x * LIST_THREADS + threadIdx.x;
  int expert = blockIdx.y;
  if (column >= width) return;
  float *of_expert = factors + (size_t)expert * 4 * width;
  const float *of_bias = bias.at[expert];
  of_expert[column] = 1.0f;
  of_expert[width + column] = of_bias ? of_bias[column] : 0.0f;
  of_expert[2 * width + column] = 0.0f;
  of_expert[3 * width + column] = 0.0f;
}

__device__ inline float activated(int activation, float y) {
  if (activation == SILU) return y * sigmoid(y);
  // Not fmaxf, which would turn a NaN into 0 and hide it.
  if (activation == RELU) return y < 0.0f ? 0.0f : y;
  return y;
}

__device__ inline float slope_of(int activation, float y) {
  if (activation == SILU) {
    float gate = sigmoid(y);
    return gate * fmaf(y, 1.0f - gate, 1.0f);
  }
  if (activation == RELU) return y > 0.0f ? 1.0f : 0.0f;
  return 1.0f;
}

// `out = activation(scale z + shift)`.
// Grid: (column tiles, row chunks, experts); block: a tile.
KERNEL activate(const float *products, const float *factors, float *out, int num_rows, int width, int chunk_rows,
                int activation) {
  int column = blockIdx.x * TILE_COLUMNS + threadIdx.x;
  int expert = blockIdx.z;
  if (column >= width) return;
  const float *of_expert = factors + (size_t)expert * 4 * width;
  float scale = of_expert[column], shift = of_expert[width + column];
  int end = min(num_rows, (int)(blockIdx.y + 1) * chunk_rows);
  for (int row = blockIdx.y * chunk_rows + threadIdx.y; row < end; row += TILE_ROWS) {
    size_t at = offset_of(expert, row, num_rows, width) + column;
    out[at] = activated(activation, fmaf(products[at], scale, shift));
  }
}

// Turns a gradient of the activation into one of `y`, in place or not, and sums it over each chunk's rows, plain and times
// the normalised values: parts [experts, chunks, 2, width].
// Grid: (column tiles, chunks, experts); block: a tile.
KERNEL activation_gradient(const float *gradient, const float *products, const float *factors, float *out, float *parts,
                           int num_rows, int width, int chunk_rows, int activation) {
  SHARED float plain_sums[TILE_ROWS][TILE_COLUMNS];
  SHARED float normalised_sums[TILE_ROWS][TILE_COLUMNS];
  int column = blockIdx.x * TILE_COLUMNS + threadIdx.x;
  int chunk = blockIdx.y, expert = blockIdx.z;
  float plain = 0.0f, normalised = 0.0f;
  if (column < width) {
    const float *of_expert = factors + (size_t)expert * 4 * width;
    float scale = of_expert[column], shift = of_expert[width + column];
    float inverse = of_expert[2 * width + column], offset = of_expert[3 * width + column];
    int end = min(num_rows, (chunk + 1) * chunk_rows);
    for (int row = chunk * chunk_rows + threadIdx.y; row < end; row += TILE_ROWS) {
      size_t at = offset_of(expert, row, num_rows, width) + column;
      float product = products[at];
      float value = gradient[at] * slope_of(activation, fmaf(product, scale, shift));
      out[at] = value;
      plain += value;
      normalised = fmaf(fmaf(product, inverse, offset), value, normalised);
    }
  }
  plain_sums[threadIdx.y][threadIdx.x] = plain;
  normalised_sums[threadIdx.y][threadIdx.x] = normalised;
  __syncthreads();
  if (threadIdx.y == 0 && column < width) {
    for (int other = 1; other < TILE_ROWS; ++other) {
      plain += plain_sums[other][threadIdx.x];
      normalised += normalised_sums[other][threadIdx.x];
    }
    float *part = parts + ((size_t)expert * gridDim.y + chunk) * 2 * width;
    part[column] = plain;
    part[width + column] = normalised;
  }
}

// Sets or, where its bit in `add` is set, adds to an expert's gradient, where it has one.
__device__ inline void give(Pointers to, unsigned long long add, int expert, int column, double value) {
  float *of_expert = to.at[expert];
  if (!of_expert) return;
  of_expert[column] = (float)value + ((add >> expert) & 1 ? of_expert[column] : 0.0f);
}

// The gradients of shift (or bias) and scale from the chunks' sums and, where `combined` isn't null, the factors of batch
// norm's gradient `own dy + other z + constant`: combined [experts, 3, width].
// Grid: (columns / LIST_THREADS, experts).
KERNEL column_gradients(const float *parts, const float *factors, float *combined, int num_chunks, int num_rows,
                        int width, Pointers shift_gradient, unsigned long long shift_add, Pointers scale_gradient,
                        unsigned long long scale_add) {
  int column = blockIdx.x * LIST_THREADS + threadIdx.x;
  int expert = blockIdx.y;
  if (column >= width) return;
  double plain = 0.0, normalised = 0.0;
  for (int chunk = 0; chunk < num_chunks; ++chunk) {
    const float *part = parts + ((size_t)expert * num_chunks + chunk) * 2 * width;
    plain += (double)part[column];
    normalised += (double)part[width + column];
  }
  give(shift_gradient, shift_add, expert, column, plain);
  give(scale_gradient, scale_add, expert, column, normalised);
  if (!combined) return;
  // dz = scale (dy - mean(dy) - normalised mean(dy normalised)), normalised = inverse z + offset.
  const float *of_expert = factors + (size_t)expert * 4 * width;
  double scale = of_expert[column];
  double slope = -scale * normalised / num_rows;
  float *to = combined + (size_t)expert * 3 * width;
  to[column] = (float)scale;
  to[width + column] = (float)(slope * (double)of_expert[2 * width + column]);
  to[2 * width + column] = (float)(slope * (double)of_expert[3 * width + column] - scale * plain / num_rows);
}

// `gradient = own gradient + other z + constant`.
// Grid: (column tiles, row chunks, experts); block: a tile.
KERNEL combine(float *gradient, const float *products, const float *combined, int num_rows, int width, int chunk_rows) {
  int column = blockIdx.x * TILE_COLUMNS + threadIdx.x;
  int expert = blockIdx.z;
  if (column >= width) return;
  const float *of_expert = combined + (size_t)expert * 3 * width;
  float own = of_expert[column], other = of_expert[width + column], constant = of_expert[2 * width + column];
  int end = min(num_rows, (int)(blockIdx.y + 1) * chunk_rows);
  for (int row = blockIdx.y * chunk_rows + threadIdx.y; row < end; row += TILE_ROWS) {
    size_t at = offset_of(expert, row, num_rows, width) + column;
    gradient[at] = fmaf(gradient[at], own, fmaf(products[at], other, constant));
  }
}

// The sum of each column over each chunk of rows of [rows, width]: parts [chunks, width].
// Grid: (column tiles, chunks); block: a tile.
KERNEL column_sum_parts(const float *values, float *parts, int num_rows, int width, int chunk_rows) {
  SHARED float sums[TILE_ROWS][TILE_COLUMNS];
  int column = blockIdx.x * TILE_COLUMNS + threadIdx.x;
  int chunk = blockIdx.y;
  float sum = 0.0f;
  if (column < width) {
    int end = min(num_rows, (chunk + 1) * chunk_rows);
    for (int row = chunk * chunk_rows + threadIdx.y; row < end; row += TILE_ROWS) {
      sum += values[(size_t)row * width + column];
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && column < width) {
    for (int other = 1; other < TILE_ROWS; ++other) sum += sums[other][threadIdx.x];
    parts[(size_t)chunk * width + column] = sum;
  }
}

// Adds up the chunks of `column_sum_parts`, in order.
// Grid: columns / LIST_THREADS.
KERNEL column_sums(const float *parts, float *out, int num_chunks, int width) {
  int column = blockIdx.x * LIST_THREADS + threadIdx.x;
  if (column >= width) return;
  double sum = 0.0;
  for (int chunk = 0; chunk < num_chunks; ++chunk) sum += (double)parts[(size_t)chunk * width + column];
  out[column] = (float)sum;
}
