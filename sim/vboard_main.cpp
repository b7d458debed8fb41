// SPDX-License-Identifier: Apache-2.0
// Virtual board: the bench top as a native program, its byte ports tied to a pipe.
//
// lockstep (default): the clock runs only while the board has something to do (input bytes, work in
// the RTL), so every figure in device cycles is repeatable. --free: the clock always runs.

#include <memory>

#include "Vvboard_top.h"
#include "verilated.h"
#include "vboard_host.h"

int main(int argc, char **argv) {
  const vboard::Options options = vboard::parse(argc, argv);
  vboard::stop_on_signals();

  auto context = std::make_unique<VerilatedContext>();
  context->commandArgs(argc, argv);
  auto top = std::make_unique<Vvboard_top>(context.get());
  vboard::Entropy entropy(options);

  // Low half (with new inputs), then the edge: two evaluations a cycle.
  auto settle = [&]() { top->clk_i = 0; top->eval(); };
  auto edge = [&]() { top->clk_i = 1; top->eval(); };

  top->clk_i = 0;
  top->rst_i = 1;
  top->byte_valid_i = 0;
  top->byte_ready_i = 1;
  top->entropy_valid_i = 1;
  top->entropy_i = entropy.next();
  top->entropy_is_deterministic_i = options.seeded;
  for (int i = 0; i < 16; i++) { settle(); edge(); }
  top->rst_i = 0;

  vboard::Pipe pipe(options);
  std::vector<uint8_t> in, out;
  size_t in_pos = 0;
  uint64_t since_poll = 0;

  while (!vboard::g_stop) {
    // One clock: present inputs, look at what leaves in this cycle, then the edge.
    const bool have = in_pos < in.size();
    top->byte_valid_i = have;
    if (have) top->byte_i = in[in_pos];
    settle();
    if (top->byte_valid_o) out.push_back(top->byte_o);
    const bool took_entropy = top->entropy_ready_o;
    const bool idle = top->idle_o && !have && !top->byte_valid_o;
    edge();
    if (have && ++in_pos == in.size()) { in.clear(); in_pos = 0; }
    if (took_entropy) top->entropy_i = entropy.next();

    const bool sleep = idle && !options.free_running;
    if (sleep || ++since_poll >= options.poll_cycles()) {
      since_poll = 0;
      pipe.serve(in, out, sleep ? vboard::kSleepMs : 0, options.watch_stdin);
    }
  }
  top->final();
  return 0;
}
