// SPDX-License-Identifier: Apache-2.0
// Constants of the P-384 engine: 12 words each, least significant first.
//
// Written by rtl/crypto/p384_microcode.py: change that file, not this one.
//
// Contract: a ROM with one cycle of latency; addresses behind the end give zero.
module p384_constants (
  input  logic        clk_i,
  input  logic        en_i,
  input  logic [8:0]  addr_i,
  output logic [31:0] word_o
);

  logic [31:0] word_d, word_q;

  assign word_o = word_q;

  always_comb begin
    unique case (addr_i)
      // P
      9'd0: word_d = 32'hffffffff;
      9'd1: word_d = 32'h00000000;
      9'd2: word_d = 32'h00000000;
      9'd3: word_d = 32'hffffffff;
      9'd4: word_d = 32'hfffffffe;
      9'd5: word_d = 32'hffffffff;
      9'd6: word_d = 32'hffffffff;
      9'd7: word_d = 32'hffffffff;
      9'd8: word_d = 32'hffffffff;
      9'd9: word_d = 32'hffffffff;
      9'd10: word_d = 32'hffffffff;
      9'd11: word_d = 32'hffffffff;
      // N
      9'd12: word_d = 32'hccc52973;
      9'd13: word_d = 32'hecec196a;
      9'd14: word_d = 32'h48b0a77a;
      9'd15: word_d = 32'h581a0db2;
      9'd16: word_d = 32'hf4372ddf;
      9'd17: word_d = 32'hc7634d81;
      9'd18: word_d = 32'hffffffff;
      9'd19: word_d = 32'hffffffff;
      9'd20: word_d = 32'hffffffff;
      9'd21: word_d = 32'hffffffff;
      9'd22: word_d = 32'hffffffff;
      9'd23: word_d = 32'hffffffff;
      // P_MINUS_2
      9'd24: word_d = 32'hfffffffd;
      9'd25: word_d = 32'h00000000;
      9'd26: word_d = 32'h00000000;
      9'd27: word_d = 32'hffffffff;
      9'd28: word_d = 32'hfffffffe;
      9'd29: word_d = 32'hffffffff;
      9'd30: word_d = 32'hffffffff;
      9'd31: word_d = 32'hffffffff;
      9'd32: word_d = 32'hffffffff;
      9'd33: word_d = 32'hffffffff;
      9'd34: word_d = 32'hffffffff;
      9'd35: word_d = 32'hffffffff;
      // N_MINUS_2
      9'd36: word_d = 32'hccc52971;
      9'd37: word_d = 32'hecec196a;
      9'd38: word_d = 32'h48b0a77a;
      9'd39: word_d = 32'h581a0db2;
      9'd40: word_d = 32'hf4372ddf;
      9'd41: word_d = 32'hc7634d81;
      9'd42: word_d = 32'hffffffff;
      9'd43: word_d = 32'hffffffff;
      9'd44: word_d = 32'hffffffff;
      9'd45: word_d = 32'hffffffff;
      9'd46: word_d = 32'hffffffff;
      9'd47: word_d = 32'hffffffff;
      // ONE
      9'd48: word_d = 32'h00000001;
      9'd49: word_d = 32'h00000000;
      9'd50: word_d = 32'h00000000;
      9'd51: word_d = 32'h00000000;
      9'd52: word_d = 32'h00000000;
      9'd53: word_d = 32'h00000000;
      9'd54: word_d = 32'h00000000;
      9'd55: word_d = 32'h00000000;
      9'd56: word_d = 32'h00000000;
      9'd57: word_d = 32'h00000000;
      9'd58: word_d = 32'h00000000;
      9'd59: word_d = 32'h00000000;
      // R_MOD_P
      9'd60: word_d = 32'h00010000;
      9'd61: word_d = 32'hffff0000;
      9'd62: word_d = 32'hffffffff;
      9'd63: word_d = 32'h0000ffff;
      9'd64: word_d = 32'h00010000;
      9'd65: word_d = 32'h00000000;
      9'd66: word_d = 32'h00000000;
      9'd67: word_d = 32'h00000000;
      9'd68: word_d = 32'h00000000;
      9'd69: word_d = 32'h00000000;
      9'd70: word_d = 32'h00000000;
      9'd71: word_d = 32'h00000000;
      // R_MOD_N
      9'd72: word_d = 32'hd68d0000;
      9'd73: word_d = 32'he695333a;
      9'd74: word_d = 32'h58851313;
      9'd75: word_d = 32'hf24db74f;
      9'd76: word_d = 32'hd220a7e5;
      9'd77: word_d = 32'hb27e0bc8;
      9'd78: word_d = 32'h0000389c;
      9'd79: word_d = 32'h00000000;
      9'd80: word_d = 32'h00000000;
      9'd81: word_d = 32'h00000000;
      9'd82: word_d = 32'h00000000;
      9'd83: word_d = 32'h00000000;
      // R2_MOD_P
      9'd84: word_d = 32'h00000000;
      9'd85: word_d = 32'h00000001;
      9'd86: word_d = 32'hfffffffe;
      9'd87: word_d = 32'h00000000;
      9'd88: word_d = 32'h00000002;
      9'd89: word_d = 32'h00000000;
      9'd90: word_d = 32'hfffffffe;
      9'd91: word_d = 32'h00000000;
      9'd92: word_d = 32'h00000002;
      9'd93: word_d = 32'h00000001;
      9'd94: word_d = 32'h00000000;
      9'd95: word_d = 32'h00000000;
      // R2_MOD_N
      9'd96: word_d = 32'h2365ec8d;
      9'd97: word_d = 32'h907bd244;
      9'd98: word_d = 32'h8a4f7077;
      9'd99: word_d = 32'he2ef13e2;
      9'd100: word_d = 32'h9f160a0a;
      9'd101: word_d = 32'hd4d18820;
      9'd102: word_d = 32'hbf030606;
      9'd103: word_d = 32'h4aab1cc5;
      9'd104: word_d = 32'hd40d4917;
      9'd105: word_d = 32'h28266895;
      9'd106: word_d = 32'h3fb05b7a;
      9'd107: word_d = 32'h2b39bf21;
      // B
      9'd108: word_d = 32'h2dcccd08;
      9'd109: word_d = 32'h8870d039;
      9'd110: word_d = 32'h32ec0811;
      9'd111: word_d = 32'hadd94754;
      9'd112: word_d = 32'h022fc431;
      9'd113: word_d = 32'h209b1920;
      9'd114: word_d = 32'h8ae277f2;
      9'd115: word_d = 32'h4bee9493;
      9'd116: word_d = 32'h2094e337;
      9'd117: word_d = 32'h21f41f02;
      9'd118: word_d = 32'hbff9b62b;
      9'd119: word_d = 32'h114b604f;
      // G1_X
      9'd120: word_d = 32'hb5284d3a;
      9'd121: word_d = 32'h7565fc86;
      9'd122: word_d = 32'hce383dd0;
      9'd123: word_d = 32'h78e2ee10;
      9'd124: word_d = 32'h4d6e6e1d;
      9'd125: word_d = 32'h3afc541b;
      9'd126: word_d = 32'h0eff879c;
      9'd127: word_d = 32'h868459a3;
      9'd128: word_d = 32'hde2b6454;
      9'd129: word_d = 32'hf723614e;
      9'd130: word_d = 32'h1513812f;
      9'd131: word_d = 32'hadc2299e;
      // G1_Y
      9'd132: word_d = 32'ha4fe2b78;
      9'd133: word_d = 32'h3dad1f8b;
      9'd134: word_d = 32'ha9ac2304;
      9'd135: word_d = 32'ha8bfa72c;
      9'd136: word_d = 32'hb050cd37;
      9'd137: word_d = 32'he7562e83;
      9'd138: word_d = 32'hffd98bad;
      9'd139: word_d = 32'h521968f4;
      9'd140: word_d = 32'ha840c6c3;
      9'd141: word_d = 32'h02263969;
      9'd142: word_d = 32'hc5e9dd80;
      9'd143: word_d = 32'habc25a15;
      // G2_X
      9'd144: word_d = 32'heef96a50;
      9'd145: word_d = 32'h0c57881f;
      9'd146: word_d = 32'h12402448;
      9'd147: word_d = 32'h2694a45e;
      9'd148: word_d = 32'h2bc82d6a;
      9'd149: word_d = 32'h02c3273e;
      9'd150: word_d = 32'hed4c7350;
      9'd151: word_d = 32'he9c53ef1;
      9'd152: word_d = 32'h48e88c42;
      9'd153: word_d = 32'habf67f49;
      9'd154: word_d = 32'h8632028b;
      9'd155: word_d = 32'h2f438a97;
      // G2_Y
      9'd156: word_d = 32'h36fe917c;
      9'd157: word_d = 32'h3a4625c9;
      9'd158: word_d = 32'hf0ebf5f1;
      9'd159: word_d = 32'h8bac6a25;
      9'd160: word_d = 32'h2768ae9d;
      9'd161: word_d = 32'h6bcc3723;
      9'd162: word_d = 32'h8c1830f3;
      9'd163: word_d = 32'h7b31576e;
      9'd164: word_d = 32'hb766c531;
      9'd165: word_d = 32'h57a69bbc;
      9'd166: word_d = 32'hd4dcef1d;
      9'd167: word_d = 32'h4930b3e3;
      // G3_X
      9'd168: word_d = 32'hddd08adc;
      9'd169: word_d = 32'h6e2e586d;
      9'd170: word_d = 32'hc2501142;
      9'd171: word_d = 32'h7efa260b;
      9'd172: word_d = 32'h74a729ed;
      9'd173: word_d = 32'hb480ec01;
      9'd174: word_d = 32'h8466ff36;
      9'd175: word_d = 32'hde761845;
      9'd176: word_d = 32'h60494f4b;
      9'd177: word_d = 32'hdb6d0580;
      9'd178: word_d = 32'hca922f2e;
      9'd179: word_d = 32'h75d119df;
      // G3_Y
      9'd180: word_d = 32'ha7ce12a3;
      9'd181: word_d = 32'hd097a532;
      9'd182: word_d = 32'h11e9a619;
      9'd183: word_d = 32'h75e5b5e7;
      9'd184: word_d = 32'hb4ef99e5;
      9'd185: word_d = 32'he0470da4;
      9'd186: word_d = 32'h1d8f5403;
      9'd187: word_d = 32'hafd97790;
      9'd188: word_d = 32'h170f2eba;
      9'd189: word_d = 32'hebcea747;
      9'd190: word_d = 32'h80365e63;
      9'd191: word_d = 32'h69447f9d;
      // G4_X
      9'd192: word_d = 32'hbe67fc09;
      9'd193: word_d = 32'h05dd3396;
      9'd194: word_d = 32'h8e443782;
      9'd195: word_d = 32'hcb847b7b;
      9'd196: word_d = 32'h00f2c0b8;
      9'd197: word_d = 32'hc06c682e;
      9'd198: word_d = 32'h5423dbce;
      9'd199: word_d = 32'h45c3114d;
      9'd200: word_d = 32'h463ef2a1;
      9'd201: word_d = 32'h98747a52;
      9'd202: word_d = 32'h7b0aa01d;
      9'd203: word_d = 32'h35b17d71;
      // G4_Y
      9'd204: word_d = 32'h1f958a72;
      9'd205: word_d = 32'hbc4f4a5e;
      9'd206: word_d = 32'had349653;
      9'd207: word_d = 32'h3ea91fd2;
      9'd208: word_d = 32'h3f40251a;
      9'd209: word_d = 32'h43dcaf8e;
      9'd210: word_d = 32'he16ef779;
      9'd211: word_d = 32'h4a10e86f;
      9'd212: word_d = 32'hfdcf7077;
      9'd213: word_d = 32'he6f1bf9f;
      9'd214: word_d = 32'h45c96b62;
      9'd215: word_d = 32'hf39e5887;
      // G5_X
      9'd216: word_d = 32'hc34203fa;
      9'd217: word_d = 32'he4da1f47;
      9'd218: word_d = 32'h442273ad;
      9'd219: word_d = 32'h6e54ee6a;
      9'd220: word_d = 32'hcef3e12c;
      9'd221: word_d = 32'h7d983741;
      9'd222: word_d = 32'h1549336c;
      9'd223: word_d = 32'ha00d59e6;
      9'd224: word_d = 32'h3efd1eaf;
      9'd225: word_d = 32'hd892bd9a;
      9'd226: word_d = 32'hc7e4cd3e;
      9'd227: word_d = 32'hf26cc5c6;
      // G5_Y
      9'd228: word_d = 32'hf8ac3565;
      9'd229: word_d = 32'h2fcefae0;
      9'd230: word_d = 32'h1e73087e;
      9'd231: word_d = 32'h55324cb4;
      9'd232: word_d = 32'hf9a74a0b;
      9'd233: word_d = 32'h4f28fe0a;
      9'd234: word_d = 32'h935b2cf8;
      9'd235: word_d = 32'h7a842cdc;
      9'd236: word_d = 32'hc895ddfd;
      9'd237: word_d = 32'h117b6929;
      9'd238: word_d = 32'hcfcc4c0f;
      9'd239: word_d = 32'h72d64c8b;
      // G6_X
      9'd240: word_d = 32'h236f62d4;
      9'd241: word_d = 32'h8606dc67;
      9'd242: word_d = 32'h21dafab0;
      9'd243: word_d = 32'hd41de4b6;
      9'd244: word_d = 32'hb4287cbd;
      9'd245: word_d = 32'h571e3927;
      9'd246: word_d = 32'hf1f6f3f6;
      9'd247: word_d = 32'ha9337550;
      9'd248: word_d = 32'h62f04348;
      9'd249: word_d = 32'hb996a85e;
      9'd250: word_d = 32'h52bf7167;
      9'd251: word_d = 32'h37597f54;
      // G6_Y
      9'd252: word_d = 32'h592694e5;
      9'd253: word_d = 32'heb9e5db0;
      9'd254: word_d = 32'h8353d85f;
      9'd255: word_d = 32'h562002dc;
      9'd256: word_d = 32'h6b59d8ef;
      9'd257: word_d = 32'h68ec9ca3;
      9'd258: word_d = 32'ha0163896;
      9'd259: word_d = 32'hf1a1a22d;
      9'd260: word_d = 32'h3254052b;
      9'd261: word_d = 32'hff72f609;
      9'd262: word_d = 32'h09f3bdfb;
      9'd263: word_d = 32'h0f28e222;
      // G7_X
      9'd264: word_d = 32'he8af098e;
      9'd265: word_d = 32'he5b326d4;
      9'd266: word_d = 32'hd36990b2;
      9'd267: word_d = 32'h2375f231;
      9'd268: word_d = 32'hb7b1b1e5;
      9'd269: word_d = 32'hb00b201d;
      9'd270: word_d = 32'h1aa23fe1;
      9'd271: word_d = 32'hdef0ee65;
      9'd272: word_d = 32'h0ad7e926;
      9'd273: word_d = 32'hc9beb9b1;
      9'd274: word_d = 32'hbe746542;
      9'd275: word_d = 32'h309ba2fc;
      // G7_Y
      9'd276: word_d = 32'hd63f12bd;
      9'd277: word_d = 32'heeb3ed34;
      9'd278: word_d = 32'hd374779d;
      9'd279: word_d = 32'he80a337c;
      9'd280: word_d = 32'hf797368d;
      9'd281: word_d = 32'hbb3b8768;
      9'd282: word_d = 32'h28568452;
      9'd283: word_d = 32'hbb4d1f95;
      9'd284: word_d = 32'h3faacf75;
      9'd285: word_d = 32'hb40029ea;
      9'd286: word_d = 32'h3a538fe6;
      9'd287: word_d = 32'h3e408137;
      // G8_X
      9'd288: word_d = 32'h3cf403cc;
      9'd289: word_d = 32'h34e112cb;
      9'd290: word_d = 32'h34f7070d;
      9'd291: word_d = 32'he08b821b;
      9'd292: word_d = 32'had29247a;
      9'd293: word_d = 32'hf9b95eb8;
      9'd294: word_d = 32'h5dda269a;
      9'd295: word_d = 32'ha036a6a4;
      9'd296: word_d = 32'h41e0dde0;
      9'd297: word_d = 32'h528e63df;
      9'd298: word_d = 32'hdf2aa18b;
      9'd299: word_d = 32'h71b2a260;
      // G8_Y
      9'd300: word_d = 32'h1dd7a6ae;
      9'd301: word_d = 32'h7709f9bd;
      9'd302: word_d = 32'h75d324a6;
      9'd303: word_d = 32'h9c1243d4;
      9'd304: word_d = 32'h443302a8;
      9'd305: word_d = 32'he2a19684;
      9'd306: word_d = 32'h6cf073c1;
      9'd307: word_d = 32'h558d131a;
      9'd308: word_d = 32'h94543660;
      9'd309: word_d = 32'h9c832ee7;
      9'd310: word_d = 32'hddcdb028;
      9'd311: word_d = 32'hfb01c6d8;
      // G9_X
      9'd312: word_d = 32'h5245740f;
      9'd313: word_d = 32'h64b38d9c;
      9'd314: word_d = 32'h93ffba14;
      9'd315: word_d = 32'h0b6e389c;
      9'd316: word_d = 32'h272d0f9c;
      9'd317: word_d = 32'h67dc93ad;
      9'd318: word_d = 32'hdc779398;
      9'd319: word_d = 32'h085eae9f;
      9'd320: word_d = 32'ha8bdbebe;
      9'd321: word_d = 32'h5103894e;
      9'd322: word_d = 32'h22e173ae;
      9'd323: word_d = 32'hc89a39ac;
      // G9_Y
      9'd324: word_d = 32'h3b23bffe;
      9'd325: word_d = 32'hb0a268e4;
      9'd326: word_d = 32'h04d05e28;
      9'd327: word_d = 32'h722fa12f;
      9'd328: word_d = 32'h640de350;
      9'd329: word_d = 32'h7a18b0a2;
      9'd330: word_d = 32'h37c3f466;
      9'd331: word_d = 32'ha72e49bb;
      9'd332: word_d = 32'h183aac74;
      9'd333: word_d = 32'h34f0e81e;
      9'd334: word_d = 32'hc0eb79f7;
      9'd335: word_d = 32'h5b6c3fd9;
      // G10_X
      9'd336: word_d = 32'h3f3b40ae;
      9'd337: word_d = 32'h2921bfb4;
      9'd338: word_d = 32'hebff03cf;
      9'd339: word_d = 32'h71119fd7;
      9'd340: word_d = 32'h68234a0a;
      9'd341: word_d = 32'h224780aa;
      9'd342: word_d = 32'hc0b042d7;
      9'd343: word_d = 32'h7ba17458;
      9'd344: word_d = 32'hec20044c;
      9'd345: word_d = 32'hf7ef0959;
      9'd346: word_d = 32'h929fca62;
      9'd347: word_d = 32'h2ab7f8ca;
      // G10_Y
      9'd348: word_d = 32'hb102e29d;
      9'd349: word_d = 32'h3779c68a;
      9'd350: word_d = 32'h1771b8c5;
      9'd351: word_d = 32'h86a1bea0;
      9'd352: word_d = 32'ha4071c27;
      9'd353: word_d = 32'h8f9dc216;
      9'd354: word_d = 32'h33000490;
      9'd355: word_d = 32'ha73a918d;
      9'd356: word_d = 32'h4739b423;
      9'd357: word_d = 32'h0ff1e0b9;
      9'd358: word_d = 32'hf697634b;
      9'd359: word_d = 32'he7252d69;
      // G11_X
      9'd360: word_d = 32'haf049de8;
      9'd361: word_d = 32'h13ffe64d;
      9'd362: word_d = 32'h92da744d;
      9'd363: word_d = 32'h5b1e9ca9;
      9'd364: word_d = 32'hc542fd0d;
      9'd365: word_d = 32'hdc12336d;
      9'd366: word_d = 32'h68a81f17;
      9'd367: word_d = 32'hc2a7636a;
      9'd368: word_d = 32'hca1e5c90;
      9'd369: word_d = 32'h9eb77704;
      9'd370: word_d = 32'hd65a960c;
      9'd371: word_d = 32'hcf1e6fb3;
      // G11_Y
      9'd372: word_d = 32'h3d06d4fa;
      9'd373: word_d = 32'hee0c7c23;
      9'd374: word_d = 32'h52c7c60f;
      9'd375: word_d = 32'h2314cee5;
      9'd376: word_d = 32'h09151b68;
      9'd377: word_d = 32'h0f5f206b;
      9'd378: word_d = 32'haa4d743c;
      9'd379: word_d = 32'h5bac2191;
      9'd380: word_d = 32'hdbc242f5;
      9'd381: word_d = 32'h7c8fffeb;
      9'd382: word_d = 32'hed1ccefc;
      9'd383: word_d = 32'h6081e6e8;
      // G12_X
      9'd384: word_d = 32'h318690ea;
      9'd385: word_d = 32'hb639077e;
      9'd386: word_d = 32'h4ea9867d;
      9'd387: word_d = 32'hf4256eb6;
      9'd388: word_d = 32'he7be8c46;
      9'd389: word_d = 32'h7ffed4f0;
      9'd390: word_d = 32'h9f7ecc9a;
      9'd391: word_d = 32'hf71c7a77;
      9'd392: word_d = 32'h5ef27c57;
      9'd393: word_d = 32'h4079d6b2;
      9'd394: word_d = 32'h16809077;
      9'd395: word_d = 32'he903b408;
      // G12_Y
      9'd396: word_d = 32'hfceb1efa;
      9'd397: word_d = 32'hae5defe7;
      9'd398: word_d = 32'h1a1fdf2a;
      9'd399: word_d = 32'hda250766;
      9'd400: word_d = 32'h3edf5eeb;
      9'd401: word_d = 32'h87d6ca19;
      9'd402: word_d = 32'h9d6a80f5;
      9'd403: word_d = 32'h5523dc9b;
      9'd404: word_d = 32'h0303a569;
      9'd405: word_d = 32'h09008592;
      9'd406: word_d = 32'hbdef7b84;
      9'd407: word_d = 32'h4dfcba6d;
      // G13_X
      9'd408: word_d = 32'h0015f52a;
      9'd409: word_d = 32'h38f8eb2a;
      9'd410: word_d = 32'h77dcfbd8;
      9'd411: word_d = 32'h3947b8ba;
      9'd412: word_d = 32'h9125215c;
      9'd413: word_d = 32'hb9e6ad61;
      9'd414: word_d = 32'h2ea88b1f;
      9'd415: word_d = 32'h440c0ca6;
      9'd416: word_d = 32'h00ff9612;
      9'd417: word_d = 32'hb52c2dbe;
      9'd418: word_d = 32'h76439ad9;
      9'd419: word_d = 32'hbaa1ae19;
      // G13_Y
      9'd420: word_d = 32'h32ad389a;
      9'd421: word_d = 32'h9893f412;
      9'd422: word_d = 32'h8f91d0e8;
      9'd423: word_d = 32'h9e429b43;
      9'd424: word_d = 32'h55cc1851;
      9'd425: word_d = 32'h2ecf276f;
      9'd426: word_d = 32'h3e126545;
      9'd427: word_d = 32'hc0d27ad2;
      9'd428: word_d = 32'h86f0db1a;
      9'd429: word_d = 32'h5f6ade49;
      9'd430: word_d = 32'h327df68c;
      9'd431: word_d = 32'hc37b82ce;
      // G14_X
      9'd432: word_d = 32'he8c94bff;
      9'd433: word_d = 32'h866d6caa;
      9'd434: word_d = 32'h091ecd96;
      9'd435: word_d = 32'h63b8a7b7;
      9'd436: word_d = 32'h3cd2ed18;
      9'd437: word_d = 32'h0d53045b;
      9'd438: word_d = 32'h6504c7f9;
      9'd439: word_d = 32'h72b580f3;
      9'd440: word_d = 32'h751c755a;
      9'd441: word_d = 32'hb39921d3;
      9'd442: word_d = 32'h93de46f8;
      9'd443: word_d = 32'hdc9153c1;
      // G14_Y
      9'd444: word_d = 32'h54e7e2db;
      9'd445: word_d = 32'hc048d5ba;
      9'd446: word_d = 32'h6be6cd15;
      9'd447: word_d = 32'h6755da7d;
      9'd448: word_d = 32'hd9711817;
      9'd449: word_d = 32'h2370bd41;
      9'd450: word_d = 32'h76c07960;
      9'd451: word_d = 32'h470b12b1;
      9'd452: word_d = 32'h809dde16;
      9'd453: word_d = 32'h117540c8;
      9'd454: word_d = 32'hfb1e56ba;
      9'd455: word_d = 32'h35c3e435;
      // G15_X
      9'd456: word_d = 32'he33f5c58;
      9'd457: word_d = 32'h4aab06d0;
      9'd458: word_d = 32'h36d1d71e;
      9'd459: word_d = 32'h782c0bd9;
      9'd460: word_d = 32'h7231b0de;
      9'd461: word_d = 32'h995f86d5;
      9'd462: word_d = 32'ha96807a4;
      9'd463: word_d = 32'ha5bd1651;
      9'd464: word_d = 32'h3b6df1f0;
      9'd465: word_d = 32'h5b247680;
      9'd466: word_d = 32'ha935a5dc;
      9'd467: word_d = 32'h7cbc42dd;
      // G15_Y
      9'd468: word_d = 32'hb4c0eb9f;
      9'd469: word_d = 32'hdb31cf49;
      9'd470: word_d = 32'h11382b6c;
      9'd471: word_d = 32'h598c9cd2;
      9'd472: word_d = 32'h96155270;
      9'd473: word_d = 32'hb2d25d7e;
      9'd474: word_d = 32'hc05d4a23;
      9'd475: word_d = 32'h02a674a8;
      9'd476: word_d = 32'he82e93e4;
      9'd477: word_d = 32'h94e6da7c;
      9'd478: word_d = 32'hd46545ac;
      9'd479: word_d = 32'h8281e463;
      default: word_d = '0;
    endcase
  end

  always_ff @(posedge clk_i) if (en_i) word_q <= word_d;

endmodule
