package seal

import (
	"bytes"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep JSON may nest at our borders (design A4).
const maxDepth = 32

// Canonical gives the RFC 8785 form of one JSON value (daemon 11.3): names in UTF-16 order, ECMAScript
// numbers, minimal escapes. ErrMalformed for text that is not exactly one value, for duplicate names, invalid
// UTF-8, lone surrogates, numbers beyond a double, or nesting deeper than 32.
func Canonical(raw []byte) ([]byte, error) { return canonical(raw, finiteNumber) }

// canonical is Canonical with a test on each number literal.
func canonical(raw []byte, allowed func(literal string) bool) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.ReadToken()
		if err == io.EOF {
			break
		}
		if err != nil || d.StackDepth() > maxDepth || token.Kind() == '0' && !allowed(token.String()) {
			return nil, ErrMalformed
		}
	}
	value := jsontext.Value(bytes.Clone(raw))
	if err := value.Canonicalize(); err != nil {
		return nil, ErrMalformed
	}
	return value, nil
}

// finiteNumber refuses 1e400, which Canonicalize would turn into the largest double.
func finiteNumber(literal string) bool {
	_, err := strconv.ParseFloat(literal, 64)
	return err == nil
}

// exactNumber also refuses what is 2^53 or more, where doubles skip integers.
func exactNumber(literal string) bool {
	const limit = 1 << 53
	f, err := strconv.ParseFloat(literal, 64)
	return err == nil && math.Abs(f) < limit
}
