// SPDX-License-Identifier: Apache-2.0
// AES SubBytes of one byte (FIPS 197, 5.1.1), forward direction only.
//
// Contract: combinational. `Impl` chooses between two equal descriptions:
//   0  constant table: one load in simulation, a large multiplexer in hardware;
//   1  inversion in the tower field GF((2^4)^2): small in LUTs, slow in simulation.
// A test compares both with the definition on all 256 inputs. Neither is masked: the block
// resists no power or electromagnetic analysis, its timing does not depend on data.
//
// Tower field: GF(2^4) = GF(2)[x]/(x^4 + x^3 + 1), GF((2^4)^2) = GF(2^4)[y]/(y^2 + y + x^3). A byte
// is {coefficient of y, constant}. TO_TOWER maps GF(2)[x]/(x^8 + x^4 + x^3 + x + 1) onto it and
// FROM_TOWER maps back and applies the linear part of the affine transformation; row i of a
// matrix is the mask of input bits whose parity is output bit i.
module aes_sbox #(
  parameter int unsigned Impl = 0
) (
  input  logic [7:0] in_i,
  output logic [7:0] out_o
);

  if (Impl > 1) begin : gen_check_impl
    $error("aes_sbox: Impl must be 0 (table) or 1 (tower field)");
  end

  if (Impl == 0) begin : gen_table
    localparam logic [7:0] TABLE [256] = '{
      8'h63, 8'h7c, 8'h77, 8'h7b, 8'hf2, 8'h6b, 8'h6f, 8'hc5,
      8'h30, 8'h01, 8'h67, 8'h2b, 8'hfe, 8'hd7, 8'hab, 8'h76,
      8'hca, 8'h82, 8'hc9, 8'h7d, 8'hfa, 8'h59, 8'h47, 8'hf0,
      8'had, 8'hd4, 8'ha2, 8'haf, 8'h9c, 8'ha4, 8'h72, 8'hc0,
      8'hb7, 8'hfd, 8'h93, 8'h26, 8'h36, 8'h3f, 8'hf7, 8'hcc,
      8'h34, 8'ha5, 8'he5, 8'hf1, 8'h71, 8'hd8, 8'h31, 8'h15,
      8'h04, 8'hc7, 8'h23, 8'hc3, 8'h18, 8'h96, 8'h05, 8'h9a,
      8'h07, 8'h12, 8'h80, 8'he2, 8'heb, 8'h27, 8'hb2, 8'h75,
      8'h09, 8'h83, 8'h2c, 8'h1a, 8'h1b, 8'h6e, 8'h5a, 8'ha0,
      8'h52, 8'h3b, 8'hd6, 8'hb3, 8'h29, 8'he3, 8'h2f, 8'h84,
      8'h53, 8'hd1, 8'h00, 8'hed, 8'h20, 8'hfc, 8'hb1, 8'h5b,
      8'h6a, 8'hcb, 8'hbe, 8'h39, 8'h4a, 8'h4c, 8'h58, 8'hcf,
      8'hd0, 8'hef, 8'haa, 8'hfb, 8'h43, 8'h4d, 8'h33, 8'h85,
      8'h45, 8'hf9, 8'h02, 8'h7f, 8'h50, 8'h3c, 8'h9f, 8'ha8,
      8'h51, 8'ha3, 8'h40, 8'h8f, 8'h92, 8'h9d, 8'h38, 8'hf5,
      8'hbc, 8'hb6, 8'hda, 8'h21, 8'h10, 8'hff, 8'hf3, 8'hd2,
      8'hcd, 8'h0c, 8'h13, 8'hec, 8'h5f, 8'h97, 8'h44, 8'h17,
      8'hc4, 8'ha7, 8'h7e, 8'h3d, 8'h64, 8'h5d, 8'h19, 8'h73,
      8'h60, 8'h81, 8'h4f, 8'hdc, 8'h22, 8'h2a, 8'h90, 8'h88,
      8'h46, 8'hee, 8'hb8, 8'h14, 8'hde, 8'h5e, 8'h0b, 8'hdb,
      8'he0, 8'h32, 8'h3a, 8'h0a, 8'h49, 8'h06, 8'h24, 8'h5c,
      8'hc2, 8'hd3, 8'hac, 8'h62, 8'h91, 8'h95, 8'he4, 8'h79,
      8'he7, 8'hc8, 8'h37, 8'h6d, 8'h8d, 8'hd5, 8'h4e, 8'ha9,
      8'h6c, 8'h56, 8'hf4, 8'hea, 8'h65, 8'h7a, 8'hae, 8'h08,
      8'hba, 8'h78, 8'h25, 8'h2e, 8'h1c, 8'ha6, 8'hb4, 8'hc6,
      8'he8, 8'hdd, 8'h74, 8'h1f, 8'h4b, 8'hbd, 8'h8b, 8'h8a,
      8'h70, 8'h3e, 8'hb5, 8'h66, 8'h48, 8'h03, 8'hf6, 8'h0e,
      8'h61, 8'h35, 8'h57, 8'hb9, 8'h86, 8'hc1, 8'h1d, 8'h9e,
      8'he1, 8'hf8, 8'h98, 8'h11, 8'h69, 8'hd9, 8'h8e, 8'h94,
      8'h9b, 8'h1e, 8'h87, 8'he9, 8'hce, 8'h55, 8'h28, 8'hdf,
      8'h8c, 8'ha1, 8'h89, 8'h0d, 8'hbf, 8'he6, 8'h42, 8'h68,
      8'h41, 8'h99, 8'h2d, 8'h0f, 8'hb0, 8'h54, 8'hbb, 8'h16
    };
    assign out_o = TABLE[in_i];
  end else begin : gen_tower
    localparam logic [7:0] TO_TOWER [8] = '{
      8'hc7, 8'he6, 8'h24, 8'h08, 8'hd0, 8'h0c, 8'h7e, 8'hd2
    };
    localparam logic [7:0] FROM_TOWER [8] = '{
      8'h13, 8'h05, 8'h01, 8'h53, 8'h19, 8'h1a, 8'hd0, 8'h34
    };
    localparam logic [3:0] INVERSE [16] = '{
      4'h0, 4'h1, 4'hc, 4'h8, 4'h6, 4'hf, 4'h4, 4'he,
      4'h3, 4'hd, 4'hb, 4'ha, 4'h2, 4'h9, 4'h7, 4'h5
    };

    // Product in GF(2^4); x^4 = x^3 + 1, x^5 = x^3 + x + 1, x^6 = x^3 + x^2 + x + 1.
    function automatic logic [3:0] mul16(input logic [3:0] a, input logic [3:0] b);
      logic [6:0] p;
      p = ({3'd0, a} & {7{b[0]}}) ^ ({2'd0, a, 1'd0} & {7{b[1]}})
        ^ ({1'd0, a, 2'd0} & {7{b[2]}}) ^ ({a, 3'd0} & {7{b[3]}});
      return p[3:0] ^ (4'h9 & {4{p[4]}}) ^ (4'hb & {4{p[5]}}) ^ (4'hf & {4{p[6]}});
    endfunction

    logic [7:0] t, inv;
    logic [3:0] norm, norm_inv;

    // (h*y + l)^-1 = (h*n)*y + (h + l)*n with n = (x^3*h^2 + h*l + l^2)^-1; 0 maps to 0.
    assign norm     = mul16(4'h8, mul16(t[7:4], t[7:4])) ^ mul16(t[3:0], t[7:4] ^ t[3:0]);
    assign norm_inv = INVERSE[norm];
    assign inv      = {mul16(t[7:4], norm_inv), mul16(t[7:4] ^ t[3:0], norm_inv)};

    for (genvar i = 0; i < 8; i++) begin : gen_bit
      localparam logic [7:0] AFFINE = 8'h63;
      assign t[i]     = ^(in_i & TO_TOWER[i]);
      assign out_o[i] = ^(inv & FROM_TOWER[i]) ^ AFFINE[i];
    end
  end

endmodule
