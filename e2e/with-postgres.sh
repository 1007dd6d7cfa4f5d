#!/bin/sh
# Runs a command beside a PostgreSQL server of its own, on a free port and in a folder that is gone afterwards:
#   e2e/with-postgres.sh cargo test
#   e2e/with-postgres.sh --there     # only whether there is a server to start
#   e2e/with-postgres.sh --durable make bench    # one that keeps what it acknowledges, as in production
# SALDO_TEST_POSTGRES is the URL of its superuser, SALDO_TEST_POSTGRES_PID its process; the roles saldo_owner and saldo_server are there, without passwords.
set -eu

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
test -n "$bin" || bin=$(pg_config --bindir 2>/dev/null || true)
test -x "$bin/initdb" || {
  printf 'PostgreSQL is missing. On Debian: apt-get install postgresql\n' >&2
  exit 1
}
test "$1" != --there || exit 0
# Nothing in it outlives the tests, so nothing need reach the disk.
settings='-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0
  -c autovacuum=off -c shared_buffers=256MB'
if test "$1" = --durable; then
  shift
  settings='-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c wal_level=replica -c shared_buffers=1GB
    -c max_wal_size=8GB -c checkpoint_timeout=15min -c autovacuum=on'
fi
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
  as "$bin/pg_ctl" --silent --wait --pgdata="$folder/data" --log="$folder/log" start --options="-p $port \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=400 $(printf '%s' "$settings" | tr '\n' ' ')" \
    >/dev/null 2>&1 && break
  try=$((try + 1))
  test "$try" -lt 20 || { cat "$folder/log" >&2; exit 1; }
done
SALDO_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres"
# The server's own process, by which the benchmarks read what it and its children have used.
SALDO_TEST_POSTGRES_PID=$(head -n 1 "$folder/data/postmaster.pid")
SALDO_POSTGRES_BIN=$bin
export SALDO_TEST_POSTGRES SALDO_TEST_POSTGRES_PID SALDO_POSTGRES_BIN
"$bin/psql" --quiet "$SALDO_TEST_POSTGRES" --command='CREATE ROLE saldo_owner LOGIN' --command='CREATE ROLE saldo_server LOGIN'
cd "$OLDPWD"
"$@"
