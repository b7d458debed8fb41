// SPDX-License-Identifier: Apache-2.0
// Data Object Exchange mailbox: the registers a host sees and the two object buffers.
//
// Contract. Config side: `cfg_write_i` is one accepted DW write at register `cfg_addr_i` (offset in
// the capability / 4); the three register values are always current, two cycles after a write at the
// latest. DSM side: `go_o` says that a whole object waits; with `take_i` the firmware holds it until
// `respond_i`, `discard_i` or `fail_i`. `abort_o` stays until `abort_ack_i`.
//
// Rules (PCIe Base 6.x, 6.30), and the choices made where they leave room:
//  * One exchange at a time: Busy stands from Go until the response is read to its end, so that a
//    second object can never mix with a response that is still being read.
//  * An object whose Length field differs from the number of DWs written is discarded here, silently;
//    firmware sees whole objects only. Go with less than two DWs is such a mismatch.
//  * DWs written while Busy or Error are dropped without an error; Go is ignored then.
//  * Ready falls with the write that acknowledges the last DW, never with a read.
//  * Error: DW 1155 of an object, an acknowledge while nothing is ready, a fault reported by the
//    firmware, a response of illegal length, no response within TimeoutCycles. Only Abort and reset
//    clear it; until then reads return 0 and nothing is accepted.
//  * Abort and FLR act at once, except that Busy stays while the firmware still holds the dead object
//    (StDrain): the request buffer cannot change under a parser, and a late answer goes nowhere.
//    Abort together with Go is Abort.
//  * Interrupt Status is set, if enabled, by Ready 0->1, Error 0->1 and Busy 1->0; `irq_o` pulses
//    when it is set anew.
//
// Reset: idle and empty; the buffers are overwritten through `wipe_i` (Busy meanwhile).
module doe_mailbox #(
  parameter int unsigned BufferDw      = 1154,       // 1200h bytes of payload and two header DWs
  parameter int unsigned TimeoutCycles = 47_000_000, // just below one second at 48 MHz
  localparam int unsigned AddrWidth    = $clog2(BufferDw),
  localparam int unsigned CountWidth   = $clog2(BufferDw + 1)
) (
  input  logic                  clk_i,
  input  logic                  rst_i,
  input  logic                  flr_i,          // Function Level Reset of function 0

  // configuration registers
  input  logic                  cfg_write_i,
  input  logic [4:2]            cfg_addr_i,
  input  logic [31:0]           cfg_wdata_i,
  output logic [31:0]           cfg_control_o,
  output logic [31:0]           cfg_status_o,
  output logic [31:0]           cfg_read_data_o,
  output logic                  irq_o,

  // exchange, DSM side
  output logic                  go_o,
  input  logic                  take_i,
  output logic                  abort_o,
  input  logic                  abort_ack_i,
  output logic [CountWidth-1:0] request_dw_o,   // DWs of the object, header included
  input  logic                  respond_i,
  input  logic [31:0]           respond_dw_i,
  input  logic                  discard_i,
  input  logic                  fail_i,
  output logic                  held_o,         // the firmware's exchange is alive

  // buffers, DSM side: data one cycle after the address
  input  logic [AddrWidth-1:0]  req_addr_i,
  output logic [31:0]           req_rdata_o,
  input  logic                  rsp_we_i,
  input  logic [3:0]            rsp_be_i,
  input  logic [AddrWidth-1:0]  rsp_addr_i,
  input  logic [31:0]           rsp_wdata_i,
  output logic [31:0]           rsp_rdata_o,

  // overwriting of both buffers after reset
  input  logic                  wipe_i,
  input  logic [AddrWidth-1:0]  wipe_addr_i
);

  localparam logic [2:0] REG_CONTROL    = 3'd2;
  localparam logic [2:0] REG_STATUS     = 3'd3;
  localparam logic [2:0] REG_WRITE_DATA = 3'd4;
  localparam logic [2:0] REG_READ_DATA  = 3'd5;

  localparam logic [CountWidth-1:0] FULL = BufferDw[CountWidth-1:0];

  typedef enum logic [2:0] {
    StIdle, StPending, StHeld, StReady, StDrain
  } state_e;

  state_e                state_q, state_d;
  logic                  error_q, error_d;
  logic                  abort_q, abort_d;
  logic [CountWidth-1:0] wr_count_q, wr_count_d;
  logic [CountWidth-1:0] rd_idx_q, rd_idx_d;
  logic [CountWidth-1:0] rsp_last_q, rsp_last_d;
  logic [17:0]           length_q, length_d;
  logic                  int_enable_q, int_status_q;
  logic [31:0]           timer_q, timer_d;
  logic                  was_ready_q, was_error_q, was_busy_q;

  logic do_abort, do_go, do_push, do_ack;
  logic is_busy, is_ready, push_ok, is_done, timed_out, respond_ok, int_event;
  logic [31:0] read_data;

  // ---- what the host's write means -------------------------------------------------------------
  assign do_abort = (cfg_write_i && cfg_addr_i == REG_CONTROL && cfg_wdata_i[0]) || flr_i;
  assign do_go    = cfg_write_i && cfg_addr_i == REG_CONTROL && cfg_wdata_i[31] && !do_abort;
  assign do_push  = cfg_write_i && cfg_addr_i == REG_WRITE_DATA;
  assign do_ack   = cfg_write_i && cfg_addr_i == REG_READ_DATA;

  assign is_busy  = state_q != StIdle || wipe_i;
  assign is_ready = state_q == StReady;
  assign push_ok  = do_push && !is_busy && !error_q && !flr_i && wr_count_q != FULL;

  // ---- what the firmware's strobe means --------------------------------------------------------
  assign is_done    = respond_i || discard_i || fail_i;
  assign respond_ok = respond_dw_i >= 32'd2 && respond_dw_i <= BufferDw;
  assign timed_out  = (state_q == StPending || state_q == StHeld) && timer_q == TimeoutCycles - 1;

  always_comb begin
    state_d    = state_q;
    error_d    = error_q;
    wr_count_d = wr_count_q;
    rd_idx_d   = rd_idx_q;
    rsp_last_d = rsp_last_q;
    length_d   = length_q;
    timer_d    = timer_q + 32'd1;
    abort_d    = (abort_q && !abort_ack_i) || do_abort;

    unique case (state_q)
      // The host may write an object.
      StIdle: begin
        timer_d = '0;
        if (push_ok) begin
          wr_count_d = wr_count_q + 1'b1;
          if (wr_count_q == CountWidth'(1)) length_d = cfg_wdata_i[17:0];
        end
        if (do_push && !is_busy && wr_count_q == FULL) error_d = 1'b1;
        if (do_go && !is_busy && !error_q) begin
          // 6.30.1: Length counts the two header DWs; 0 means 2^18, which never fits.
          if (wr_count_q >= CountWidth'(2) && 32'(length_q) == 32'(wr_count_q)) state_d = StPending;
          else wr_count_d = '0;
        end
        if (do_ack || fail_i) begin
          state_d = StIdle;
          error_d = 1'b1;
        end
      end

      // A whole object waits for the firmware.
      StPending: begin
        if (take_i) state_d = StHeld;
        if (do_ack || timed_out) begin
          state_d = take_i ? StDrain : StIdle;
          error_d = 1'b1;
        end
        if (fail_i) begin
          state_d = StIdle;
          error_d = 1'b1;
        end
      end

      // The firmware works on the object.
      StHeld: begin
        if (do_ack || timed_out) begin
          state_d = is_done ? StIdle : StDrain;
          error_d = 1'b1;
        end else if (fail_i || (respond_i && !respond_ok)) begin
          state_d = StIdle;
          error_d = 1'b1;
        end else if (respond_i) begin
          state_d    = StReady;
          rd_idx_d   = '0;
          rsp_last_d = respond_dw_i[CountWidth-1:0] - 1'b1;
        end else if (discard_i) begin
          state_d    = StIdle;
          wr_count_d = '0;
        end
      end

      // The response is being read.
      StReady: begin
        if (do_ack) begin
          if (rd_idx_q == rsp_last_q) begin
            state_d    = StIdle;
            wr_count_d = '0;
          end else begin
            rd_idx_d = rd_idx_q + 1'b1;
          end
        end
        if (fail_i) begin
          state_d = StIdle;
          error_d = 1'b1;
        end
      end

      // The exchange is dead, but the firmware still reads its request.
      StDrain: begin
        if (is_done || abort_ack_i) state_d = StIdle;
        if (do_ack) error_d = 1'b1;
      end

      default: begin
        state_d = StIdle;
        error_d = 1'b1;
      end
    endcase

    // Abort and FLR end everything but the firmware's own reading.
    if (do_abort) begin
      error_d    = 1'b0;
      wr_count_d = '0;
      unique case (state_q)
        StPending: state_d = take_i ? StDrain : StIdle;
        StHeld,
        StDrain:   state_d = is_done ? StIdle : StDrain;
        default:   state_d = StIdle;
      endcase
    end
  end

  // ---- interrupt -------------------------------------------------------------------------------
  assign int_event = (is_ready && !was_ready_q) || (error_q && !was_error_q) ||
                     (!is_busy && was_busy_q);

  always_ff @(posedge clk_i) begin
    was_ready_q <= is_ready;
    was_error_q <= error_q;
    was_busy_q  <= is_busy;
    irq_o       <= 1'b0;
    if (cfg_write_i && cfg_addr_i == REG_CONTROL) int_enable_q <= cfg_wdata_i[1];
    if (cfg_write_i && cfg_addr_i == REG_STATUS && cfg_wdata_i[1]) int_status_q <= 1'b0;
    if (int_event && int_enable_q) begin
      int_status_q <= 1'b1;
      irq_o <= !int_status_q ||
               (cfg_write_i && cfg_addr_i == REG_STATUS && cfg_wdata_i[1]);
    end
    if (rst_i || flr_i) begin
      int_enable_q <= 1'b0;
      int_status_q <= 1'b0;
      irq_o        <= 1'b0;
    end
    if (rst_i) begin
      was_ready_q <= 1'b0;
      was_error_q <= 1'b0;
      was_busy_q  <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    state_q    <= state_d;
    error_q    <= error_d;
    abort_q    <= abort_d;
    wr_count_q <= wr_count_d;
    rd_idx_q   <= rd_idx_d;
    rsp_last_q <= rsp_last_d;
    length_q   <= length_d;
    timer_q    <= timer_d;
    if (rst_i) begin
      state_q    <= StIdle;
      error_q    <= 1'b0;
      abort_q    <= 1'b0;
      wr_count_q <= '0;
      rd_idx_q   <= '0;
      rsp_last_q <= '0;
      length_q   <= '0;
      timer_q    <= '0;
    end
  end

  // ---- buffers ---------------------------------------------------------------------------------
  dsm_ram #(.Words(BufferDw)) u_request (
    .clk_i,
    .a_we_i    (push_ok || wipe_i),
    .a_be_i    (4'b1111),
    .a_addr_i  (wipe_i ? wipe_addr_i : wr_count_q[AddrWidth-1:0]),
    .a_wdata_i (wipe_i ? 32'd0 : cfg_wdata_i),
    /* verilator lint_off PINCONNECTEMPTY */
    .a_rdata_o (),  // the host never reads its request back
    /* verilator lint_on PINCONNECTEMPTY */
    .b_addr_i  (req_addr_i),
    .b_rdata_o (req_rdata_o)
  );

  dsm_ram #(.Words(BufferDw)) u_response (
    .clk_i,
    .a_we_i    (rsp_we_i || wipe_i),
    .a_be_i    (wipe_i ? 4'b1111 : rsp_be_i),
    .a_addr_i  (wipe_i ? wipe_addr_i : rsp_addr_i),
    .a_wdata_i (wipe_i ? 32'd0 : rsp_wdata_i),
    .a_rdata_o (rsp_rdata_o),
    .b_addr_i  (rd_idx_d[AddrWidth-1:0]),
    .b_rdata_o (read_data)
  );

  // ---- register values -------------------------------------------------------------------------
  assign cfg_control_o   = {30'd0, int_enable_q, 1'b0};
  assign cfg_status_o    = {is_ready, 28'd0, error_q, int_status_q, is_busy};
  assign cfg_read_data_o = (is_ready && !error_q) ? read_data : 32'd0;

  assign go_o         = state_q == StPending;
  assign held_o       = state_q == StHeld;
  assign abort_o      = abort_q;
  assign request_dw_o = wr_count_q;

endmodule
