// Embedding tables: gathered into a batch's input, updated in the gathered rows alone, and dropout.
//
// A row's gradients are summed in the order of the batch: the host groups the batch's ids, cuts long groups into segments of
// a fixed length, and one warp sums each segment; then one warp per touched row adds its segments and takes the step.

#pragma once

#include "common.cuh"
#include "optimizer.cu"

// Writes the rows of `ids` [rows, ids_stride] of some tables into columns of the batch's input.
// Grid: rows x tables x dim / LIST_THREADS.
KERNEL embedding_gather(Pointers tables, const unsigned *ids, float *out, int num_rows, int num_tables, int dim,
                        int ids_stride, int first_table, int stride, int offset) {
  size_t index = (size_t)blockIdx.x * LIST_THREADS + threadIdx.x;
  int width = num_tables * dim;
  if (index >= (size_t)num_rows * width) return;
  size_t row = index / width;
  int column = index % width;
  int table = column / dim;
  unsigned id = ids[row * ids_stride + first_table + table];
  out[row * stride + offset + column] = tables.at[table][(size_t)id * dim + column % dim];
}

// Writes the sum or, where its bit in `mean` is set, the mean of the rows of each list of ids into columns of the batch's
// input. `ends` [rows, lists_stride]: where each list ends in `ids`; it begins where the one before it ends.
// Grid: rows x tables x dim / LIST_THREADS.
KERNEL embedding_pool(Pointers tables, const unsigned *ids, const unsigned *ends, float *out, int num_rows,
                      int num_tables, int dim, int lists_stride, int first_table, unsigned long long mean, int stride,
                      int offset) {
  size_t index = (size_t)blockIdx.x * LIST_THREADS + threadIdx.x;
  int width = num_tables * dim;
  if (index >= (size_t)num_rows * width) return;
  size_t row = index / width;
  int column = index % width;
  int table = column / dim;
  size_t list = row * lists_stride + first_table + table;
  unsigned begin = list > 0 ? ends[list - 1] : 0u, end = ends[list];
  const float *units = tables.at[table] + column % dim;
  float sum = 0.0f;
  for (unsigned at = begin; at < end; ++at) sum += units[(size_t)ids[at] * dim];
  if (((mean >> table) & 1) && end - begin > 1) sum *= 1.0f / (float)(end - begin);
  out[row * stride + offset + column] = sum;
}

// The sum of each segment's gradients, each times its share: sums [segments, dim]. `order` lists rows of the batch; segment
// s has those from `starts[s]` on, up to `starts[s + 1]`, and is of table `tables[s]`.
// Grid: segments / TILE_ROWS; block: a tile, a warp for a segment.
KERNEL embedding_segment_sums(const float *gradient, float *sums, const unsigned *order, const float *shares,
                              const unsigned *starts, const unsigned *tables, int num_segments, int dim, int stride,
                              int offset) {
  int segment = blockIdx.x * TILE_ROWS + threadIdx.y;
  if (segment >= num_segments) return;
  const float *columns = gradient + offset + (size_t)tables[segment] * dim;
  for (int unit = threadIdx.x; unit < dim; unit += TILE_COLUMNS) {
    float sum = 0.0f;
    for (unsigned at = starts[segment]; at < starts[segment + 1]; ++at) {
      sum = fmaf(columns[(size_t)order[at] * stride + unit], shares[at], sum);
    }
    sums[(size_t)segment * dim + unit] = sum;
  }
}

__device__ inline float sum_of_segments(const float *sums, unsigned first, unsigned end, int dim, int unit) {
  float sum = sums[(size_t)first * dim + unit];
  for (unsigned segment = first + 1; segment < end; ++segment) sum += sums[(size_t)segment * dim + unit];
  return sum;
}

