"""Reading latency tables as other programs write them."""

from __future__ import annotations

from fractions import Fraction

from spacec.source import SourceFile
from spacec.space.latency import read_latencies


def test_a_spreadsheet_s_byte_order_mark_is_no_part_of_the_first_column() -> None:
    table = read_latencies(SourceFile("t.csv", "\ufeffop,input,ms\r\nconv,16x32x32,0.25\r\n"))
    assert [(row.op, row.ms) for row in table.rows] == [("conv", Fraction(1, 4))]
