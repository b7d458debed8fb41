# SPDX-License-Identifier: Apache-2.0
"""Everything that touches a wire: bench link over pyserial, the virtual board, cocotb."""
