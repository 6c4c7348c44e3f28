package mesh

import "strings"

// Nearest is the candidate that word most looks like: the start of one, or at most two letters from one (a third of a
// long word), whatever their case. Empty means that none does.
func Nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, bestDistance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		small := strings.ToLower(c)
		d := distance(word, small)
		if len(word) > 1 && strings.HasPrefix(small, word) {
			d = min(d, 1)
		}
		if d < bestDistance && d < max(len(word), len(small)) {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the letters that have to be put in, taken out, replaced or swapped with their neighbour.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, above[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
