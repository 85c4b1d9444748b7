# Makes directories and links, and removes and shows files. Read from stdin by any POSIX sh.

umask 077
set -f
unset CDPATH
LC_ALL=C
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH

say() { printf '%s %s %s\n' "$nonce" "$1" "$2"; }

make_dirs() {
	for d; do
		[ -d "$d" ] && [ ! -L "$d" ] || mkdir "$d" || return
	done
}

# set_modes MODE DIR...
set_modes() {
	while [ $# -gt 0 ]; do
		chmod "$1" "$2" || return
		shift 2
	done
}

# link TARGET PART NAME: a link is renamed into its place; mv would put it into a directory that
# the link there leads to.
link() {
	ln -s "$1" "$2" || return
	[ ! -L "$3" ] || rm -f "$3"
	mv -f "$2" "$3" || { rm -f "$2"; return 1; }
}

# place MODE PART NAME
place() { chmod "$1" "$2" && mv -f "$2" "$3"; }

remove() {
	for f; do
		if [ -d "$f" ] && [ ! -L "$f" ]; then rmdir "$f"; else rm -f "$f"; fi || return
	done
}

main() {
	printf '\n'
	if why=$("$@" 2>&1); then say done; else say failed "$why"; fi
}

# show prints how large the file is, and the file.
show() {
	printf '\n'
	if why=$(wc -c <"$file" 2>&1); then
		set -- $why
		say size "$1"
		cat "$file"
	else
		say failed "$why"
	fi
}

