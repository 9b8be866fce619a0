"""The code of the shell scripts, in the order in which it runs. It holds nothing of any job.

Facts it rests on: the agent runs a script as the leader of a process group, kills that group with
SIGKILL at a timeout or cancel, and else waits until nobody holds its output any more. GNU
coreutils, findutils, grep and sed are there. Lists of names are NUL-terminated, since a name may
hold anything else.
"""

HEAD = """\
#!/bin/sh
# One attempt of a Shoal job. First what is particular to it, as quoted data; then the code.
exec </dev/null
umask 022
"""

OWN_VARIABLES = '${AWS_SSM_INSTANCE_ID:+"SHOAL_WORKER_ID=$AWS_SSM_INSTANCE_ID"} "SHOAL_WORK=$work"'
"""What only the machine knows. SHOAL_WORK marks all processes of an attempt."""

FUNCTIONS = r"""
root=${SHOAL_ROOT:-/var/lib/shoal}
base=$root/attempts
own=$base/$name
work=$own/work
claimed=
code=0
report=

say() { printf 'shoal: %s\n' "$1" >&2; }

# End with what went wrong as the last word.
fail() {
    finish
    say "$1"
    exit 121
}

check_place() {
    [ -d "$work" ] && [ ! -L "$work" ] ||
        fail 'the job has put something else in place of its work folder'
}

# Send signal $1 to the processes of the attempt whose work folder is $2; true if there are any.
signal_processes() {
    marked=$(grep -lszxF -e "SHOAL_WORK=$2" /proc/[0-9]*/environ)
    [ -n "$marked" ] || return 1
    for environ in $marked; do
        pid=${environ#/proc/}
        kill -s "$1" "${pid%/environ}" 2>/dev/null
    done
}

# Nothing that an attempt has started survives it, in its process group or out of it.
end_processes() {
    for round in 1 2 3 4 5 6 7 8 9 10; do
        signal_processes KILL "$1" || return 0
        sleep 0.02
    done
}

# Records in both of two lists; records of the first that are not in the second.
both() { LC_ALL=C sort -z -- "$1" "$2" >"$own/sorted" && LC_ALL=C uniq -zd "$own/sorted"; }
minus() { LC_ALL=C sort -z -- "$1" "$2" "$2" >"$own/sorted" && LC_ALL=C uniq -zu "$own/sorted"; }

# Records are `name/...` or `facts/path`: what stands before and behind the first slash.
before_slash() { LC_ALL=C sed -z 's|/.*||'; }
behind_slash() { LC_ALL=C sed -z 's|^[^/]*/||'; }

list_names() { find "$1" -mindepth 1 -maxdepth 1 -printf '%f/\0'; }
list_links() { find "$1" -mindepth 1 -maxdepth 1 -type l -printf '%f/%l\0'; }

# Of the links recorded in folder $1, those that still are in $place as we made them.
intact_links() { list_links "$place" >"$own/found" && both "$own/found" "$1/links"; }

# Move what is new in $place, going by the records in folder $1, to folder $2; list it in new.
collect() {
    intact_links "$1" >"$own/intact" && before_slash <"$own/intact" >"$own/intact.names" &&
    LC_ALL=C sed -z 's|$|/|' <"$own/intact.names" >"$own/intact" &&
    list_names "$place" >"$own/there" &&
    minus "$own/there" "$1/foreign" >"$own/later" && minus "$own/later" "$own/intact" >"$own/new" &&
    before_slash <"$own/new" >"$own/new.names" || return
    [ -s "$own/new.names" ] || return 0
    (cd -- "$place" && xargs -0r sh -c '
        for name do
            if [ -e "$0/$name" ] || [ -L "$0/$name" ]; then rm -rf -- "$0/$name" || exit; fi
        done
        exec mv -f -t "$0" -- "$@"' "$2" <"$own/new.names")
}

# Take our links out of $place.
take_up() {
    intact_links "$1" >"$own/intact" && before_slash <"$own/intact" >"$own/intact.names" &&
    (cd -- "$place" && xargs -0r rm -f -- <"$own/intact.names")
}

# Link the entries of the work folder that are named on standard input into $place.
link_names() {
    xargs -0r sh -c 'for name do printf "%s/%s/%s\0" "$name" "$0" "$name"; done' "$work" \
        >"$own/adding" &&
    cat -- "$own/adding" >>"$own/links" && behind_slash <"$own/adding" >"$own/targets" &&
    xargs -0r ln -s -t "$place" -- <"$own/targets"
}

# Leave nothing behind; whatever ends the script, this comes last.
finish() {
    [ -n "$claimed" ] || return 0
    claimed=
    cd /
    end_processes "$work"
    if [ -e "$own/links" ]; then take_up "$own" || say "links are left in $place"; fi
    rm -rf --one-file-system -- "$own" || say "$own could not be removed"
}
"""
"""Functions, and what follows from the data."""

