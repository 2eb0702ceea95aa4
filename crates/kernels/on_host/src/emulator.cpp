// Runs a grid of a kernel on the processor: blocks one after another, the threads of a block as fibers.
//
// What would be undefined on a device is an error here: a barrier that some threads have left or never reach, a shuffle
// without its whole warp, arguments of another number or size. Threads and blocks run in ascending or in descending order; a
// missing barrier shows as a difference between the two.

#include "kernels.cu"

#include <setjmp.h>
#include <ucontext.h>

#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace {

constexpr unsigned WARP = 32;
constexpr size_t STACK_BYTES = 64 * 1024;

enum class State { READY, AT_BLOCK, AT_WARP, DONE };

// A thread of a block, over and over: when one block's is done, it waits to be the next block's.
struct Fiber {
  // Where it begins, on a stack of its own.
  ucontext_t context;
  // Where it goes on. Jumps cost no system call, as switching contexts does.
  jmp_buf place;
  std::unique_ptr<char[]> stack;
  bool has_begun = false;
  State state;
  float held;
};

struct Argument {
  const void *data;
  size_t size;
};

using Body = void (*)(const Argument *);

struct Machine {
  jmp_buf scheduler;
  std::vector<Fiber> fibers;
  unsigned count = 0;
  unsigned current = 0;
  bool is_cooperative = false;
  Body body = nullptr;
  const Argument *arguments = nullptr;
  std::string error;
};

thread_local Machine machine;

void give_way(State state) {
  Fiber &own = machine.fibers[machine.current];
  own.state = state;
  if (_setjmp(own.place) == 0) _longjmp(machine.scheduler, 1);
}

void wait(State state) {
  if (machine.is_cooperative) return give_way(state);
  machine.error = "a kernel that is listed as PLAIN waits";
}

void fiber_main() {
  for (;;) {
    machine.body(machine.arguments);
    give_way(State::DONE);
  }
}

void go_on(Fiber &fiber) {
  if (_setjmp(machine.scheduler) != 0) return;
  if (fiber.has_begun) _longjmp(fiber.place, 1);
  fiber.has_begun = true;
  setcontext(&fiber.context);
}

void set_thread(unsigned thread) {
  machine.current = thread;
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
}

unsigned in_order(unsigned step, unsigned count, bool descending) { return descending ? count - 1 - step : step; }

void prepare_fibers() {
  if (machine.fibers.size() < machine.count) machine.fibers.resize(machine.count);
  for (unsigned thread = 0; thread < machine.count; ++thread) {
    Fiber &fiber = machine.fibers[thread];
    fiber.state = State::READY;
    if (fiber.has_begun) continue;
    if (!fiber.stack) fiber.stack = std::make_unique<char[]>(STACK_BYTES);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
  }
}

bool all_are(unsigned first, unsigned end, State state) {
  for (unsigned thread = first; thread < end; ++thread) {
    if (machine.fibers[thread].state != state) return false;
  }
  return true;
}

void make_ready(unsigned first, unsigned end) {
  for (unsigned thread = first; thread < end; ++thread) machine.fibers[thread].state = State::READY;
}

// Lets the warps and the block go on whose threads all wait for each other; false where nobody can.
bool release() {
  bool released = false;
  for (unsigned first = 0; first < machine.count; first += WARP) {
    unsigned end = std::min(machine.count, first + WARP);
    if (all_are(first, end, State::AT_WARP)) {
      make_ready(first, end);
      released = true;
    }
  }
  if (!released && all_are(0, machine.count, State::AT_BLOCK)) {
    make_ready(0, machine.count);
    released = true;
  }
  return released;
}

void run_block_of_fibers(bool descending) {
  prepare_fibers();
  while (machine.error.empty()) {
    for (unsigned step = 0; step < machine.count; ++step) {
      unsigned thread = in_order(step, machine.count, descending);
      if (machine.fibers[thread].state != State::READY) continue;
      set_thread(thread);
      go_on(machine.fibers[thread]);
    }
    if (all_are(0, machine.count, State::DONE)) return;
    if (!release()) machine.error = "threads wait for others that never come";
  }
  // Those that wait would wait in the next launch.
  for (Fiber &fiber : machine.fibers) fiber.has_begun = false;
}

void run_block(bool descending) {
  if (machine.is_cooperative) return run_block_of_fibers(descending);
  for (unsigned step = 0; step < machine.count && machine.error.empty(); ++step) {
    set_thread(in_order(step, machine.count, descending));
    machine.body(machine.arguments);
  }
}

template <typename T>
T read(const Argument &argument) {
  // The bytes of an argument need not be aligned.
  T value;
  std::memcpy(&value, argument.data, sizeof(T));
  return value;
}

template <typename... Types, size_t... Places>
void call(void (*kernel)(Types...), const Argument *arguments, std::index_sequence<Places...>) {
  kernel(read<Types>(arguments[Places])...);
}

