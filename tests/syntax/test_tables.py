from __future__ import annotations

import subprocess
import sys
from importlib import resources

from spacec.syntax.build_tables import tables_text
from spacec.syntax.lexer import BAD, ITEM_WORDS, OPENERS, RESERVED
from spacec.syntax.tables import END, ERROR, load_tables


def test_the_shipped_tables_are_those_of_the_grammar():
    shipped = resources.files("spacec.syntax").joinpath("tables.json").read_text(encoding="utf-8")
    assert shipped == tables_text(), "run python -m spacec.syntax.build_tables"


def test_the_lexer_knows_the_words_of_the_grammar():
    kinds = {kind for row in load_tables().actions for kind in row}
    words = {kind for kind in kinds if kind.isalpha() and kind.islower()}
    assert words == RESERVED | {"any"}
    assert ITEM_WORDS | set(OPENERS) | {END, ERROR} <= kinds
    assert BAD not in kinds


def test_parsing_needs_no_parser_generator():
    code = (
        "import sys; from spacec.syntax.parse import parse; from spacec.source import SourceFile;"
        "parse(SourceFile('x', 'net = conv(3)')); print('lark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
