#!/usr/bin/env bash
# Installs the real servers that the tests start: MariaDB and Chromium (apt), Apache Kafka (Maven).
# Does nothing for what is there already. Needs root, or the packages installed beforehand.
set -euo pipefail
cd "$(dirname "$0")"
SERVICES="${STREAM_MAGIC_SERVICES:-$PWD/../../.services}"
KAFKA_LIBS="$SERVICES/kafka/libs"

missing=()
command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || missing+=(mariadb-server)
command -v chromium >/dev/null || missing+=(chromium)
command -v java >/dev/null || missing+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
if [ ${#missing[@]} -gt 0 ]; then
  # The package must not start a server of its own while it is installed.
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

if [ ! -f "$KAFKA_LIBS/.complete" ]; then
  mkdir -p "$KAFKA_LIBS"
  mvn -q -B -f kafka-pom.xml dependency:copy-dependencies -DoutputDirectory="$KAFKA_LIBS"
  touch "$KAFKA_LIBS/.complete"
fi

bash tpch.sh >/dev/null
