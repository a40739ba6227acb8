"""Throttled logins over real HTTP: which client address counts, and who is never locked out."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import httpx
import pytest

from station.access import FAILURES_OF_ACCOUNT, FAILURES_OF_ADDRESS
from tests.web_stage import PASSWORD, Stage
from wire.settings import SettingsError

BEHIND_A_PROXY = 'trusted_proxies = ["127.0.0.1"]\n'


@contextlib.contextmanager
def station(web=""):
    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    try:
        with contextlib.closing(Stage(folder, web=web)) as it:
            it.person()
            it.start()
            yield it
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def try_login(client, name, password, **headers):
    return client.post("/api/login", json={"name": name, "password": password},
                       headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize("header, form", [("X_Forwarded_For", "198.51.100.1, {}"),
                                          ("Forwarded", 'for=198.51.100.1, for="{}"')])
def test_one_client_behind_a_proxy_does_not_lock_out_another(header, form):
    with station(BEHIND_A_PROXY) as it, httpx.Client(base_url=it.address, timeout=30) as client:
        for i in range(FAILURES_OF_ADDRESS):
            assert try_login(client, f"person-{i}", "guess", **{header: form.format("203.0.113.7")}).status_code == 401
        refused = try_login(client, "lan", PASSWORD, **{header: form.format("203.0.113.7")})
        assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= 600
        assert refused.json()["says"]["params"]["minutes"] == 10
        assert try_login(client, "lan", PASSWORD, **{header: form.format("203.0.113.8")}).status_code == 200


def test_a_forwarded_header_of_an_untrusted_peer_is_ignored_and_the_console_stays_open():
    with station() as it, httpx.Client(base_url=it.address, timeout=30) as client:
        for i in range(FAILURES_OF_ADDRESS):
            assert try_login(client, f"person-{i}", "guess", X_Forwarded_For=f"203.0.113.{i}").status_code == 401
        assert try_login(client, "lan", PASSWORD, X_Forwarded_For="203.0.113.99").status_code == 429
        assert try_login(client, "lan", PASSWORD).status_code == 200


def test_an_attacked_account_is_throttled_but_its_session_and_the_console_work():
    with station(BEHIND_A_PROXY) as it, httpx.Client(base_url=it.address, timeout=30) as client:
        assert try_login(client, "lan", PASSWORD, X_Forwarded_For="203.0.113.200").status_code == 200
        with httpx.Client(base_url=it.address, timeout=30) as attacker:
            for i in range(FAILURES_OF_ACCOUNT):
                assert try_login(attacker, "lan", "guess", X_Forwarded_For=f"203.0.113.{i}").status_code == 401
            assert try_login(attacker, "lan", PASSWORD, X_Forwarded_For="203.0.113.201").status_code == 429
            assert client.get("/api/me", headers={"X-Forwarded-For": "203.0.113.200"}).json()["name"] == "lan"
            assert try_login(attacker, "lan", PASSWORD).status_code == 200


def test_a_trusted_proxy_is_an_ip_address(tmp_path):
    with pytest.raises(SettingsError, match=r"station\.toml.*trusted_proxies.*gateway"):
        Stage(tmp_path, web='trusted_proxies = ["gateway"]\n')
