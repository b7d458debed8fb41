// SPDX-License-Identifier: Apache-2.0
// One TLP at a time from NumIn sources, asked for credit before it is let go.
//
// Contract
//   * A source offers a TLP by in_valid_i with sop. The choice is registered: source 0 first, the
//     others round robin; a source whose class has no credit (credit_ok_i low) is passed over.
//     From the choice to eop the source is connected combinationally to the output.
//   * The next choice is made in the eop cycle among the other sources, so only a source that is
//     alone pays one idle cycle between TLPs. Choosing needs in_valid_i; in_ready_o itself
//     depends on out_ready_i and registers only.
//   * consume_o[class] pulses with the transfer of the first beat. Between the cycle of the
//     choice and that pulse nobody else may use up the credit seen (a block behind that sends on
//     its own, as IDE Sync does, lives on a reserve that credit_ok_i leaves aside).
//   * A TLP that is withdrawn before its first beat was taken (a gate that closed) frees the
//     output again; after the first beat the source must finish.
//   * Adds no registers to the payload; reset drops the choice.
module tx_arbiter
  import pcie_pkg::*;
#(
  parameter int unsigned NumIn = 4
) (
  input  logic                  clk_i,
  input  logic                  rst_i,

  input  logic [NumIn-1:0]      in_valid_i,
  output logic [NumIn-1:0]      in_ready_o,
  input  tlp_beat_t [NumIn-1:0] in_i,

  input  logic [2:0]            credit_ok_i,  // index: tlp_class_e
  output logic [2:0]            consume_o,

  output logic                  out_valid_o,
  input  logic                  out_ready_i,
  output tlp_beat_t             out_o
);

  if (NumIn < 2) begin : gen_check_num_in
    $error("tx_arbiter: NumIn must be at least 2");
  end

  localparam int unsigned SelWidth = $clog2(NumIn);
  typedef logic [SelWidth-1:0] sel_t;

  logic             chosen_q, started_q;
  sel_t             sel_q;
  sel_t             last_q;                 // source served last by the round robin (never 0)
  logic [NumIn-1:0] eligible;
  logic             choose, pick_valid, fire, withdrawn;
  sel_t             pick;

  // Connection -----------------------------------------------------------------------------------

  assign out_o       = in_i[sel_q];
  assign out_valid_o = chosen_q && in_valid_i[sel_q];
  assign fire        = out_valid_o && out_ready_i;
  assign withdrawn   = chosen_q && !started_q && !in_valid_i[sel_q];

  always_comb begin
    in_ready_o = '0;
    if (chosen_q) in_ready_o[sel_q] = out_ready_i;
  end

  always_comb begin
    consume_o = '0;
    if (fire && !started_q) consume_o[hdr_class(out_o.header)] = 1'b1;
  end

  // Choice ---------------------------------------------------------------------------------------

  always_comb begin
    for (int unsigned i = 0; i < NumIn; i++) begin
      eligible[i] = in_valid_i[i] && in_i[i].sop && credit_ok_i[hdr_class(in_i[i].header)];
    end
    // What the connected source shows is the TLP that ends just now. The credit of a TLP of one
    // beat is consumed in this very cycle, so its class waits for the next one.
    if (chosen_q) begin
      eligible[sel_q] = 1'b0;
      for (int unsigned i = 0; i < NumIn; i++) begin
        if (consume_o[hdr_class(in_i[i].header)]) eligible[i] = 1'b0;
      end
    end
  end

  always_comb begin
    pick_valid = 1'b0;
    pick       = '0;
    // Later assignments win: nearest successor of last_q over the wrapped rest, source 0 over all.
    for (int unsigned i = NumIn - 1; i >= 1; i--) begin
      if (eligible[i] && sel_t'(i) <= last_q) begin
        pick_valid = 1'b1;
        pick       = sel_t'(i);
      end
    end
    for (int unsigned i = NumIn - 1; i >= 1; i--) begin
      if (eligible[i] && sel_t'(i) > last_q) begin
        pick_valid = 1'b1;
        pick       = sel_t'(i);
      end
    end
    if (eligible[0]) begin
      pick_valid = 1'b1;
      pick       = '0;
    end
  end

  assign choose = !chosen_q || withdrawn || (fire && out_o.eop);

  always_ff @(posedge clk_i) begin
    if (fire) started_q <= !out_o.eop;
    if (choose) begin
      chosen_q <= pick_valid;
      if (pick_valid) sel_q <= pick;
      if (pick_valid && pick != '0) last_q <= pick;
    end
    if (rst_i) begin
      chosen_q  <= 1'b0;
      started_q <= 1'b0;
      sel_q     <= '0;
      last_q    <= '0;
    end
  end

endmodule
