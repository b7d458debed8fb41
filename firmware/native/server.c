/* SPDX-License-Identifier: Apache-2.0
 * The DOE mailbox as a TCP server on the loopback interface.
 *
 * Frame, both ways: be32 command, be32 transport (2 = PCI DOE), be32 size, payload. Command 1
 * carries one DOE object; 0xDEAD is hello; 0xFFFD ends a run, 0xFFFE the program. An object that
 * the mailbox discards is answered by an empty frame, as nobody could tell silence from delay.
 * Command 0x54454501 reaches the registers of the model (docs/data_formats.md). One connection at
 * a time; a frame that is too long or of another transport closes it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"
#include "dsm.h"
#include "hal/hal.h"
#include "native.h"

enum {
  COMMAND_NORMAL = 0x0001,
  COMMAND_CONTINUE = 0xFFFD,
  COMMAND_SHUTDOWN = 0xFFFE,
  COMMAND_TEST = 0xDEAD,
  COMMAND_MODEL = 0x54454501,
  TRANSPORT_PCI_DOE = 2,
  FRAME_HEADER_BYTES = 12
};

static int listener = -1;
static int connection = -1;
static uint8_t request[HAL_DOE_BUFFER_BYTES];
static uint32_t request_dw;
static _Alignas(4) uint8_t response[HAL_DOE_BUFFER_BYTES];
static uint64_t timer_at; /* 0 = not armed */

static void disconnect(void) {
  if (connection >= 0) {
    close(connection);
    connection = -1;
  }
}

/* ---- frames ------------------------------------------------------------------------------------------- */
static bool receive_all(uint8_t *data, size_t size) {
  while (size > 0) {
    ssize_t n = recv(connection, data, size, 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    data += n;
    size -= (size_t)n;
  }
  return true;
}

static uint32_t load_be32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24);
  p[1] = (uint8_t)(v >> 16);
  p[2] = (uint8_t)(v >> 8);
  p[3] = (uint8_t)v;
}

/* One write per frame. */
static void send_frame(uint32_t command, const uint8_t *payload, size_t size) {
  static uint8_t frame[FRAME_HEADER_BYTES + HAL_DOE_BUFFER_BYTES];
  size_t sent = 0;

  if (connection < 0 || size > HAL_DOE_BUFFER_BYTES) {
    return;
  }
  store_be32(frame, command);
  store_be32(frame + 4, TRANSPORT_PCI_DOE);
  store_be32(frame + 8, (uint32_t)size);
  if (size > 0) {
    memcpy(frame + FRAME_HEADER_BYTES, payload, size);
  }
  while (sent < FRAME_HEADER_BYTES + size) {
    ssize_t n = send(connection, frame + sent, FRAME_HEADER_BYTES + size - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      disconnect();
      return;
    }
    sent += (size_t)n;
  }
}

/* ---- model frames: four little-endian words {operation, address, value, byte enables} ------------------- */
enum {
  MODEL_CONFIG_READ = 0,
  MODEL_CONFIG_WRITE = 1,
  MODEL_FLR = 2,         /* address = function */
  MODEL_STREAM_FAIL = 3, /* address = block */
  MODEL_VIOLATION = 4,   /* address = TDI */
  MODEL_RESET = 5
};

static void model_frame(size_t size) {
  reader_t r = reader_make(request, size);
  uint32_t operation = reader_u32(&r);
  uint32_t address = reader_u32(&r);
  uint32_t value = reader_u32(&r);
  uint32_t byte_enables = reader_u32(&r);
  uint8_t answer[4];

  if (!r.ok || reader_left(&r) != 0) {
    disconnect();
    return;
  }
  unsigned function = address >> 16;
  unsigned offset = address & 0xFFC;
  switch (operation) {
    case MODEL_CONFIG_READ:
      value = model_config_read(function, offset);
      break;
    case MODEL_CONFIG_WRITE:
      model_config_write(function, offset, value, byte_enables & 0xF);
      break;
    case MODEL_FLR:
      model_flr(address);
      break;
    case MODEL_STREAM_FAIL:
      model_stream_fail(address);
      break;
    case MODEL_VIOLATION:
      model_tdi_violation(address);
      break;
    case MODEL_RESET:
      model_reset(&native_options.model);
      dsm_init();
      break;
    default:
      disconnect();
      return;
  }
  store_u32(answer, value);
  send_frame(COMMAND_MODEL, answer, sizeof answer);
}

