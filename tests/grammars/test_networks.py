"""Law 4, built sizes and stand-alone source on the tiny preset of every shipped space."""

from __future__ import annotations

import pytest
import torch

import spacec
from spacec.testing.equality import check_selected
from spacec.testing.inputs import example_inputs
from tests.grammars.record import GRAMMARS, NAMES
from tests.lower.helpers import count_parameters, disturb, exported

pytestmark = pytest.mark.usefixtures("double")

FORMS: dict[str, dict[str, object]] = {"darts": {"aux": 1}, "clearer": {"init": 0.1}}
"""What a form needs beyond its tiny preset to show every output, or gradients that are not tiny."""


def tiny(name: str) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space", preset="tiny", **FORMS.get(name, {}))


@pytest.mark.parametrize("name", NAMES)
def test_selected_supernet_equals_network(name: str) -> None:
    space = tiny(name)
    supernet = space.supernet(seed=1)
    assert count_parameters(supernet) == space.supernet_params()
    disturb(supernet, 1)
    inputs = example_inputs(space)
    for k, arch in enumerate(space.sample(4, seed=2)):
        check_selected(space, supernet, arch, inputs, training=k % 2 == 0)
        assert count_parameters(space.network(arch)) == space.params(arch)


@pytest.mark.parametrize("name", NAMES)
def test_exported_source_is_the_network(name: str) -> None:
    """The stand-alone file, run as a user would import it, gives what the network gives."""
    space = tiny(name)
    arch = space.sample(seed=3)[0]
    network = space.network(arch, seed=4).eval()
    model = exported(space, arch)
    model.load_state_dict(network.state_dict())
    model.eval()
    inputs = example_inputs(space)
    results = []
    for each in (network, model):
        torch.manual_seed(0)
        out = each(**inputs)
        results.append(out if isinstance(out, dict) else {"": out})
    assert results[0].keys() == results[1].keys()
    for key, value in results[0].items():
        assert torch.equal(value, results[1][key]), key


@pytest.mark.parametrize("name", NAMES)
def test_weights_have_the_same_keys_in_every_form(name: str) -> None:
    """State dicts use the keys of the use path, in supernet and network alike."""
    space = tiny(name)
    keys = set(space.supernet().state_dict())
    for arch in space.sample(3, seed=0):
        assert set(space.network(arch).state_dict()) <= keys
