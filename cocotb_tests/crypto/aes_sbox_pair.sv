// SPDX-License-Identifier: Apache-2.0
// Both descriptions of the S-box side by side, for the test that compares them.
module aes_sbox_pair (
  input  logic [7:0] in_i,
  output logic [7:0] table_o,
  output logic [7:0] tower_o
);

  aes_sbox #(.Impl(0)) u_table (.in_i, .out_o(table_o));
  aes_sbox #(.Impl(1)) u_tower (.in_i, .out_o(tower_o));

endmodule