/* Handles one frame; true if it was a data object. */
static bool take_frame(void) {
  static const char hello[] = "Server Hello!";
  uint8_t header[FRAME_HEADER_BYTES];

  if (!receive_all(header, sizeof header)) {
    disconnect();
    return false;
  }
  uint32_t command = load_be32(header);
  uint32_t size = load_be32(header + 8);
  if (load_be32(header + 4) != TRANSPORT_PCI_DOE || size > sizeof request ||
      !receive_all(request, size)) {
    disconnect();
    return false;
  }
  switch (command) {
    case COMMAND_NORMAL:
      if (size % 4 != 0) { /* the mailbox takes whole DWs only */
        send_frame(COMMAND_NORMAL, NULL, 0);
        return false;
      }
      request_dw = size / 4;
      return true;
    case COMMAND_TEST:
      send_frame(COMMAND_TEST, (const uint8_t *)hello, sizeof hello);
      return false;
    case COMMAND_CONTINUE:
      send_frame(COMMAND_CONTINUE, NULL, 0);
      return false;
    case COMMAND_SHUTDOWN:
      send_frame(COMMAND_SHUTDOWN, NULL, 0);
      disconnect();
      exit(EXIT_SUCCESS);
    case COMMAND_MODEL:
      model_frame(size);
      return false;
    default:
      disconnect();
      return false;
  }
}

/* ---- events --------------------------------------------------------------------------------------------- */
void hal_timer_arm(uint64_t cycles_from_now) {
  timer_at = cycles_from_now == 0 ? 0 : hal_cycles() + cycles_from_now;
}

static int timeout_ms(void) {
  if (timer_at == 0) {
    return -1;
  }
  uint64_t now = hal_cycles();
  if (now >= timer_at) {
    return 0;
  }
  uint64_t per_ms = (uint64_t)hal_cycles_per_second() / 1000 * native_options.time_scale;
  uint64_t ms = (timer_at - now) / per_ms + 1;
  return ms > 60000 ? 60000 : (int)ms;
}

/* Standard input is a pipe of the program that started us; nothing is ever written to it. */
static bool starter_lives(void) {
  uint8_t ignored[64];
  return read(STDIN_FILENO, ignored, sizeof ignored) > 0;
}

uint32_t hal_wait_events(void) {
  for (;;) {
    uint32_t events = model_take_events();
    if (timer_at != 0 && hal_cycles() >= timer_at) {
      timer_at = 0;
      events |= HAL_EV_TIMER;
    }
    if (events != 0) {
      return events;
    }
    struct pollfd fds[] = {
        {.fd = connection >= 0 ? connection : listener, .events = POLLIN},
        {.fd = native_options.watch_stdin ? STDIN_FILENO : -1, .events = POLLIN}};
    if (poll(fds, 2, timeout_ms()) <= 0) {
      continue;
    }
    if (fds[1].revents != 0 && !starter_lives()) {
      disconnect();
      exit(EXIT_SUCCESS);
    }
    if (fds[0].revents == 0) {
      continue;
    }
    if (connection >= 0) {
      if (take_frame()) {
        return HAL_EV_DOE_GO;
      }
    } else {
      int on = 1;
      connection = accept(listener, NULL, NULL);
      if (connection >= 0) {
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      }
    }
  }
}

/* ---- mailbox -------------------------------------------------------------------------------------------- */
const uint8_t *hal_doe_request(uint32_t *length_dw) {
  *length_dw = request_dw;
  return request;
}

uint8_t *hal_doe_response(void) {
  return response;
}

void hal_doe_respond(uint32_t length_dw) {
  send_frame(COMMAND_NORMAL, response, (size_t)4 * length_dw);
}

void hal_doe_discard(void) {
  send_frame(COMMAND_NORMAL, NULL, 0);
}

void hal_doe_fail(void) {
  fprintf(stderr, "teeio-dsm: DOE error\n");
  send_frame(COMMAND_NORMAL, NULL, 0);
}

uint16_t server_open(uint16_t port) {
  int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;

  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
    perror("teeio-dsm");
    return 0;
  }
  return ntohs(address.sin_port);
}