// Touched row r is row `ids[r]` of table `tables[r]` and has the segments from `starts[r]` on, up to `starts[r + 1]`.
// Grid: touched rows / TILE_ROWS; block: a tile, a warp for a row.
KERNEL embedding_adam(Pointers values, Pointers first, Pointers second, const float *sums, const unsigned *ids,
                      const unsigned *tables, const unsigned *starts, int num_touched, int dim, AdamFactors factors) {
  int touched = blockIdx.x * TILE_ROWS + threadIdx.y;
  if (touched >= num_touched) return;
  unsigned table = tables[touched];
  size_t row = (size_t)ids[touched] * dim;
  for (int unit = threadIdx.x; unit < dim; unit += TILE_COLUMNS) {
    float slope = sum_of_segments(sums, starts[touched], starts[touched + 1], dim, unit);
    adam_element(values.at[table] + row + unit, first.at[table] + row + unit, second.at[table] + row + unit, slope,
                 factors);
  }
}

// As `embedding_adam`, with one sum of squares a row.
KERNEL embedding_row_wise_adagrad(Pointers values, Pointers squares, const float *sums, const unsigned *ids,
                                  const unsigned *tables, const unsigned *starts, int num_touched, int dim, double rate,
                                  double epsilon, float keep) {
  int touched = blockIdx.x * TILE_ROWS + threadIdx.y;
  bool inside = touched < num_touched;
  // Every lane of a warp takes part in its sum.
  float own = 0.0f;
  for (int unit = threadIdx.x; inside && unit < dim; unit += TILE_COLUMNS) {
    float slope = sum_of_segments(sums, starts[touched], starts[touched + 1], dim, unit);
    own = fmaf(slope, slope, own);
  }
  float total = warp_sum(own);
  if (!inside) return;
  unsigned table = tables[touched];
  float *square = squares.at[table] + ids[touched];
  float before = *square;
  // Lane 0 must not write before the others have read.
  __syncwarp(full_mask);
  float after = before + total / (float)dim;
  if (threadIdx.x == 0) *square = after;
  float scale = (float)(rate / (sqrt((double)after) + epsilon));
  float *row = values.at[table] + (size_t)ids[touched] * dim;
  for (int unit = threadIdx.x; unit < dim; unit += TILE_COLUMNS) {
    float slope = sum_of_segments(sums, starts[touched], starts[touched + 1], dim, unit);
    row[unit] = row[unit] * keep - scale * slope;
  }
}

// The four numbers of Philox4x32-10 at a counter, as in random.rs.
__device__ inline void philox(unsigned key0, unsigned key1, unsigned long long counter, unsigned out[4]) {
  unsigned words[4] = {(unsigned)counter, (unsigned)(counter >> 32), 0u, 0u};
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    unsigned long long first = 0xD2511F53ull * words[0], second = 0xCD9E8D57ull * words[2];
    unsigned next[4] = {(unsigned)(second >> 32) ^ words[1] ^ key0, (unsigned)second,
                        (unsigned)(first >> 32) ^ words[3] ^ key1, (unsigned)first};
    for (int word = 0; word < 4; ++word) words[word] = next[word];
  }
  for (int word = 0; word < 4; ++word) out[word] = words[word];
}

// Clears the dropped units of `width` columns in every row of [rows, stride] and scales the others; a row begins at a block
// of four numbers.
// Grid: rows x blocks of four / LIST_THREADS.
KERNEL dropout(float *values, int num_rows, int stride, int offset, int width, float rate, float scale, unsigned key0,
               unsigned key1) {
  int fours = (width + 3) / 4;
  size_t index = (size_t)blockIdx.x * LIST_THREADS + threadIdx.x;
  if (index >= (size_t)num_rows * fours) return;
  unsigned words[4];
  philox(key0, key1, index, words);
  size_t row = index / fours;
  int first = (int)(index % fours) * 4;
  float *units = values + row * stride + offset;
  for (int word = 0; word < 4 && first + word < width; ++word) {
    float chance = (float)(words[word] >> 8) * (1.0f / 16777216.0f);
    units[first + word] = chance < rate ? 0.0f : units[first + word] * scale;
  }
}
