// SPDX-License-Identifier: Apache-2.0
// Which stream an outgoing TLP belongs to (PCIe Base 6.x, 6.33.4), and whether it may leave.
//
// Contract: combinational, from the header and meta of the first beat. drop_o starts as 1.
//   meta.ide: the block is given (T=1 traffic, completions that mirror their request).
//   meta.associate: selective by Requester ID range (completions, messages by ID) or address range
//   (memory requests), then the default selective stream (not for local messages), then the link
//   stream, else plain; enabled blocks of the TLP's TC only, TEE-Limited ones never (T=0).
//   Neither: plain. A TLP whose stream is not Secure, T=1 without IDE, and T=0 on a TEE-Limited
//   stream do not leave.
module ide_tx_select
  import ide_pkg::*;
  import pcie_pkg::*;
(
  /* verilator lint_off UNUSEDSIGNAL */  // tags, lengths, byte enables and TDI index play no part
  input  logic [127:0]                header_i,
  input  tlp_meta_t                   meta_i,
  /* verilator lint_on UNUSEDSIGNAL */
  input  block_cfg_t [NUM_BLOCKS-1:0] block_cfg_i,
  input  logic [NUM_BLOCKS-1:0]       secure_i,

  output logic                        drop_o,
  output logic                        ide_o,
  output logic [1:0]                  block_o
);

  logic        is_msg, is_local, by_id, by_address;
  logic [15:0] destination;
  logic [63:20] address;
  logic        assoc_hit, default_hit, link_hit;
  logic [1:0]  assoc_block, default_block, link_block;

  assign is_msg      = hdr_is_msg(header_i);
  assign is_local    = is_msg && hdr_type(header_i)[2:0] inside {3'b011, 3'b100, 3'b101};
  assign by_id       = hdr_is_cpl(header_i) || (is_msg && hdr_type(header_i)[2:0] == 3'b010);
  assign destination = header_i[63:48];
  assign address     = 44'(hdr_address(header_i) >> 20);

  always_comb begin
    unique case (hdr_type(header_i))
      TYPE_MEM, TYPE_MEM_LK, TYPE_FETCHADD, TYPE_SWAP, TYPE_CAS, TYPE_DMWR: by_address = 1'b1;
      default:                                                             by_address = 1'b0;
    endcase
  end

  always_comb begin
    assoc_hit     = 1'b0;
    default_hit   = 1'b0;
    link_hit      = 1'b0;
    assoc_block   = '0;
    default_block = '0;
    link_block    = '0;
    for (int unsigned i = NUM_BLOCKS; i > 0; i--) begin
      if (block_cfg_i[i-1].enable && block_cfg_i[i-1].tc == hdr_tc(header_i)) begin
        if (block_cfg_i[i-1].is_link) begin
          link_hit   = 1'b1;
          link_block = 2'(i - 1);
        end else if (!block_cfg_i[i-1].tee_limited) begin
          if ((by_id && block_cfg_i[i-1].rid_valid &&
               destination >= block_cfg_i[i-1].rid_base &&
               destination <= block_cfg_i[i-1].rid_limit) ||
              (by_address && block_cfg_i[i-1].addr_valid &&
               address[63:20] >= block_cfg_i[i-1].addr_base &&
               address[63:20] <= block_cfg_i[i-1].addr_limit)) begin
            assoc_hit   = 1'b1;
            assoc_block = 2'(i - 1);
          end
          if (block_cfg_i[i-1].default_stream && !is_local) begin
            default_hit   = 1'b1;
            default_block = 2'(i - 1);
          end
        end
      end
    end
  end

  always_comb begin
    drop_o  = 1'b1;
    ide_o   = 1'b0;
    block_o = '0;
    if (meta_i.ide) begin
      ide_o   = 1'b1;
      block_o = meta_i.block;
    end else if (meta_i.associate && !meta_i.t_bit) begin
      ide_o   = assoc_hit || default_hit || link_hit;
      block_o = assoc_hit ? assoc_block : default_hit ? default_block : link_block;
    end
    if (!ide_o) begin
      drop_o = meta_i.t_bit;   // SEC: IDE.T_NEEDS_IDE
    end else begin
      // SEC: IDE.NEVER_CLEAR
      for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
        if (block_o == 2'(b) && secure_i[b] && block_cfg_i[b].tc == hdr_tc(header_i) &&
            !(block_cfg_i[b].tee_limited && !meta_i.t_bit)) begin
          drop_o = 1'b0;
        end
      end
    end
  end

endmodule
