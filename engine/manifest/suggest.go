package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// maxWord bounds the words that are compared: nobody mistypes longer ones into each other.
const maxWord = 64

// didYouMean returns a hint naming the choice most like word, else naming them all; a few choices
// are easier to read than to guess. what says what they are.
func (r *report) didYouMean(word, what string, choices []string) string {
	if best := r.nearest(word, choices); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(choices) == 0 || len(choices) > 40 {
		return ""
	}
	return what + ": " + strings.Join(choices, ", ")
}

// nearest returns the choice that word was most likely meant to be, or "".
func (r *report) nearest(word string, choices []string) string {
	best, least := "", maxWord
	for _, choice := range choices {
		if r.guesses--; r.guesses < 0 {
			return ""
		}
		if d := distance(word, choice); d <= tolerance(word) && d < least {
			best, least = choice, d
		}
	}
	return best
}

// tolerance is how many slips of the finger a word of that length may have.
func tolerance(word string) int { return max(1, min(3, len(word)/3)) }

func alike(a, b string) bool { return distance(a, b) <= tolerance(a) }

// distance counts the letters to be added, taken away, changed, or swapped with their neighbour,
// that turn a into b, the case of letters not counting.
func distance(a, b string) int {
	if abs(len(a)-len(b)) > 3 || len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	s, t := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	var before []int
	last, row := make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differ(s[i-1], t[j-1]))
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, slices.Grow(before[:0], len(t)+1)[:len(t)+1]
	}
	return last[len(t)]
}

func differ(a, b rune) int {
	if a == b {
		return 0
	}
	return 1
}

func abs(n int) int { return max(n, -n) }
