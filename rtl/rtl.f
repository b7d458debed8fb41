# The only list of design files, in compile order. "$CPU" is the RISC-V core of the package
# pythondata-cpu-vexriscv. Read by simulation, lint and synthesis alike.
pkg/pcie_pkg.sv
pkg/ide_pkg.sv
pkg/tdisp_pkg.sv
pkg/cfg_pkg.sv
pkg/link_pkg.sv
pkg/p384_pkg.sv
link/link_rx.sv
link/link_tx.sv
link/link_control.sv
link/bench_link.sv
dsm/dsm_ram.sv
doe/doe_mailbox.sv
tdisp/tdi_filter.sv
tdisp/tdi_dma_gate.sv
prim/stream_skid.sv
tlp/tlp_ingress_check.sv
tlp/tlp_ingress.sv
tlp/tlp_egress.sv
tlp/tx_arbiter.sv
tlp/cfg_aer.sv
tlp/aer_messages.sv
tlp/cfg_function.sv
tlp/cfg_ide.sv
tlp/cfg_space.sv
tdisp/config_watch.sv
