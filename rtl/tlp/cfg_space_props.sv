// SPDX-License-Identifier: Apache-2.0
// Properties of cfg_space: message stream holds, a snapshot read never disturbs, FLR is answered
// for one function at a time and only after a completion.
module cfg_space_props
  import pcie_pkg::*;
#(
  parameter int unsigned NumTdi = 3
) (
  input logic             clk_i,
  input logic             rst_i,
  input logic             acc_valid_i,
  input logic             acc_we_i,
  input logic             acc_rvalid_o,
  input logic             snap_rvalid_o,
  input logic             cpl_sent_i,
  input logic [NumTdi:0]  flr_o,
  input cfg_write_event_t write_event_o,
  input logic             doe_write_o,
  input logic             msg_valid_o,
  input logic             msg_ready_i,
  input tlp_beat_t        msg_o
);

  stream_props #(
    .Width($bits(tlp_beat_t))
  ) u_msg (
    .clk_i,
    .rst_i,
    .valid_i(msg_valid_o),
    .ready_i(msg_ready_i),
    .last_i (1'b1),
    .data_i (msg_o)
  );

  logic access_q, write_q, sent_q, past_ok_q;
  always_ff @(posedge clk_i) begin
    access_q  <= acc_valid_i && !rst_i;
    write_q   <= acc_valid_i && acc_we_i && !rst_i;
    sent_q    <= cpl_sent_i;
    past_ok_q <= !rst_i;
  end

  always_ff @(posedge clk_i) begin
    if (past_ok_q && !rst_i) begin
      Assert_answer:          assert (acc_rvalid_o == access_q);
      Assert_one_reader:      assert (!(acc_rvalid_o && snap_rvalid_o));
      Assert_event_is_write:  assert (!write_event_o.valid || write_q);
      Assert_doe_is_write:    assert (!doe_write_o || (acc_valid_i && acc_we_i));
      Assert_flr_after_cpl:   assert (flr_o == '0 || sent_q);
    end
  end

endmodule

bind cfg_space cfg_space_props #(.NumTdi(NumTdi)) u_props (.*);
