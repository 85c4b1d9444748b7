# Takes in a file that follows on stdin: into $part and, once all of it is there and its digest is
# $sum, renamed to $name. Read from stdin by any POSIX sh, which reads no further than its last
# line: what follows is not sent before "ready" is said.

umask 077
set -f
unset CDPATH
LC_ALL=C
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH

say() { printf '%s %s %s\n' "$nonce" "$1" "$2"; }
size_of() { set -- $(wc -c <"$1") && echo "$1"; }
drop() { [ -n "$resume" ] || rm -f "$part"; }

# claim: sets at to the number of whole blocks that are here already: of this session, or of one
# that has written nothing for a minute. Only one can rename that.
claim() {
	at=0
	[ -n "$resume" ] || return 0
	if [ ! -f "$part" ]; then
		old=$(find "${part%/*}" -name '.spore-*' -type f -user "$(id -u)" -mmin +1 2>/dev/null)
		old=${old%%"$nl"*}
		[ -n "$old" ] && mv "$old" "$part" 2>/dev/null || return 0
	fi
	at=$(($(size_of "$part") / block))
	# Cuts off what is behind the last whole block.
	dd if=/dev/null of="$part" bs="$block" seek="$at" 2>/dev/null && return 0
	at=0
	rm -f "$part"
}

receive() {
	if [ -n "$zip" ]; then gzip -dc; else cat; fi 2>&1 >>"$part"
}

# kilobytes that are free where $part is; a million where that cannot be told.
free() {
	df -Pk "${part%/*}" 2>/dev/null | {
		read -r line && read -r dev size used free rest
		echo "${free:-1000000}"
	}
}

# prune: of the executables in the cache there stay the three that were used last, and what runs or
# was used within the hour.
prune() {
	case $name in
	*/cache/*/spore) cache=${name%/*/*} ;;
	*) return ;;
	esac
	running=$(ps -A -o args 2>/dev/null || ps -o args 2>/dev/null) || return
	n=0
	ls -1t "$cache" | while read -r d; do
		[ ${#d} -eq 64 ] && [ $((n += 1)) -gt 3 ] || continue
		# As much of the path as ps shows on any system.
		case $running in
		*"/cache/$(printf %.16s "$d")"*) continue ;;
		esac
		[ -z "$(find "$cache/$d" -prune -mmin +60 2>/dev/null)" ] || rm -rf "$cache/$d"
	done
}

finish() {
	[ ! -L "$name" ] || rm -f "$name" # or mv would put it into a directory that the link leads to
	why=$({ chmod "$mode" "$part" && mv -f "$part" "$name"; } 2>&1) && { say done; prune >/dev/null 2>&1; return; }
	rm -f "$part"
	say failed "1000000 $why"
}

main() {
	nl='
'
	printf '\n'
	can=
	command -v gzip >/dev/null 2>&1 && can=1 || zip=
	[ -z "$resume" ] || mkdir -p "${part%/*}"
	claim
	kb=$(free)
	[ "$kb" -ge $(((size - at * block) / 1024)) ] || { say failed "$kb there is too little room"; rm -f "$part"; return; }
	say ready "$at $can"
	why=$(receive 2>&1) || {
		kb=$(free)
		[ "$kb" -lt 1024 ] && rm -f "$part" || drop
		say failed "$kb $why"
		return
	}
	got=$(size_of "$part")
	if [ "$got" != "$size" ]; then
		drop
		say short "$got"
		return
	fi
	if [ -n "$sum" ]; then
		is=$(hash_of "$part")
		[ -n "$is" ] || { say unsure; return; }
		[ "$is" = "$sum" ] || { rm -f "$part"; say differs "$is"; return; }
	fi
	finish
}