START = r"""
# --- Start: once here, and alone.
[ -d "$base" ] && [ -d "$root/started" ] || mkdir -p -- "$base" "$root/started" ||
    fail "it can't write to $root"
mark=$root/started/$name
set -C
if ! { true >"$mark"; } 2>/dev/null; then
    [ -e "$mark" ] || fail "it can't write to $root"
    # A command delivered twice comes at once; an older mark is from another life of this stack.
    [ -n "$(find "$mark" -mmin +15)" ] || fail 'this attempt has been started here before'
    touch -- "$mark"
fi
set +C
[ ! -e "$own" ] || fail 'this attempt has been started here before'
mkdir -- "$own" "$work" || fail "it can't write to $base"
claimed=yes
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
for other in "$base"/*; do
    [ "$other" != "$own" ] && [ -d "$other" ] || continue
    mv -- "$other" "$own/earlier" || fail "$other is in the way"
    end_processes "$other/work"
    if [ -e "$own/earlier/links" ]; then
        mine=${place-}
        IFS= read -r place <"$own/earlier/place"
        mkdir -- "$own/earlier/new" && collect "$own/earlier" "$own/earlier/new" &&
            take_up "$own/earlier" || say "something of an earlier attempt is left in $place"
        place=$mine
    fi
    rm -rf --one-file-system -- "$own/earlier" || say "$other could not be removed"
done
set -- "$root/started"/*
[ $# -le 1000 ] || find "$root/started" -type f -mmin +15 -delete
"""

STAGE_IN = r"""
# --- Stage in.
PYTHONUTF8=1 aws s3 cp --recursive --only-show-errors "s3://$prefix" "$work/" ||
    fail "the job folder s3://$prefix can't be staged in (aws ended with $?)"
"""

CHECK_EXECUTABLE = r"""
[ -f "$work/$executable" ] || fail "the executable $executable is not there any more"
chmod +x -- "$work/$executable"
"""

REMEMBER_FILES = r"""
# What tells whether a file was touched; and with it, what explains a later change time.
facts='%i %s %T@/%P\0'
more='%i %s %T@ %m %U %G %n/%P\0'
find "$work" -type f -fprintf "$own/before" "$facts" -fprintf "$own/before.more" "$more" ||
    fail 'the job folder can not be listed'
"""

LAY_OVER = r"""
# --- Executables may call their files by this path: it shows the work folder's entries as links.
mkdir -p -- "$place" && printf '%s\n' "$place" >"$own/place" &&
    list_links "$place" >"$own/found" || fail "it can't write to $place"
grep -zF -e "/$base/" <"$own/found" | before_slash | (cd -- "$place" && xargs -0r rm -f --)
list_names "$place" >"$own/foreign" && list_names "$work" >"$own/names" &&
    minus "$own/names" "$own/foreign" >"$own/free" &&
    before_slash <"$own/free" >"$own/free.names" && : >"$own/links" &&
    link_names <"$own/free.names" || fail "it can't link into $place"
"""

