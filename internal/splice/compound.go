package splice

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tailscale/hujson"
)

// compound is where an object or an array and its items lie in a text.
type compound struct {
	start, end int    // of the brackets, the closing one included
	items      []item // members or elements
	comma      bool   // the last item has one behind it
}

type item struct{ start, end, comma int } // comma is the offset of the one that follows; of the last it may not be there

func objectAt(v *hujson.Value, obj *hujson.Object) compound {
	c := compound{start: v.StartOffset, end: v.EndOffset}
	for i := range obj.Members {
		m := &obj.Members[i]
		c.add(m.Name.StartOffset, &m.Value)
	}
	return c
}

func arrayAt(v *hujson.Value, arr *hujson.Array) compound {
	c := compound{start: v.StartOffset, end: v.EndOffset}
	for i := range arr.Elements {
		c.add(arr.Elements[i].StartOffset, &arr.Elements[i])
	}
	return c
}

func (c *compound) add(start int, v *hujson.Value) {
	c.items = append(c.items, item{start, v.EndOffset, v.EndOffset + len(v.AfterExtra)})
	c.comma = v.AfterExtra != nil
}

// style is how a file is written.
type style struct {
	spread bool   // over several lines
	unit   string // of indentation
	eol    string
}

func styleOf(root *hujson.Value, text []byte) style {
	s := style{spread: true, unit: "  ", eol: lineEnd(text)}
	obj, ok := root.Value.(*hujson.Object)
	if !ok || len(obj.Members) == 0 {
		return s
	}
	first := obj.Members[0].Name.StartOffset
	if s.spread = bytes.ContainsRune(text[root.StartOffset:first], '\n'); s.spread {
		if indent := indentOf(text, first); indent != "" {
			s.unit = indent
		}
	}
	return s
}

// render writes a value to stand on a line with that indentation.
func (s style) render(value, indent string, spread bool) string {
	v := jsontext.Value(value)
	if !spread {
		_ = v.Format(jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true)) // a value of ours is JSON
		return string(v)
	}
	_ = v.Indent(jsontext.WithIndent(s.unit), jsontext.WithIndentPrefix(indent)) // as above
	return strings.ReplaceAll(string(v), "\n", s.eol)
}

// insert puts a value behind the last item; key is empty in an array.
func insert(text []byte, root *hujson.Value, c compound, key, value string) ([]byte, error) {
	s := styleOf(root, text)
	indent := indentOf(text, c.start)
	spread := s.spread
	inner := indent + s.unit
	if n := len(c.items); n > 0 {
		first := c.items[0].start
		spread = bytes.ContainsRune(text[c.start:first], '\n')
		inner = indentOf(text, first)
	}
	if key != "" {
		key += ": "
	}
	closing := c.end - 1
	behind := c.start + 1
	if n := len(c.items); n > 0 {
		behind = c.items[n-1].end
	}
	spread = spread || bytes.ContainsRune(text[behind:closing], '\n') // a comment may reach to the end of its line
	at := trimmed(text, c.start+1, closing)                           // behind comments that stand last
	item := key + s.render(value, inner, spread)
	switch {
	case len(c.items) == 0 && spread:
		return apply(text, cut{at, closing, s.eol + inner + item + s.eol + indent}), nil
	case len(c.items) == 0:
		return apply(text, cut{at, closing, item}), nil
	}
	last := c.items[len(c.items)-1]
	before, after := " ", ""
	if spread {
		before = s.eol + inner
	}
	if c.comma {
		after = ","
		return apply(text, cut{at, at, before + item + after}), nil
	}
	return apply(text, cut{last.end, last.end, ","}, cut{max(at, last.end), max(at, last.end), before + item}), nil
}

// remove takes an item out, with the white space before it and one comma.
func remove(text []byte, c compound, i int) []byte {
	it, last := c.items[i], i == len(c.items)-1
	floor := c.start + 1
	if i > 0 {
		floor = c.items[i-1].end
		if comma := c.items[i-1].comma; comma >= floor {
			floor = comma + 1
		}
	}
	from := trimmed(text, floor, it.start)
	switch {
	case len(c.items) == 1: // what is left is empty, or has comments alone
		to := it.end
		if c.comma {
			to = it.comma + 1
		}
		if from == c.start+1 && trimmed(text, to, c.end-1) == to {
			to = c.end - 1
		}
		return apply(text, cut{from, to, ""})
	case !last || c.comma:
		return apply(text, cut{from, it.comma + 1, ""})
	}
	comma := c.items[i-1].comma
	return apply(text, cut{comma, comma + 1, ""}, cut{from, it.end, ""})
}
