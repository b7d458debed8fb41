// SPDX-License-Identifier: Apache-2.0
// Conditions of BIND_P2P_STREAM and UNBIND_P2P_STREAM that are visible in registers (TDISP, PCIe
// Base 6.x, 11.3.14 and 11.3.15).
//
// Contract: combinational. A stream may be bound if exactly one enabled selective block has its
// Stream ID, and that block
//   is not the default stream of the TDI nor marked as one, and not bound yet,
//   has TC 0, is Secure, and its six keys belong to the session that asks,
//   has a valid address association that overlaps with no other bound one.
// It may be unbound if it is bound; whether its stream still holds is tdi_control's business.
module tdi_p2p_check
  import ide_pkg::*;
(
  input  logic [7:0]                  stream_id_i,
  input  logic [15:0]                 session_tag_i,
  input  logic [1:0]                  default_block_i,  // bound by LOCK
  input  logic [NUM_BLOCKS-1:0]       bound_i,          // bound by BIND_P2P_STREAM
  /* verilator lint_off UNUSEDSIGNAL */  // Requester ID associations and the link block: no part
  input  block_cfg_t [NUM_BLOCKS-1:0] block_cfg_i,
  input  logic [NUM_BLOCKS-1:0]       stream_secure_i,
  input  logic [NUM_BLOCKS-1:0][15:0] stream_tag_i,
  /* verilator lint_on UNUSEDSIGNAL */

  output logic                        bind_ok_o,
  output logic                        unbind_ok_o,
  output logic [1:0]                  block_o
);

  logic [NUM_SELECTIVE-1:0] named, fits;
  logic                     several;

  always_comb begin
    several = 1'b0;
    block_o = '0;
    for (int unsigned b = 0; b < NUM_SELECTIVE; b++) begin
      named[b] = block_cfg_i[b].enable && block_cfg_i[b].stream_id == stream_id_i;
      fits[b]  = block_cfg_i[b].tc == 3'd0 && !block_cfg_i[b].default_stream &&
                 default_block_i != 2'(b) && !bound_i[b] &&
                 stream_secure_i[b] && stream_tag_i[b] == session_tag_i && session_tag_i != 16'd0 &&
                 block_cfg_i[b].addr_valid &&
                 block_cfg_i[b].addr_base <= block_cfg_i[b].addr_limit;
      for (int unsigned other = 0; other < NUM_SELECTIVE; other++) begin
        if (other != b && bound_i[other] &&
            block_cfg_i[b].addr_base <= block_cfg_i[other].addr_limit &&
            block_cfg_i[other].addr_base <= block_cfg_i[b].addr_limit) begin
          fits[b] = 1'b0;
        end
      end
      for (int unsigned other = b + 1; other < NUM_SELECTIVE; other++) begin
        if (named[b] && block_cfg_i[other].enable &&
            block_cfg_i[other].stream_id == stream_id_i) begin
          several = 1'b1;
        end
      end
      if (named[b]) block_o = 2'(b);
    end
  end

  always_comb begin
    bind_ok_o   = 1'b0;
    unbind_ok_o = 1'b0;
    for (int unsigned b = 0; b < NUM_SELECTIVE; b++) begin
      if (named[b] && !several) begin
        bind_ok_o   = bind_ok_o || fits[b];
        unbind_ok_o = unbind_ok_o || bound_i[b];
      end
    end
  end

endmodule
