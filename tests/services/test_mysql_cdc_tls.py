"""Encrypted connections, also for the log itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from servers.mariadb import MariaDbServer
from stream_magic.errors import ConnectorError
from support.mysql import Database, make_source, read_rows, read_snapshot

pytestmark = pytest.mark.services


def test_the_log_comes_over_an_encrypted_and_verified_connection(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    settings = {"ssl-cert": str(certificate), "ssl-key": str(key)}
    with MariaDbServer(settings=settings) as server:
        server.execute(
            "CREATE DATABASE a", "CREATE TABLE a.b (n INT)", "ALTER USER cdc@'%' REQUIRE SSL"
        )
        for options in ({"tls": "verified", "tls_ca": str(certificate)}, {"tls": "required"}):
            source = make_source(server, ("a.b",), **options)
            source.open(None)
            read_snapshot(source)
            server.execute("INSERT INTO a.b SELECT seq FROM a.seq_1_to_20000")
            read_rows(source, 20_000, max_rows=3000)
            source.close()
            server.execute("DELETE FROM a.b")
        for options, code in (({"tls": "verified"}, "SM4113"), ({"tls": "off"}, "SM4102")):
            with pytest.raises(ConnectorError) as caught:
                make_source(server, ("a.b",), **options).check()
            assert (caught.value.code, caught.value.transient) == (code, False)


def test_a_server_that_cannot_encrypt_is_refused_if_it_must(database: Database) -> None:
    with pytest.raises(ConnectorError) as caught:
        database.source("t", tls="required").check()
    assert (caught.value.code, caught.value.transient) == ("SM4113", False)
