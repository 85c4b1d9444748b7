# Finds and makes what a session needs on a host. Written for any POSIX sh; read from stdin.
# Everything said carries $nonce, so that what else is printed cannot be taken for it. Unless
# "keep" is the last thing read, all that was made here is unmade.

umask 077
set -f
unset CDPATH
LC_ALL=C
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH
nl='
'
uid=$(id -u)
made= newrun= bin=

say() { printf '%s %s %s\n' "$nonce" "$1" "$2"; }
have() { command -v "$1" >/dev/null 2>&1; }
make() { [ -d "$1" ] || mkdir -p "$1"; }

# ours PATH [f]: PATH is a directory (a file with f), no link, of this user, writable by no other.
ours() {
	[ ! -L "$1" ] || { why='is a symbolic link'; return 1; }
	if [ "$2" = f ]; then
		[ -f "$1" ] || { why='is not a file'; return 1; }
	else
		[ -d "$1" ] || { why='is not a directory'; return 1; }
	fi
	set -- $(ls -ldn "$1" 2>/dev/null)
	[ "$3" = "$uid" ] || { why="belongs to uid $3"; return 1; }
	case $1 in
	?????w* | ????????w*) why="may be written by others ($1)"; return 1 ;;
	esac
}

# guarded PATH...: nobody but root and this user can put something else in the place of what is on
# the way to PATH: a directory, or a link, of which only the owner counts.
guarded() {
	for p; do
		shift
		while [ -n "$p" ]; do
			p=${p%/*}
			set -- "$@" "${p:-/}"
		done
	done
	why=$(ls -ldn "$@" 2>/dev/null | while read -r mode links owner rest; do
		case $owner in
		0 | "$uid") ;;
		*) echo "lies below a directory of uid $owner" ;;
		esac
		case $mode in
		l* | ?????????[tT]*) ;;
		?????w* | ????????w*) echo 'lies below a directory that others may change' ;;
		esac
	done)
	why=${why%%"$nl"*}
	[ -z "$why" ]
}

# runs DIR: what is written to DIR can be executed there.
runs() {
	try=$1/.try-$id
	if ! why=$({ printf '#!/bin/sh\nexit 0\n' >"$try" && chmod 700 "$try"; } 2>&1); then
		rm -f "$try"
		why="cannot be written to: $why"
		set -- $(df -kP "$1" 2>/dev/null | tail -n 1)
		[ "$4" != 0 ] || why='the disk is full'
		return 1
	fi
	"$try" >/dev/null 2>&1 && ok=1 || ok=
	rm -f "$try"
	[ -n "$ok" ] || { why='does not allow execution (noexec?)'; return 1; }
}

# unmake LIST: removes those directories of LIST, one a line, that are empty.
unmake() {
	ifs=$IFS
	IFS=$nl
	for x in $1; do rmdir "$x" 2>/dev/null; done
	IFS=$ifs
}

# usable DIR: makes DIR if need be and sets dir to its physical path; else says why not.
usable() {
	new= dir=$1 why=
	case $dir in
	*"$nl"* | *//* | */) why='is not a clean path' ;;
	/*) a=$dir
		while [ ! -e "$a" ] && [ ! -L "$a" ]; do
			new=$new$a$nl
			a=${a%/*}
			[ -n "$a" ] || a=/
		done
		# Looked at before anything is made, and again after: only then can nobody interfere.
		guarded "$dir" && why=$(make "$dir" 2>&1) && ours "$dir" && p=$dir && dir=$(cd -P "$p" && pwd -P) &&
			guarded "$p" "$dir" && runs "$dir" && made=$made$new && return 0
		;;
	*) why='is not an absolute path' ;;
	esac
	unmake "$new"
	say refused "$1: $why"
	return 1
}

# choose DIR...: sets dir to the first usable one.
choose() {
	for c; do usable "$c" && return 0; done
	return 1
}

# sweep DIR: removes run directories that no living agent holds the lock of. Without a lock, or a
# way to try it, those of the last day may be in use.
sweep() {
	set +f
	for s in "$1"/run-????????????????; do
		[ "$s" != "$old" ] && ours "$s" || continue
		if [ -f "$s/lock" ] && have flock; then
			flock -n "$s/lock" /bin/sh -c 'chmod -R u+rwx "$0"; rm -rf "$0"' "$s"
		elif [ -n "$(find "$s" -prune -mtime +0 2>/dev/null)" ]; then
			chmod -R u+rwx "$s"
			rm -rf "$s"
		fi
	done >/dev/null 2>&1
	[ -z "$prefix" ] || for s in "$prefix"/cache/*/.spore-*; do
		[ ! -f "$s" ] || [ -z "$(find "$s" -prune -mtime +0 2>/dev/null)" ] || rm -f "$s"
	done
	set -f
}

