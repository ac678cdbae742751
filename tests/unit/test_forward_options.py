"""What `attune forward` is asked for: upstreams by address and by name, or a refusal."""

from __future__ import annotations

import pytest

from attune.forward import from_arguments
from streaming.errors import UsageError
from streaming.forward_settings import UpstreamSettings


def asked(*given, publish=None, keys=None, assignments=()):
    return from_arguments(list(given), publish=publish, keys=keys, assignments=list(assignments))


def test_upstreams_by_address_and_by_name(tmp_path):
    settings = asked(
        "porch=tcp://a:1",
        "ipc:///run/a=b",
        publish="tcp://127.0.0.1:7300",
        keys=tmp_path,
        assignments=["away_s=5", "upstreams.1.max_streams=3"],
    )
    keys = str(tmp_path)
    assert settings.upstreams == (
        UpstreamSettings(address="tcp://a:1", name="porch", keys=keys),
        UpstreamSettings(address="ipc:///run/a=b", keys=keys, max_streams=3),
    )
    assert (settings.output.publish, settings.away_s) == ("tcp://127.0.0.1:7300", 5)


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (["x=tcp://a:1", "x=tcp://b:1"], {}, "two upstreams have the name 'x'"),
        (["tcp://a:1", "x=tcp://a:1"], {}, "two upstreams have the address 'tcp://a:1'"),
        (["tcp://a:1"], {"publish": "tcp://a:1"}, "is an upstream and the address to publish on"),
        (["tcp://a:1"], {"assignments": ["output.publish=''"]}, "nowhere to publish"),
        (["x y=tcp://a:1"], {}, "upstreams[0].name"),
        (["tcp://a:1"], {"assignments": ["outptu.keys=a"]}, "did you mean 'output'?"),
        (["tcp://a:1"], {"assignments": ["upstreams.0.kes=a"]}, "did you mean 'keys'?"),
        (["a.yaml", "tcp://a:1"], {}, "either a configuration alone or addresses"),
        (["nothere.yaml"], {}, "nothere.yaml not found"),
    ],
)
def test_what_cannot_be_forwarded_is_refused_in_one_line(given, options, says):
    with pytest.raises(UsageError) as refused:
        asked(*given, **options)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
