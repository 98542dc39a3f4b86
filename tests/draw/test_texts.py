"""dot and Mermaid texts: read back by small readers of the two grammars, and compared with files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import spacec
from spacec.draw.read import read_picture
from spacec.draw.text import dot, mermaid
from spacec.testing.generate import random_space

GOLDEN = Path(__file__).parent / "golden"
GRAMMARS = sorted((Path(__file__).parents[2] / "grammars").glob("*.space"))
SMALL = """
space small(C = 4, classes = 10)
input  x: [3, 8, 8]
output y: [classes]
def edge = a: conv(3) | b: skip
let cell = dag(x) { s = [x];  for i in 1..2 { s += sum(from s: edge) };  return s[2] }
net = conv(3, C) >> cell * 2 >> (conv(3) >> bn) * {0..1} >> global_pool >> linear(classes)
"""

_TOKEN = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|->|[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+(?:\.[0-9]+)?|[{}\[\];=,]')
_NODE = re.compile(r'([A-Za-z_]\w*)(?:\(\["[^"]*"\]\)|\["[^"]*"\])(?::::?[a-z]+)?')
_LINK = re.compile(r'([A-Za-z_]\w*) (?:-->|-\.->)(?:\|"[^"]*"\|)? ([A-Za-z_]\w*)')


def read_dot(text: str) -> tuple[set[str], list[tuple[str, str]], set[str]]:
    """Nodes, edges and clusters, by the dot grammar as far as it is used; fails at anything else."""
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None, text[at : at + 40]
        at = found.end()
        if not found[0].isspace():
            tokens.append(found[0])
    assert tokens[:1] == ["digraph"]
    assert tokens[2] == "{"
    nodes, edges, clusters = set(), [], set()
    at, depth = 3, 1

    def attributes(at: int) -> int:
        assert tokens[at] == "["
        at += 1
        while tokens[at] != "]":
            assert re.fullmatch(r"\w+", tokens[at])
            assert tokens[at + 1] == "="
            at += 3
            if tokens[at] == ",":
                at += 1
        return at + 1

    while at < len(tokens):
        token = tokens[at]
        if token == "}":
            depth, at = depth - 1, at + 1
        elif token == "subgraph":
            clusters.add(tokens[at + 1])
            assert tokens[at + 2] == "{"
            depth, at = depth + 1, at + 3
        elif tokens[at + 1] == "=":
            at += 3
            assert tokens[at] == ";"
            at += 1
        elif tokens[at + 1] == "->":
            edges.append((token, tokens[at + 2]))
            at = attributes(at + 3) if tokens[at + 3] == "[" else at + 3
            assert tokens[at] == ";"
            at += 1
        else:
            at = attributes(at + 1)
            nodes.add(token)
            assert tokens[at] == ";"
            at += 1
    assert depth == 0
    return nodes - {"node", "edge"}, edges, clusters


def read_mermaid(text: str) -> tuple[set[str], list[tuple[str, str]]]:
    """Ids of nodes and subgraphs, and links."""
    lines = text.splitlines()
    assert lines[0] == "---"
    body = lines[lines.index("---", 1) + 1 :]
    assert body[0] == "flowchart TB"
    ids, links, depth = set(), [], 0
    for line in (line.strip() for line in body[1:]):
        if line.startswith(("%%", "classDef ")) or line in ("direction TB", "direction LR"):
            continue
        if line == "end":
            depth -= 1
        elif line.startswith("subgraph "):
            node = _NODE.fullmatch(line.removeprefix("subgraph "))
            assert node is not None, line
            ids.add(node[1])
            depth += 1
        elif node := _NODE.fullmatch(line):
            ids.add(node[1])
        else:
            link = _LINK.fullmatch(line)
            assert link is not None, line
            links.append((link[1], link[2]))
    assert depth == 0
    return ids, links


def spaces() -> list[spacec.Space]:
    found = [spacec.load(path, preset="tiny") for path in GRAMMARS]
    return found + [spacec.loads(random_space(seed, size=10)) for seed in range(30)]


@pytest.mark.parametrize("depth", [0, 1])
def test_every_text_is_of_its_grammar(depth: int) -> None:
    for space in spaces():
        for arch in (None, space.sample(seed=1)[0]):
            picture = read_picture(space.graph, space.table, arch, depth, ('a "fact" <b> # c',))
            nodes, edges, clusters = read_dot(dot(picture))
            assert {end for edge in edges for end in edge} <= nodes
            assert len(clusters) >= len(picture.panels)
            ids, links = read_mermaid(mermaid(picture))
            assert {end for link in links for end in link} <= ids
            assert len(edges) == len(links)


@pytest.mark.parametrize(("name", "writer"), [("small.dot", dot), ("small.mmd", mermaid)])
def test_golden(name: str, writer: object) -> None:
    space = spacec.loads(SMALL)
    assert callable(writer)
    assert writer(read_picture(space.graph, space.table)) == (GOLDEN / name).read_text(encoding="utf-8")


def test_signs_of_the_languages_are_escaped() -> None:
    text = SMALL.replace("a: conv(3) | b: skip", "conv(3) >> bn | skip")
    picture = read_picture(spacec.loads(text).graph, spacec.loads(text).table, None, 0, ('say "hi"\\',))
    assert "conv(3) #gt;#gt; bn" in mermaid(picture)
    assert '\\"hi\\"\\\\' in dot(picture)
