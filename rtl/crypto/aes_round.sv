// SPDX-License-Identifier: Apache-2.0
// One forward AES round (FIPS 197, 5.1): SubBytes, ShiftRows, MixColumns unless last, AddRoundKey.
//
// Data format: byte 0 of a block is [127:120]; byte 4c + r is row r, column c of the AES state, so
// the hex of a vector reads as the bytes of the standard.
//
// Contract: combinational. out_o is zero while en_i = 0, so that an idle engine neither toggles
// the wide logic nor costs simulation time.
module aes_round #(
  parameter int unsigned SboxImpl = 0
) (
  input  logic         en_i,
  input  logic         last_i,       // final round: no MixColumns
  input  logic [127:0] state_i,
  input  logic [127:0] round_key_i,
  output logic [127:0] out_o
);

  // Four bytes times x in GF(2^8), reduction by 1Bh written as shifts.
  function automatic logic [31:0] xtime4(input logic [31:0] w);
    logic [31:0] carry;
    carry = (w >> 7) & 32'h0101_0101;
    return ((w << 1) & 32'hFEFE_FEFE) ^ (carry << 4) ^ (carry << 3) ^ (carry << 1) ^ carry;
  endfunction

  // Column {a0,a1,a2,a3}: b_r = 2*a_r + 3*a_(r+1) + a_(r+2) + a_(r+3).
  function automatic logic [31:0] mix_column(input logic [31:0] a);
    logic [31:0] a_up, pair;
    a_up = {a[23:0], a[31:24]};
    pair = a ^ a_up;
    return xtime4(pair) ^ a_up ^ {pair[15:0], pair[31:16]};
  endfunction

  logic [127:0] sub, shifted;

  for (genvar c = 0; c < 4; c++) begin : gen_col
    for (genvar r = 0; r < 4; r++) begin : gen_row
      localparam int unsigned Byte = 4 * c + r;
      localparam int unsigned From = 4 * ((c + r) % 4) + r;
      aes_sbox #(.Impl(SboxImpl)) u_sbox (
        .in_i (state_i[127 - 8*Byte -: 8]),
        .out_o(sub[127 - 8*Byte -: 8])
      );
      assign shifted[127 - 8*Byte -: 8] = sub[127 - 8*From -: 8];
    end
  end

  always_comb begin
    out_o = '0;
    if (en_i) begin
      if (last_i) out_o = shifted ^ round_key_i;
      else begin
        out_o = round_key_i ^ {mix_column(shifted[127:96]), mix_column(shifted[95:64]),
                               mix_column(shifted[63:32]), mix_column(shifted[31:0])};
      end
    end
  end

endmodule
