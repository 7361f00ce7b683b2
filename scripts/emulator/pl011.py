"""The RP2040's UART as the PL011 is documented, in place of the emulator package's sketch of one.

rp2040py 0.3.6 holds the transmit interrupt for ever, so MicroPython's `machine.UART(...)` never
returns from its interrupt handler; it also sends without taking time, and interrupts for each
received byte instead of by FIFO level and receive timeout. This model has both FIFOs, the trigger
levels, the receive timeout, overrun, and takes the time that the baud rate asks for (from the clock
that the firmware has chosen for it, which the package takes to be 125 MHz and MicroPython sets to 48).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from rp2040py.peripherals import uart as upstream
from rp2040py.peripherals.peripheral import atomic_update

UARTRSR = 0x04
UARTIFLS = 0x34
UARTDMACR = 0x48

FR_BUSY = 1 << 3
FR_RXFE = 1 << 4
FR_TXFF = 1 << 5
FR_RXFF = 1 << 6
FR_TXFE = 1 << 7

RX_INT = 1 << 4
TX_INT = 1 << 5
TIMEOUT_INT = 1 << 6
OVERRUN_INT = 1 << 10

LCR_PARITY = 1 << 1
LCR_TWO_STOP = 1 << 3

DEPTH = 32
# FIFO level of each value of the trigger fields: 1/8, 1/4, 1/2, 3/4, 7/8
LEVELS = (4, 8, 16, 24, 28, 28, 28, 28)
IFLS_RESET = 0x12  # both at one half
TIMEOUT_BITS = 32
# Hz of each source that CLK_PERI_CTRL can choose: system clock, its PLL, USB PLL, ring oscillator, crystal
PERIPHERAL_CLOCKS = (125e6, 125e6, 48e6, 6.5e6, 12e6)


class Pl011(upstream.RPUART):
    """One UART. Takes the place of the emulator's own object (see `install`), so that every
    reference to it stays good."""

    @classmethod
    def install(cls, uart: upstream.RPUART) -> Pl011:
        """Turn *uart*, one of the emulator's, into this model; returns it."""
        uart.__class__ = cls
        assert isinstance(uart, Pl011)
        uart._tx_alarm = uart.rp2040.clock.create_alarm(uart._sent)
        uart._timeout_alarm = uart.rp2040.clock.create_alarm(uart._timed_out)
        uart._clear()
        return uart

    _tx_alarm: Any
    _timeout_alarm: Any

    def _clear(self) -> None:
        self._tx: deque[int] = deque()
        self._shifting: int | None = None  # the character on the wire
        self._ifls = IFLS_RESET
        self._dmacr = 0
        self.overruns = 0

    def reset(self) -> None:
        """Registers and FIFOs as after power-on; what is wired to the pins stays wired."""
        super().reset()
        self._tx_alarm.cancel()
        self._timeout_alarm.cancel()
        self._clear()

    # -- time on the wire ------------------------------------------------------------------------

    @property
    def bit_nanos(self) -> float:
        """Duration of one bit in nanoseconds."""
        divider = self._int_divisor + self._frac_divisor / 64
        if not divider:
            return 1e9 / 115200
        source = (self.rp2040.clocks.peri_ctrl >> 5) & 7
        return divider * 16e9 / PERIPHERAL_CLOCKS[min(source, len(PERIPHERAL_CLOCKS) - 1)]

    @property
    def character_nanos(self) -> float:
        """Duration of one character with its start, parity and stop bits, in nanoseconds."""
        line = self._line_ctrl_register
        bits = 2 + self.word_length + bool(line & LCR_PARITY) + bool(line & LCR_TWO_STOP)
        return bits * self.bit_nanos

    @property
    def _depth(self) -> int:
        return DEPTH if self._line_ctrl_register & upstream.FEN else 1

    # -- sending ---------------------------------------------------------------------------------

    def _send(self, value: int) -> None:
        if len(self._tx) >= self._depth:
            return  # written although FR said full: lost, as on the chip
        self._tx.append(value & 0xFF)
        if self._shifting is None:
            self._next()
        if len(self._tx) > self._tx_level:
            self._interrupt_status &= ~TX_INT
            self.check_interrupts()

    def _next(self) -> None:
        self._shifting = self._tx.popleft()
        self._tx_alarm.schedule(self.character_nanos)

    def _sent(self) -> None:
        value, self._shifting = self._shifting, None
        if self._tx:
            self._next()
        # the interrupt marks the moment of falling to the level, it is not held while below it
        if len(self._tx) == self._tx_level or not self.fifos_enabled or self._shifting is None:
            self._interrupt_status |= TX_INT
            self.check_interrupts()
        if self.on_byte is not None and value is not None:
            self.on_byte(value)

    @property
    def _tx_level(self) -> int:
        return LEVELS[self._ifls & 7] if self.fifos_enabled else 0

    # -- receiving -------------------------------------------------------------------------------

    @property
    def can_receive(self) -> bool:
        """Whether one more character finds room in the receive FIFO."""
        return self.rx_fifo.item_count < self._depth

    @property
    def listening(self) -> bool:
        """Whether the guest has switched the receiver on."""
        return self.enabled and self.rx_enabled

    def feed_byte(self, value: int) -> None:
        """One character has arrived on the RX pin. Lost, and counted, when the FIFO is full."""
        if not self.can_receive:
            self.overruns += 1
            self._interrupt_status |= OVERRUN_INT
        else:
            self.rx_fifo.push(value)
            if self.rx_fifo.item_count >= self._rx_level:
                self._interrupt_status |= RX_INT
            self._timeout_alarm.schedule(TIMEOUT_BITS * self.bit_nanos)
        self.check_interrupts()

    @property
    def _rx_level(self) -> int:
        return LEVELS[(self._ifls >> 3) & 7] if self.fifos_enabled else 1

    def _timed_out(self) -> None:
        if not self.rx_fifo.empty:
            self._interrupt_status |= TIMEOUT_INT
            self.check_interrupts()

    def _receive(self) -> int:
        value = self.rx_fifo.pull()
        if self.rx_fifo.item_count < self._rx_level:
            self._interrupt_status &= ~RX_INT
        if self.rx_fifo.empty:
            self._interrupt_status &= ~TIMEOUT_INT
            self._timeout_alarm.cancel()
        self.check_interrupts()
        return value

    # -- registers -------------------------------------------------------------------------------

    def check_interrupts(self) -> None:
        """Drive the interrupt line from the masked status."""
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))

    @property
    def flags(self) -> int:
        """The FR register."""
        sending, receiving, depth = len(self._tx), self.rx_fifo._used, self._depth
        return (
            (FR_BUSY if sending or self._shifting is not None else 0)
            | (0 if receiving else FR_RXFE)
            | (FR_TXFF if sending >= depth else 0)
            | (FR_RXFF if receiving >= depth else 0)
            | (0 if sending else FR_TXFE)
        )

    def read_uint32(self, offset: int) -> int:
        """Read a register."""
        if offset == upstream.UARTFR:  # polled in loops
            return self.flags
        if offset == upstream.UARTDR:
            return self._receive()
        if offset == UARTIFLS:
            return self._ifls
        if offset == UARTDMACR:
            return self._dmacr
        if offset in (UARTRSR, upstream.UARTICR):
            return 0
        return super().read_uint32(offset)

    def write_uint32(self, offset: int, value: int) -> None:
        """Write a register."""
        if offset == upstream.UARTDR:
            self._send(value)
        elif offset == UARTIFLS:
            self._ifls = value & 0x3F
        elif offset == UARTDMACR:
            self._dmacr = value & 7
        elif offset == upstream.UARTICR:
            self._interrupt_status &= ~value
            self.check_interrupts()
        elif offset == UARTRSR:
            pass
        else:
            super().write_uint32(offset, value)

    def write_uint32_atomic(self, offset: int, value: int, atomic_type: int) -> None:
        """Write through one of the set/clear/xor aliases."""
        self.raw_write_value = value
        old = self.read_uint32(offset) if atomic_type and offset != upstream.UARTDR else 0
        self.write_uint32(offset, atomic_update(old, atomic_type, value) if atomic_type else value)
