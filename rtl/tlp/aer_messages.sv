// SPDX-License-Identifier: Apache-2.0
// Turns the wishes of all functions for error messages into messages, one at a time.
//
// Contract
//   * want_i[f] = {ERR_FATAL, ERR_NONFATAL, ERR_COR} is taken in every cycle and never stalls:
//     a wish of a function for a message that still waits to be sent merges with it, as the
//     Base Specification permits.
//   * With all_funcs_i only the lowest function that wants a severity gets it (one message of each
//     severity for an error that all functions log). granted_o shows in the same cycle which
//     wishes were accepted.
//   * Order of sending: fatal, non-fatal, correctable; within a severity the lowest function.
//   * A message on msg_o holds until taken. drop_i[f] (FLR) forgets what function f has waiting.
// PCIe Base 6.2.4: Msg routed to the Root Complex, 4 DW, no data.
module aer_messages
  import pcie_pkg::*;
#(
  parameter int unsigned NumFunctions = 4
) (
  input  logic                         clk_i,
  input  logic                         rst_i,

  input  logic [NumFunctions-1:0][2:0] want_i,
  input  logic                         all_funcs_i,
  output logic [NumFunctions-1:0][2:0] granted_o,
  input  logic [NumFunctions-1:0]      drop_i,
  input  logic [12:0]                  bus_dev_i,

  output logic                         msg_valid_o,
  input  logic                         msg_ready_i,
  output tlp_beat_t                    msg_o
);

  logic [NumFunctions-1:0][2:0] pending_q, sending;
  logic [2:0]                   seen;
  logic                         pick_valid;
  logic [2:0]                   pick_func;
  logic [7:0]                   pick_code;

  always_comb begin
    granted_o = '0;
    seen      = '0;
    for (int unsigned f = 0; f < NumFunctions; f++) begin
      granted_o[f] = want_i[f] & ~(all_funcs_i ? seen : 3'd0);
      seen         = seen | want_i[f];
    end
  end

  always_comb begin
    pick_valid = 1'b0;
    pick_func  = '0;
    pick_code  = MSG_ERR_COR;
    sending    = '0;
    for (int unsigned s = 3; s >= 1; s--) begin
      for (int unsigned f = 0; f < NumFunctions; f++) begin
        if (!pick_valid && pending_q[f][s-1]) begin
          pick_valid      = 1'b1;
          pick_func       = 3'(f);
          sending[f][s-1] = 1'b1;
          unique case (s)
            3:       pick_code = MSG_ERR_FATAL;
            2:       pick_code = MSG_ERR_NONFATAL;
            default: pick_code = MSG_ERR_COR;
          endcase
        end
      end
    end
    if (msg_valid_o) sending = '0;
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned f = 0; f < NumFunctions; f++) begin
      pending_q[f] <= ((pending_q[f] & ~sending[f]) | granted_o[f]) & {3{!drop_i[f]}};
    end
    if (rst_i) pending_q <= '0;
  end

  always_ff @(posedge clk_i) begin
    if (msg_ready_i) msg_valid_o <= 1'b0;
    if (!msg_valid_o && pick_valid) begin
      msg_valid_o         <= 1'b1;
      msg_o               <= '0;
      msg_o.sop           <= 1'b1;
      msg_o.eop           <= 1'b1;
      msg_o.header        <= {FMT_4DW, 5'b10000, 24'd0,
                              bus_dev_i, pick_func, 8'd0, pick_code, 64'd0};
      msg_o.meta.associate <= 1'b1;
      msg_o.meta.tdi_idx  <= 8'(pick_func) - 8'd1;  // F0 is no TDI: FFh
    end
    if (rst_i) msg_valid_o <= 1'b0;
  end

endmodule
