#!/bin/sh
# Runs a command beside a PostgreSQL server of its own, on a free port and in a folder that is gone afterwards:
#   e2e/with-postgres.sh cargo test
#   e2e/with-postgres.sh --there     # only whether there is a server to start
# SALDO_TEST_POSTGRES is the URL of its superuser; the roles saldo_owner and saldo_server are there, without passwords.
set -eu

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
test -n "$bin" || bin=$(pg_config --bindir 2>/dev/null || true)
test -x "$bin/initdb" || {
  printf 'PostgreSQL is missing. On Debian: apt-get install postgresql\n' >&2
  exit 1
}
test "$1" != --there || exit 0
folder=$(mktemp -d)
# The server refuses to run as root.
if test "$(id -u)" = 0; then
  chown postgres "$folder"
  as() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }
else
  as() { "$@"; }
fi
stop() {
  as "$bin/pg_ctl" --silent --pgdata="$folder/data" --mode=immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

cd "$folder"
as "$bin/initdb" --pgdata="$folder/data" --username=postgres --auth=trust --no-sync --encoding=UTF8 --locale=C >/dev/null
try=0
while :; do
  port=$((20000 + ($$ * 7 + try * 131) % 20000))
  # Nothing in it outlives the tests, so nothing need reach the disk.
  as "$bin/pg_ctl" --silent --wait --pgdata="$folder/data" --log="$folder/log" start --options="-p $port \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=400 -c fsync=off \
    -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 \
    -c autovacuum=off -c shared_buffers=256MB" >/dev/null 2>&1 && break
  try=$((try + 1))
  test "$try" -lt 20 || { cat "$folder/log" >&2; exit 1; }
done
SALDO_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres"
export SALDO_TEST_POSTGRES
"$bin/psql" --quiet "$SALDO_TEST_POSTGRES" --command='CREATE ROLE saldo_owner LOGIN' --command='CREATE ROLE saldo_server LOGIN'
cd "$OLDPWD"
"$@"
