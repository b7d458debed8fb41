// SPDX-License-Identifier: Apache-2.0
// May this TDI emit this TLP now, and with which T?
//
// Contract: between a function and the transmit arbiter, no register in the data. The decision is
// made at sop from the view of the same cycle and held from the moment the sop beat was taken to
// eop, so a TLP is never cut.
//
//   what      CONFIG_UNLOCKED   LOCKED   RUN                        ERROR
//   DMA       T=0, associate    drop     T=1 on the bound block *   drop
//   MSI-X     T=0, associate    T=0      T=1 if the table is        T=0
//                                        locked, else T=0
//
// * a block of BIND_P2P_STREAM if the address, without the bits of BIND_P2P_ADDRESS_MASK, lies in
//   its address association; else the default stream, the block of LOCK.
//
// A dropped TLP is taken from the function and `dropped_o` pulses at its sop.
// SEC: TDI.DMA_GATE. out_valid_o falls without a handshake in exactly one case: a sop beat waits
// for ready and the view leaves the state that permitted it. Closing the gate in that cycle is worth more than
// the rule that valid holds; an arbiter must therefore not count on a sop before it has taken it.
//
// TDISP, PCIe Base 6.x chapter 11, rules for a TDI as requester.
module tdi_dma_gate
  import pcie_pkg::tlp_beat_t;
  import tdisp_pkg::*;
(
  input  logic      clk_i,
  input  logic      rst_i,

  /* verilator lint_off UNUSEDSIGNAL */  // non-TEE pages are the completer's business
  input  tdi_view_t view_i,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [63:20] p2p_mask_i,     // address bits to clear before matching
  /* verilator lint_off UNUSEDSIGNAL */  // only the address associations of selective blocks
  input  ide_pkg::block_cfg_t [ide_pkg::NUM_BLOCKS-1:0] block_cfg_i,
  /* verilator lint_on UNUSEDSIGNAL */

  // from the function
  input  logic      in_valid_i,
  output logic      in_ready_o,
  input  tlp_beat_t in_i,
  input  logic      in_is_msix_i,  // the TLP is an interrupt of the MSI-X table
  output logic      dropped_o,     // pulse: a TLP was refused

  // to the arbiter
  output logic      out_valid_o,
  input  logic      out_ready_i,
  output tlp_beat_t out_o
);

  logic allow, trusted;          // decision for a sop beat, this cycle
  logic pass;
  logic in_tlp_q, pass_q;        // between sop and eop: decision of the sop

  always_comb begin
    allow   = 1'b0;
    trusted = 1'b0;
    if (in_is_msix_i) begin
      allow   = 1'b1;
      trusted = view_i.state == StRun && view_i.msix_locked;
    end else begin
      if (view_i.state == StUnlocked) allow = 1'b1;
      if (view_i.state == StRun) begin
        allow   = 1'b1;
        trusted = 1'b1;
      end
    end
  end

  logic [63:20] masked;
  logic [1:0]   block;
  assign masked = 44'(pcie_pkg::hdr_address(in_i.header) >> 20) & ~p2p_mask_i;

  always_comb begin
    block = view_i.block;
    for (int unsigned b = 0; b < ide_pkg::NUM_SELECTIVE; b++) begin
      if (!in_is_msix_i && view_i.p2p[b] && block_cfg_i[b].addr_valid &&
          masked >= block_cfg_i[b].addr_base && masked <= block_cfg_i[b].addr_limit) begin
        block = 2'(b);
      end
    end
  end

  assign pass        = in_tlp_q ? pass_q : (allow && in_i.sop);
  assign out_valid_o = in_valid_i && pass;
  assign in_ready_o  = pass ? out_ready_i : 1'b1;
  assign dropped_o   = in_valid_i && !in_tlp_q && !pass;

  // meta means something at sop only; the fields that name a stream never come from the function.
  always_comb begin
    out_o                = in_i;
    out_o.prefix_valid   = 1'b0;
    out_o.prefix         = '0;
    out_o.meta.ide       = trusted;
    out_o.meta.t_bit     = trusted;
    out_o.meta.associate = !trusted;
    out_o.meta.block     = trusted ? block : 2'd0;
    out_o.meta.stream_id = '0;
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i && in_ready_o) begin
      in_tlp_q <= !in_i.eop;
      if (!in_tlp_q) pass_q <= pass;
    end
    if (rst_i) begin
      in_tlp_q <= 1'b0;
      pass_q   <= 1'b0;
    end
  end

endmodule