# undo takes back all that this script made.
undo() {
	trap '' HUP INT TERM PIPE
	[ -z "$newrun" ] || rm -rf "$newrun"
	[ -z "$bin" ] || [ -n "$nocache" ] || unmake "${bin%/*}$nl$prefix/cache"
	unmake "$made"
	exit 1
}

# cached: whether $bin is there and is what $sum says; what is not is removed.
cached() {
	[ -e "$bin" ] || [ -L "$bin" ] || { say cache miss; return; }
	if ours "$bin" f; then
		is=$(hash_of "$bin")
		case $is in
		'') say cache unsure; return ;;
		"$sum")
			say cache hit
			touch "${bin%/*}" # it is in use, when others are too many
			return
			;;
		esac
		why='has another digest'
	fi
	rm -rf "$bin"
	say cache "poisoned $why"
}

# store_dir DIR: a directory of the cache; whatever else is in its place goes. It is made first, for
# what is not there may come about by another session before it is taken away, and tried again,
# for such a session may take away what is empty.
store_dir() {
	for try in 1 2 3; do
		mkdir -p "$1" 2>/dev/null
		ours "$1" && return
		rm -rf "$1"
	done
	say refused "$1: $why"
	say fail
	undo
}

candidates() {
	if [ -n "$given" ]; then
		choose "$given"
	elif [ "$uid" = 0 ]; then
		choose /var/lib/spore /run/spore /var/tmp/spore-0 /dev/shm/spore-0 /tmp/spore-0
	else
		case $HOME in
		/?*) choose "${HOME%/}/.cache/spore" && return 0 ;;
		*) say refused 'home: there is none' ;;
		esac
		choose "/var/tmp/spore-$uid" "/dev/shm/spore-$uid" "/tmp/spore-$uid"
	fi
}

make_run() {
	base=$prefix
	if [ -n "$tmpgiven" ]; then
		choose "$tmpgiven" || { say fail; undo; }
		base=$dir
	fi
	sweep "$base"
	if [ -n "$old" ] && ours "$old"; then
		run=$old
		rm -f "$run/store.sock"
		say kept "$run"
		return
	fi
	run=$base/run-$id
	if ! why=$({ make "$base" && mkdir "$run"; } 2>&1); then
		say refused "$run: $why"
		say fail
		undo
	fi
	newrun=$run
	say run "$run"
}

main() {
	printf '\n'
	say sys "$(uname -s) $(uname -m)"
	trap undo HUP INT TERM PIPE
	prefix=
	if [ -z "$nocache" ] || [ -z "$tmpgiven" ]; then
		candidates || { say fail; undo; }
		prefix=$dir
		say prefix "$prefix"
	fi
	make_run
	ifs=$IFS
	IFS=$nl
	for x in $made; do say made "$x"; done
	IFS=$ifs
	say ready "$(b2sum </dev/null 2>/dev/null)" # of nothing: it can be had
	read -r digest sum || undo
	if [ -z "$nocache" ]; then
		bin=$prefix/cache/$digest/spore
		store_dir "$prefix/cache"
		store_dir "$prefix/cache/$digest"
	else
		bin=$run/spore
	fi
	cached
	say end
	answer=
	read -r answer
	[ "$answer" = keep ] || undo
}
