#!/usr/bin/env bash
# A real Slurm with four virtual nodes and a real PostgreSQL, on this host alone.
#
#   servers.sh start FOLDER [PORT]   prints lines of NAME=VALUE: where they are
#   servers.sh stop FOLDER           ends what start began, by its process ids
#   servers.sh postgres FOLDER VERB  stop or start the database alone
#
# Needs root and Debian's slurm-wlm, munge and postgresql. It uses their programs, not their
# services: every file of it lies in FOLDER, every server listens on 127.0.0.1.
set -euo pipefail
what=$1
folder=$(realpath -m "$2")
nodes=4
host=$(hostname -s)
pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)

as_postgres() { (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@"); }

start_postgres() {
    as_postgres "$pg_bin/pg_ctl" --pgdata="$folder/postgres/data" --wait --silent \
        --log="$folder/postgres/log" --options="-p $pg_port -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories=$folder/postgres -c max_connections=200" start >&2
}

stop_postgres() {
    as_postgres "$pg_bin/pg_ctl" --pgdata="$folder/postgres/data" --mode=fast --wait --silent \
        stop >&2 || true
}

make_postgres() {
    mkdir -p "$folder/postgres"
    chown postgres "$folder/postgres"
    head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$folder/password"
    install -o postgres -m 600 "$folder/password" "$folder/postgres/password"
    as_postgres "$pg_bin/initdb" --pgdata="$folder/postgres/data" --username=freeway \
        --pwfile="$folder/postgres/password" --auth=scram-sha-256 --no-sync > /dev/null
    start_postgres
    PGPASSWORD=$(cat "$folder/password") "$pg_bin/createdb" -h 127.0.0.1 -p "$pg_port" \
        -U freeway sweeps
}

make_slurm() {
    mkdir -p "$folder/slurm/state" "$folder/slurm/spool" "$folder/slurm/munge"
    chown -R munge "$folder/slurm/munge"
    chmod 711 "$folder" "$folder/slurm"
    chmod 755 "$folder/slurm/munge"
    cat > "$folder/slurm/slurm.conf" <<CONF
ClusterName=freeway
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$((slurm_port))
SlurmdPort=$((slurm_port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/slurm/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/slurm/state
SlurmdSpoolDir=$folder/slurm/spool/%n
SlurmctldPidFile=$folder/slurm/slurmctld.pid
SlurmdPidFile=$folder/slurm/%n.pid
SlurmctldLogFile=$folder/slurm/slurmctld.log
SlurmdLogFile=$folder/slurm/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
JobRequeue=1
PropagateResourceLimits=NONE
GresTypes=gpu
NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((slurm_port + 2))-$((slurm_port + 1 + nodes))] CPUs=2 RealMemory=4000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    echo "NodeName=n[1-$nodes] Name=gpu File=/dev/null" > "$folder/slurm/gres.conf"
    export SLURM_CONF=$folder/slurm/slurm.conf
    (cd / && setpriv --reuid=munge --regid=munge --clear-groups munged --force \
        --socket="$folder/slurm/munge/socket" --pid-file="$folder/slurm/munge/pid" \
        --log-file="$folder/slurm/munge/log" --seed-file="$folder/slurm/munge/seed" --num-threads=2)
    slurmctld -i
    for node in $(seq "$nodes"); do slurmd -N "n$node"; done
    for _ in $(seq 100); do
        [ "$(sinfo -h -t idle -o %D 2>/dev/null)" = "$nodes" ] && return
        sleep 0.2
    done
    echo "Slurm did not come up: see $folder/slurm" >&2
    exit 1
}

end_process() {
    local file=$1 pid
    [ -f "$file" ] || return 0
    pid=$(cat "$file")
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
}

case $what in
start)
    base=${3:-17000}
    pg_port=$base
    slurm_port=$((base + 1))
    mkdir -p "$folder"
    chmod 711 "$folder"
    echo "$pg_port" > "$folder/port"
    make_postgres
    make_slurm >&2
    echo "SLURM_CONF=$folder/slurm/slurm.conf"
    echo "PGPASSWORD=$(cat "$folder/password")"
    echo "FREEWAY_STORAGE_URL=postgresql://freeway@127.0.0.1:$pg_port/sweeps"
    ;;
stop)
    for file in "$folder"/slurm/n*.pid "$folder"/slurm/slurmctld.pid "$folder"/slurm/munge/pid; do
        end_process "$file"
    done
    stop_postgres
    ;;
postgres)
    pg_port=$(cat "$folder/port")
    "${3}_postgres"
    ;;
*)
    echo "what is $what? start, stop or postgres" >&2
    exit 2
    ;;
esac
