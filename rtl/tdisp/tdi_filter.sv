// SPDX-License-Identifier: Apache-2.0
// May this memory request touch this page of this function now?
//
// Contract: combinational. Fails closed: an undefined state admits only what ERROR admits. The
// caller asks again in every cycle until the access has taken effect, because the answer changes
// in the very cycle in which the TDI leaves RUN. Configuration requests are not asked about here:
// they are admitted in every state.
//
// Bound are the block of LOCK and, in RUN, those of BIND_P2P_STREAM; a page that
// SET_MMIO_ATTRIBUTE made non-TEE is one in RUN only.
//
//   state              page      plain or T=0   T=1, bound block   T=1, other block
//   CONFIG_UNLOCKED    any       accept         reject             reject
//   other, non-TEE     any       accept         accept             accept
//   RUN                TEE       reject         accept             reject
//   LOCKED, ERROR      TEE       reject         reject             reject
//   F0 (no TDI)        any       accept         reject             reject
//
// TDISP, PCIe Base 6.x chapter 11, rules for a TDI as completer.
module tdi_filter
  import tdisp_pkg::*;
(
  input  logic       is_tdi_i,  // 0: management function
  input  tdi_view_t  view_i,
  input  logic [3:0] page_i,    // address[15:12]
  input  logic       ide_i,     // the request came protected
  input  logic       t_bit_i,
  input  logic [1:0] block_i,   // stream block it came on, valid if ide_i

  output logic       allow_o
);

  logic is_trusted;  // T=1 on a stream block that is bound to the TDI
  logic is_tee_page;

  assign is_trusted  = ide_i && t_bit_i && block_is_bound(block_i, view_i);
  assign is_tee_page = page_is_tee(page_i, view_i);

  // SEC: TDI.FILTER
  always_comb begin
    allow_o = 1'b0;
    if (!is_tdi_i) begin
      allow_o = !t_bit_i;
    end else if (view_i.state == StUnlocked) begin
      allow_o = !t_bit_i;
    end else if (!is_tee_page) begin
      allow_o = 1'b1;
    end else if (view_i.state == StRun) begin
      allow_o = is_trusted;
    end
  end

endmodule
