package seal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
)

// holder has a secret in a field where fmt cannot call its methods.
type holder struct {
	key       SecretKey
	exchange  X25519Secret
	symmetric SymmetricKey
}

// exported has its secrets where encoders look.
type exported struct {
	Key       SecretKey
	Exchange  X25519Secret
	Symmetric SymmetricKey
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	key := NewSecretKey()
	secrets := exported{key, key.Exchange(), NewSymmetricKey()}
	hidden := []string{
		key.Reveal()[:64], key.Reveal()[:16], fmt.Sprint(key.key().sign[:8])[1:15],
		fmt.Sprintf("%x", secrets.Exchange.key().Bytes()[:8]),
		fmt.Sprintf("%x", secrets.Symmetric.Bytes()[:8]), secrets.Symmetric.Reveal()[:12],
		fmt.Sprint(secrets.Symmetric.Bytes()[:6])[1:15],
	}
	boxes := NewBoxes(1)
	hidden = append(hidden, fmt.Sprint(must(boxes.shared(key, NewSecretKey().Public()))(t)[:6])[1:15])
	values := []any{
		boxes, *boxes.order,
		key, &key, secrets.Exchange, secrets.Symmetric, secrets, &secrets, []SecretKey{key},
		holder{key, secrets.Exchange, secrets.Symmetric}, &holder{key, secrets.Exchange, secrets.Symmetric},
	}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
			fmt.Fprintf(&out, verb, v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
	}
	for _, secret := range hidden {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
			t.Errorf("a printed value holds secret bytes %q", secret)
		}
	}
}

func TestSecretLabels(t *testing.T) {
	t.Parallel()
	key := testKeys(t)["owner"]
	for _, c := range []struct {
		value any
		want  string
	}{
		{key, "[secret ed25519 9dfa5f38]"},
		{key.Exchange(), "[secret x25519 87275980]"},
		{NewSymmetricKey(), "[secret key]"},
		{SecretKey{}, "[no secret]"},
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "k", c.value)
		for _, got := range []string{fmt.Sprint(c.value), fmt.Sprintf("%#v", c.value), fmt.Sprintf("%x", c.value), c.value.(fmt.Stringer).String(), c.value.(fmt.GoStringer).GoString()} {
			if got != c.want {
				t.Errorf("printed: got %s, want %s", got, c.want)
			}
		}
		if !strings.Contains(log.String(), c.want) {
			t.Errorf("logged: got %s, want %s in it", log.String(), c.want)
		}
	}
}

// A key that became {} in a file would be a lost key.
func TestSecretsDoNotMarshal(t *testing.T) {
	t.Parallel()
	for _, v := range []any{NewSecretKey(), NewX25519Secret(), NewSymmetricKey(), exported{Key: NewSecretKey()}} {
		if got, err := json.Marshal(v); err == nil {
			t.Errorf("encoding/json made %s of %T", got, v)
		}
		if got, err := jsonv2.Marshal(v); err == nil {
			t.Errorf("json made %s of %T", got, v)
		}
	}
}
