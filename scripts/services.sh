#!/usr/bin/env bash
# Real servers for development and CI, at loopback only:
#
#     scripts/services.sh up NAME…     start them, each that does not run yet; prints where they are, as NAME=VALUE lines
#     scripts/services.sh kill NAME…   end them at once, as a crash would; `up` starts them again with their data
#     scripts/services.sh status       what runs, and where
#     scripts/services.sh down         stop all of them and remove their data
#
# They run with `docker compose` (scripts/services/compose.yaml) where a Docker engine runs, and else from packages:
# NEARLINE_SERVICES_WITH=packages or =docker chooses. Data and logs lie in a scratch folder, NEARLINE_SERVICES, and only
# processes that were written down there are ever stopped. What is fetched is kept in the user's cache folder.
#
# Exit codes: 0 done, 2 bad use, 3 a server did not start, 4 a server cannot be had here (it says what is missing).
#
# Another server is one entry in `names` and the functions NAME_from_packages, NAME_answers, NAME_told.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
names=(kafka s3 memcached redis mysql cassandra hdfs)
scratch="${NEARLINE_SERVICES:-${TMPDIR:-/tmp}/nearline-services-$(id -u)}"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/nearline/services"
# How long a server may take until it answers, in seconds.
patience=180

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
fail() { say "$2"; exit "$1"; }

# ---- What all have in common -----------------------------------------------------------------------------------

# Whether a server is to run with Docker. The data node of HDFS tells clients an address of its own, which in a container is one
# that they cannot reach: it is always started from packages.
with_docker() {
    [ "${1:-}" != hdfs ] || return 1
    case "${NEARLINE_SERVICES_WITH:-}" in
        docker) return 0 ;;
        packages) return 1 ;;
        '') have docker && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 ;;
        *) fail 2 "NEARLINE_SERVICES_WITH is docker or packages" ;;
    esac
}

compose() {
    NEARLINE_KAFKA_PORT="$(port kafka broker)" NEARLINE_S3_PORT="$(port s3 http)" \
        NEARLINE_MEMCACHED_PORT="$(port memcached tcp)" NEARLINE_REDIS_PORT="$(port redis tcp)" \
        NEARLINE_MYSQL_PORT="$(port mysql tcp)" NEARLINE_CASSANDRA_PORT="$(port cassandra native)" \
        docker compose -p "nearline-$(cksum <<<"$scratch" | cut -d " " -f 1)" -f "$here/services/compose.yaml" "$@" >&2
}

open_port() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port of a service by what it is for: the one that was written down, or else one that is free.
port() {
    local file="$scratch/$1/$2.port" port
    if [ ! -s "$file" ]; then
        mkdir -p "$scratch/$1"
        port=$((20000 + RANDOM % 10000))
        while open_port "$port"; do port=$((20000 + RANDOM % 10000)); done
        echo "$port" >"$file"
    fi
    cat "$file"
}

# Whether the process that was written down still runs: it, and not another that got its number.
runs() {
    local file="$scratch/$1/pid"
    [ -s "$file" ] && ps -p "$(cat "$file")" -o args= 2>/dev/null | grep -qF "$scratch/$1"
}

# Starts a command in the background and writes its number down.
start() {
    local name="$1"
    shift
    (
        cd "$scratch/$name"
        # Whoever waits for our output must not wait for the server's end.
        nohup "$@" >>"$scratch/$name/log" 2>&1 </dev/null &
        echo $! >"$scratch/$name/pid"
    )
}

