package invite

import _ "embed"

// Page is what GET /i/{code} answers for any code: how to join. It tells nothing of a code and does nothing with it.
//
//go:embed page.html
var Page []byte

// PagePolicy is the Content-Security-Policy of Page: its own style and nothing else.
const PagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
