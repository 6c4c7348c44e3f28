package sqlite

import (
	"errors"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// codes name our errors in the words of the product, in the order in which they are looked for: ErrStoreFailed
// wraps its reason.
var codes = []struct {
	err  error
	code mesh.Code
}{
	{ErrStoreFailed, mesh.StoreFailed},
	{ErrClosed, mesh.StoreFailed},
	{ErrFull, mesh.StorageFull},
	{ErrBusy, mesh.StoreLocked},
	{ErrNewerSchema, mesh.StoreNewer},
	{ErrCorrupt, mesh.StoreCorrupt},
	{ErrDrift, mesh.StoreCorrupt},
	{ErrNotDatabase, mesh.StoreCorrupt},
	{ErrForeign, mesh.StoreCorrupt},
	{ErrReadOnly, mesh.IOError},
}

// Coded gives an error of this package its code from the error table. Others, and those that have a code, stay as
// they are.
func Coded(err error) error {
	if _, ok := errors.AsType[*mesh.Error](err); ok {
		return err
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return &mesh.Error{Code: c.code, Err: err}
		}
	}
	return err
}