# Ends a process that was written down: `stop NAME TERM`, `stop NAME KILL`.
stop() {
    local pid waited=0
    runs "$1" || { rm -f "$scratch/$1/pid"; return 0; }
    pid="$(cat "$scratch/$1/pid")"
    kill -"$2" "$pid" 2>/dev/null || true
    while runs "$1"; do
        sleep 0.1
        waited=$((waited + 1))
        if [ "$waited" = 300 ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    done
    rm -f "$scratch/$1/pid"
}

wait_for() {
    local began=$SECONDS
    until "$1_answers"; do
        if ! with_docker "$1" && ! runs "$1"; then
            tail -n 30 "$scratch/$1/log" >&2
            fail 3 "$1 ended before it answered; its log is $scratch/$1/log"
        fi
        [ $((SECONDS - began)) -lt "$patience" ] || fail 3 "$1 does not answer after $patience s; see $scratch/$1"
        sleep 0.2
    done
}

# Sees to packages of the system, as scripts/setup.sh does; where that is not possible, the server cannot be had.
need() {
    local what="$1" typed
    shift
    if have apt-get && { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }; then
        local root=()
        [ "$(id -u)" = 0 ] || root=(sudo -n)
        say "installing $*, as $what is missing here"
        ${root[@]+"${root[@]}"} apt-get update -q >&2 </dev/null || true
        ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive \
            RUNLEVEL=1 apt-get install -y -q --no-install-recommends "$@" >&2 </dev/null && return 0
    fi
    typed="with your package manager"
    if have apt-get; then typed="(sudo apt-get install $*)"; fi
    fail 4 "$what is missing: install it $typed, or start a Docker engine"
}

java_version() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1; }

# The jars of a server by its name in ours, as its pom.xml says, fetched once: `jars` is where they lie then.
fetch_jars() {
    local name="$1" what="$2" size="$3" version
    version="$(sed -n 's:.*<version>\([0-9.]*\.[0-9]*\)</version>.*:\1:p' "$here/services/$name.pom.xml" | head -n 1)"
    jars="$cache/$name-$version"
    [ -d "$jars" ] && return 0
    have mvn || need Maven maven
    say "fetching $what $version, about $size, once"
    rm -rf "$jars.part"
    mkdir -p "$cache"
    mvn -q -B -f "$here/services/$name.pom.xml" dependency:copy-dependencies \
        "-DoutputDirectory=$jars.part" >&2 </dev/null || fail 4 "Maven could not fetch $what; see above"
    mv "$jars.part" "$jars"
}

# ---- Kafka: one node, controller and broker at once -----------------------------------------------------------

# Who may come in at the listener with TLS. It is a test server at loopback: this is no secret.
kafka_user=nearline
kafka_password=only-for-tests

kafka_properties() {
    local folder="$scratch/kafka" broker controller tls
    broker="$(port kafka broker)" controller="$(port kafka controller)" tls="$(port kafka tls)"
    cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$broker,SASL_SSL://127.0.0.1:$tls,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$broker,SASL_SSL://127.0.0.1:$tls
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
log.dirs=$folder/data
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=200
log.segment.delete.delay.ms=1000
log.retention.check.interval.ms=1000
ssl.keystore.location=$folder/keys.p12
ssl.keystore.password=$kafka_password
ssl.keystore.type=PKCS12
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
PROPERTIES
}

kafka_from_packages() {
    local folder="$scratch/kafka" found
    have java || need "Java 17 or newer" default-jdk-headless
    found="$(java_version)"
    [ "${found:-0}" -ge 17 ] || fail 4 "Apache Kafka needs Java 17 or newer, and this is ${found:-none}"
    fetch_jars kafka "Apache Kafka" "45 MB"
    if [ ! -d "$folder/data" ]; then
        kafka_properties >"$folder/server.properties"
        rm -f "$folder/keys.p12"
        keytool -genkeypair -alias broker -keyalg RSA -keysize 2048 -validity 3650 -dname CN=localhost \
            -ext san=ip:127.0.0.1,dns:localhost -keystore "$folder/keys.p12" -storetype PKCS12 \
            -storepass "$kafka_password" >>"$folder/log" 2>&1
        keytool -exportcert -rfc -alias broker -keystore "$folder/keys.p12" -storepass "$kafka_password" \
            -file "$folder/ca.pem" >>"$folder/log" 2>&1
        java -Xmx256m -cp "$jars/*" kafka.tools.StorageTool format -t bmVhcmxpbmUtc2VydmljZQ \
            -c "$folder/server.properties" \
            --add-scram "SCRAM-SHA-512=[name=$kafka_user,password=$kafka_password]" >>"$folder/log" 2>&1 || {
            tail -n 20 "$folder/log" >&2
            fail 3 "the folder of Kafka could not be made; its log is $folder/log"
        }
    fi
    start kafka java -Xms256m -Xmx512m -XX:+UseG1GC -Djava.awt.headless=true -cp "$jars/*" \
        kafka.Kafka "$folder/server.properties"
}

