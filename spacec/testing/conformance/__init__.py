"""Conformance of a strategy with the protocol, on a space: what every pair must keep, checked by running it.

In a test of a plugin::

    import pytest
    import spacec
    from spacec.testing import conformance

    @pytest.mark.parametrize("grammar", ["cells.space", "widths.space"])
    def test_conforms(grammar):
        conformance.require(spacec.load(grammar, preset="tiny"), MyStrategy)

:func:`check` returns a :class:`Report` of sentences that name strategy, space, check and the first tensor that
shows the fault; :func:`require` raises it. :data:`CHECKS` says what is asked.
"""

from spacec.testing.conformance.model import CHECKS, Failure, Report
from spacec.testing.conformance.suite import TINY, check, require

__all__ = ["CHECKS", "TINY", "Failure", "Report", "check", "require"]
