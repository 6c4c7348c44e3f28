package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"reflect"
	"time"
)

// bind appends the arguments to dst in the driver's types.
func bind(dst []driver.NamedValue, args []any) ([]driver.NamedValue, error) {
	for i, arg := range args {
		v, err := value(arg)
		if err != nil {
			return dst, fmt.Errorf("sqlite: argument $%d: %w", i+1, err)
		}
		dst = append(dst, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return dst, nil
}

// value converts the common types at once and leaves named types, pointers and valuers to reflection.
func value(arg any) (driver.Value, error) {
	switch x := arg.(type) {
	case nil, string, []byte, int64, bool, float64:
		return x, nil
	case int:
		return int64(x), nil
	}
	v, err := driver.DefaultParameterConverter.ConvertValue(arg)
	if _, isTime := v.(time.Time); isTime {
		return nil, fmt.Errorf("%T is not stored: pass an integer", arg)
	}
	return v, err
}

// assign stores a column in what dest points to. Nothing is cut, rounded or parsed: a value that does not
// fit is an error, and so is NULL where dest cannot say NULL.
func assign(dest any, v driver.Value) error {
	switch d := dest.(type) {
	case *string:
		if s, ok := v.(string); ok {
			*d = s
			return nil
		}
	case *[]byte:
		switch b := v.(type) {
		case []byte:
			*d = notNil(b)
			return nil
		case nil:
			*d = nil
			return nil
		}
	case *int64:
		if n, ok := v.(int64); ok {
			*d = n
			return nil
		}
	case *any:
		*d = v
		return nil
	case sql.Scanner:
		return d.Scan(v)
	}
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("destination %T is not a pointer", dest)
	}
	return set(p.Elem(), v)
}

// set is assign by the kind of the destination.
func set(d reflect.Value, v driver.Value) error {
	if d.Kind() == reflect.Pointer {
		if v == nil {
			d.SetZero()
			return nil
		}
		d.Set(reflect.New(d.Type().Elem()))
		return set(d.Elem(), v)
	}
	ok := false
	switch x := v.(type) {
	case string:
		ok = setText(d, x)
	case []byte:
		ok = setBytes(d, notNil(x))
	case int64:
		ok = setInteger(d, x)
	case float64:
		if ok = d.CanFloat() && !d.OverflowFloat(x); ok {
			d.SetFloat(x)
		}
	case nil:
		ok = setBytes(d, nil)
	}
	if !ok {
		return fmt.Errorf("%T does not fit into %s", v, d.Type())
	}
	return nil
}

// notNil tells an empty blob from NULL, which the driver does not.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func setText(d reflect.Value, s string) bool {
	if d.Kind() != reflect.String {
		return setBytes(d, []byte(s))
	}
	d.SetString(s)
	return true
}

func setBytes(d reflect.Value, b []byte) bool {
	isBytes := d.Kind() == reflect.Slice && d.Type().Elem().Kind() == reflect.Uint8
	if isBytes {
		d.SetBytes(b)
	}
	return isBytes
}

func setInteger(d reflect.Value, n int64) bool {
	switch {
	case d.CanInt() && !d.OverflowInt(n):
		d.SetInt(n)
	case d.CanUint() && n >= 0 && !d.OverflowUint(uint64(n)):
		d.SetUint(uint64(n))
	case d.Kind() == reflect.Bool && (n == 0 || n == 1):
		d.SetBool(n == 1)
	case d.CanFloat():
		d.SetFloat(float64(n))
	default:
		return false
	}
	return true
}