kafka_answers() { open_port "$(port kafka broker)"; }

kafka_told() {
    echo "NEARLINE_KAFKA=127.0.0.1:$(port kafka broker)"
    if [ -s "$scratch/kafka/ca.pem" ]; then
        echo "NEARLINE_KAFKA_TLS=127.0.0.1:$(port kafka tls)"
        echo "NEARLINE_KAFKA_CA=$scratch/kafka/ca.pem"
    fi
}

# ---- S3: moto, which keeps everything in memory --------------------------------------------------------------------

s3_version=5.2.5
s3_bucket=nearline

# The server in a virtual environment of its own, fetched once.
s3_environment() {
    s3_python="$cache/moto-$s3_version"
    [ -d "$s3_python" ] && return 0
    have python3 || need "Python 3" python3 python3-venv
    say "fetching moto $s3_version, about 60 MB, once"
    rm -rf "$s3_python.part"
    mkdir -p "$cache"
    python3 -m venv "$s3_python.part" >&2 || need "venv of Python" python3-venv
    "$s3_python.part/bin/pip" install -q "moto[server]==$s3_version" >&2 </dev/null ||
        fail 4 "pip could not fetch moto; see above"
    mv "$s3_python.part" "$s3_python"
}

s3_from_packages() {
    s3_environment
    # By a path of the scratch folder, so that the process is known by it.
    cat >"$scratch/s3/server.py" <<'PYTHON'
from moto.server import main

main()
PYTHON
    start s3 "$s3_python/bin/python" "$scratch/s3/server.py" -H 127.0.0.1 -p "$(port s3 http)"
}

s3_answers() {
    have curl || need curl curl
    # The bucket is made anew after each start.
    curl -sf -o /dev/null --max-time 5 -X PUT "http://127.0.0.1:$(port s3 http)/$s3_bucket"
}

s3_told() { echo "NEARLINE_S3=http://127.0.0.1:$(port s3 http)"; }

# ---- memcached and Redis, from the system's packages ---------------------------------------------------------------

memcached_from_packages() {
    local user=()
    have memcached || need memcached memcached
    [ "$(id -u)" != 0 ] || user=(-u root)
    # The file of its number is there for the process to be known by.
    start memcached memcached -l 127.0.0.1 -p "$(port memcached tcp)" -U 0 -m 512 -I 4m \
        -P "$scratch/memcached/own.pid" ${user[@]+"${user[@]}"}
}

memcached_answers() { open_port "$(port memcached tcp)"; }
memcached_told() { echo "NEARLINE_MEMCACHED=127.0.0.1:$(port memcached tcp)"; }

redis_from_packages() {
    have redis-server || need Redis redis-server
    # It names itself anew, without its arguments, where it is let.
    start redis redis-server --bind 127.0.0.1 --port "$(port redis tcp)" --dir "$scratch/redis" --appendonly yes \
        --save "" --proc-title-template "{title} $scratch/redis"
}

redis_answers() { open_port "$(port redis tcp)"; }
redis_told() { echo "NEARLINE_REDIS=127.0.0.1:$(port redis tcp)"; }

# ---- MySQL: MariaDB, from the system's packages -----------------------------------------------------------------------

# Who may come in. It is a test server at loopback: this is no secret.
mysql_user=nearline
mysql_password=only-for-tests