WATCH_TIME = r"""
{
    env "SHOAL_WORK=$work" sleep "$timeout" && : >"$own/timed-out" &&
        signal_processes TERM "$work" &&
        env "SHOAL_WORK=$work" sleep 10 && end_processes "$work"
} >/dev/null 2>&1 &
"""
"""Asks the job to end when its time is over, and makes it. What ends the job ends the sleep too."""

RUN = r"""
# --- Run.
cd -- "$work" || fail "it can't enter $work"
run "$@"
code=$?
"""

END_OF_TIME = r"""
end_processes "$work"
if [ -e "$own/timed-out" ]; then
    code=124
    report="timed out after $timeout s"
fi
"""

EXPLAIN_START = r"""
# What the system says of a missing interpreter misleads.
if { [ "$code" -eq 126 ] || [ "$code" -eq 127 ]; } && [ -f "$program" ]; then
    IFS= read -r line <"$program"
    case $line in
    '#!'*)
        set -f
        set -- ${line#??}
        set +f
        if [ $# -gt 0 ] && [ ! -e "$1" ]; then
            case $1 in
            *"$(printf '\r')") fail "its interpreter ${1%?}\\r is not on this machine\
 (save it with Unix line ends)" ;;
            *) fail "its interpreter $1 is not on this machine" ;;
            esac
        fi
        ;;
    esac
fi
"""

COLLECT = r"""
# What was made under the other path belongs to the work folder, and is seen by both.
check_place
collect "$own" "$work" && link_names <"$own/new.names" || fail "results in $place can't be moved"
"""

CHECK_REQUIRED = r"""
if [ "$code" -eq 0 ]; then
    for path do
        [ -f "$work/$path" ] || report="$report, $path"
    done
    if [ -n "$report" ]; then
        code=122
        report="required file missing: ${report#, }"
    fi
fi
"""

STAGE_OUT = r"""
# --- Stage out: remove from the work folder what is no result, and upload the rest.
check_place
cd -- "$work" || fail "it can't enter $work"
: >"$own/leaving"
if [ -n "$(find . -type l -print -quit)" ]; then
    # A link to a file in here becomes that file; none is followed out of here.
    find . -type l -exec sh -c '
        for link do
            real=$(readlink -m -- "$link" && echo .) || continue
            real=${real%??}
            case $real in
            "$0"/*) [ ! -f "$real" ] || ln -fT -- "$real" "$link" 2>/dev/null ||
                cp --remove-destination -- "$real" "$link" || exit ;;
            *) printf "%s\n" "${link#./}" ;;
            esac
        done' "$(pwd -P)" {} + >"$own/leaving" || fail 'its links can not be resolved'
fi
find . ! -type d ! -type f -delete &&
    find . -type f -fprintf "$own/after" "$facts" -cnewer "$own/before" \
        -fprintf "$own/touched" "$more" || fail 'the results can not be listed'
# Unchanged: the same file with the same size and time, unless its status was changed by something
# that no new mode, owner or link explains.
both "$own/before" "$own/after" >"$own/same" &&
    both "$own/before.more" "$own/touched" >"$own/written" &&
    behind_slash <"$own/same" >"$own/same.paths" &&
    behind_slash <"$own/written" >"$own/written.paths" &&
    minus "$own/same.paths" "$own/written.paths" >"$own/unchanged" &&
    xargs -0r rm -f -- <"$own/unchanged" || fail 'the results can not be told from the inputs'
if [ -n "$(find . -type f -print -quit)" ]; then
    # Names of results are no output of the job, in which its success string may be looked for.
    PYTHONUTF8=1 aws s3 cp --recursive --only-show-errors --metadata "$metadata" \
        "$work/" "s3://$prefix" || fail "the results can't be staged out (aws ended with $?)"
    echo 'upload: results'
fi
if IFS= read -r path <"$own/leaving"; then
    fail "result $path is a link that leaves the job folder: put a copy of the file in its place"
fi
"""

END = r"""
finish
if [ "$code" -eq 194 ]; then
    code=1
    [ -n "$report" ] || report='exit code 194, by which SSM would restart the machine'
fi
[ -z "$report" ] || say "$report"
exit "$code"
"""
