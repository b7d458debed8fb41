// SPDX-License-Identifier: Apache-2.0
// Virtual board with pins: the far end of a UART cable. Bytes of the pipe go out and come back bit
// by bit, 8N1, with a bit clock of its own; reset is released between two clock edges.
//
// lockstep (default): the clock stops while the core is idle and both pins have been quiet.

#include <memory>

#include "Vvboard_uart_top.h"
#include "verilated.h"
#include "vboard_host.h"

namespace {

// Time on the cable is counted in millionths of a device clock.
constexpr uint64_t kClock = 1'000'000;
constexpr uint64_t kClocksPerBit = 4;
constexpr uint64_t kFrameBits = 10;
// Longer than a byte and the pipeline behind it.
constexpr uint64_t kQuietClocks = 64;

// To the device. The bit clock is off by `skew_ppm`.
class Sender {
 public:
  explicit Sender(int skew_ppm) : bit_(kClocksPerBit * (kClock + static_cast<uint64_t>(skew_ppm))) {}
  bool busy() const { return left_ > 0; }
  void start(uint8_t byte) {
    shift_ = static_cast<uint16_t>(1u << 9 | byte << 1);
    left_ = kFrameBits;
    until_ += bit_;
  }
  // Level of the pin at this clock.
  bool level() const { return left_ == 0 || (shift_ & 1); }
  void step() {
    if (left_ == 0) { until_ = 0; return; }
    until_ -= kClock;
    if (until_ >= kClock) return;
    shift_ >>= 1;
    // The rest of a clock counts for the next bit, also over the border of bytes.
    if (--left_ > 0) until_ += bit_;
  }

 private:
  uint64_t bit_, until_ = 0;
  uint16_t shift_ = 0;
  uint64_t left_ = 0;
};

// From the device: samples the middle of each bit. A byte without stop bit is dropped.
class Receiver {
 public:
  bool busy() const { return clock_ > 0; }
  bool step(bool level, uint8_t &byte) {
    if (clock_ == 0 && level) return false;
    const uint64_t at = clock_++;
    if (at % kClocksPerBit != kClocksPerBit / 2) return false;
    const uint64_t bit = at / kClocksPerBit;
    if (bit == 0) {
      if (level) clock_ = 0;
      return false;
    }
    if (bit < kFrameBits - 1) {
      shift_ = static_cast<uint8_t>(shift_ >> 1 | (level ? 0x80 : 0));
      return false;
    }
    clock_ = 0;
    byte = shift_;
    if (!level) errors_++;
    return level;
  }
  uint64_t errors() const { return errors_; }

 private:
  uint64_t clock_ = 0, errors_ = 0;
  uint8_t shift_ = 0;
};

}  // namespace

int main(int argc, char **argv) {
  const vboard::Options options = vboard::parse(argc, argv);
  vboard::stop_on_signals();

  auto context = std::make_unique<VerilatedContext>();
  context->commandArgs(argc, argv);
  auto top = std::make_unique<Vvboard_uart_top>(context.get());
  vboard::Entropy entropy(options);
  Sender sender(options.skew_ppm);
  Receiver receiver;

  auto settle = [&]() { top->clk_i = 0; top->eval(); };
  auto edge = [&]() { top->clk_i = 1; top->eval(); };

  top->clk_i = 0;
  top->rst_ni = 1;
  top->uart_rx_i = 1;
  top->entropy_valid_i = 1;
  top->entropy_i = entropy.next();
  top->entropy_is_deterministic_i = options.seeded;
  top->eval();
  top->rst_ni = 0;
  for (int i = 0; i < 16; i++) { settle(); edge(); }
  top->rst_ni = 1;
  top->eval();

  vboard::Pipe pipe(options);
  std::vector<uint8_t> in, out;
  size_t in_pos = 0;
  uint64_t since_poll = 0, quiet = 0, framing_errors = 0;

  while (!vboard::g_stop) {
    if (!sender.busy() && in_pos < in.size()) {
      sender.start(in[in_pos]);
      if (++in_pos == in.size()) { in.clear(); in_pos = 0; }
    }
    top->uart_rx_i = sender.level();
    settle();
    const bool took_entropy = top->entropy_ready_o;
    framing_errors += top->framing_error_o;
    const bool still = top->idle_o && !sender.busy() && in.empty() && top->uart_tx_o &&
                       !receiver.busy();
    uint8_t byte = 0;
    if (receiver.step(top->uart_tx_o, byte)) out.push_back(byte);
    edge();
    sender.step();
    if (took_entropy) top->entropy_i = entropy.next();

    quiet = still ? quiet + 1 : 0;
    const bool sleep = quiet >= kQuietClocks && !options.free_running;
    if (sleep || ++since_poll >= options.poll_cycles()) {
      since_poll = 0;
      pipe.serve(in, out, sleep ? vboard::kSleepMs : 0, options.watch_stdin);
    }
  }
  if (framing_errors + receiver.errors() > 0) {
    std::fprintf(stderr, "vboard: framing errors: %llu at the device, %llu at the host\n",
                 static_cast<unsigned long long>(framing_errors),
                 static_cast<unsigned long long>(receiver.errors()));
  }
  top->final();
  return 0;
}
