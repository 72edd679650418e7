#!/usr/bin/env bash
# Makes the tables and queries of TPC-H, once: with a DuckDB of the extension's version, in an environment of its own.
set -euo pipefail
cd "$(dirname "$0")"
TPCH="${STREAM_MAGIC_SERVICES:-$PWD/../../.services}/tpch"
if [ ! -f "$TPCH/.complete" ]; then
  python3 -m venv "$TPCH/venv"
  "$TPCH/venv/bin/pip" install -q --disable-pip-version-check duckdb==1.5.5 duckdb-extension-tpch==1.5.5
  "$TPCH/venv/bin/python" tpch.py "$TPCH/data" 0.01
  touch "$TPCH/.complete"
fi
echo "$TPCH/data"
