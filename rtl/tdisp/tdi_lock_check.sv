// SPDX-License-Identifier: Apache-2.0
// Conditions of LOCK_INTERFACE that are visible in registers: the default stream and the BARs
// (TDISP, PCIe Base 6.x, 11.3.8).
//
// Contract: combinational. result_o = ResOk only if exactly one enabled selective block is marked
// default, it has the Stream ID asked for, its TC is 0, it is Secure and its six keys belong to the
// session that asks; and no two functions with Memory Space enabled decode the same address.
// Two default streams, another TC and overlapping BARs are a bad configuration, everything else a
// bad request. The link block never matches. block_o is valid with ResOk.
module tdi_lock_check
  import ide_pkg::*;
  import tdisp_pkg::*;
#(
  parameter int unsigned NumTdi = 3
) (
  input  logic [7:0]                     stream_id_i,
  input  logic [15:0]                    session_tag_i,
  /* verilator lint_off UNUSEDSIGNAL */  // association registers and power state play no part
  input  block_cfg_t [NUM_BLOCKS-1:0]    block_cfg_i,
  input  pcie_pkg::func_cfg_t [NumTdi:0] func_cfg_i,
  input  logic [NUM_BLOCKS-1:0]          stream_secure_i,
  input  logic [NUM_BLOCKS-1:0][15:0]    stream_tag_i,
  /* verilator lint_on UNUSEDSIGNAL */

  output tdi_result_e                    result_o,
  output logic [1:0]                     block_o
);

  // BAR0 of a TDI is the largest one, and BARs are aligned to their size: two of them overlap
  // exactly if they agree above the larger size.
  localparam int unsigned BarBits = $clog2(TDI_BAR_BYTES);

  if (F0_BAR_BYTES > TDI_BAR_BYTES) begin : gen_check_bar_sizes
    $error("tdi_lock_check: the BAR of function 0 must not be larger than that of a TDI");
  end

  logic       several_defaults, found, tc_is_zero, keyed, overlap;
  logic [1:0] block;

  always_comb begin
    several_defaults = 1'b0;
    found            = 1'b0;
    tc_is_zero       = 1'b0;
    keyed            = 1'b0;
    block            = '0;
    for (int unsigned b = 0; b < NUM_SELECTIVE; b++) begin
      if (block_cfg_i[b].enable && block_cfg_i[b].default_stream) begin
        for (int unsigned other = b + 1; other < NUM_SELECTIVE; other++) begin
          if (block_cfg_i[other].enable && block_cfg_i[other].default_stream) begin
            several_defaults = 1'b1;
          end
        end
        if (block_cfg_i[b].stream_id == stream_id_i) begin
          found      = 1'b1;
          block      = 2'(b);
          tc_is_zero = block_cfg_i[b].tc == 3'd0;
          keyed      = stream_secure_i[b] && stream_tag_i[b] == session_tag_i &&
                       session_tag_i != 16'd0;
        end
      end
    end
  end

  always_comb begin
    overlap = 1'b0;
    for (int unsigned a = 0; a <= NumTdi; a++) begin
      for (int unsigned b = a + 1; b <= NumTdi; b++) begin
        if (func_cfg_i[a].mse && func_cfg_i[b].mse &&
            func_cfg_i[a].bar0[63:BarBits] == func_cfg_i[b].bar0[63:BarBits]) begin
          overlap = 1'b1;
        end
      end
    end
  end

  always_comb begin
    result_o = ResBadRequest;
    block_o  = block;
    if (several_defaults)              result_o = ResBadConfig;
    else if (!found)                   result_o = ResBadRequest;
    else if (!tc_is_zero)              result_o = ResBadConfig;
    else if (!keyed)                   result_o = ResBadRequest;
    else if (overlap)                  result_o = ResBadConfig;
    else                               result_o = ResOk;
  end

endmodule
