package mesh

import "testing"

// A client obeys codes that it has never seen by their range (wire 1.3).
func TestComeBack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code   CloseCode
		reason string
		want   bool
	}{
		{CloseNormal, ReasonReplaced, true},
		{CloseNormal, "disconnected", true},
		{CloseGoingAway, "shutting down", true},
		{1006, "", true},
		{CloseInvalidData, "", true},
		{CloseTooBig, "", true},
		{CloseKicked, "kicked", false},
		{CloseBanned, "banned", false},
		{CloseNoFeature, "", false},
		{CloseSlowConsumer, "", true},
		{CloseStoreFailed, "", true},
		{4199, "of next year", true},
		{4200, "of next year", false},
		{4299, "of next year", false},
		{4300, "of next year", true},
		{ClosePolicy, "", true},
		{ClosePolicy, "of next year", true},
		{ClosePolicy, string(TimestampSkew), true},
		{ClosePolicy, string(Replay), true},
		{ClosePolicy, string(Capacity), true},
		{ClosePolicy, string(HelloTimeout), true},
		{ClosePolicy, string(AttestationExpired), true},
		{ClosePolicy, string(Unauthorized), false},
		{ClosePolicy, string(BadSignature), false},
		{ClosePolicy, string(Malformed), false},
		{ClosePolicy, string(AttestationMismatch), false},
		{ClosePolicy, string(ParentMismatch), false},
		{ClosePolicy, string(WeakKey), false},
		{ClosePolicy, string(Revoked), false},
		{CloseNormal, string(Unauthorized), true}, // only a policy close names a code
	}
	for _, tt := range tests {
		if got := tt.code.ComeBack(tt.reason); got != tt.want {
			t.Errorf("%d %s: got %v, want %v", tt.code, tt.reason, got, tt.want)
		}
	}
}
