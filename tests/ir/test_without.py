"""A condition where a decision has no value."""

from __future__ import annotations

from spacec.ir.conditions import ALWAYS, NEVER, Any, Has, Is, both, either, without

A, B, C = Is("a", frozenset({0})), Is("b", frozenset({1, 2})), Has("c", 0)


def test_what_needs_the_decision_does_not_hold() -> None:
    assert without(A, "a") == NEVER
    assert without(C, "c") == NEVER
    assert without(both(A, B), "a") == NEVER
    assert without(either(both(A, B), C), "a") == C
    assert without(both(C, either(A, B)), "a") == both(B, C)
    assert without(Any(frozenset({A})), "a") == NEVER


def test_what_does_not_need_it_stays() -> None:
    for condition in (ALWAYS, NEVER, A, C, both(A, C), either(A, both(B, C))):
        assert without(condition, "x") == condition
