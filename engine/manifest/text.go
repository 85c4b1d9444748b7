package manifest

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

var byteOrderMark = []byte("\ufeff")

// splitLines splits a text where YAML does, which knows more line breaks than most.
func splitLines(text []byte) []string {
	s := string(bytes.TrimPrefix(text, byteOrderMark))
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	var lines []string
	for {
		i := strings.IndexAny(s, "\n\r\u0085\u2028\u2029")
		if i < 0 {
			return append(lines, s)
		}
		lines = append(lines, s[:i])
		if strings.HasPrefix(s[i:], "\r\n") {
			i++
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		s = s[i+size:]
	}
}

// checkText reports whether the text is one that YAML can read: not too large, UTF-8, without
// control characters.
func (r *report) checkText(text []byte) bool {
	if len(text) > MaxSize {
		r.fail(position{}, "move long contents into files and name them as source",
			"the graph file is larger than 1 MiB")
		return false
	}
	body := bytes.TrimPrefix(text, byteOrderMark)
	for i := 0; i < len(body); {
		c, size := utf8.DecodeRune(body[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			r.fail(positionOf(body[:i]), "save the file as UTF-8", "the file is not UTF-8 text")
			return false
		case !allowed(c):
			r.fail(positionOf(body[:i]), `write it as an escape in double quotes, such as "\x07"`,
				"control character %U", c)
			return false
		}
		i += size
	}
	return true
}

// allowed reports whether YAML permits the character to stand for itself.
func allowed(c rune) bool {
	switch {
	case c == '\t', c == '\n', c == '\r', c == 0x85:
		return true
	case c < ' ', c >= 0x7f && c < 0xa0, c == 0xfeff, c == 0xfffe, c == 0xffff:
		return false
	}
	return true
}

// positionOf returns the position just behind a text.
func positionOf(text []byte) position {
	lines := splitLines(text)
	return position{len(lines), utf8.RuneCountInString(lines[len(lines)-1]) + 1}
}