mysql_from_packages() {
    local folder="$scratch/mysql" user=()
    { have mariadbd && have mariadb-install-db && have mariadb; } ||
        need MariaDB mariadb-server-core mariadb-client-core
    [ "$(id -u)" != 0 ] || user=(--user=root)
    if [ ! -d "$folder/data" ]; then
        rm -rf "$folder/data.part"
        mariadb-install-db --no-defaults --datadir="$folder/data.part" --skip-test-db \
            --auth-root-authentication-method=normal ${user[@]+"${user[@]}"} >>"$folder/log" 2>&1 ||
            fail 3 "the folder of MariaDB could not be made; its log is $folder/log"
        cat >"$folder/first.sql" <<SQL
CREATE DATABASE IF NOT EXISTS nearline;
CREATE USER IF NOT EXISTS $mysql_user@'127.0.0.1' IDENTIFIED BY '$mysql_password';
CREATE USER IF NOT EXISTS $mysql_user@'localhost' IDENTIFIED BY '$mysql_password';
GRANT ALL ON *.* TO $mysql_user@'127.0.0.1';
GRANT ALL ON *.* TO $mysql_user@'localhost';
SQL
        mv "$folder/data.part" "$folder/data"
    fi
    start mysql mariadbd --no-defaults --datadir="$folder/data" --socket="$folder/socket" --pid-file="$folder/own.pid" \
        --bind-address=127.0.0.1 --port="$(port mysql tcp)" --init-file="$folder/first.sql" \
        --innodb-buffer-pool-size=128M ${user[@]+"${user[@]}"}
}

mysql_answers() { open_port "$(port mysql tcp)"; }

mysql_told() {
    echo "NEARLINE_MYSQL=127.0.0.1:$(port mysql tcp)"
    echo "NEARLINE_MYSQL_USER=$mysql_user"
    echo "NEARLINE_MYSQL_PASSWORD=$mysql_password"
}

# ---- Cassandra: one node -------------------------------------------------------------------------------------------------

# Who may come in: the one that is there from the first start on. It is a test server at loopback: this is no secret.
cassandra_user=cassandra
cassandra_password=cassandra

cassandra_yaml() {
    local folder="$scratch/cassandra"
    cat <<YAML
cluster_name: nearline
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:$(port cassandra storage)"
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: $(port cassandra storage)
native_transport_port: $(port cassandra native)
endpoint_snitch: SimpleSnitch
commitlog_sync: periodic
commitlog_sync_period: 10000ms
data_file_directories: [$folder/data]
commitlog_directory: $folder/commitlog
hints_directory: $folder/hints
saved_caches_directory: $folder/saved_caches
cdc_raw_directory: $folder/cdc_raw
auto_snapshot: false
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
YAML
}

cassandra_from_packages() {
    local folder="$scratch/cassandra" found opens=() package
    have java || need "Java 17" default-jdk-headless
    found="$(java_version)"
    { [ "${found:-0}" = 11 ] || [ "${found:-0}" = 17 ]; } || fail 4 "Apache Cassandra needs Java 11 or 17, and this is ${found:-none}"
    fetch_jars cassandra "Apache Cassandra" "80 MB"
    cassandra_yaml >"$folder/cassandra.yaml"
    # What Cassandra reaches of Java's own; from its conf/jvm17-server.options.
    for package in java.base/java.io java.base/java.lang java.base/java.lang.module java.base/java.lang.reflect \
        java.base/java.math java.base/java.net java.base/java.nio java.base/java.util java.base/java.util.concurrent \
        java.base/java.util.concurrent.atomic java.base/jdk.internal.loader java.base/jdk.internal.math \
        java.base/jdk.internal.misc java.base/jdk.internal.module java.base/jdk.internal.ref java.base/jdk.internal.reflect \
        java.base/jdk.internal.util.jar java.base/sun.nio.ch java.management.rmi/com.sun.jmx.remote.internal.rmi \
        java.management/com.sun.jmx.remote.security jdk.management/com.sun.management.internal \
        java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.rmi/sun.rmi.transport.tcp java.sql/java.sql \
        jdk.naming.dns/com.sun.jndi.dns; do
        opens+=("--add-opens=$package=ALL-UNNAMED" "--add-exports=$package=ALL-UNNAMED")
    done
    start cassandra java -Xms512m -Xmx768m -XX:+UseG1GC -Djdk.attach.allowAttachSelf=true \
        -Dcassandra.config="file://$folder/cassandra.yaml" -Dcassandra.storagedir="$folder" -Dcassandra-foreground=yes \
        -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=100 \
        -Dcassandra.superuser_setup_delay_ms=0 -Djava.io.tmpdir="$folder" \
        "${opens[@]}" -cp "$jars/*" org.apache.cassandra.service.CassandraDaemon
}