template <auto kernel>
struct Of;

template <typename... Types, void (*kernel)(Types...)>
struct Of<kernel> {
  static void body(const Argument *arguments) { call(kernel, arguments, std::index_sequence_for<Types...>{}); }

  static std::string complaint(const Argument *arguments, size_t count) {
    constexpr size_t sizes[] = {sizeof(Types)...};
    if (count != sizeof...(Types)) {
      return "expected " + std::to_string(sizeof...(Types)) + " arguments, found " + std::to_string(count);
    }
    for (size_t place = 0; place < count; ++place) {
      if (arguments[place].size != sizes[place]) {
        return "argument " + std::to_string(place) + ": expected " + std::to_string(sizes[place]) + " bytes, found " +
               std::to_string(arguments[place].size);
      }
    }
    return "";
  }
};

struct Entry {
  const char *name;
  bool is_cooperative;
  Body body;
  std::string (*complaint)(const Argument *, size_t);
};

#define PLAIN(name) {#name, false, Of<name>::body, Of<name>::complaint}
#define COOPERATIVE(name) {#name, true, Of<name>::body, Of<name>::complaint}

const Entry ENTRIES[] = {
    COOPERATIVE(column_moments),
    PLAIN(batch_norm_factors),
    PLAIN(running_norm_factors),
    PLAIN(bias_factors),
    PLAIN(activate),
    COOPERATIVE(activation_gradient),
    PLAIN(column_gradients),
    PLAIN(combine),
    COOPERATIVE(column_sum_parts),
    PLAIN(column_sums),
    PLAIN(copy_blocks),
    PLAIN(gate_weights),
    PLAIN(gate_weight_gradients),
    PLAIN(weighted_sums),
    COOPERATIVE(gate_inner_products),
    PLAIN(feature_gate_weights),
    PLAIN(feature_gate_forward),
    COOPERATIVE(feature_gate_backward),
    COOPERATIVE(loss_parts),
    PLAIN(loss_total),
    PLAIN(scale_by),
    PLAIN(adam_update),
    PLAIN(adagrad_update),
    PLAIN(momentum_update),
    PLAIN(descent_update),
    COOPERATIVE(gradient_squares),
    COOPERATIVE(clip_factor),
    PLAIN(scale_gradients),
    PLAIN(embedding_gather),
    PLAIN(embedding_pool),
    PLAIN(embedding_segment_sums),
    PLAIN(embedding_adam),
    COOPERATIVE(embedding_row_wise_adagrad),
    PLAIN(dropout),
};

const Entry *find(const char *name) {
  for (const Entry &entry : ENTRIES) {
    if (std::strcmp(entry.name, name) == 0) return &entry;
  }
  return nullptr;
}

}  // namespace

void __syncthreads() { wait(State::AT_BLOCK); }

void __syncwarp(unsigned) { wait(State::AT_WARP); }

float __shfl_xor_sync(unsigned, float value, int distance) {
  Fiber *fibers = machine.fibers.data();
  unsigned own = machine.current;
  if (machine.is_cooperative) fibers[own].held = value;
  wait(State::AT_WARP);
  if (!machine.is_cooperative) return value;
  unsigned other = own ^ (unsigned)distance;
  float found = other < machine.count ? fibers[other].held : value;
  // Nobody may put down another value before everybody has read this one.
  wait(State::AT_WARP);
  return found;
}

// Runs a kernel over a grid of `sizes` [blocks x, y, z, threads x, y, z]; gives null, or what went wrong, to be read before
// the next launch of this thread.
extern "C" const char *homebench_launch_on_host(const char *name, const unsigned sizes[6], const Argument *arguments,
                                                size_t num_arguments, bool descending) {
  machine.error.clear();
  const Entry *entry = find(name);
  if (!entry) {
    machine.error = "no such kernel";
    return machine.error.c_str();
  }
  machine.error = entry->complaint(arguments, num_arguments);
  gridDim = {sizes[0], sizes[1], sizes[2]};
  blockDim = {sizes[3], sizes[4], sizes[5]};
  machine.count = sizes[3] * sizes[4] * sizes[5];
  machine.is_cooperative = entry->is_cooperative;
  machine.body = entry->body;
  machine.arguments = arguments;
  unsigned num_blocks = sizes[0] * sizes[1] * sizes[2];
  for (unsigned step = 0; step < num_blocks && machine.error.empty(); ++step) {
    unsigned block = in_order(step, num_blocks, descending);
    blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y, block / (gridDim.x * gridDim.y)};
    run_block(descending);
  }
  return machine.error.empty() ? nullptr : machine.error.c_str();
}

// The name of the kernel at a place, or null beyond the last.
extern "C" const char *homebench_kernel_name(size_t place) {
  return place < sizeof(ENTRIES) / sizeof(ENTRIES[0]) ? ENTRIES[place].name : nullptr;
}
