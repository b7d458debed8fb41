# The only list of design files, in compile order. "$CPU" is the RISC-V core of the package
# pythondata-cpu-vexriscv. Read by simulation, lint and synthesis alike.
pkg/pcie_pkg.sv
pkg/ide_pkg.sv
pkg/tdisp_pkg.sv
pkg/link_pkg.sv
pkg/p384_pkg.sv
link/link_rx.sv
link/link_tx.sv
link/link_control.sv
link/bench_link.sv
dsm/dsm_ram.sv
doe/doe_mailbox.sv
