// SPDX-License-Identifier: Apache-2.0
// System registers of the DSM: event word, wait, timer, cycle counter, status, fatal latch.
//
//   00 WAIT      R  stalls the CPU until an event is pending, returns and clears the pending set
//   04 EVENTS    R  the pending set, nothing is cleared
//   08 STATUS    R  [0] deterministic seed, [1] test hooks, [2] bus fault (W1C), [3] fatal,
//                   [11:8] number of TDIs
//   0C CYCLES    R  low half; latches the high half
//   10 CYCLES_HI R  high half as latched
//   14 TIMER     W  low half of the deadline
//   18 TIMER_HI  W  high half; arms the timer
//   1C TIMER_OFF W  disarms, and drops a pending timer event
//   20 CLOCK     R  clock cycles per second
//   24 BUS_DEV   R  captured bus << 8 | device << 3
//   28 FATAL     W  any value, until reset: the DSM gives up
//
// Contract: events are sticky; an event that arrives in the cycle of the clearing read is kept for
// the next. DOE events are levels of the mailbox: reading them from WAIT is `doe_take_o` and
// `doe_abort_ack_o`. `idle_o` stands while the CPU waits and nothing is pending.
module dsm_system
  import dsm_pkg::*;
#(
  parameter int unsigned NumTdi   = 3,
  parameter int unsigned ClockHz  = 48_000_000,
  parameter bit          TestHooks = 1'b0
) (
  input  logic              clk_i,
  input  logic              rst_i,

  input  logic              reg_valid_i,
  output logic              reg_ready_o,
  input  reg_req_t          reg_req_i,
  output logic [31:0]       reg_rdata_o,

  // event sources
  input  logic              doe_go_i,
  output logic              doe_take_o,
  input  logic              doe_abort_i,
  output logic              doe_abort_ack_o,
  input  logic              flr0_i,
  input  logic [2:0]        insecure_event_i,
  input  logic [NumTdi-1:0] tdi_error_event_i,

  input  logic [63:0]       cycle_i,
  input  logic [12:0]       bus_dev_i,
  input  logic              seed_deterministic_i,
  input  logic              bus_fault_i,
  output logic              bus_fault_o,   // sticky
  output logic              fatal_o,       // sticky
  output logic              idle_o
);

  localparam logic [5:0] REG_WAIT      = 6'h00;
  localparam logic [5:0] REG_EVENTS    = 6'h01;
  localparam logic [5:0] REG_STATUS    = 6'h02;
  localparam logic [5:0] REG_CYCLES    = 6'h03;
  localparam logic [5:0] REG_CYCLES_HI = 6'h04;
  localparam logic [5:0] REG_TIMER     = 6'h05;
  localparam logic [5:0] REG_TIMER_HI  = 6'h06;
  localparam logic [5:0] REG_TIMER_OFF = 6'h07;
  localparam logic [5:0] REG_CLOCK     = 6'h08;
  localparam logic [5:0] REG_BUS_DEV   = 6'h09;
  localparam logic [5:0] REG_FATAL     = 6'h0A;

  logic [5:0]  addr;
  logic        is_read, is_write, is_wait, take;
  logic [31:0] sticky_q, raised, events;
  logic [31:0] cycles_hi_q, deadline_lo_q, deadline_hi_q;
  logic        timer_armed_q, timer_due_q, fault_q, fatal_q;

  assign addr     = reg_req_i.addr[7:2];
  assign is_read  = reg_valid_i && !reg_req_i.we && reg_req_i.addr[15:8] == '0;
  assign is_write = reg_valid_i && reg_req_i.we && reg_req_i.addr[15:8] == '0;
  assign is_wait  = is_read && addr == REG_WAIT;

  always_comb begin
    raised = '0;
    raised[EV_TIMER]                   = timer_due_q;
    raised[EV_FLR0]                    = flr0_i;
    raised[EV_STREAM_SHIFT+:3]         = insecure_event_i;
    raised[EV_TDI_SHIFT+:NumTdi]       = tdi_error_event_i;
  end

  always_comb begin
    events = sticky_q;
    events[EV_DOE_GO]    = doe_go_i;
    events[EV_DOE_ABORT] = doe_abort_i;
  end

  assign reg_ready_o     = !is_wait || events != '0;
  assign idle_o          = (is_wait && events == '0) || fatal_q;
  assign take            = is_wait && events != '0;
  assign doe_take_o      = take && doe_go_i;
  assign doe_abort_ack_o = take && doe_abort_i;

  always_comb begin
    reg_rdata_o = '0;
    if (is_read) begin
      unique case (addr)
        REG_WAIT,
        REG_EVENTS:    reg_rdata_o = events;
        REG_STATUS:    reg_rdata_o = {20'd0, 4'(NumTdi), 4'd0,
                                      fatal_q, fault_q, TestHooks, seed_deterministic_i};
        REG_CYCLES:    reg_rdata_o = cycle_i[31:0];
        REG_CYCLES_HI: reg_rdata_o = cycles_hi_q;
        REG_CLOCK:     reg_rdata_o = ClockHz;
        REG_BUS_DEV:   reg_rdata_o = {16'd0, bus_dev_i, 3'd0};
        default:       reg_rdata_o = '0;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    sticky_q    <= (take ? '0 : sticky_q) | raised;
    timer_due_q <= 1'b0;
    if (timer_armed_q && cycle_i >= {deadline_hi_q, deadline_lo_q}) begin
      timer_armed_q <= 1'b0;
      timer_due_q   <= 1'b1;
    end
    if (is_read && addr == REG_CYCLES) cycles_hi_q <= cycle_i[63:32];
    if (is_write) begin
      unique case (addr)
        REG_STATUS: if (reg_req_i.wdata[2]) fault_q <= 1'b0;
        REG_TIMER:  deadline_lo_q <= reg_req_i.wdata;
        REG_TIMER_HI: begin
          deadline_hi_q <= reg_req_i.wdata;
          timer_armed_q <= 1'b1;
        end
        REG_TIMER_OFF: begin
          timer_armed_q      <= 1'b0;
          timer_due_q        <= 1'b0;
          sticky_q[EV_TIMER] <= 1'b0;
        end
        REG_FATAL: fatal_q <= 1'b1;
        default: ;
      endcase
    end
    if (bus_fault_i) fault_q <= 1'b1;
    if (rst_i) begin
      sticky_q      <= '0;
      timer_armed_q <= 1'b0;
      timer_due_q   <= 1'b0;
      fault_q       <= 1'b0;
      fatal_q       <= 1'b0;
      cycles_hi_q   <= '0;
      deadline_lo_q <= '0;
      deadline_hi_q <= '0;
    end
  end

  assign bus_fault_o = fault_q;
  assign fatal_o     = fatal_q;

endmodule
