"""The recorded comparison of elastic networks: its page is what the records give, and these are of the settings."""

from __future__ import annotations

from benchmarks.elastic import PAGE, PICTURE, alone_key, page, picture, read, supernet_key
from benchmarks.elastic_run import EPOCHS, FOLDER, SEEDS, SUPERNETS, networks, recorded, space
from spacec.hooks import installed

FOUND = read()


def test_the_page_is_what_the_records_give() -> None:
    assert page(FOUND) == PAGE.read_text(encoding="utf-8")
    assert picture(FOUND) == PICTURE.read_text(encoding="utf-8")
    assert picture(FOUND).startswith("<svg")


def test_the_records_are_of_the_networks_that_are_drawn() -> None:
    of = space()
    texts = [arch.text() for arch in networks(of)]
    for seed in SEEDS:
        records = [recorded(alone_key(k, seed)) for k in range(len(texts))]
        assert [record["architecture"] for record in records] == texts
        assert {record["seed"] for record in records} == {seed}
    for name in SUPERNETS:
        assert list(recorded(supernet_key(name))["networks"]) == texts
    assert FOUND.params == tuple(of.params(of.architecture(text)) for text in texts)
    assert (FOUND.params[0], FOUND.params[-1]) == tuple(of.params(of.extreme("params", end)) for end in ("min", "max"))


def test_every_training_took_as_many_steps_and_no_record_is_left_over() -> None:
    names = {alone_key(k, s) for k in range(len(FOUND.params)) for s in SEEDS} | {supernet_key(n) for n in SUPERNETS}
    assert {path.stem for path in FOLDER.glob("*.json")} == names
    assert {recorded(name)["steps"] for name in names} == {EPOCHS * 35}
    assert all(name in installed().names("spacec_strategies") for name in SUPERNETS)
