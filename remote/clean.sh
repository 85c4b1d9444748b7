# Ends the agent of a run directory if asked to, and takes away what a session made. Read from
# stdin by any POSIX sh.

umask 077
set -f
unset CDPATH
LC_ALL=C
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH

say() { printf '%s %s %s\n' "$nonce" "$1" "$2"; }
# nap fails if it was a long one.
nap() { sleep 0.05 2>/dev/null || { sleep 1; false; }; }

# ours DIR: DIR is a run directory of this user, and no link.
ours() {
	case $1 in
	/*/run-????????????????) ;;
	*) return 1 ;;
	esac
	[ -d "$1" ] && [ ! -L "$1" ] || return 1
	set -- $(ls -ldn "$1")
	[ "$3" = "$(id -u)" ]
}

# alive: the agent lives. Its command line names the run directory; where that cannot be read, a lock
# that can be had shows that it does not, whoever has its pid now.
alive() {
	case $pid in
	'' | *[!0-9]* | 0 | 1) return 1 ;;
	esac
	if [ -r "/proc/$pid/cmdline" ]; then
		tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$run"
	elif [ -f "$run/lock" ] && command -v flock >/dev/null 2>&1; then
		! flock -n "$run/lock" true
	else
		kill -0 "$pid" 2>/dev/null
	fi
}

# end_agents: kills who runs, and lets nobody start any more: an agent begins by writing its pid into a
# file of a name that a directory now has.
end_agents() {
	until mkdir "$run/pid" 2>/dev/null; do
		mv -f "$run/pid" "$run/pid.old" 2>/dev/null || return 0
		pid=$(cat "$run/pid.old" 2>/dev/null)
		[ -n "$pid" ] || { nap; pid=$(cat "$run/pid.old" 2>/dev/null); } # it is being written
		end_agent
	done
}

# namers of the run directory. Where there is no /proc none is known.
namers() {
	case $run in
	/*/run-????????????????) ;;
	*) return ;;
	esac
	set +f # in a subshell
	grep -lF -- "$run" /proc/[0-9]*/cmdline 2>/dev/null | tr -dc '0-9\n'
}

# end_agent: lets the agent end with what it runs, then kills both. It starts nothing any more once it
# was asked to, so none of its children is missed. If its directory is to stay it is not asked: it
# takes that along.
end_agent() {
	alive || return 0
	if [ -z "$keep" ]; then
		kill "$pid"
		for i in 1 2 3 4 5 6 7 8 9 10; do
			alive || return 0
			nap || break
		done
	fi
	running=$(children)
	kill -9 "$pid"
	for child in $running; do kill -9 "-$child"; done 2>/dev/null
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		alive || return 0
		nap
	done
	say left "a process that cannot be killed: $pid"
}

# children of the agent: each leads a group of all that a command started and did not set apart.
children() {
	if [ -r "/proc/$pid/status" ]; then
		set +f # in a subshell
		grep -l "^PPid:[[:space:]]*$pid\$" /proc/[0-9]*/status 2>/dev/null | tr -dc '0-9\n'
	else
		ps -A -o ppid= -o pid= 2>/dev/null | while read -r parent child; do
			[ "$parent" != "$pid" ] || echo "$child"
		done
	fi
}

main() {
	printf '\n'
	if [ -n "$kill" ]; then
		! ours "$run" || end_agents
		# Whoever works for the run names its directory, be its number written down or not; an agent that
		# ends by itself has taken the directory away already.
		for pid in $(namers); do end_agent; done
	fi
	if ours "$run"; then
		if [ -n "$keep" ]; then
			rmdir "$run/pid" 2>/dev/null
		else
			# Once more for directories that even their owner may not write to.
			rm -rf "$run" 2>/dev/null || { chmod -R u+rwx "$run"; rm -rf "$run"; } 2>/dev/null
			[ ! -e "$run" ] || say left "$run"
		fi
	fi
	if [ -z "$keep" ]; then
		[ -z "$partial" ] || rm -f "$partial"
		for x; do rmdir "$x"; done 2>/dev/null
	fi
	say end
}
