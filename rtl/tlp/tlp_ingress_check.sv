// SPDX-License-Identifier: Apache-2.0
// Decides from a TLP header alone whether the TLP is Malformed (PCIe Base, 2.3 and 2.2.x).
//
// Contract: combinational. `bad_o` is 1 unless Fmt/Type is a defined pair and every rule of that
// pair that needs no payload count holds: Length against the payload limit, TD under IDE, the
// traffic class and route of the messages for which the check is mandatory, AtomicOp operand
// sizes, and the optional checks on which the blocks behind rely (4 KiB crossing, byte enables,
// fields of configuration and I/O requests). A second prefix in header position is no defined
// Fmt. Not judged: contiguity of byte enables, RCB, reserved bits, traffic classes as such (all
// eight map to VC0).
module tlp_ingress_check
  import pcie_pkg::*;
(
  input  logic [127:0] header_i,
  input  logic         ide_i,             // an IDE prefix stands in front
  input  logic [6:0]   max_payload_dw_i,  // Max_Payload_Size, DW
  output logic         bad_o
);

  // First bytes of the defined TLPs that are not messages.
  function automatic logic is_defined(input logic [2:0] fmt, input logic [4:0] tlp_type);
    unique case (tlp_type)
      TYPE_MEM:              return !fmt[2];
      TYPE_MEM_LK:           return fmt == FMT_3DW || fmt == FMT_4DW;
      TYPE_IO, TYPE_CFG0, TYPE_CFG1, TYPE_CPL, TYPE_CPL_LK:
                             return fmt == FMT_3DW || fmt == FMT_3DW_DATA;
      TYPE_FETCHADD, TYPE_SWAP, TYPE_CAS, TYPE_DMWR:
                             return fmt == FMT_3DW_DATA || fmt == FMT_4DW_DATA;
      default:               return 1'b0;
    endcase
  endfunction

  // Messages whose traffic class and routing a receiver has to check. Bit 3: the code is one of
  // them; bits 2:0: its routing.
  function automatic logic [3:0] required_route(input logic [7:0] code);
    unique case (code)
      8'h00, MSG_PME_TURN_OFF:                      return {1'b1, 3'd3};
      8'h14, MSG_SET_SLOT_POWER:                    return {1'b1, 3'd4};
      8'h18, MSG_ERR_COR, MSG_ERR_NONFATAL, MSG_ERR_FATAL:
                                                    return {1'b1, 3'd0};
      8'h1B:                                        return {1'b1, 3'd5};
      8'h20, 8'h21, 8'h22, 8'h23, 8'h24, 8'h25, 8'h26, 8'h27:
                                                    return {1'b1, 3'd4};
      default:                                      return 4'd0;
    endcase
  endfunction

  logic [2:0]  fmt;
  logic [4:0]  tlp_type;
  logic [10:0] length_dw;
  logic [3:0]  route;
  logic        is_memory, is_cfg_io, length_is_1;
  logic        type_ok, payload_ok, digest_ok, message_ok, operand_ok, page_ok, be_ok, cfg_io_ok;

  assign fmt         = hdr_fmt(header_i);
  assign tlp_type    = hdr_type(header_i);
  assign length_dw   = hdr_length_dw(header_i);
  assign length_is_1 = length_dw == 11'd1;
  assign route       = required_route(header_i[71:64]);
  assign is_memory   = tlp_type inside {TYPE_MEM, TYPE_MEM_LK, TYPE_DMWR};
  assign is_cfg_io   = tlp_type inside {TYPE_IO, TYPE_CFG0, TYPE_CFG1};

  assign type_ok = hdr_is_msg(header_i) ? (fmt == FMT_4DW || fmt == FMT_4DW_DATA)
                                        : is_defined(fmt, tlp_type);

  assign payload_ok = !hdr_has_data(header_i)
                      || (length_dw <= {4'd0, max_payload_dw_i}
                          && length_dw <= 11'(MAX_PAYLOAD_DW));

  // No digest together with a MAC (docs/decisions/0109).
  assign digest_ok = !(ide_i && hdr_td(header_i));

  assign message_ok = !hdr_is_msg(header_i) || !route[3]
                      || (hdr_tc(header_i) == 3'd0 && tlp_type[2:0] == route[2:0]);

  always_comb begin
    unique case (tlp_type)
      TYPE_FETCHADD, TYPE_SWAP: operand_ok = length_dw inside {11'd1, 11'd2};
      TYPE_CAS:                 operand_ok = length_dw inside {11'd2, 11'd4, 11'd8};
      default:                  operand_ok = 1'b1;
    endcase
  end

  logic [63:0] address;
  assign address = hdr_address(header_i);
  assign page_ok = !is_memory || (12'(address[11:2]) + 12'(length_dw) <= 12'd1024);

  assign be_ok = !is_memory
                 || (length_is_1 ? hdr_last_be(header_i) == 4'd0
                                 : hdr_last_be(header_i) != 4'd0 && hdr_first_be(header_i) != 4'd0);

  // Length 1, Last BE 0, TC 0, Attr (three bits) 0, AT 0.
  assign cfg_io_ok = !is_cfg_io
                     || (length_is_1 && hdr_last_be(header_i) == 4'd0 && hdr_tc(header_i) == 3'd0
                         && !header_i[114] && header_i[109:108] == 2'd0
                         && header_i[107:106] == 2'd0);

  assign bad_o = !(type_ok && payload_ok && digest_ok && message_ok && operand_ok && page_ok
                   && be_ok && cfg_io_ok);

  logic unused_address;
  assign unused_address = ^{address[63:12], address[1:0]};

endmodule
