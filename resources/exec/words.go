package exec

import (
	"errors"
	"strings"
)

// split returns the words of a line, with the quotes of a POSIX shell taken for what they mean
// there. Nothing is expanded.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	rest := []rune(line)
	for i := 0; i < len(rest); i++ {
		r := rest[i]
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case r == '\\' && quote != '\'':
			if i++; i == len(rest) {
				return nil, errors.New("the command ends with a backslash")
			}
			inWord = true
			// Between double quotes a backslash is one, but before what it is needed for.
			if quote == '"' && !strings.ContainsRune("$`\"\\\n", rest[i]) {
				word.WriteRune(r)
			}
			if rest[i] != '\n' {
				word.WriteRune(rest[i])
			}
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			inWord, quote = true, r
		case strings.ContainsRune(" \t\r\n", r):
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			inWord = true
			word.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote of the command is not closed; for what only a shell understands, set shell")
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("the command names no program")
	}
	return words, nil
}
