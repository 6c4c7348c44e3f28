package enroll

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// How long one request may take, and how large its answer may be.
const (
	postLimit   = 15 * time.Second
	answerBytes = 64 << 10
)

// target is where a request goes.
type target struct {
	base  string // http:// or https://, without a slash at the end
	path  string
	pin   string
	token string // empty means none
}

// post sends JSON, or with a nil body only asks, and reads the JSON of a 2xx answer. Any other answer is an error with the broker's code;
// broker_unreachable means that there was none.
func (c *Client) post(ctx context.Context, to target, body []byte, answer any) error {
	if err := uplink.CheckClear(to.base); err != nil {
		return err
	}
	transport, err := uplink.Transport(c.Dial, to.pin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postLimit)
	defer cancel()
	method := http.MethodPost
	if body == nil {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, to.base+to.path, bytes.NewReader(body))
	if err != nil {
		return mesh.Errorf(mesh.BadRequest, "the broker's URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	if to.token != "" {
		req.Header.Set("Authorization", "Bearer "+to.token)
	}
	client := http.Client{Transport: transport, CheckRedirect: uplink.NoRedirect}
	resp, err := client.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close() // it was read, or is not wanted
	data, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes+1))
	switch {
	case err != nil:
		return unreachable(err)
	case len(data) > answerBytes:
		return mesh.Errorf(mesh.BrokerRefused, "the broker's answer has more than %d bytes", answerBytes)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return refused(resp, data)
	case wire.Decode(data, answer) != nil:
		return mesh.Errorf(mesh.BrokerRefused, "the broker's answer cannot be read")
	}
	return nil
}

// unreachable says why there was no answer.
func unreachable(err error) error {
	if code := mesh.CodeOf(err); code == mesh.InsecureURL || code == mesh.BrokerRefused || code == mesh.PinMismatch { // of our own dial
		return err
	}
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err // the URL of a claim holds the code
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
		return mesh.Errorf(mesh.InviteUntrusted, "no authority knows the broker's certificate, and the link does not name its key; perhaps the end of the link was cut: %w", bad.Err)
	}
	return mesh.Errorf(mesh.BrokerDown, "reach the broker: %w", err)
}

// refused reads the refusal of a broker. A page of something else between here and there has no code; one of the
// TypeScript system's has its code for a text.
func refused(resp *http.Response, data []byte) error {
	var e protocol.HTTPError
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	readable := err == nil && kind == "application/json" && wire.Decode(data, &e) == nil
	switch {
	case readable && e.Code.Known() && e.Code != mesh.Internal:
		return mesh.Errorf(e.Code, "%s", sentence(strings.TrimPrefix(e.Error, string(e.Code)+": ")))
	case readable && e.Code == "" && strings.HasPrefix(e.Error, "invite_"):
		return mesh.Errorf(mesh.InviteRefused, "the broker says %s", sentence(e.Error))
	case resp.StatusCode >= 500:
		return mesh.Errorf(mesh.BrokerDown, "the broker answered with HTTP status %d", resp.StatusCode)
	}
	return mesh.Errorf(mesh.BrokerRefused, "the broker answered with HTTP status %d", resp.StatusCode)
}

// sentence cuts the text of a broker and takes out what a terminal would act on.
func sentence(text string) string {
	const limitRunes = 200
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > limitRunes {
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "the broker refused"
	}
	return b.String()
}
