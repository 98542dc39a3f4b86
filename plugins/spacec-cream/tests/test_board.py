"""The board, as properties over offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacec_cream.board import Board, Entry

OFFERS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20), st.integers(1, 4)).map(
        lambda t: Entry(t[0], t[1] / 20, float(t[2]))
    ),
    max_size=25,
)


@given(st.integers(1, 4), st.sampled_from([0.0, 0.05, 0.2]), OFFERS)
def test_what_a_board_keeps(size: int, margin: float, offers: list[Entry]) -> None:
    board = Board(size, margin)
    for new in offers:
        before, board = board, board.offer(new)
        assert len(board) == min(size, len({e.arch for e in (*before, new)}))
        assert [e.rank for e in board] == sorted(e.rank for e in board)
        assert len({e.arch for e in board}) == len(board)
        gone = [e for e in before if e not in board.entries and e.arch != new.arch]
        if new.arch in {e.arch for e in before} or len(before) < size:
            assert new in board.entries
            assert not gone
        else:
            last = before.entries[-1]
            better = new.score > last.score + margin or (new.score > last.score and new.cost < last.cost)
            assert gone == ([last] if better else [])
            assert (new in board.entries) is better
        assert all(e.score < new.score for e in gone)


@given(st.integers(1, 4), OFFERS)
def test_its_best_is_the_best_last_rating_ever_offered(size: int, offers: list[Entry]) -> None:
    """As long as no path is rated again, nothing better than the board's best was ever offered."""
    once = list({e.arch: e for e in offers}.values())
    board = Board(size, 0.0)
    for new in once:
        board = board.offer(new)
    if once and board.best is not None:
        assert board.best.score == max(e.score for e in once)
        assert board.best.score >= board.entries[-1].score


@pytest.mark.parametrize(
    ("score", "cost", "taken"), [(0.6, 9.0, True), (0.56, 9.0, False), (0.52, 4.0, True), (0.5, 4.0, False)]
)
def test_the_rule_of_a_full_board(score: float, cost: float, taken: bool) -> None:
    """A path enters by 5 points, or cheaper and better at all."""
    board = Board(2, 0.07, (Entry("a", 0.9, 1.0), Entry("b", 0.5, 5.0)))
    assert [e.arch for e in board.offer(Entry("c", score, cost))] == (["a", "c"] if taken else ["a", "b"])


def test_a_path_that_is_rated_again_has_its_new_score() -> None:
    board = Board(2, 0.05, (Entry("a", 0.9, 1.0), Entry("b", 0.5, 5.0)))
    assert [(e.arch, e.score) for e in board.offer(Entry("a", 0.1, 1.0))] == [("b", 0.5), ("a", 0.1)]


def test_a_score_that_is_no_number_is_never_taken() -> None:
    assert not Board(2, 0.05).admits(Entry("a", float("nan"), 1.0))
