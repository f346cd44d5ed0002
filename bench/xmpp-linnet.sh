#!/bin/sh
# Runs Linnet for xmpp-compare.py with the modules that its scenarios use: xmpp-linnet.sh DIR PORT
set -eu
dir=$1
port=$2
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cat > "$dir/linnet.yml" <<Y
hosts: [localhost]
loglevel: error
auth_password_format: scram
listen:
  - {port: $port, ip: 127.0.0.1, module: ejabberd_c2s, backlog: 4096, max_stanza_size: 1048576, shaper: none, access: c2s, starttls: true}
  - {port: $((port + 2)), ip: 127.0.0.1, module: ejabberd_c2s, tls: true, shaper: none, access: c2s}
access_rules:
  c2s: {allow: all}
shaper_rules:
  max_user_sessions: 100
  max_user_offline_messages: 5000
modules:
  mod_disco: {}
  mod_last: {}
  mod_offline: {access_max_user_messages: max_user_offline_messages}
  mod_ping: {}
  mod_roster: {}
  mod_time: {}
  mod_version: {}
Y
exec "$root/bin/linnet" serve --config "$dir/linnet.yml" --data "$dir/data"
