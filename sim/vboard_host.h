// SPDX-License-Identifier: Apache-2.0
// What the virtual boards share: options, entropy, and the byte pipe to the host. The bytes of the
// bench link travel over one TCP connection (loopback) or a pty; nothing here knows frames, TLPs or
// keys.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace vboard {

constexpr int kSleepMs = 200;

inline volatile std::sig_atomic_t g_stop = 0;

inline void stop_on_signals() {
  struct sigaction sa{};
  sa.sa_handler = [](int) { g_stop = 1; };
  sigaction(SIGTERM, &sa, nullptr);
  sigaction(SIGINT, &sa, nullptr);
}

struct Options {
  int port = 0;
  bool pty = false;
  bool free_running = false;
  bool seeded = false;
  uint64_t seed = 0;
  bool watch_stdin = false;  // exit when standard input closes (the parent died)
  int skew_ppm = 0;          // boards with a UART: the sender's bit is longer by this much

  // Cycles between two looks at the pipe. A board in lockstep looks whenever it has nothing to do; a
  // free-running one never has, so this is the time of an answer.
  uint64_t poll_cycles() const { return free_running ? 256 : 4096; }
};

[[noreturn]] inline void usage(int code) {
  std::fprintf(code ? stderr : stdout,
               "usage: vboard [--port N | --pty] [--free] [--seed N] [--watch-stdin]\n"
               "              [--skew-ppm N]\n"
               "              +firmware=F +boot=F +slot0=F +identity=F\n"
               "Prints one line, the URL of the bench link, and serves it until SIGTERM.\n");
  std::exit(code);
}

inline Options parse(int argc, char **argv) {
  Options o;
  for (int i = 1; i < argc; i++) {
    std::string a = argv[i];
    auto value = [&]() -> std::string {
      if (++i >= argc) usage(2);
      return argv[i];
    };
    if (a == "--port") o.port = std::atoi(value().c_str());
    else if (a == "--pty") o.pty = true;
    else if (a == "--free") o.free_running = true;
    else if (a == "--watch-stdin") o.watch_stdin = true;
    else if (a == "--skew-ppm") o.skew_ppm = std::atoi(value().c_str());
    else if (a == "--seed") { o.seeded = true; o.seed = std::strtoull(value().c_str(), nullptr, 0); }
    else if (a == "--help") usage(0);
    else if (a.empty() || a[0] != '+') usage(2);
  }
  return o;
}

// Entropy of the host, or xorshift64* if a seed was asked for (the RTL's status word says which).
class Entropy {
 public:
  explicit Entropy(const Options &o) : seeded_(o.seeded), state_(o.seed | 1) {}
  uint32_t next() {
    if (seeded_) {
      state_ ^= state_ >> 12; state_ ^= state_ << 25; state_ ^= state_ >> 27;
      return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1DULL) >> 32);
    }
    uint32_t word = 0;
    if (getrandom(&word, sizeof word, 0) != sizeof word) { std::perror("vboard: getrandom"); std::exit(1); }
    return word;
  }
 private:
  bool seeded_;
  uint64_t state_;
};

// The byte pipe to the host: TCP (one peer at a time) or pty.
class Pipe {
 public:
  explicit Pipe(const Options &o) {
    if (o.pty) {
      char name[128];
      termios raw{};
      cfmakeraw(&raw);
      int slave = -1;
      if (openpty(&peer_, &slave, name, &raw, nullptr) != 0) fail("openpty");
      keep_slave_ = slave;  // kept open so that the master survives a closing peer
      is_pty_ = true;
      set_nonblocking(peer_);
      std::printf("serial://%s\n", name);
    } else {
      listen_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (listen_ < 0) fail("socket");
      int one = 1;
      setsockopt(listen_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
      sockaddr_in addr{};
      addr.sin_family = AF_INET;
      addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      addr.sin_port = htons(static_cast<uint16_t>(o.port));
      if (bind(listen_, reinterpret_cast<sockaddr *>(&addr), sizeof addr) != 0) fail("bind");
      if (listen(listen_, 1) != 0) fail("listen");
      socklen_t len = sizeof addr;
      getsockname(listen_, reinterpret_cast<sockaddr *>(&addr), &len);
      set_nonblocking(listen_);
      std::printf("socket://127.0.0.1:%d\n", ntohs(addr.sin_port));
    }
    std::fflush(stdout);
  }

  // Sends what the peer takes and reads what is there, waiting up to timeout_ms (0: only looks) for
  // either. Neither direction waits for the other: a full pty must not keep us from emptying it.
  // Without a peer, or with one that takes nothing for a second, the bytes are lost, as on a cable
  // that nobody reads; the link repeats them.
  void serve(std::vector<uint8_t> &in, std::vector<uint8_t> &out, int timeout_ms, bool watch_stdin) {
    send_some(out);
    pollfd fds[2];
    nfds_t n = 0;
    const short wanted = static_cast<short>(POLLIN | (out.empty() ? 0 : POLLOUT));
    fds[n++] = {peer_ >= 0 ? peer_ : listen_, wanted, 0};
    if (watch_stdin) fds[n++] = {0, POLLIN, 0};
    if (poll(fds, n, timeout_ms) <= 0) return;
    if (watch_stdin && (fds[1].revents & (POLLIN | POLLHUP))) {
      char c;
      if (read(0, &c, 1) <= 0) { g_stop = 1; return; }
    }
    if (fds[0].revents & ~POLLOUT) receive(in);
    if (fds[0].revents & POLLOUT) send_some(out);
  }

  ~Pipe() {
    if (peer_ >= 0) close(peer_);
    if (listen_ >= 0) close(listen_);
    if (keep_slave_ >= 0) close(keep_slave_);
  }

 private:
  [[noreturn]] static void fail(const char *what) { std::perror((std::string("vboard: ") + what).c_str()); std::exit(1); }
  static void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }
  void drop() { close(peer_); peer_ = -1; }

  void receive(std::vector<uint8_t> &in) {
    if (peer_ < 0) {
      peer_ = accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (peer_ >= 0) {
        int one = 1;
        setsockopt(peer_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      }
      return;
    }
    uint8_t buf[65536];
    ssize_t got = ::read(peer_, buf, sizeof buf);
    if (got > 0) in.insert(in.end(), buf, buf + got);
    else if (!is_pty_ && (got == 0 || (errno != EAGAIN && errno != EINTR))) drop();
    else if (is_pty_ && got <= 0 && errno != EAGAIN) usleep(2000);
  }

  void send_some(std::vector<uint8_t> &out) {
    size_t done = 0;
    bool alive = true;
    while (peer_ >= 0 && alive && done < out.size()) {
      ssize_t n = is_pty_ ? ::write(peer_, out.data() + done, out.size() - done)
                          : send(peer_, out.data() + done, out.size() - done, MSG_NOSIGNAL);
      if (n > 0) done += static_cast<size_t>(n);
      else if (n < 0 && errno == EAGAIN) break;
      else if (n >= 0 || errno != EINTR) {
        alive = false;
        if (!is_pty_) drop();
      }
    }
    const auto now = std::chrono::steady_clock::now();
    if (done > 0 || out.empty()) progress_ = now;
    if (peer_ < 0 || !alive || now - progress_ > std::chrono::seconds(1)) out.clear();
    else out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(done));
  }

  std::chrono::steady_clock::time_point progress_ = std::chrono::steady_clock::now();
  int listen_ = -1, peer_ = -1, keep_slave_ = -1;
  bool is_pty_ = false;
};

}  // namespace vboard
