package mesh

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestRandomTexts(t *testing.T) {
	t.Parallel()
	if len(codeAlphabet) != 57 || strings.ContainsAny(codeAlphabet, "0O1Il") || len(base62) != 62 {
		t.Errorf("got alphabets of %d and %d symbols, want 57 without those that people confuse, and 62", len(codeAlphabet), len(base62))
	}
	for _, tt := range []struct {
		name, shape string
		make        func() string
	}{
		{"id", `^[0-9A-Za-z]{32}$`, func() string { return string(NewID()) }},
		{"invite code", `^[2-9A-HJ-NP-Za-km-z]{12}$`, NewInviteCode},
		{"token", `^[0-9a-f]{64}$`, NewToken},
		{"client id", `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, func() string { return string(NewClientID(time.UnixMilli(1))) }},
	} {
		shape, seen := regexp.MustCompile(tt.shape), map[string]bool{}
		for range 1000 {
			text := tt.make()
			if !shape.MatchString(text) || seen[text] {
				t.Fatalf("%s: got %q, want a new one like %s", tt.name, text, shape)
			}
			seen[text] = true
		}
	}
}

// With `b % 62`, eight symbols would come a fifth too often. The bounds are more than six standard deviations away.
func TestRandomTextHasNoBias(t *testing.T) {
	t.Parallel()
	const each = 2000
	count := map[rune]int{}
	for _, r := range randomText(base62, each*len(base62)) {
		count[r]++
	}
	for _, r := range base62 {
		if n := count[r]; n < each*86/100 || n > each*114/100 {
			t.Errorf("%q came %d times, want about %d", r, n, each)
		}
	}
}

func TestClientIDsSortByAge(t *testing.T) {
	t.Parallel()
	start := time.Date(2025, 6, 4, 10, 30, 0, 0, time.UTC)
	var ids []ClientID
	for i := range 500 {
		at := start.Add(time.Duration(i) * 7 * time.Millisecond)
		id := NewClientID(at)
		ms, err := strconv.ParseInt(strings.ReplaceAll(string(id[:13]), "-", ""), 16, 64)
		if err != nil || ms != at.UnixMilli() {
			t.Fatalf("%s: got time %d, %v, want %d", id, ms, err, at.UnixMilli())
		}
		if _, err := ParseClientID(string(id)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Error("the ids do not sort by age")
	}
}

func TestParseClientID(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "~!", "8d7c3a1e-1111-4222-8333-123456789abc", strings.Repeat("x", 200)} {
		if id, err := ParseClientID(s); err != nil || string(id) != s {
			t.Errorf("%q: got %q, %v, want it back", s, id, err)
		}
	}
	for _, s := range []string{"", " ", "a b", "a\n", "a\x00", "\x7f", "ä", "a\xff", strings.Repeat("x", 201)} {
		if id, err := ParseClientID(s); id != "" || !IsCode(err, BadRequest) {
			t.Errorf("%q: got %q, %v, want %s", s, id, err, BadRequest)
		}
	}
}

func TestValidInviteCode(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"23456z": true, "23456789ABCDEFGH": true, NewInviteCode(): true,
		"": false, "23456": false, "23456789ABCDEFGHJ": false, "23456O": false, "l23456": false, "234 56": false, "23456ä": false,
	} {
		if got := ValidInviteCode(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("0af9", 16)
	for s, want := range map[string]bool{
		key: true, "": false, key[:63]: false, key + "0": false, strings.ToUpper(key): false, "g" + key[1:]: false, " " + key[1:]: false,
	} {
		if got := IsKey(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
	for key, want := range map[Key]string{Key(key): "0af90af90af90af9", "abc": "abc", "": ""} {
		if got := key.Short(); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}
