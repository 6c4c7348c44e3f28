package mesh

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// declaredCodes reads the constants of type Code from the source: name to text.
func declaredCodes(t *testing.T) map[string]Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]Code{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		typ, named := spec.Type.(*ast.Ident)
		text, literal := spec.Values[0].(*ast.BasicLit)
		if named && literal && typ.Name == "Code" {
			value, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[spec.Names[0].Name] = Code(value)
		}
		return true
	})
	return codes
}

func TestEveryCodeHasOneRow(t *testing.T) {
	t.Parallel()
	rows := map[Code]int{}
	for _, r := range Codes {
		if rows[r.Code]++; rows[r.Code] > 1 {
			t.Errorf("%s has %d rows, want one", r.Code, rows[r.Code])
		}
	}
	declared := declaredCodes(t)
	if len(declared) < 50 {
		t.Fatalf("found %d constants in the source, want all of them", len(declared))
	}
	texts := map[Code]string{}
	for name, code := range declared {
		if other, twice := texts[code]; twice {
			t.Errorf("%s and %s are both %q", name, other, code)
		}
		texts[code] = name
		if rows[code] == 0 {
			t.Errorf("%s (%s) has no row", name, code)
		}
	}
	for code := range rows {
		if texts[code] == "" {
			t.Errorf("the row of %s has no constant", code)
		}
	}
}

func TestRowsAreSound(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`^[a-z][a-z_]*[a-z]$`)
	for _, r := range Codes {
		switch {
		case !word.MatchString(string(r.Code)):
			t.Errorf("%q is not a word of a-z and _", r.Code)
		case r.Status < 400 || r.Status > 599:
			t.Errorf("%s: got status %d, want one of a failure", r.Code, r.Status)
		case r.Exit <= ExitOK || r.Exit > ExitIO:
			t.Errorf("%s: got exit status %d, want 1 to 10", r.Code, r.Exit)
		case strings.HasSuffix(r.Hint, ".") || strings.ContainsAny(r.Hint, "|\n"):
			t.Errorf("%s: got hint %q, want a clause without a full stop", r.Code, r.Hint)
		}
		if r.Code.Status() != r.Status || r.Code.Exit() != r.Exit || r.Code.Retryable() != r.Retry || r.Code.Hint() != r.Hint || !r.Code.Known() {
			t.Errorf("%s does not give what stands in its row %+v", r.Code, r)
		}
	}
	for _, code := range []Code{"", "of_next_year"} {
		if code.Known() || code.Status() != http.StatusInternalServerError || code.Exit() != ExitInternal || !code.Retryable() || code.Hint() != "" {
			t.Errorf("%q: want what an internal error gives, and not known", code)
		}
	}
}

// What TypeScript daemons take for final, in any case (wire TRAP G): that of the member, and that of the session.
var trapG = []*regexp.Regexp{
	regexp.MustCompile(`(?i)payload_too_large|forbidden|not_found|invalid|schema|auth|signature`),
	regexp.MustCompile(`(?i)unknown|invalid|forbidden|not_authorized|target_not_found`),
}

func TestAckTextTellsOldDaemonsWhetherToRetry(t *testing.T) {
	t.Parallel()
	sentences := []string{
		"", "why", "unknown peer", "the AUTHOR is Forbidden", "an invalid Schema (signature not_found)", "payload_too_large", "not_authorized",
	}
	for _, r := range Codes {
		for _, sentence := range sentences {
			text := AckText(fmt.Errorf("accept: %w", Errorf(r.Code, "%s", sentence)))
			if !strings.HasPrefix(text, string(r.Code)+": ") {
				t.Errorf("%s: got %q, want the code first", r.Code, text)
			}
			for _, final := range trapG {
				if final.MatchString(text) == r.Retry {
					t.Errorf("%s: got %q, want retry %v by %s", r.Code, text, r.Retry, final)
				}
			}
		}
	}
}

func TestAckTextKeepsTheSentence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{Errorf(RateLimited, "wait for 3s"), "rate_limit: wait for 3s"},
		{Errorf(RateLimited, "unknown"), "rate_limit: try again later"},
		{Errorf(TargetNotFound, "nobody has this key"), "target_not_found: nobody has this key (invalid)"},
		{errors.New("a path of the operator"), "internal: internal error"},
		{context.DeadlineExceeded, "timeout: it took too long"},
	} {
		if got := AckText(tt.err); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
}
