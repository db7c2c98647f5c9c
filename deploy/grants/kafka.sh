#!/bin/sh
# What each job may do in Kafka, and no more: one user a job. The users are there already; put your own names of topic and
# group. admin.properties logs in as somebody who may grant.
#
#     BROKER=localhost:9093 sh deploy/grants/kafka.sh
set -eu
topic=${TOPIC:-dev.events.deviceprofile}
group=${GROUP:-devicesync}
telemetry=${TELEMETRY:-dev.telemetry.raw}
enriched=${ENRICHED:-dev.telemetry.denorm}

grant() { # USER, RESOURCES AND OPERATIONS
    user=$1
    shift
    kafka-acls.sh --bootstrap-server "$BROKER" --command-config admin.properties --add --allow-principal "User:$user" "$@"
}

# `init` makes both topics.
grant devicesync-init --topic "$topic" --topic "$topic.failed" --operation Create

# `doctor` looks at them and at the group. Read: how old is the first record that nobody has read?
grant devicesync-doctor --topic "$topic" --topic "$topic.failed" --operation DescribeConfigs
grant devicesync-doctor --topic "$topic" --operation Read
grant devicesync-doctor --topic "$topic.failed" --operation Describe
grant devicesync-doctor --group "$group" --operation Describe

# `api` appends. Read: at its first registration it looks at the newest records, for versions go on after them.
grant devicesync-api --topic "$topic" --operation Write --operation Read
grant devicesync-api --group devicesync.survey --operation Describe

# `ship` appends.
grant devicesync-ship --topic "$topic" --operation Write

# `update` reads as a member of the group, and keeps what it refuses.
grant devicesync-update --topic "$topic" --operation Read
grant devicesync-update --group "$group" --operation Read
grant devicesync-update --topic "$topic.failed" --operation Write

# `backup run` reads as a member of a group of its own; `backup verify --deep` compares.
grant devicesync-backup --topic "$topic" --operation Read
grant devicesync-backup --group "$group.backup" --operation Read
grant devicesync-backup --group devicesync.survey --operation Describe

# `audit --live` reads as a member of a group of its own.
grant devicesync-audit --topic "$topic" --operation Read
grant devicesync-audit --group "$group.audit" --operation Read

# `restore --to-topic NAME` makes that topic, and fills it.
grant devicesync-restore --topic "$topic.restored" --operation Create --operation DescribeConfigs --operation Write

# `dead-letters` lists, replays into the topic, and deletes; `restore --to-stores` keeps what it refuses.
grant devicesync-letters --topic "$topic.failed" --operation Read --operation Write --operation Delete --operation DescribeConfigs
grant devicesync-letters --topic "$topic" --operation Write

# `enrich` reads telemetry as a member of a group of its own; it makes its two topics where they are missing, and writes them.
grant devicesync-enrich --topic "$telemetry" --operation Read
grant devicesync-enrich --group "$group.enrich" --operation Read
grant devicesync-enrich --topic "$enriched" --topic "$telemetry.failed" --operation Create --operation Write