cassandra_answers() {
    open_port "$(port cassandra native)" || return 1
    with_docker || grep -qF "Created default superuser role" "$scratch/cassandra/log"
}

cassandra_told() {
    echo "NEARLINE_CASSANDRA=127.0.0.1:$(port cassandra native)"
    # That of Docker's image lets everybody in.
    if ! with_docker; then
        echo "NEARLINE_CASSANDRA_USER=$cassandra_user"
        echo "NEARLINE_CASSANDRA_PASSWORD=$cassandra_password"
    fi
}

# ---- HDFS: one name node and one data node in one process --------------------------------------------------------------

hdfs_from_packages() {
    local folder="$scratch/hdfs" found format=()
    have java || need "Java 17 or newer" default-jdk-headless
    found="$(java_version)"
    [ "${found:-0}" -ge 17 ] || fail 4 "HDFS needs Java 17 or newer, and this is ${found:-none}"
    fetch_jars hdfs "HDFS" "110 MB"
    [ -d "$folder/data" ] || format=(-format)
    # It is written once all of it runs.
    rm -f "$folder/running.xml"
    start hdfs java -Xmx512m -Djava.io.tmpdir="$folder" -cp "$jars/*" org.apache.hadoop.test.MiniDFSClusterManager \
        ${format[@]+"${format[@]}"} -nnport "$(port hdfs name)" -datanodes 1 -writeConfig "$folder/running.xml" \
        "-Dhdfs.minidfs.basedir=$folder" -Ddfs.namenode.http-address=127.0.0.1:0
}

hdfs_answers() { [ -s "$scratch/hdfs/running.xml" ] && open_port "$(port hdfs name)"; }
hdfs_told() { echo "NEARLINE_HDFS=127.0.0.1:$(port hdfs name)"; }

# ---- What is asked for ------------------------------------------------------------------------------------------

known() {
    local name
    for name in "${names[@]}"; do [ "$name" != "$1" ] || return 0; done
    fail 2 "there is no service $1; there are: ${names[*]}"
}

up() {
    local name
    [ $# -gt 0 ] || fail 2 "name what to start: ${names[*]}"
    for name in "$@"; do known "$name"; done
    for name in "$@"; do
        mkdir -p "$scratch/$name"
        if with_docker "$name"; then
            compose up -d --wait "$name" || fail 3 "docker compose could not start $name"
        elif ! runs "$name"; then
            "${name}_from_packages"
        fi
        wait_for "$name"
        "${name}_told"
    done
}

status() {
    local name
    for name in "${names[@]}"; do
        if [ -d "$scratch/$name" ] && "${name}_answers"; then
            say "$name: runs, with its data in $scratch/$name"
            "${name}_told"
        else
            say "$name: does not run"
        fi
    done
}

down() {
    local name
    [ -d "$scratch" ] || return 0
    if with_docker; then compose down -v; fi
    for name in "${names[@]}"; do stop "$name" TERM; done
    rm -rf "$scratch"
}

what="${1:-}"
[ $# = 0 ] || shift
case "$what" in
    up) up "$@" ;;
    down) down ;;
    status) status ;;
    kill)
        for name in "$@"; do
            known "$name"
            if with_docker "$name"; then compose kill "$name"; else stop "$name" KILL; fi
        done
        ;;
    *) fail 2 "usage: scripts/services.sh up NAME…|kill NAME…|status|down; there are: ${names[*]}" ;;
esac
